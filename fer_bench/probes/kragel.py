"""Kragel's EmoNet: the full AlexNet of 2012 with twenty outputs (Kragel et al., Emotion schemas are embedded in the
human visual system, 2019).

Not the valence-arousal EmoNet of Toisoul et al. Two conversions of the original MATLAB weights are around: one whose
dense layers are linear and expect the last feature map column by column, as MATLAB stores it, and one whose dense
layers are convolutions. Both are read.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from fer_bench.errors import WeightsError

N_OUTPUTS = 20
SIDE = 227


class KragelEmoNet(nn.Module):
    """AlexNet with grouped convolutions and local response normalisation; returns logits (B, 20) of (B, 3, 227, 227),
    RGB, 0 to 255 less the mean.

    Args:
        num_outputs: classes.
        dense: width of the two dense layers.
    """

    def __init__(self, num_outputs: int = N_OUTPUTS, dense: int = 4096) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Conv2d(256, dense, 6)
        self.fc7 = nn.Conv2d(dense, dense, 1)
        self.fc8 = nn.Conv2d(dense, num_outputs, 1)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, 20) of images (B, 3, 227, 227), as :class:`KragelInput` gives them."""
        x = self.pool(self.norm(functional.relu(self.conv1(x))))
        x = self.pool(self.norm(functional.relu(self.conv2(x))))
        x = functional.relu(self.conv3(x))
        x = functional.relu(self.conv4(x))
        x = self.pool(functional.relu(self.conv5(x)))
        x = functional.relu(self.fc6(x))
        x = functional.relu(self.fc7(x))
        logits: torch.Tensor = self.fc8(x).flatten(1)
        return logits

    def load_converted(self, state: dict[str, torch.Tensor], where: str) -> None:
        """Load either conversion: the tensors are matched by their order, which both keep, and by their shapes.

        Args:
            state: eight weights and eight biases.
            where: the file, for the error.

        Raises:
            WeightsError: other tensors than those of this network.
        """
        weights = [value for key, value in state.items() if key.endswith("weight")]
        biases = [value for key, value in state.items() if key.endswith("bias")]
        own = [module for module in self.children() if isinstance(module, nn.Conv2d)]
        if len(weights) != len(own) or len(biases) != len(own):
            problem = f"{where}: {len(weights)} weights and {len(biases)} biases, EmoNet has {len(own)} of each."
            raise WeightsError(problem, "Use the converted weights of Kragel's EmoNet (emonet.pth).")
        with torch.no_grad():
            for module, weight, bias in zip(own, weights, biases, strict=True):
                shape = module.weight.shape
                # A linear layer's columns follow MATLAB's order: channel, then column, then row of the feature map.
                fitting = (
                    weight.view(shape[0], shape[1], shape[3], shape[2]).transpose(2, 3)
                    if weight.ndim == 2 and weight.numel() == shape.numel()
                    else weight
                )
                if fitting.shape != shape or bias.shape != module.bias.shape:  # type: ignore[union-attr]
                    problem = f"{where}: a weight of shape {tuple(weight.shape)} where EmoNet has {tuple(shape)}."
                    raise WeightsError(problem, "Use the converted weights of Kragel's EmoNet (emonet.pth).")
                module.weight.copy_(fitting)
                module.bias.copy_(bias)  # type: ignore[union-attr]


class KragelInput(nn.Module):
    """8-bit images to EmoNet's input: stretched to 227 x 227, less a mean per channel.

    The original subtracts a mean picture that is not part of the weights; its mean per channel, which is ImageNet's,
    stands in for it.
    """

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([123.68, 116.78, 103.94]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Adapt images (B, 1 or 3, H, W), 0 to 255, to float32 (B, 3, 227, 227)."""
        x = images.float()
        if x.shape[2:] != (SIDE, SIDE):
            x = functional.interpolate(x, size=(SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True).clamp(
                0, 255
            )
        return (x.expand(-1, 3, -1, -1) - self.mean).contiguous(memory_format=torch.channels_last)
