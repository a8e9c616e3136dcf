"""Images as timm's networks were given them when they were trained: size, crop, interpolation, mean and standard
deviation of timm's own data configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Any, Literal

import torch
from torch import nn

# PyTorch has no Lanczos filter; timm's own training draws between bilinear and bicubic.
_MODES = {"bicubic": "bicubic", "lanczos": "bicubic", "bilinear": "bilinear", "random": "bilinear"}


@dataclass(frozen=True)
class Design:
    """How images are prepared for a network.

    Args:
        height: of the input, in pixels.
        width: of the input, in pixels.
        mean: by channel, of pixels in 0..1.
        std: by channel, of pixels in 0..1.
        interpolation: ``bicubic``, ``bilinear`` or ``nearest``.
        crop: share of the scaled image's side that is kept.
        fit: ``center`` scales the image over the frame and loses its ends, ``squash`` stretches it, ``border`` scales
            it into the frame, with the mean colour around it.
        classes: of the weights; 0 where they have none.
        of_imagenet: whether these are ImageNet's, or a part of them.
    """

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop: float
    fit: Literal["center", "squash", "border"]
    classes: int
    of_imagenet: bool

    def describe(self) -> str:
        """In words that differ whenever it does."""
        constants = f"mean {list(self.mean)}, std {list(self.std)}"
        return f"{self.height} x {self.width} px, {self.fit} {self.crop:g}, {self.interpolation}, {constants}"


def design_of(name: str, side: int | None = None) -> Design:
    """What timm says of a network, whether its weights are at hand or not.

    Args:
        name: of timm, with or without a tag.
        side: of the input in pixels, instead of its own.
    """
    import timm
    from timm.data import infer_imagenet_subset, resolve_data_config

    stated = timm.get_pretrained_cfg(name, allow_unregistered=True)
    config: dict[str, Any] = resolve_data_config(pretrained_cfg={} if stated is None else stated.to_dict())
    height, width = (side, side) if side else config["input_size"][1:]
    return Design(
        height=int(height),
        width=int(width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=_MODES.get(config["interpolation"], "nearest"),
        crop=float(config["crop_pct"]),
        fit=config["crop_mode"] if config["crop_mode"] in ("squash", "border") else "center",
        classes=int((stated and stated.num_classes) or 0),
        of_imagenet=stated is None or infer_imagenet_subset(stated) is not None,
    )


class DesignedInput(nn.Module):
    """uint8 images of one or three channels and any size to a network's input, as its design says.

    Args:
        design: of the network.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.register_buffer("mean", torch.tensor(design.mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(design.std).view(1, -1, 1, 1) * 255, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Prepare (B, 1 or 3, H, W), uint8 or float in 0..255, as float (B, channels, height, width)."""
        x = images.float().expand(-1, self.mean.shape[1], -1, -1)
        x = self._framed(self._scaled(x))
        return ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        design, (h, w) = self.design, x.shape[-2:]
        target = floor(design.height / design.crop), floor(design.width / design.crop)
        if design.fit != "squash":
            by = (max if design.fit == "center" else min)(target[0] / h, target[1] / w)
            target = max(int(h * by + 1e-6), 1), max(int(w * by + 1e-6), 1)
        if target == (h, w):
            return x
        if design.interpolation == "nearest":
            return nn.functional.interpolate(x, size=target, mode="nearest")
        x = nn.functional.interpolate(x, size=target, mode=design.interpolation, align_corners=False, antialias=True)
        # Images were scaled as bytes.
        return x.round().clamp(0, 255)

    def _framed(self, x: torch.Tensor) -> torch.Tensor:
        """The middle of the scaled image; the mean colour where it is smaller than the frame."""
        design, (h, w) = self.design, x.shape[-2:]
        top, left = round((h - design.height) / 2), round((w - design.width) / 2)
        cropped = x[..., max(top, 0) : max(top, 0) + design.height, max(left, 0) : max(left, 0) + design.width]
        if cropped.shape[-2:] == (design.height, design.width):
            return cropped
        framed = self.mean.round().expand(len(x), -1, design.height, design.width).clone()
        at = (design.height - cropped.shape[-2]) // 2, (design.width - cropped.shape[-1]) // 2
        framed[..., at[0] : at[0] + cropped.shape[-2], at[1] : at[1] + cropped.shape[-1]] = cropped
        return framed
