"""The only module that builds a Trainer."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from fer_bench.protocols import Protocol
from fer_bench.results.remote import remote_run
from fer_bench.spec import RunSpec
from fer_bench.tasks.rules_findingemo import PATIENCE
from fer_bench.tracking.session import Session
from fer_bench.training.build import SHARDED
from fer_bench.training.callbacks import (
    BestCheckpoint,
    EpochSeed,
    History,
    KeepEpoch,
    NanGuard,
    Patience,
    Upload,
    on_terminal,
    snapshot_epoch,
)
from fer_bench.training.checkpoints import AtomicCheckpointIO
from fer_bench.training.dropout_schedule import DropoutSchedule
from fer_bench.training.forecast import Forecast
from fer_bench.training.hardware import Device
from fer_bench.training.loggers import Track, loggers_of
from fer_bench.training.norms import MeasureNorms
from fer_bench.training.progress import Bar
from fer_bench.training.resizing import GrowingInput
from fer_bench.training.stopping import WEIGHTED_F1, FindingEmoStopping, best_by_loss


def build_trainer(
    spec: RunSpec,
    protocol: Protocol,
    device: Device,
    folder: Path,
    history: History,
    accumulate: int = 1,
    session: Session | None = None,
    watching: Sequence[L.Callback] = (),
) -> L.Trainer:
    """Build the Trainer of a run.

    Args:
        spec: the run.
        protocol: names the metric by which the best epoch is chosen, on validation.
        device: resolved hardware.
        folder: of the run; checkpoints and logs go there.
        history: collects the epochs' scores.
        accumulate: batches per optimiser step.
        session: gets the epochs; None: nothing tracks them.
        watching: more callbacks; of Lightning's order, checkpoints are written last, before these.
    """
    _quiet()
    by_rule = spec.stopper == "findingemo"
    monitor = WEIGHTED_F1 if by_rule else f"validation/{protocol.primary}"
    mode = "max" if by_rule or protocol.higher_is_better else "min"
    best = BestCheckpoint(folder, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)
    # Not save_last: that writes only in epochs that were the best so far. Behind the best, for it keeps that one's
    # state too.
    last = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    track = Track(session or Session(), history)
    callbacks: list[L.Callback] = [EpochSeed(spec.seed), history, track, NanGuard(), Forecast(), best, last]
    if (kept := snapshot_epoch(spec)) is not None:
        callbacks.append(KeepEpoch(folder, kept))
    if by_rule:
        callbacks += [FindingEmoStopping(spec.early_stopping or PATIENCE, spec.epochs), best_by_loss(folder)]
    elif spec.early_stopping:
        callbacks.append(Patience(monitor, mode=mode, patience=spec.early_stopping))
    if spec.progressive_from is not None:
        callbacks.append(GrowingInput(spec.progressive_from, spec.epochs, spec.progressive_step))
    # Before the average of the weights, which begins as a copy of them.
    callbacks.append(MeasureNorms())
    if spec.dropout_schedule != "constant":
        callbacks.append(DropoutSchedule(spec.dropout_schedule, spec.epochs))
    if spec.ema:
        from lightning.pytorch.callbacks import EMAWeightAveraging

        callbacks.append(EMAWeightAveraging(decay=spec.ema))
    callbacks += watching
    if (remote := remote_run(folder)) is not None:
        callbacks.append(Upload(remote))
    execution = spec.execution
    # To show reads of memory that nobody has written, PyTorch would fill every new tensor first: some percent of a
    # step, and no other result.
    torch.utils.deterministic.fill_uninitialized_memory = execution.strict_determinism  # type: ignore[attr-defined]
    if on_terminal():
        callbacks.append(Bar(monitor, mode == "max"))
    return L.Trainer(
        accelerator=device.accelerator,
        devices=execution.devices,
        num_nodes=execution.num_nodes,
        strategy=execution.strategy,
        precision=device.precision,
        max_epochs=spec.epochs,
        limit_train_batches=spec.steps_per_epoch * accumulate or None,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=spec.gradient_clip or None,
        deterministic=True if execution.strict_determinism else "warn",
        # Samplers already distribute the data, see data/datamodule.py.
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=callbacks,
        # Strategies that shard a model write their own kind of checkpoint.
        plugins=None if execution.strategy.startswith(SHARDED) else [AtomicCheckpointIO()],
        logger=loggers_of(spec, folder) or False,
        log_every_n_steps=50,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _quiet() -> None:
    os.environ.setdefault("POSSIBLE_USER_WARNINGS", "0")
    for name in (
        "lightning.pytorch",
        "lightning.fabric",
        "lightning.pytorch.utilities.rank_zero",
        "lightning.pytorch.accelerators",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*The number of training batches.*",
        ".*srun.*",
        ".*lr_scheduler.step.*",
        ".*litlogger.*",
        # What is frozen is meant to be.
        ".*in eval mode at the start of training.*",
        ".*treespec.*",
        # The metrics have been synchronised when they are logged.
        ".*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message)
