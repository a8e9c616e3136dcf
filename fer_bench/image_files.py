"""Image files before they are decoded: whether they may be read, of what kind they are, and how large their header says
they are. Needs no package.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import Literal, NamedTuple

from fer_bench.errors import BadDataError

# 8,000 x 8,000, which takes 192 MB in colour. A PNG of 200 kB can announce 25 times as much.
MAX_PIXELS = 64_000_000
MAX_BYTES = 2**29
# An honest progressive JPEG has ten scans or so; each costs a pass over all pixels.
MAX_SCANS = 500


class UnreadableImageError(BadDataError):
    """A file that is no image, or none that can be decoded here.

    Args:
        reason: a few words, for a list of such files.
        path: of the file, where there is one.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        self.reason, self.path = reason, path
        super().__init__(
            f"{path}: {reason}." if path else f"{reason}.",
            "Unpack it again, or delete it: samples without a file are left out and counted.",
        )

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, Path | None]]:
        return type(self), (self.reason, self.path)


class Header(NamedTuple):
    """What a header announces.

    Args:
        kind: ``png``, ``jpeg``, ``bmp``, ``webp``, ``tiff`` or ``gif``.
        width: in pixels, as stored: before any rotation that EXIF asks for.
        height: in pixels.
    """

    kind: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(content: bytes) -> Header | None:
    """Kind and size of an image.

    Args:
        content: the whole file, or as much of its beginning as holds the header (JPEG and TIFF may keep it anywhere).

    Returns:
        The header; None for what is none of the six kinds, or ends before its size is said.
    """
    for starts, kind, size in _KINDS:
        if content.startswith(starts):
            try:
                found = size(content)
            except (struct.error, IndexError):
                return None
            return None if found is None else Header(kind, *found)
    return None


def check_size(header: Header | None, content: bytes) -> None:
    """Refuse by the header what is no image or would take too much memory or time to decode.

    Raises:
        UnreadableImageError: says which.
    """
    if header is None:
        reason = "not a readable image: " + (
            "none of PNG, JPEG, BMP, WebP, TIFF and GIF" if content else "an empty file"
        )
        raise UnreadableImageError(reason)
    if not header.pixels:
        reason = f"an image of {header.width} x {header.height} px: no pixels at all"
        raise UnreadableImageError(reason)
    if header.pixels > MAX_PIXELS:
        reason = f"an image of {header.width:,} x {header.height:,} px: more than {MAX_PIXELS // 10**6} million pixels"
        raise UnreadableImageError(reason)
    if header.kind == "jpeg" and content.count(b"\xff\xda") > MAX_SCANS:
        reason = f"a JPEG of more than {MAX_SCANS} scans"
        raise UnreadableImageError(reason)


def read_content(path: Path, start: int | None = None) -> bytes:
    """The content of an image file.

    Args:
        path: of the file.
        start: no more than so many bytes from its beginning; None: all, up to ``MAX_BYTES``.

    Raises:
        UnreadableImageError: missing, no regular file, or larger.
    """
    try:
        # Not to wait for ever for somebody who writes into a pipe of this name.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                reason = "not a regular file"
                raise UnreadableImageError(reason, path)
            with open(descriptor, "rb", closefd=False) as file:
                # Not MAX_BYTES of any file: Python asks for all of that memory first.
                content = file.read(min(state.st_size, MAX_BYTES) + 1 if start is None else start)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        reason = "there is no such file"
        raise UnreadableImageError(reason, path) from None
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise UnreadableImageError(reason, path) from None
    if len(content) > MAX_BYTES:
        reason = f"a file of more than {MAX_BYTES // 2**20} MiB"
        raise UnreadableImageError(reason, path)
    return content


def kind_of(path: Path) -> Literal["folder", "file", ""]:
    """What a path leads to; nothing where that cannot be found out, as for a name that is too long."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else ""


def _png(content: bytes) -> tuple[int, int] | None:
    # The first chunk is the header; nothing else may come before it.
    return struct.unpack_from(">II", content, 16) if content[12:16] == b"IHDR" else None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    at = 2
    while True:
        at = content.find(b"\xff", at)
        if at < 0:
            return None
        while content[at] == 0xFF:
            at += 1
        marker = content[at]
        at += 1
        # Start of frame: all of C0 to CF, but for the tables (C4, CC) and the reserved one (C8).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 3)
            return width, height
        if marker in (0xD9, 0xDA):
            return None
        if marker not in (0x00, 0x01) and not 0xD0 <= marker <= 0xD8:
            at += struct.unpack_from(">H", content, at)[0]


def _bmp(content: bytes) -> tuple[int, int] | None:
    (length,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH", content, 18) if length == 12 else struct.unpack_from("<ii", content, 18)
    # A negative height means that the first row is the top one.
    return abs(width), abs(height)


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if content[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(content: bytes) -> tuple[int, int] | None:
    order = "<" if content[:2] == b"II" else ">"
    (version,) = struct.unpack_from(order + "H", content, 2)
    if version == 42:
        (at,), entry, counted = struct.unpack_from(order + "I", content, 4), 12, "H"
    elif version == 43:
        (at,), entry, counted = struct.unpack_from(order + "Q", content, 8), 20, "Q"
    else:
        return None
    (count,) = struct.unpack_from(order + counted, content, at)
    at += struct.calcsize(order + counted)
    found: dict[int, int] = {}
    for start in range(at, at + entry * min(count, 65_536), entry):
        tag, kind = struct.unpack_from(order + "HH", content, start)
        if tag in (256, 257) and kind in (3, 4, 16):
            value = struct.unpack_from(
                order + {3: "H", 4: "I", 16: "Q"}[kind], content, start + (8 if entry == 12 else 12)
            )[0]
            found.setdefault(tag, value)
        if len(found) == 2:
            return found[256], found[257]
    return None


def _gif(content: bytes) -> tuple[int, int] | None:
    return struct.unpack_from("<HH", content, 6)


_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "png", _png),
    (b"\xff\xd8\xff", "jpeg", _jpeg),
    (b"BM", "bmp", _bmp),
    (b"RIFF", "webp", _webp),
    (b"II", "tiff", _tiff),
    (b"MM", "tiff", _tiff),
    (b"GIF8", "gif", _gif),
)
