"""What video does to single frames of a clip, anew from frame to frame: noise of a high gain, flickering light, things
that pass in front of the face, and motion blur.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.synthetic.face_model import OCCLUDERS, FaceParams

Image = npt.NDArray[np.uint8]


def as_in_video(look: FaceParams, strength: float, rng: np.random.Generator) -> FaceParams:
    """A frame's face with its light and what passes in front of it.

    Args:
        look: the face in this frame.
        strength: 0 to 1.
        rng: of this frame.
    """
    passes, kind = rng.random() < 0.35 * strength, str(rng.choice(OCCLUDERS[1:4]))
    at, flicker = rng.uniform((-0.5, -0.5), (0.5, 0.8)), rng.standard_normal()
    look = replace(look, brightness=look.brightness * (1 + 0.12 * strength * flicker))
    return replace(look, occluder=kind, occluder_at=(float(at[0]), float(at[1]))) if passes else look


def filmed(picture: Image, strength: float, rng: np.random.Generator) -> Image:
    """A picture (H, W, 3) as a camera takes it that moves, or not, by up to a sixth of its side, in any direction, with
    the noise of its sensor.
    """
    angle, share, noise = rng.uniform(0, np.pi), rng.random(), rng.uniform(0, 36) * strength
    length = strength * share**2 * picture.shape[0] / 6
    if length >= 1:
        side = 2 * int(np.ceil(length / 2)) + 1
        kernel, middle = np.zeros((side, side), dtype=np.float32), side // 2
        reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        start, end = ([int(v) for v in np.round(middle + sign * reach)] for sign in (-1, 1))
        cv2.line(kernel, start, end, 1.0)
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE))
    grain = rng.standard_normal(picture.shape[:2]) * noise
    return np.clip(picture + grain[..., None], 0, 255).astype(np.uint8)
