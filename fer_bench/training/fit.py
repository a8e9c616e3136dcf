"""fit(): train until done, from the last epoch if there is one, within the memory that there is."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from fer_bench.atomic import write_atomically
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.errors import Interrupted, OutOfMemory, Stopped, WeightsError
from fer_bench.models.trained import read_checkpoint
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.tracking.session import Session
from fer_bench.training import ctrl_c
from fer_bench.training.announce import epochs_done
from fer_bench.training.callbacks import History, on_terminal, snapshot_epoch
from fer_bench.training.distributed import is_first, take_from_first
from fer_bench.training.hardware import Device
from fer_bench.training.stopping import LOSS, FindingEmoStopping
from fer_bench.training.trainer import build_trainer

_CHECKPOINTS = "checkpoints"


def fit(
    spec: RunSpec,
    protocol: Protocol,
    task: AffectTask,
    datamodule: AffectDataModule,
    device: Device,
    folder: Path,
    session: Session | None = None,
    watching: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Train a task, or read what an earlier call has trained.

    Args:
        spec: the run.
        protocol: names the metric that selects the best epoch.
        task: freshly built; it is trained in place.
        datamodule: its data.
        device: resolved hardware.
        folder: holds ``last.ckpt`` (after every epoch), ``best.ckpt`` and, when done, ``trained.json``.
        session: gets the epochs; None: nothing tracks them.
        watching: more callbacks, called behind those that write checkpoints.

    Returns:
        Facts of the training: epochs, best epoch, seconds, learning curves, whether it was resumed, micro-batch and
        accumulation.

    Raises:
        Interrupted: on SIGTERM.
        Stopped: on Ctrl-C.
        RunNanError: the loss is NaN or infinite.
        WeightsError: the checkpoint to resume from is damaged.
    """
    done = folder / "trained.json"
    if is_first(spec.execution):
        _forget_if_too_late(spec, folder)
    take_from_first(folder, (done.name, "last.ckpt"))
    if done.is_file():
        return _read(done, f"{spec.snapshot}.ckpt")
    facts: dict[str, Any]
    accumulate = 1
    # A failed attempt has already moved the weights.
    fresh = copy.deepcopy(task.state_dict())
    # Where several processes train together, the others do not know that one of them ran out of memory.
    halvings_left = spec.execution.max_memory_halvings if spec.execution.devices * spec.execution.num_nodes == 1 else 0
    while True:
        with contextlib.suppress(torch.OutOfMemoryError):
            facts = _attempt(spec, protocol, task, datamodule, device, folder, accumulate, session, watching)
            break
        # Out here, for while the exception lives it holds on to the memory of the attempt.
        if not halvings_left or datamodule.batch_size < 4 or datamodule.batch_size % 2:
            problem = f"out of memory on {device.accelerator} with batches of {datamodule.batch_size}."
            raise OutOfMemory(
                problem, "Use a smaller --batch-size (a power of two can be halved on its own), image size or model."
            )
        halvings_left -= 1
        # The same effective batch from smaller pieces; batch norm sees the pieces, so the record says that it happened.
        datamodule.batch_size //= 2
        accumulate *= 2
        task.zero_grad(set_to_none=True)
        task.load_state_dict(fresh)
        if device.accelerator == "cuda":
            torch.cuda.empty_cache()
    if is_first(spec.execution):
        write_atomically(
            done,
            json.dumps(
                {**facts, _CHECKPOINTS: {path.name: _sha256(path) for path in sorted(folder.glob("*.ckpt"))}}
            ).encode(),
        )
    return facts


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(done: Path, checkpoint: str) -> dict[str, Any]:
    """Facts of a finished training, whose checkpoint is still the one that it ended with."""
    try:
        facts = json.loads(done.read_text())
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or "best_epoch" not in facts:
        problem = f"{done}: damaged."
        raise WeightsError(problem, f"Delete {done.parent} to train from the start.")
    # Folders from before it was written down do not say it.
    stated, path = (facts.pop(_CHECKPOINTS, None) or {}).get(checkpoint), done.with_name(checkpoint)
    if stated is not None and path.is_file() and _sha256(path) != stated:
        problem = f"{path} is not the checkpoint that its training ended with: its content differs."
        raise WeightsError(problem, f"Delete {done.parent} to train from the start, or put the right one back.")
    return facts


def _attempt(
    spec: RunSpec,
    protocol: Protocol,
    task: AffectTask,
    datamodule: AffectDataModule,
    device: Device,
    folder: Path,
    accumulate: int,
    session: Session | None,
    watching: Sequence[Callback],
) -> dict[str, Any]:
    last = folder / "last.ckpt"
    resumed = last.is_file()
    datamodule.first_epoch = int(read_checkpoint(last)["epoch"]) + 1 if resumed else 0
    history = History(verbose=not on_terminal())
    trainer = build_trainer(spec, protocol, device, folder, history, accumulate, session, watching)
    began = time.perf_counter()
    try:
        with ctrl_c.heard():
            trainer.fit(task, datamodule=datamodule, ckpt_path=str(last) if resumed else None, weights_only=True)
    except KeyboardInterrupt:
        raise Stopped(*_interrupted(last, spec)) from None
    except SystemExit:
        # Lightning's SIGTERM handler leaves this way, with exit code 0.
        raise Interrupted(*_interrupted(last, spec)) from None
    if (
        trainer.interrupted
        or trainer.received_sigterm
        or (trainer.current_epoch < spec.epochs and not trainer.should_stop)
    ):
        raise Interrupted(*_interrupted(last, spec))
    monitor, mode = trainer.checkpoint_callback.monitor, trainer.checkpoint_callback.mode
    for rule in (callback for callback in trainer.callbacks if isinstance(callback, FindingEmoStopping)):
        monitor, mode = rule.selected_by, "min" if rule.selected_by == LOSS else "max"
        if trainer.is_global_zero:
            rule.put_in_place(folder)
    best_epoch = _best_epoch(history, monitor, mode)
    images = len(datamodule.targets("train"))
    images = min(images, spec.steps_per_epoch * spec.batch_size) if spec.steps_per_epoch else images
    seconds = sum(epoch["seconds"] for epoch in history.epochs)
    return {
        "epochs": len(history.epochs),
        "best_epoch": best_epoch + 1,
        "selected_by": monitor,
        "selected_value": history.epochs[best_epoch].get(monitor),
        "seconds": round(seconds, 3),
        "last_attempt_seconds": round(time.perf_counter() - began, 3),
        "images_per_second": round(len(history.epochs) * images / seconds, 1) if seconds else None,
        "resumed": resumed,
        "micro_batch": datamodule.batch_size,
        "accumulate": accumulate,
        "code": {key: value for key, value in provenance.code().items() if key in ("version", "commit", "modified")},
        "curves": _curves(history),
    }


def _forget_if_too_late(spec: RunSpec, folder: Path) -> None:
    """Start anew where a numbered epoch is asked for that an earlier call has passed without keeping it."""
    kept, last = snapshot_epoch(spec), folder / "last.ckpt"
    if kept is None or (folder / f"{spec.snapshot}.ckpt").is_file() or not last.is_file():
        return
    if int(read_checkpoint(last)["epoch"]) + 1 >= kept:
        (folder / "trained.json").unlink(missing_ok=True)
        last.unlink()


def _interrupted(last: Path, spec: RunSpec) -> tuple[str, str]:
    # Of what is kept: an epoch that was shown may not have been written any more.
    return (
        f"interrupted after {epochs_done(last)} of {spec.epochs} epochs.",
        "Run the same command again: it resumes from there.",
    )


def _best_epoch(history: History, monitor: str, mode: str) -> int:
    values = [epoch.get(monitor, float("-inf") if mode == "max" else float("inf")) for epoch in history.epochs]
    return values.index(max(values) if mode == "max" else min(values))


def _curves(history: History) -> dict[str, list[float | None]]:
    names = sorted({name for epoch in history.epochs for name in epoch} - {"epoch"})
    return {name: [epoch.get(name) for epoch in history.epochs] for name in names}
