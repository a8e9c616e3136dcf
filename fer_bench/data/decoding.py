"""Decode single images (OpenCV): the one place where an image file becomes pixels.

What holds everywhere: the content decides, not the name; the size is judged by the header before anything is decoded; a rotation that EXIF asks for is made;
of an animation the first picture counts, of a TIFF the first page; transparency is left out; 16 bits become 8; CMYK becomes RGB.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.clutter import is_clutter as is_clutter
from fer_bench.data.image_size import Header, read_header
from fer_bench.errors import BadDataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
# 8,000 x 8,000, which takes 192 MB in colour. A PNG of 200 kB can announce 25 times as much.
MAX_PIXELS = 64_000_000
MAX_BYTES = 2**29
# An honest progressive JPEG has ten scans or so; each costs a pass over all pixels.
_MAX_SCANS = 500

# Its decoders write to the terminal, several lines a damaged file, what is said here in one.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class UnreadableImageError(BadDataError):
    """A file that is no image, or none that can be decoded here.

    Args:
        reason: a few words, for a list of such files.
        path: of the file, where there is one.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        self.reason, self.path = reason, path
        super().__init__(f"{path}: {reason}." if path else f"{reason}.", "Unpack it again, or delete it: samples without a file are left out and counted.")

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, Path | None]]:
        return type(self), (self.reason, self.path)


def decode(content: bytes, *, gray: bool, reduced: bool = False) -> npt.NDArray[np.uint8]:
    """Decode a file's content.

    Args:
        content: of the file.
        gray: to one channel.
        reduced: at an eighth of the size, several times faster: enough to see whether it decodes.

    Returns:
        uint8 (H, W) or (H, W, 3) RGB.

    Raises:
        UnreadableImageError: no image, one of more than ``MAX_PIXELS`` pixels, or a damaged one.
    """
    header = read_header(content)
    check_size(header, content)
    flag = (cv2.IMREAD_REDUCED_GRAYSCALE_8 if gray else cv2.IMREAD_REDUCED_COLOR_8) if reduced else cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flag)
    except cv2.error:
        image = None
    if image is None:
        assert header is not None
        reason = f"not a readable image: a damaged or truncated {header.kind.upper()}"
        raise UnreadableImageError(reason)
    return np.asarray(image if gray else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def check_size(header: Header | None, content: bytes) -> None:
    """Refuse by the header what is no image or would take too much memory or time to decode.

    Raises:
        UnreadableImageError: says which.
    """
    if header is None:
        reason = "not a readable image: " + ("none of PNG, JPEG, BMP, WebP, TIFF and GIF" if content else "an empty file")
        raise UnreadableImageError(reason)
    if header.pixels > MAX_PIXELS:
        reason = f"an image of {header.width:,} x {header.height:,} px: more than {MAX_PIXELS // 10**6} million pixels"
        raise UnreadableImageError(reason)
    if header.kind == "jpeg" and content.count(b"\xff\xda") > _MAX_SCANS:
        reason = f"a JPEG of more than {_MAX_SCANS} scans"
        raise UnreadableImageError(reason)


def load_image(path: Path, *, gray: bool = False) -> npt.NDArray[np.uint8]:
    """Read and decode an image file.

    Args:
        path: of the file.
        gray: to one channel.

    Returns:
        uint8 (H, W) or (H, W, 3) RGB.

    Raises:
        UnreadableImageError: missing, no regular file, no image, too large, or damaged.
    """
    try:
        return decode(read_content(path), gray=gray)
    except UnreadableImageError as error:
        raise UnreadableImageError(error.reason, path) from None


def read_image(path: Path, side: int | None = None, *, gray: bool = True) -> npt.NDArray[np.uint8] | None:
    """Read an image file; None where it cannot be read or decoded.

    Args:
        path: of the file.
        side: resize to this square; None leaves the size.
        gray: to one channel.
    """
    try:
        image = load_image(path, gray=gray)
    except UnreadableImageError:
        return None
    return image if side is None else resize(image, side)


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
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                reason = "not a regular file"
                raise UnreadableImageError(reason, path)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_BYTES + 1 if start is None else start)
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


def images_below(folder: Path) -> list[Path]:
    """The image files below a folder, in natural order; neither what file managers leave behind nor what is no regular file."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not is_clutter(path.relative_to(folder)))
    return sorted((path for path in found if path.is_file()), key=in_natural_order)


def kind_of(path: Path) -> Literal["folder", "file", ""]:
    """What a path leads to; nothing where that cannot be found out, as for a name that is too long."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else ""


def resize(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Resize to a square: by area where it shrinks, linearly where it grows."""
    if image.shape[:2] == (side, side):
        return image
    method = cv2.INTER_AREA if min(image.shape[:2]) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=method), dtype=np.uint8)


def in_natural_order(path: Path) -> tuple[object, ...]:
    """Sort key of a path by which ``frame2`` comes before ``frame10``: runs of digits count as numbers, letters regardless of case."""
    keys: list[tuple[tuple[int, str], ...]] = []
    for part in path.parts:
        pieces = re.split(r"([0-9]+)", part)
        # Not int(): it refuses more digits than a file's name can hold, and takes long for them.
        keys.append(tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else (0, p.casefold()) for i, p in enumerate(pieces)))
    return tuple(keys), str(path)
