"""Decode single images (OpenCV): the one place where an image file becomes pixels.

What holds everywhere: the content decides, not the name; the size is judged by the header before anything is decoded; a
rotation that EXIF asks for is made; of an animation the first picture counts, of a TIFF the first page; transparency is
left out; 16 bits become 8; CMYK becomes RGB.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter as is_clutter
from fer_bench.clutter import is_clutter_name
from fer_bench.image_files import MAX_PIXELS as MAX_PIXELS
from fer_bench.image_files import Header, UnreadableImageError, check_size, kind_of, read_content, read_header

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
# What is an image too, and not read: a reader says so, and does not leave it out in silence.
OTHER_SUFFIXES = {
    ".pgm",
    ".ppm",
    ".pbm",
    ".pnm",
    ".avif",
    ".heic",
    ".heif",
    ".jp2",
    ".j2k",
    ".tga",
    ".dng",
    ".raw",
    ".psd",
    ".svg",
    ".ico",
    ".npy",
    ".mat",
}


@functools.cache
def _opencv() -> Any:
    """OpenCV, imported by the first image: what is read from a table of pixels does not need it."""
    import cv2

    # Its decoders write to the terminal, several lines a damaged file, what is said here in one.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def decode(content: bytes, *, gray: bool, shrink: int = 1) -> npt.NDArray[np.uint8]:
    """Decode a file's content.

    Args:
        content: of the file.
        gray: to one channel.
        shrink: 2, 4 or 8: each side is that many times shorter; of a JPEG less is computed then, so that it is several
            times faster.

    Returns:
        uint8 (H, W) or (H, W, 3) RGB.

    Raises:
        UnreadableImageError: no image, one of more than ``MAX_PIXELS`` pixels, or a damaged one.
    """
    cv2 = _opencv()
    header = read_header(content)
    check_size(header, content)
    size = "" if shrink == 1 else "REDUCED_"
    flag = getattr(cv2, f"IMREAD_{size}{'GRAYSCALE' if gray else 'COLOR'}{'' if shrink == 1 else f'_{shrink}'}")
    try:
        image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flag)
    except cv2.error:
        image = None
    if image is None:
        assert header is not None
        reason = f"not a readable image: a damaged or truncated {header.kind.upper()}"
        raise UnreadableImageError(reason)
    return np.asarray(image if gray else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def shrinks(header: Header | None, side: float, part: float | None = None) -> int:
    """How many times shorter the sides of an image may be decoded, so that nothing has to be enlarged afterwards.

    Args:
        header: of the image; only a JPEG is decoded faster for it.
        side: in pixels, that what is needed of the image will be resized to.
        part: shorter side of what is needed, in pixels; None: that of the image.

    Returns:
        8, 4, 2 or 1.
    """
    if header is None or header.kind != "jpeg":
        return 1
    shorter = min(header.width, header.height) if part is None else part
    return next((times for times in (8, 4, 2) if shorter >= times * side), 1)


def load_image(path: Path, *, gray: bool = False, side: int | None = None) -> npt.NDArray[np.uint8]:
    """Read and decode an image file.

    Args:
        path: of the file.
        gray: to one channel.
        side: decode a JPEG at reduced scale, with sides of at least so many pixels; None: at its own size.

    Returns:
        uint8 (H, W) or (H, W, 3) RGB.

    Raises:
        UnreadableImageError: missing, no regular file, no image, too large, or damaged.
    """
    try:
        content = read_content(path)
        return decode(content, gray=gray, shrink=1 if side is None else shrinks(read_header(content), side))
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


def images_below(folder: Path) -> list[Path]:
    """The image files below a folder, links to folders followed, in natural order; neither what file managers leave
    behind nor what is no regular file.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(here))
        # A link to a folder that was read already, or is being read, is not followed: it may lead on for ever.
        folders[:] = [
            name
            for name in sorted(folders)
            if not is_clutter_name(name) and os.path.realpath(Path(here, name)) not in seen
        ]
        found += [
            Path(here, name) for name in names if not is_clutter_name(name) and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted((path for path in found if kind_of(path) == "file"), key=in_natural_order)


def resize(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Resize to a square: by area where it shrinks, linearly where it grows."""
    if image.shape[:2] == (side, side):
        return image
    cv2 = _opencv()
    method = cv2.INTER_AREA if min(image.shape[:2]) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=method), dtype=np.uint8)


def in_natural_order(path: Path) -> tuple[object, ...]:
    """Sort key of a path by which ``frame2`` comes before ``frame10``: runs of digits count as numbers, letters
    regardless of case.
    """
    keys: list[tuple[tuple[int, str], ...]] = []
    for part in path.parts:
        pieces = re.split(r"([0-9]+)", part)
        # Not int(): it refuses more digits than a file's name can hold, and takes long for them.
        keys.append(
            tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else (0, p.casefold()) for i, p in enumerate(pieces))
        )
    return tuple(keys), str(path)
