"""What kind of image some bytes are and how large it says it is: read from the header, so that nothing is decoded to find out. Needs no package."""

from __future__ import annotations

import struct
from typing import NamedTuple


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
            value = struct.unpack_from(order + {3: "H", 4: "I", 16: "Q"}[kind], content, start + (8 if entry == 12 else 12))[0]
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
