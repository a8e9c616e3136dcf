"""RandAugment of faces: of each image, a few operations sampled from nine (Cubuk et al. 2020), without those after
which nobody recognises an expression.

Left out of the paper's fourteen are inversions of light and colour (solarise, posterise, equalise, colour); gamma is
added. An operation's strength is uniform up to ``magnitude`` times its largest, in either direction. They are applied
in a fixed order, geometry first, which for few operations makes no difference that could be measured, and lets a whole
batch be changed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Float = npt.NDArray[np.float64]
# Largest strengths at magnitude 1, each in both directions: degrees, shares of the side, relative changes, powers of
# two (gamma: exponent from 1/2 to 2), and the share of the difference from the smoothed image that is added (sharper)
# or taken off (smoother).
LARGEST = {
    "rotate": 30.0,
    "shift_x": 0.2,
    "shift_y": 0.2,
    "scale": 0.3,
    "shear": 20.0,
    "brightness": 0.5,
    "contrast": 0.5,
    "gamma": 1.0,
    "sharpness": 1.0,
}
# Columns of what is sampled beyond those of the geometry and the light.
COLUMNS = 2
# Of a smoother 3 x 3, as in PIL's.
_CENTRE, _AROUND = 5 / 13, 1 / 13


def draw_operations(rng: np.random.Generator, n: int, settings: Mapping[str, Any]) -> dict[str, Float]:
    """Sample strengths, (n,) by operation; 0 for those that an image does not get.

    Args:
        rng: the source.
        n: images.
        settings: ``operations`` per image, and ``magnitude``.
    """
    order = rng.random((n, len(LARGEST))).argsort(axis=1).argsort(axis=1)
    chosen = order < int(settings["operations"])
    strengths = rng.uniform(-1, 1, (n, len(LARGEST))) * chosen * float(settings.get("magnitude", 0))
    return {name: strengths[:, i] * largest for i, (name, largest) in enumerate(LARGEST.items())}


def apply_tone(x: torch.Tensor, gamma: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """Change gamma and sharpness.

    Args:
        x: (B, C, H, W), float.
        gamma: (B,), power of two of the exponent.
        sharpness: (B,), share of the difference from the smoothed image.

    Returns:
        Of the shape of ``x``, in 0..255.
    """
    x = (x.clamp(0, 255) / 255).pow(torch.exp2(gamma)[:, None, None, None]) * 255
    channels = x.shape[1]
    kernel = torch.full((channels, 1, 3, 3), _AROUND, device=x.device, dtype=x.dtype)
    kernel[:, :, 1, 1] = _CENTRE
    smooth = nn.functional.conv2d(nn.functional.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)
    return (x + sharpness[:, None, None, None] * (x - smooth)).clamp(0, 255)
