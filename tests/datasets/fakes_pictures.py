"""Pictures of no content, under names that datasets give theirs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt


def write_picture(path: Path, image: int | npt.NDArray[np.uint8] = 0) -> None:
    """Write a picture, or one of a noise that its number decides, 24 x 20."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, int):
        image = np.random.default_rng(image).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    lossless = path.suffix.lower() not in (".jpg", ".jpeg")
    cv2.imwrite(str(path), image, [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, 100])
