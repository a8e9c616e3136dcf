"""What logs a training while it runs: Lightning's own loggers, and the session of Weights & Biases. None of them can
end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from fer_bench.spec import RunSpec
from fer_bench.tracking.guard import Guard
from fer_bench.tracking.session import Session
from fer_bench.training.callbacks import History

# Where they write, within the folder of a training.
LOGS = "logs"
_KINDS = {"csv": ("csv",), "tensorboard": ("tensorboard",), "both": ("csv", "tensorboard"), "none": ()}


class Guarded(Logger):
    """One of Lightning's loggers, left alone as soon as it fails.

    Args:
        inner: the logger.
        name: of it, for the notice.
    """

    def __init__(self, inner: Logger, name: str) -> None:
        super().__init__()
        self.inner, self._guard = inner, Guard(name)

    @property
    def name(self) -> str | None:
        """Of the inner logger."""
        return self.inner.name

    @property
    def version(self) -> int | str | None:
        """Of the inner logger."""
        return self.inner.version

    @property
    def log_dir(self) -> str | None:
        """Of the inner logger."""
        return getattr(self.inner, "log_dir", None)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self._guard(lambda: self.inner.log_metrics(dict(metrics), step), None)

    def log_hyperparams(self, params: Any, *more: Any, **named: Any) -> None:
        """Log settings."""
        self._guard(lambda: self.inner.log_hyperparams(params, *more, **named), None)

    def save(self) -> None:
        """Write what has been logged."""
        self._guard(self.inner.save, None)

    def finalize(self, status: str) -> None:
        """Close the files."""
        self._guard(lambda: self.inner.finalize(status), None)


def loggers_of(spec: RunSpec, folder: Path) -> list[Logger]:
    """The loggers of one attempt at a training.

    Args:
        spec: of the run.
        folder: of the training.
    """
    # CSVLogger empties a version that it is given again: one per attempt.
    logs = folder / LOGS
    attempt = f"attempt_{len(list(logs.glob('attempt_*'))) if logs.is_dir() else 0}"
    made: dict[str, Any] = {
        "csv": lambda: CSVLogger(folder, name=LOGS, version=attempt),
        "tensorboard": lambda: TensorBoardLogger(folder, name=LOGS, version=attempt, default_hp_metric=False),
    }
    titles = {"csv": "the CSV logger", "tensorboard": "TensorBoard"}
    return [Guarded(made[kind](), titles[kind]) for kind in _KINDS[spec.execution.logger]]


class Track(L.Callback):
    """Gives each epoch to the session, and its learning rate to Lightning's loggers, which have the rest already.

    Args:
        session: of the run.
        history: has the epochs, those of before a resumption too.
    """

    def __init__(self, session: Session, history: History) -> None:
        self.session, self.history = session, history

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epochs of before, where the session has not got them."""
        for epoch in self.history.epochs:
            self._log(epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch."""
        epoch = self.history.epochs[-1]
        self._log(epoch)
        for logger in trainer.loggers:
            # Lightning counts the scores of an epoch at its last step, from 0.
            logger.log_metrics({"lr": epoch["lr"], "epoch": trainer.current_epoch}, trainer.global_step - 1)

    def _log(self, epoch: Mapping[str, float]) -> None:
        self.session.epoch(int(epoch["epoch"]) + 1, {name: epoch[name] for name in epoch if name != "epoch"})


def log_result(spec: RunSpec, folder: Path, scores: Mapping[str, float], config: Mapping[str, Any]) -> None:
    """Give the settings and the scores of the test to TensorBoard, next to the epochs of the last attempt.

    Args:
        spec: of the run.
        folder: of the training.
        scores: by name.
        config: settings as plain types.
    """
    if "tensorboard" not in _KINDS[spec.execution.logger]:
        return
    logger = Guarded(TensorBoardLogger(folder, name=LOGS, version="result", default_hp_metric=False), "TensorBoard")
    logger.log_hyperparams(dict(config), dict(scores))
    logger.save()
    logger.finalize("success")
