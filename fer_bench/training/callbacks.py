"""Callbacks: seeds that survive a resume, the run's history, and the end of a run whose loss diverges."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint

from fer_bench.errors import RunNanError
from fer_bench.results.remote import RemoteRun
from fer_bench.spec import RunSpec


class EpochSeed(L.Callback):
    """Seed every random number generator from (seed, epoch, rank) before each epoch.

    Checkpoints hold no generator states; with this, an epoch has the same dropout masks whether or not the run was
    interrupted before it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed this epoch before its first batch: by now the loader has used random numbers, more of them without
        worker processes than with them.
        """
        if batch_idx == 0:
            torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch * 1_009 + trainer.global_rank)


class History(L.Callback):
    """Scores of every epoch, carried in the checkpoint, so that a resumed run has all of them.

    Args:
        verbose: print one line per epoch, where there is no terminal for a progress bar.
    """

    def __init__(self, verbose: bool) -> None:
        self.epochs: list[dict[str, float]] = []
        self.verbose = verbose
        self._began = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the epoch's scores, which the task has logged by its last batch."""
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        # A NaN cannot be written as JSON; the guard ends such a run anyway.
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        self.epochs = self.epochs[: trainer.current_epoch]
        self.epochs.append(
            {"epoch": trainer.current_epoch, "seconds": time.perf_counter() - self._began, "lr": _lr(trainer), **finite}
        )
        if self.verbose and trainer.is_global_zero:
            shown = "  ".join(
                f"{name} {value:.4f}"
                for name, value in sorted(scores.items())
                if name.endswith(("loss", "accuracy", "ccc", "map"))
            )
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {shown}  {self.epochs[-1]['seconds']:.0f} s",
                flush=True,
            )

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epochs = list(state_dict["epochs"])


class KeepEpoch(L.Callback):
    """Keep the weights after one numbered epoch as ``epoch_<n>.ckpt``.

    Args:
        folder: of the run.
        epoch: counted from 1.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self.folder, self.epoch = folder, epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save at the epoch's end."""
        if trainer.current_epoch + 1 == self.epoch:
            trainer.save_checkpoint(self.folder / f"epoch_{self.epoch}.ckpt")


def snapshot_epoch(spec: RunSpec) -> int | None:
    """The numbered epoch whose weights a run tests; None where it tests the best or the last."""
    return int(spec.snapshot.removeprefix("epoch_")) if spec.snapshot.startswith("epoch_") else None


class NanGuard(L.Callback):
    """End a run whose loss is NaN or infinite; Lightning would continue and call it finished."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check once per epoch: checking every step would make a GPU wait."""
        for name in ("train/loss", "validation/loss"):
            value = trainer.callback_metrics.get(name)
            if value is not None and not math.isfinite(float(value)):
                problem = f"{name} became {float(value)} in epoch {trainer.current_epoch + 1}."
                raise RunNanError(
                    problem,
                    "Lower the learning rate, clip the gradient (--set gradient_clip=1), or use --precision 32-true.",
                )


class Patience(EarlyStopping):
    """Early stopping that also remembers, in a run that was killed right after its last epoch, that it was the
    last.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop again if the checkpoint says that patience has run out."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class BestCheckpoint(ModelCheckpoint):
    """The best epoch so far, remembered also when the run's folder has been moved since; the base class would forget
    it.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint, with paths in the current folder."""
        folder = Path(str(self.dirpath))
        here = {
            name: str(folder / Path(state_dict[name]).name) if state_dict[name] else ""
            for name in ("best_model_path", "kth_best_model_path")
        }
        scores = {str(folder / Path(path).name): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **here, "dirpath": self.dirpath, "best_k_models": scores})


class Upload(Checkpoint):
    """Puts each epoch's checkpoints where other machines find them. Lightning calls callbacks of this kind last, in
    their order: behind those that write the files.

    Args:
        remote: of the training.
    """

    def __init__(self, remote: RemoteRun) -> None:
        self.remote = remote

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The epoch is over, and training waits."""
        if trainer.is_global_zero:
            self.remote.push()


def _lr(trainer: L.Trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"]) if trainer.optimizers else 0.0


def on_terminal() -> bool:
    """Whether progress bars can be shown."""
    return sys.stderr.isatty() and sys.stdout.isatty()
