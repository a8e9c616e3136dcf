"""Decode single images (OpenCV)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.clutter import is_clutter

__all__ = ["SUFFIXES", "decode", "is_clutter", "read_image", "resize"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}


def decode(content: bytes, *, gray: bool) -> npt.NDArray[np.uint8] | None:
    """Decode a file's content.

    Args:
        content: of the file.
        gray: to one channel.

    Returns:
        uint8 (H, W) or (H, W, 3) RGB; None for what is no image.
    """
    if not content:
        return None
    image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR)
    if image is None:
        return None
    return np.asarray(image if gray else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def resize(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Resize to a square: by area where it shrinks, linearly where it grows."""
    if image.shape[:2] == (side, side):
        return image
    method = cv2.INTER_AREA if min(image.shape[:2]) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=method), dtype=np.uint8)


def read_image(path: Path, side: int | None = None, *, gray: bool = True) -> npt.NDArray[np.uint8] | None:
    """Read an image file; None where it cannot be read or decoded.

    Args:
        path: of the file.
        side: resize to this square; None leaves the size.
        gray: to one channel.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    image = decode(content, gray=gray)
    return image if image is None or side is None else resize(image, side)
