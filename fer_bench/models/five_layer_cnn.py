"""The five-layer CNN of the FER2013 course report (Tekula, Reddygari, Mannem: Facial Emotions Recognition Using Deep
Learning Models).

The report prints the first layers and the totals: 1,326,567 trainable parameters and 2,176 batch-norm statistics for 48
x 48 x 3 input. That fits one reading: four blocks of two 3 x 3 convolutions (32, 64, 128, 256 filters), each
convolution followed by its activation and then batch norm, each block by 2 x 2 max pooling and dropout; then two dense
layers of 64 with batch norm, and the output layer. The kind of activation and the dropout rates are not printed; ReLU,
0.2 and 0.5 are ours (ELU costs a third of the speed on a CPU).
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from fer_bench.models.dropout import Dropout
from fer_bench.models.squeeze_excitation import SqueezeExcitation

ACTIVATIONS: dict[str, type[nn.Module]] = {"elu": nn.ELU, "relu": nn.ReLU, "silu": nn.SiLU}


class FiveLayerCNN(nn.Module):
    """Four double-convolution blocks and a small dense head.

    Args:
        num_classes: outputs.
        in_channels: 3 in the report.
        image_size: side of the input, a multiple of 16.
        activation: ``elu``, ``relu`` or ``silu``.
        dropout: after each block.
        head_dropout: after each dense layer.
        width: filters of the first block.
        se: squeeze-and-excitation at the end of each block, with so many channels per hidden unit; 0, as in the report:
            none.

    Raises:
        ValueError: an activation that is not known, or a width, dropout or se out of range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 48,
        activation: str = "relu",
        dropout: float = 0.2,
        head_dropout: float = 0.5,
        width: int = 32,
        se: int = 0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            message = f"activation is {activation!r}, not one of {', '.join(ACTIVATIONS)}"
            raise ValueError(message)
        if width < 1:
            message = f"width is {width}, not 1 or more"
            raise ValueError(message)
        if isinstance(se, bool) or not isinstance(se, int) or se < 0:
            message = f"se is {se!r}, not an integer of 0 or more"
            raise ValueError(message)
        act = ACTIVATIONS[activation]
        widths = [in_channels, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            for channels in (before, after):
                layers += [nn.Conv2d(channels, after, 3, padding=1), act(), nn.BatchNorm2d(after)]
            layers += [SqueezeExcitation(after, se)] if se else []
            layers += [nn.MaxPool2d(2), Dropout(dropout)]
        self.features = nn.Sequential(*layers)
        self.grid = side = image_size // 16
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * side * side, 64), act(), nn.BatchNorm1d(64), nn.Dropout(head_dropout),
            nn.Linear(64, 64), act(), nn.BatchNorm1d(64), nn.Dropout(head_dropout),
        )  # fmt: skip
        self.classifier = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of images (B, in_channels, image_size, image_size), or of another side from 16 px, as
        while images grow.
        """
        found = self.features(x)
        if found.shape[-1] != self.grid:
            # The dense layers are of one number of positions.
            found = nn.functional.adaptive_avg_pool2d(found, self.grid)
        return self.classifier(self.head(found))
