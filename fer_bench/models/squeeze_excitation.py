"""Squeeze-and-excitation (Hu, Shen and Sun 2018): channels are weighed by what the whole image says of them."""

from __future__ import annotations

import torch
from torch import nn

# A narrower bottleneck cannot distinguish anything.
_NARROWEST = 4


class SqueezeExcitation(nn.Module):
    """Multiplies each channel by a number from 0 to 1 that two dense layers find from the channels' means.

    Args:
        channels: of the input.
        reduction: channels per unit of the hidden layer, which has at least four; 16 in the paper.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, _NARROWEST)
        self.weigh = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weighed channels, (B, C, H, W)."""
        return x * self.weigh(x.mean(dim=(2, 3)))[:, :, None, None]
