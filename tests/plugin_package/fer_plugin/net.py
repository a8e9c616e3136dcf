"""A network for images of any side."""

import torch
from torch import nn

from fer_plugin.blocks import block


class TinyNet(nn.Module):
    def __init__(self, num_outputs: int, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(3, width), block(width, width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_outputs)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)
