"""A network that takes 8-bit images."""

from __future__ import annotations

import torch
from torch import nn

from fer_bench.models.adapter import InputAdapter
from fer_bench.models.initial import Initial


class Network(nn.Module):
    """An input adapter and a body.

    Args:
        adapter: turns uint8 images into the body's input.
        body: returns logits or values.
    """

    def __init__(self, adapter: InputAdapter, body: nn.Module) -> None:
        super().__init__()
        self.adapter = adapter
        self.body = body
        # Where its weights are from; None: from the random numbers.
        self.initial: Initial | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Outputs (B, C) of images (B, 1 or 3, H, W), uint8 or 0..255."""
        return self.body(self.adapter(images))
