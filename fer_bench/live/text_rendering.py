"""Text on OpenCV images in a readable face; every word is drawn once and then kept."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


@lru_cache(maxsize=1024)
def _mask(text: str, size: int, bold: bool) -> npt.NDArray[np.float32]:
    """Coverage (H, W, 1), 0 to 1; the height depends on the size alone, so that baselines agree."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    picture = Image.new("L", (max(int(np.ceil(font.getlength(text))), 1), ascent + descent))
    ImageDraw.Draw(picture).text((0, 0), text, fill=255, font=font)
    mask: npt.NDArray[np.float32] = (np.asarray(picture)[:, :, None] / 255).astype(np.float32)
    mask.setflags(write=False)
    return mask


def text_size(text: str, size: int, *, bold: bool = False) -> tuple[int, int]:
    """Width and height in pixels of a line of text whose letters are ``size`` pixels high."""
    height, width = _mask(text, size, bold).shape[:2]
    return width, height


def draw_text(
    image: npt.NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    size: int,
    colour: Colour,
    *,
    anchor: Literal["left", "right", "centre"] = "left",
    bold: bool = False,
) -> None:
    """Write on an image; what is outside is cut off.

    Args:
        image: BGR, uint8 (H, W, 3).
        text: one line.
        at: x of the anchor and y of the text's top.
        size: of the letters, in pixels.
        colour: BGR.
        anchor: which point of the text stands at x.
        bold: heavier.
    """
    mask = _mask(text, size, bold)
    height, width = mask.shape[:2]
    x, y = at[0] - {"left": 0, "right": width, "centre": width // 2}[anchor], at[1]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, image.shape[1]), min(y + height, image.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
    under = image[y0:y1, x0:x1]
    under[:] = (under + part * (np.array(colour, dtype=np.float32) - under) + 0.5).astype(np.uint8)
