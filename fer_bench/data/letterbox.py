"""Scale an image into a frame without changing its proportions."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def letterbox(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Scale to fit a frame, centre, and fill the borders with black (FindingEmo, section 3: 800 x 600).

    Args:
        image: shape (H, W) or (H, W, channels), uint8; smaller images are enlarged.
        width: of the frame, in pixels.
        height: of the frame, in pixels.

    Returns:
        Shape (height, width) or (height, width, channels), uint8. Where the border is odd, the bottom and right have
        the pixel more.
    """
    h, w = image.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = max(1, round(w * scale)), max(1, round(h * scale))
    # INTER_AREA averages what shrinking merges; for enlarging it would be nearest neighbour.
    scaled = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    framed = np.zeros((height, width, *image.shape[2:]), dtype=np.uint8)
    top, left = (height - new_h) // 2, (width - new_w) // 2
    framed[top : top + new_h, left : left + new_w] = scaled.reshape(new_h, new_w, *image.shape[2:])
    return framed
