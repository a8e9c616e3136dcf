"""Dropout of large activations on a CPU."""

from __future__ import annotations

import torch
from torch import nn

# Random bits per element: a rate is met to within 1 / 65,536.
_STEPS = 1 << 16


class Dropout(nn.Dropout):
    """``nn.Dropout`` whose mask costs a quarter of the random numbers where it is sampled on a CPU.

    PyTorch draws one random number per element there, on one thread on processors of other makers than Intel's: a
    seventh of a training step of the five-layer CNN. Here one 64-bit number decides over four elements. Same
    distribution, other numbers than ``nn.Dropout``; elsewhere it is ``nn.Dropout``.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Zero each element with probability ``p`` and scale the others by 1 / (1 - p), while training; shape and
        memory format stay.
        """
        dense = x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))
        if (
            not self.training
            or self.inplace
            or not 0 < self.p < 1
            or x.device.type != "cpu"
            or not x.is_floating_point()
            or not dense
        ):
            return super().forward(x)
        kept = round((1 - self.p) * _STEPS)
        numbers = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        lanes = numbers.view(torch.int16)[: x.numel()].as_strided(x.shape, x.stride())
        return x * (lanes < kept - _STEPS // 2).to(x.dtype).mul_(_STEPS / kept)
