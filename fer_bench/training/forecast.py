"""How long a run will take on this machine, from its first steps."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch

from fer_bench.counting import counted
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.durations import in_words
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.training import ctrl_c
from fer_bench.training.hardware import Device
from fer_bench.training.idle import VIEWS

# The first steps allocate memory and choose kernels.
_WARM_UP = 2
# Seconds after which no further step is measured, and images of a step where whole ones take longer than that.
_PATIENCE, _FEW = 30.0, 16
# Steps that are looked at while a run trains, and seconds of training above which it says what they promise.
_STEPS, _LONG = 10, 3600.0


@dataclass(frozen=True)
class Pace:
    """What one step takes.

    Args:
        step: seconds of an optimiser step, its batch's reading included.
        batch: seconds of a batch of validation.
    """

    step: float
    batch: float = 0.0


@dataclass(frozen=True)
class Work:
    """What a run has to do.

    Args:
        epochs: still to train.
        steps: optimiser steps of an epoch.
        batches: of validation after every epoch.
        last_batches: of validation and test after training, all views counted.
    """

    epochs: int
    steps: int
    batches: int
    last_batches: int = 0

    def seconds(self, pace: Pace) -> float:
        """Time of all of it at a pace; on growing images an upper bound."""
        return self.epochs * (self.steps * pace.step + self.batches * pace.batch) + self.last_batches * pace.batch


def work_of(spec: RunSpec, counts: dict[str, int], eval_batch_size: int, epochs_done: int = 0) -> Work:
    """What a run on splits of these sizes has to do."""
    steps = spec.steps_per_epoch or math.ceil(counts["train"] / spec.batch_size)
    batches = {split: math.ceil(counts[split] / eval_batch_size) for split in ("validation", "test")}
    views = VIEWS.get(spec.tta_kind, spec.tta) if spec.tta else 1
    return Work(spec.epochs - epochs_done, steps, batches["validation"], views * sum(batches.values()))


class _Clock(L.Callback):
    """Seconds between the ends of batches."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.batches: list[float] = []
        self._at = 0.0

    def _lap(self, laps: list[float]) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        laps.append(now - self._at)
        self._at = now

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One more step; few of a slow network are enough."""
        self._lap(self.steps)
        if len(self.steps) > 1 and sum(self.steps) > _PATIENCE:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """One epoch is enough."""
        trainer.should_stop = True

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._at = time.perf_counter()

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *batch: Any, **places: Any
    ) -> None:
        """One more batch of validation."""
        self._lap(self.batches)


def estimate(
    spec: RunSpec, task: AffectTask, datamodule: AffectDataModule, device: Device, steps: int = 5
) -> tuple[Pace, str]:
    """The pace of a run, and how it was found: from whole steps, or, where these take long, from those on a few images.

    Args:
        spec: the run.
        task: freshly built; its weights are moved.
        datamodule: of the run; its batch sizes are what they were afterwards.
        device: resolved hardware.
        steps: how many are measured.
    """
    whole, evaluated = datamodule.batch_size, datamodule.eval_batch_size
    if whole > 2 * _FEW:
        datamodule.batch_size = datamodule.eval_batch_size = _FEW
        few, _ = _measure(spec, task, datamodule, device, 1)
        datamodule.batch_size, datamodule.eval_batch_size = whole, evaluated
        pace = Pace(few.step * whole / _FEW, few.batch * evaluated / _FEW)
        if pace.step * (steps + _WARM_UP) > _PATIENCE:
            return pace, f"from a step of {_FEW} images"
    pace, n = _measure(spec, task, datamodule, device, steps)
    return pace, f"measured over {counted(n, 'step')}"


def _measure(
    spec: RunSpec, task: AffectTask, datamodule: AffectDataModule, device: Device, steps: int = 5
) -> tuple[Pace, int]:
    """Train a task for a few steps after two that do not count, and throw them away; the pace, and by how many steps
    it was measured.
    """
    clock = _Clock()
    trainer = L.Trainer(
        accelerator=device.accelerator,
        devices=1,
        precision=device.precision,
        # All of them, as the schedule plans for; the clock ends the first.
        max_epochs=spec.epochs,
        limit_train_batches=steps + _WARM_UP,
        limit_val_batches=_WARM_UP + 1,
        gradient_clip_val=spec.gradient_clip or None,
        use_distributed_sampler=False,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with ctrl_c.heard():
        trainer.fit(task, datamodule=datamodule)
    counted = clock.steps[_WARM_UP:] or clock.steps[-1:]
    return Pace(statistics.median(counted), statistics.median(clock.batches[1:] or clock.batches or [0.0])), len(
        counted
    )


class Forecast(L.Callback):
    """Says once, after a training's first steps, how long the rest will take, where that is more than an hour."""

    def __init__(self) -> None:
        self._began = 0.0
        self._seen = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count batches; after the last of those that are looked at, speak."""
        self._seen += 1
        if self._seen == _WARM_UP:
            self._began = time.perf_counter()
        if self._seen != _WARM_UP + _STEPS or not trainer.is_global_zero:
            return
        batch_seconds = (time.perf_counter() - self._began) / _STEPS
        epochs, batches = int(trainer.max_epochs or 0) - trainer.current_epoch, int(trainer.num_training_batches)
        if (seconds := epochs * batches * batch_seconds) > _LONG:
            print(
                f"time left: about {in_words(seconds)} at the pace of the first steps ({epochs} epochs of {batches}"
                f" batches, {batch_seconds:.2g} s each). Ctrl-C stops it; the same command resumes it from its last"
                " whole epoch.",
                flush=True,
            )
