"""Progressive resizing: the first epochs see small images, the last ones images of the full side.

An epoch at half the side costs a quarter. Early epochs learn what coarse images show as well, and the network is tested
at the side that its last epochs had (Tan and Le 2021, "EfficientNetV2", section 4: progressive learning; Touvron et al.
2019 on why the side of the last epochs has to be that of the test).
"""

from __future__ import annotations

from typing import Any

import lightning as L

from fer_bench.errors import SpecError
from fer_bench.models.catalog import find_model
from fer_bench.spec import RunSpec

# The side has its full size after this share of the epochs.
_SHARE = 0.75


def side_in(epoch: int, epochs: int, start: int, full: int, step: int) -> int:
    """Side of the network's input in pixels in an epoch.

    Args:
        epoch: from 0.
        epochs: of the whole training.
        start: side of the first epoch.
        full: side of the last quarter of the training.
        step: pixels by which it grows.
    """
    grown = min(epoch / (_SHARE * epochs), 1.0)
    return full if grown == 1.0 else start + int(grown * (full - start) / step) * step


class GrowingInput(L.Callback):
    """Sets the side of the network's input for each epoch; validation always sees the full one.

    Args:
        start: side of the first epoch, in pixels.
        epochs: of the whole training.
        step: pixels by which it grows.
    """

    def __init__(self, start: int, epochs: int, step: int) -> None:
        self.start, self.epochs, self.step = start, epochs, step
        self.full: int | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Remember the full side.

        Raises:
            SpecError: the first side is not smaller.
        """
        self.full = pl_module.network.adapter.size
        if self.start >= self.full:
            problem = (
                f"progressive_from = {self.start}: the network's input has {self.full} px, training cannot grow to"
                " that."
            )
            raise SpecError(problem, "Use a smaller progressive_from, or a larger image_size.")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Shrink the input."""
        pl_module.network.adapter.size = side_in(
            trainer.current_epoch, self.epochs, self.start, int(self.full or 0), self.step
        )

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Give the input its full side; each epoch sets its own side at its start."""
        pl_module.network.adapter.size = self.full

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Give the input its full side."""
        pl_module.network.adapter.size = self.full


def check_progressive(spec: RunSpec) -> None:
    """Reject networks whose input cannot grow, before any data is opened.

    Raises:
        SpecError: the network takes one side only, needs a larger one, or is trained on one.
    """
    if spec.progressive_from is None:
        return
    entry = find_model(spec.model)
    smallest = entry.least_side(spec.model_options.get("stem"))
    problem = ""
    if entry.fixed_size or (entry.source == "own" and not entry.grows):
        problem = f"progressive_from = {spec.progressive_from}: {spec.model} takes images of one side only."
    elif spec.progressive_from < smallest:
        problem = f"progressive_from = {spec.progressive_from}: {spec.model} needs at least {smallest} px."
    elif spec.image_size is not None and spec.progressive_from >= spec.image_size:
        problem = f"progressive_from = {spec.progressive_from} is not smaller than image_size = {spec.image_size}."
    if problem:
        raise SpecError(
            problem,
            "Leave it out, or choose a network that pools over all positions, and a side between its smallest and"
            " image_size.",
        )
