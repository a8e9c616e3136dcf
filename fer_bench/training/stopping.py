"""The stopping rule of FindingEmo for networks that are trained whole; for linear heads see
:mod:`fer_bench.probes.heads`, which follow the same rule.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning as L

from fer_bench.tasks.rules_findingemo import PATIENCE, StoppingRule
from fer_bench.training.callbacks import BestCheckpoint

LOSS, WEIGHTED_F1 = "validation/loss", "validation/weighted_f1"


class FindingEmoStopping(L.Callback):
    """End training when the best validation loss or the best weighted F1 is ``patience`` epochs back; the criterion
    that ran out names the tested epoch.

    The loss is plain cross-entropy on validation, as for all runs. Its state is part of the checkpoint, so that a
    resumed run stops where it would have.

    Args:
        patience: epochs without a new best.
        max_epochs: limit of epochs.
    """

    def __init__(self, patience: int = PATIENCE, max_epochs: int = 250) -> None:
        self.patience, self.max_epochs = patience, max_epochs
        self.seen: list[tuple[float, float]] = []
        self.rule, self.over = StoppingRule(patience, max_epochs), False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop again where the checkpoint says that training was over."""
        trainer.should_stop = trainer.should_stop or self.over

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take in the epoch."""
        self._update(float(trainer.callback_metrics[LOSS]), float(trainer.callback_metrics[WEIGHTED_F1]))
        trainer.should_stop = trainer.should_stop or self.over

    def _update(self, loss: float, weighted_f1: float) -> None:
        self.seen.append((loss, weighted_f1))
        self.over = self.rule.update(loss, weighted_f1)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"seen": [list(pair) for pair in self.seen]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.seen, self.rule, self.over = [], StoppingRule(self.patience, self.max_epochs), False
        for loss, weighted_f1 in state_dict["seen"]:
            self._update(loss, weighted_f1)

    @property
    def selected_by(self) -> str:
        """The metric whose best epoch is tested."""
        return LOSS if self.rule.chosen_by == "loss" else WEIGHTED_F1

    def put_in_place(self, folder: Path) -> None:
        """Make the chosen epoch's weights ``best.ckpt``."""
        if self.selected_by == LOSS:
            part = folder / "best.ckpt.part"
            shutil.copyfile(folder / "best_loss.ckpt", part)
            part.replace(folder / "best.ckpt")


def best_by_loss(folder: Path) -> BestCheckpoint:
    """Keeps the epoch of the lowest validation loss next to the one of the highest score."""
    return BestCheckpoint(folder, filename="best_loss", monitor=LOSS, mode="min", enable_version_counter=False)
