"""What a video file's own structure says of it: whether it is cut off, and how long its picture lasts. Needs no
decoder.

Decoders only guess at both: where a container holds no number of frames, theirs is that of its longest stream, which
may be the sound.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_LONGEST_WALK = 10_000


def is_cut_off(path: Path) -> bool:
    """Whether a file is shorter than its container says: MP4 and its kin, AVI, Matroska and WebM; False where nothing
    says so.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            size = file.seek(0, os.SEEK_END)
            if start[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
                return any(end > size for _, _, end in _boxes(file, 0, size))
            if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
                return 8 + int.from_bytes(start[4:8], "little") > size
            return start[:4] == b"\x1a\x45\xdf\xa3" and _segment_end(file) > size
    except (OSError, struct.error, IndexError):
        return False


def picture_seconds(path: Path) -> float | None:
    """How long the picture of an MP4 or MOV lasts, cuts that an editor left in its list applied; None where that is not
    said.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            movie = next(((start, end) for kind, start, end in _boxes(file, 0, size) if kind == b"moov"), None)
            if movie is None:
                return None
            scale = 0
            for kind, start, end in _boxes(file, *movie):
                if kind == b"mvhd":
                    scale = _number(file, start, 12, 20, ">I")
                elif kind == b"trak" and scale and _is_picture(file, start, end):
                    header = next((at for name, at, _ in _boxes(file, start, end) if name == b"tkhd"), None)
                    ticks = 0 if header is None else _number(file, header, 20, 28, ">Q")
                    return ticks / scale if 0 < ticks < 2**32 - 1 else None
    except (OSError, struct.error, IndexError):
        pass
    return None


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte of the content, and end of each box; an end may be beyond that of the file."""
    for _ in range(_LONGEST_WALK):
        if at + 8 > end:
            return
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        content = at + 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            content += 8
        stop = end if length == 0 else at + length
        if stop < content:
            return
        yield kind, content, stop
        at = stop


def _number(file: BinaryIO, box: int, at: int, long_at: int, long: str) -> int:
    """A number of a box with a version: 32 bits at one place in version 0, in format ``long`` at another in version
    1.
    """
    file.seek(box)
    content = file.read(40)
    return int(
        struct.unpack_from(long, content, long_at)[0] if content[0] == 1 else struct.unpack_from(">I", content, at)[0]
    )


def _is_picture(file: BinaryIO, start: int, end: int) -> bool:
    for kind, at, stop in _boxes(file, start, end):
        if kind == b"hdlr":
            file.seek(at + 8)
            return file.read(4) == b"vide"
        if kind == b"mdia" and _is_picture(file, at, stop):
            return True
    return False


def _segment_end(file: BinaryIO) -> int:
    """Where Matroska's one segment ends; 0 where it does not say, as in a live stream."""
    file.seek(4)
    _, head = _variable(file)
    file.seek(head, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    unknown, length = _variable(file)
    return 0 if unknown else file.tell() + length


def _variable(file: BinaryIO) -> tuple[bool, int]:
    """EBML's number of variable length, and whether it stands for "unknown"."""
    first = file.read(1)[0]
    more = 8 - first.bit_length()
    value = int.from_bytes(bytes([first & (0x7F >> more)]) + file.read(more), "big")
    return value == (1 << 7 * (more + 1)) - 1, value
