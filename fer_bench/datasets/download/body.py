"""What a server sends, as bytes of bounded number, and whether they are an image."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from fer_bench.image_files import MAX_PIXELS, MAX_SCANS

# Formats that the readers decode. Pillow knows many more, PostScript among them, which starts another program.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_PIECE = 2**16
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


class BodyError(Exception):
    """A body that is not read, or not read to its end; says why."""


class BodyDecoder:
    """Undoes one content encoding, in pieces: a small body may hold gigabytes, so the caller counts what comes.

    Args:
        encoding: the header Content-Encoding; none is asked for, but servers send gzip all the same.

    Raises:
        BodyError: several encodings, or an unknown one.
    """

    def __init__(self, encoding: str) -> None:
        names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
        if len(names) > 1:
            reason = f"{len(names)} content encodings on top of each other"
            raise BodyError(reason)
        if names and names[0] not in _WINDOWS:
            reason = f"content encoding {names[0][:20]!r}, which was not asked for"
            raise BodyError(reason)
        self._window = _WINDOWS[names[0]] if names else None
        self._stream = zlib.decompressobj(self._window) if self._window else None
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decode what arrived.

        Yields:
            Pieces of at most 64 KiB where there is an encoding.

        Raises:
            BodyError: damaged.
        """
        if self._stream is None or self._window is None:
            yield data
            return
        while data:
            if self._stream.eof:
                # A gzip file may have several members; anything else after the end is padding.
                if self._window != _GZIP or not data.startswith(b"\x1f\x8b"):
                    return
                self._stream = zlib.decompressobj(self._window)
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error as error:
                if self._window != _ZLIB or self._begun:
                    reason = "damaged content encoding"
                    raise BodyError(reason) from error
                # Half of the servers that say deflate mean it without zlib's header.
                self._window, self._stream = _RAW, zlib.decompressobj(_RAW)
                continue
            self._begun = True
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            yield piece


def image_defect(path: Path) -> str | None:
    """Why a file is not an image that decodes completely, or None if it is."""
    from PIL import Image

    if not path.is_file():
        return "no file"
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return f"more than {MAX_PIXELS:,} pixels"
            if image.format == "JPEG" and path.read_bytes().count(b"\xff\xda") > MAX_SCANS:
                return f"a JPEG of more than {MAX_SCANS} scans"
            image.draft("L", (1, 1))  # JPEG: reads all of the file, but builds an eighth of the picture
            image.load()
    except Exception as error:
        # Pillow's plugins raise nearly anything on damaged files: OSError, SyntaxError, struct.error, ...
        return f"not an image that decodes ({type(error).__name__})"
    return None
