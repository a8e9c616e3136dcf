"""Statistics for norms that a file of weights has folded into its convolutions.

A file for inference often has no batch norms: they are part of the convolutions' weights. In evaluation such a
network is equivalent; in training, fresh norms would remove the scale of the weights first, and with it most of what
was learned. Statistics measured once on training images preserve it.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import nn

# Images that the statistics are of.
_IMAGES, _BATCH = 256, 64


class MeasureNorms(L.Callback):
    """Where the weights have their norms folded, measures these on the first training images, as they are; any other
    network is left alone.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Before training, and before the checkpoint of a resumed run is read, which has its own statistics."""
        network: Any = getattr(pl_module, "network", None)
        if stage != "fit" or not getattr(getattr(network, "initial", None), "folded", False):
            return
        data = trainer.datamodule.split_dataset("train")
        n = min(_IMAGES, len(data))
        measure_norms(
            network,
            [
                data.__getitems__([(0, i) for i in range(at, min(at + _BATCH, n))])["image"]
                for at in range(0, n, _BATCH)
            ],
        )


@torch.no_grad()
def measure_norms(network: nn.Module, batches: list[torch.Tensor]) -> None:
    """Give every batch norm the statistics of its inputs, and a scale and a shift by which its outputs stay what they
    were.

    Args:
        network: is in evaluation mode meanwhile; what it computes in that mode stays the same.
        batches: uint8 images (B, C, H, W).
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {
        id(norm): [torch.zeros(norm.num_features, dtype=torch.float64) for _ in range(2)] + [torch.zeros(())]
        for norm in norms
    }

    def note(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0].detach().double()
        for kept, value in zip(
            sums[id(norm)],
            (x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), torch.tensor(x.numel() / x.shape[1])),
            strict=True,
        ):
            kept += value.cpu()

    was_training = network.training
    network.eval()
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        place = next(network.parameters()).device
        for images in batches:
            network(images.to(place))
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)
    for norm in norms:
        total, squares, n = sums[id(norm)]
        mean, variance = total / n, (squares / n - (total / n).square()).clamp(min=0)
        _keep(norm, mean, variance)


def _keep(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Replace the statistics of a norm, and its scale and shift so that it stays the same function in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = norm.weight.double().cpu() / (norm.running_var.double().cpu() + norm.eps).sqrt()
    start = norm.bias.double().cpu() - slope * norm.running_mean.double().cpu()
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.bias.copy_(start + slope * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
