"""The augmentations of :mod:`fer_bench.data.augmentation` on whole batches, on the device: the loader draws the
changes, the
device changes the pixels.

What is sampled depends on a seed and on nothing of the machine. A GPU does the changes in no time that could be seen,
where loader processes would keep it waiting at 48 px; a CPU takes less time over a batch than over its images one by
one (``benchmarks/perf/augmentation.py``). For the same seed other images come out than from albumentations, which also
shifts by whole pixels only: by which of the two a run was trained is part of its identity (``augment_on``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import affine_grid, grid_sample

from fer_bench.data import rand_augment
from fer_bench.data.augmentation import changes_nothing, settings_of

# Columns of what is sampled: the inverse of the linear map (4), the shift (2), contrast and brightness (2), the erased
# rectangle and its grey (5), and those of RandAugment (gamma, sharpness), 0 where it has no operations.
COLUMNS = 13 + rand_augment.COLUMNS
# Sides of an erased rectangle, as shares of the image's.
_LEAST, _LARGEST = 0.1, 0.35


class BatchAugmenter:
    """Applies a named augmentation to batches.

    Args:
        name: a registered augmentation.
        options: settings that replace the named ones, as for :class:`fer_bench.data.augmentation.Augmenter`.

    Raises:
        UnknownNameError: no such augmentation.
        SpecError: no such option, or a value out of range.
    """

    def __init__(self, name: str, options: Mapping[str, Any] | None = None) -> None:
        self._settings = settings_of(name, options)
        self._only_flips = changes_nothing({**self._settings, "flip": 0})

    @property
    def is_identity(self) -> bool:
        """Whether images come out as they went in."""
        return changes_nothing(self._settings)

    def draw(self, seed: int, n: int) -> torch.Tensor:
        """Sample the changes of ``n`` images: float32 (n, 15), in shares of an image's sides and of the range of grey
        values, so the same for every size.
        """
        rng = np.random.default_rng(seed)
        value = {
            key: float(self._settings.get(key) or 0)
            for key in ("flip", "rotate", "shift", "scale", "shear", "brightness", "erase")
        }

        def within(limit: float, *shape: int) -> npt.NDArray[np.float64]:
            return rng.uniform(-limit, limit, (n, *shape))

        drawn = np.zeros((n, COLUMNS))
        rotation, shear, scale = within(value["rotate"]), within(value["shear"]), 1 + within(value["scale"], 2)
        # From a separate stream: what is sampled without operations stays what it was.
        more = (
            rand_augment.draw_operations(np.random.default_rng([seed, 3]), n, self._settings)
            if self._settings.get("operations")
            else {}
        )
        if more:
            rotation, shear, scale = (
                rotation + more["rotate"],
                shear + more["shear"],
                scale * (1 + more["scale"][:, None]),
            )
        drawn[:, :4] = _inverse(np.radians(rotation), np.radians(shear), scale).reshape(n, 4)
        mirrored = np.where(rng.random(n) < value["flip"], -1.0, 1.0)
        drawn[:, :2] *= mirrored[:, None]
        drawn[:, 4:6] = within(value["shift"], 2)
        relit = rng.random(n) < 0.5
        drawn[:, 6] = 1 + within(value["brightness"]) * relit
        drawn[:, 7] = within(value["brightness"]) * relit
        erased = rng.random(n) < value["erase"]
        sides = rng.uniform(_LEAST, _LARGEST, (n, 2)) * erased[:, None]
        drawn[:, 8:10] = rng.random((n, 2)) * (1 - sides)
        drawn[:, 10:12] = sides
        drawn[:, 12] = rng.random(n)
        if more:
            drawn[:, 4] += more["shift_x"]
            drawn[:, 5] += more["shift_y"]
            # Contrast is about the middle grey.
            drawn[:, 6] *= 1 + more["contrast"]
            drawn[:, 7] = drawn[:, 7] * (1 + more["contrast"]) - more["contrast"] / 2 + more["brightness"]
            drawn[:, 13], drawn[:, 14] = more["gamma"], more["sharpness"]
        return torch.from_numpy(drawn.astype(np.float32))

    def change(self, images: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Change uint8 images (B, C, H, W) as :meth:`draw` says, on the device that they are on; shape and type
        stay.
        """
        if self._only_flips:
            # What resampling would give too, to the bit, at the price of a copy.
            mirrored = drawn[:, 0] < 0
            changed = images.clone()
            changed[mirrored] = images[mirrored].flip(3)
            return changed
        _, _, height, width = images.shape
        # From pixels to sides of the grid's square (-1 to 1): an image that is not square is not to be sheared by a
        # rotation.
        sides = torch.tensor([width, height], dtype=torch.float32, device=images.device)
        linear = drawn[:, :4].reshape(-1, 2, 2) * sides[None, None, :] / sides[None, :, None]
        theta = torch.cat([linear, -linear @ (2 * drawn[:, 4:6, None])], dim=2)
        border = "border" if self._settings.get("border", 1) else "zeros"
        grid = affine_grid(theta, list(images.shape), align_corners=False)
        x = grid_sample(images.float(), grid, mode="bilinear", padding_mode=border, align_corners=False)
        x = x * drawn[:, 6, None, None, None] + 255 * drawn[:, 7, None, None, None]
        if self._settings.get("operations"):
            x = rand_augment.apply_tone(x, drawn[:, 13], drawn[:, 14])
        inside = (
            _inside(drawn[:, 8], drawn[:, 10], height)[:, None, :, None]
            & _inside(drawn[:, 9], drawn[:, 11], width)[:, None, None, :]
        )
        x = torch.where(inside, 255 * drawn[:, 12, None, None, None], x)
        return x.round().clamp(0, 255).to(torch.uint8)


def _inverse(
    rotation: npt.NDArray[np.float64], shear: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The inverses, (n, 2, 2), of scaling (n, 2), then shearing along x, then rotating: they say where an output pixel
    comes from.
    """
    cos, sin, slope = np.cos(rotation), np.sin(rotation), np.tan(shear)
    forward = np.stack([cos, cos * slope - sin, sin, sin * slope + cos], axis=1).reshape(-1, 2, 2) * scale[:, None, :]
    return np.asarray(np.linalg.inv(forward), dtype=np.float64)


def _inside(start: torch.Tensor, share: torch.Tensor, side: int) -> torch.Tensor:
    """Which of ``side`` pixels have their centres within [start, start + share), (B, side)."""
    centres = (torch.arange(side, device=start.device) + 0.5) / side
    return (centres >= start[:, None]) & (centres < (start + share)[:, None])
