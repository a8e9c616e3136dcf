"""Dropout that changes while a network trains."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from fer_bench.errors import SpecError
from fer_bench.spec import RunSpec


def share_in(schedule: str, epoch: int, epochs: int) -> float:
    """Factor of the rates in an epoch.

    Args:
        schedule: ``rising``: evenly from 0 to the full rate (Morerio et al. 2017, "Curriculum dropout"); ``early``:
            evenly from the full rate to 0 over the first half, none after it; ``late``: none in the first half, the
            full rate after it (both: Liu et al. 2023, "Dropout reduces underfitting").
        epoch: from 0.
        epochs: of the whole training.
    """
    if schedule == "rising":
        return epoch / max(epochs - 1, 1)
    done = 2 * epoch / epochs
    return max(1 - done, 0.0) if schedule == "early" else float(done >= 1)


class DropoutSchedule(L.Callback):
    """Sets the rates of a network's dropout layers for each epoch.

    Args:
        schedule: as for :func:`share_in`.
        epochs: of the whole training.
    """

    def __init__(self, schedule: str, epochs: int) -> None:
        self.schedule, self.epochs = schedule, epochs
        self.rates: list[tuple[_DropoutNd, float]] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Remember the full rates."""
        self.rates = dropout_of(pl_module.network)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Set the epoch's rates."""
        share = share_in(self.schedule, trainer.current_epoch, self.epochs)
        for layer, rate in self.rates:
            layer.p = share * rate

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Leave the network as it was built."""
        for layer, rate in self.rates:
            layer.p = rate


def dropout_of(network: nn.Module) -> list[tuple[_DropoutNd, float]]:
    """The dropout layers of a network that drop something, with their rates."""
    return [(layer, float(layer.p)) for layer in network.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]


def check_dropout_schedule(spec: RunSpec, network: nn.Module) -> None:
    """Reject a schedule for a network without dropout.

    Raises:
        SpecError: the network has no dropout.
    """
    if spec.dropout_schedule != "constant" and not dropout_of(network):
        problem = f"dropout_schedule = {spec.dropout_schedule!r}: {spec.model} as it is built here has no dropout."
        raise SpecError(problem, "Leave dropout_schedule out, or give the network dropout by model_options.")
