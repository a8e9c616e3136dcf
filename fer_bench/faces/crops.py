"""How the faces of each dataset are placed in their images, so that a face found in a video is cut out as the network
has seen faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.decoding import resize
from fer_bench.data.images import crop, pixels_of
from fer_bench.faces.detector import Face
from fer_bench.protocols import info_at_hand

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Framing:
    """A crop around the box of the 68 landmarks.

    Args:
        margins: left, top, right, bottom: what is added, as shares of the box' width and height; negative cuts off.
        square: a square around that box, continued beyond the image's border by its last pixels; False: the box itself,
            which ends at the border and is stretched to the network's square, as the thesis does.
    """

    margins: tuple[float, float, float, float] = (0.1, 0.1, 0.1, 0.1)
    square: bool = False

    def box(self, face: Face) -> Box:
        """The crop's left, top, right and bottom in pixels; it may reach outside the image. A face without landmarks is
        framed by its own box.
        """
        if face.landmarks is None:
            left, top, right, bottom = face.box
        else:
            (left, top), (right, bottom) = face.landmarks.min(axis=0).tolist(), face.landmarks.max(axis=0).tolist()
        width, height = right - left, bottom - top
        left, top, right, bottom = (
            side + sign * margin * length
            for side, sign, margin, length in zip(
                (left, top, right, bottom), (-1, -1, 1, 1), self.margins, (width, height, width, height), strict=True
            )
        )
        if not self.square:
            return left, top, right, bottom
        half, x, y = max(right - left, bottom - top) / 2, (left + right) / 2, (top + bottom) / 2
        return x - half, y - half, x + half, y + half

    def cut(self, image: npt.NDArray[np.uint8], face: Face, size: int, *, gray: bool) -> npt.NDArray[np.uint8] | None:
        """Cut a face out.

        Args:
            image: RGB, uint8 (H, W, 3).
            face: found in it.
            size: side of the result in pixels.
            gray: whether the network knows grey images only.

        Returns:
            uint8, (size, size) grey or (size, size, 3); None where nothing of the face is within the image.
        """
        height, width = image.shape[:2]
        wanted = self.box(face)
        within = pixels_of(wanted, width, height)
        if within is None:
            return None
        if not self.square:
            found = crop(image, within, size)
            return np.asarray(cv2.cvtColor(found, cv2.COLOR_RGB2GRAY), dtype=np.uint8) if gray else found
        left, top = round(wanted[0]), round(wanted[1])
        side = max(round(wanted[2] - wanted[0]), 2)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
        if x1 <= x0 or y1 <= y0:
            return None
        part = image[y0:y1, x0:x1]
        if gray:
            part = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
        part = cv2.copyMakeBorder(part, y0 - top, top + side - y1, x0 - left, left + side - x1, cv2.BORDER_REPLICATE)
        return resize(np.asarray(part, dtype=np.uint8), size)


def framing_of(dataset: str, options: Mapping[str, Any]) -> Framing:
    """The framing of a dataset: what it declares, else the margin that its own options say, else a tenth on every side.

    Args:
        dataset: its name.
        options: its ``dataset_options``.
    """
    info, margin = info_at_hand(dataset), options.get("margin")
    if info.margins is not None:
        return Framing(info.margins, info.square)
    return Framing((float(margin),) * 4) if isinstance(margin, int | float) else Framing()


def image_shape(
    dataset: str, options: Mapping[str, Any], facts: Mapping[str, Any], default: int
) -> tuple[int, int, int]:
    """Height, width and channels of a dataset's images.

    Args:
        dataset: its name.
        options: its ``dataset_options``.
        facts: what a record says of the data; older ones know the height only.
        default: side in pixels where they say nothing.
    """
    shape = facts.get("image_shape")
    if isinstance(shape, list) and len(shape) in (2, 3):
        return int(shape[0]), int(shape[1]), int(shape[2]) if len(shape) == 3 else 1
    height, info = int(facts.get("image_size") or default), info_at_hand(dataset)
    return height, info.read_options(options).frame_width or height, info.channels or 1
