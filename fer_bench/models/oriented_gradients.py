"""A network on histograms of oriented gradients: what an image's edges say, without its brightness.

The features are those of Dalal and Triggs (2005, "Histograms of Oriented Gradients for Human Detection"), with the
signed and unsigned directions of Felzenszwalb et al. (2010); they are computed, not learned. A small learned head sits
on top. Such a network errs elsewhere than one that looks at pixels, which is what an ensemble lives on, and its head is
cheap: 15 x 15 cells are left of a 48 px face.
"""

from __future__ import annotations

import math

import torch
from torch import nn

_EPSILON = 1e-3


class OrientedGradients(nn.Module):
    """Histograms of gradient directions over overlapping cells, as a map with one channel per direction; no weights.

    Args:
        directions: of 360 degrees, an even number; half as many unsigned ones are added.
        cell: distance of the cells in pixels; each covers twice as much.

    Raises:
        ValueError: a number out of range.
    """

    bins: torch.Tensor

    def __init__(self, directions: int = 16, cell: int = 3) -> None:
        super().__init__()
        if directions < 4 or directions % 2:
            message = f"directions is {directions}, not an even number from 4 on"
            raise ValueError(message)
        if cell < 1:
            message = f"cell is {cell}, not 1 or more"
            raise ValueError(message)
        self.directions, self.cell = directions, cell
        self.out_channels = directions + directions // 2
        self.register_buffer("bins", torch.arange(directions, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def side(self, image_size: int) -> int:
        """Cells along a side of the map."""
        return image_size // self.cell - 1

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, out_channels, S / cell - 1, S / cell - 1), values from 0 to 1, of images (B, C, S, S) in any
        units.
        """
        grey = nn.functional.pad(x.float().mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        across = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
        down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
        position = torch.atan2(down, across) * (self.directions / (2 * math.pi))
        # Each pixel votes for the two directions next to its own, with the length of its gradient.
        apart = torch.remainder(position - self.bins + self.directions / 2, self.directions) - self.directions / 2
        votes = (across.square() + down.square()).sqrt() * (1 - apart.abs()).clamp_min(0)
        cells = nn.functional.avg_pool2d(nn.functional.avg_pool2d(votes, self.cell), 2, stride=1)
        half = self.directions // 2
        unsigned = cells[:, :half] + cells[:, half:]
        # Against the light: each cell relative to its neighbourhood (Dalal and Triggs' L1-sqrt).
        around = nn.functional.avg_pool2d(
            nn.functional.pad(unsigned.sum(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate"), 3, stride=1
        )
        return (torch.cat([cells, unsigned], dim=1) / (around + _EPSILON)).clamp_max(1).sqrt()


class OrientedGradientsNetwork(nn.Module):
    """Oriented gradients and a head.

    Args:
        num_classes: outputs.
        image_size: side of the input.
        head: ``cnn`` (five convolutions over the map) or ``mlp`` (two dense layers).
        width: channels of the first convolution, or a quarter of the dense layers' units.
        dropout: before the last layer.
        directions: as :class:`OrientedGradients`.
        cell: as :class:`OrientedGradients`.

    Raises:
        ValueError: an unknown head, or a number out of range.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int = 48,
        head: str = "cnn",
        width: int = 64,
        dropout: float = 0.3,
        directions: int = 16,
        cell: int = 3,
    ) -> None:
        super().__init__()
        if width < 1:
            message = f"width is {width}, not 1 or more"
            raise ValueError(message)
        self.gradients = OrientedGradients(directions, cell)
        side, channels = self.gradients.side(image_size), self.gradients.out_channels
        if side < 4:
            message = f"cell is {cell}: {max(side, 0)} cells along a side of {image_size} px are too few"
            raise ValueError(message)
        if head == "cnn":
            self.head = nn.Sequential(
                *_convolution(channels, width), *_convolution(width, width), nn.MaxPool2d(2),
                *_convolution(width, 2 * width), *_convolution(2 * width, 2 * width), nn.MaxPool2d(2),
                *_convolution(2 * width, 4 * width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
            )  # fmt: skip
        elif head == "mlp":
            self.head = nn.Sequential(
                nn.Flatten(), nn.BatchNorm1d(channels * side * side),
                *_dense(channels * side * side, 4 * width, dropout), *_dense(4 * width, 4 * width, dropout),
            )  # fmt: skip
        else:
            message = f"head is {head!r}, not cnn or mlp"
            raise ValueError(message)
        self.classifier = nn.Linear(4 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images (B, C, image_size, image_size)."""
        return self.classifier(self.head(self.gradients(x).contiguous(memory_format=torch.channels_last)))


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _dense(before: int, after: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(dropout)]
