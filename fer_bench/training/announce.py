"""The one line with which a run begins, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import torch

from fer_bench import paths
from fer_bench.protocols import Protocol
from fer_bench.spec import RunSpec
from fer_bench.training.hardware import Device

_LAST = "last.ckpt"
# Of a training without an epoch that it could resume from.
BEGINS = "starts at epoch 1"


def announced(spec: RunSpec, protocol: Protocol, device: Device, *, anew: bool, recorded: bool) -> str:
    """Run id, protocol (dataset and task), network, device, precision, and where the training resumes.

    Args:
        spec: of the run.
        protocol: of the run.
        device: resolved hardware.
        anew: whether it is repeated, whatever is there.
        recorded: whether it has a record, which counts if the data are still the same.
    """
    world = spec.execution.devices * spec.execution.num_nodes
    place = f"{world} x {device.accelerator}" if world > 1 else device.accelerator
    if recorded and not anew:
        where = "has a record"
    else:
        where = BEGINS if anew else resumption(spec, paths.runs_dir() / spec.training_id())
    return f"run         {spec.run_id()}  {protocol.name}  {spec.model}  {place}, {device.precision}  {where}"


def resumption(spec: RunSpec, folder: Path) -> str:
    """Where a training continues, from what its folder holds.

    Args:
        spec: of the run.
        folder: of the training.
    """
    if (folder / "trained.json").is_file():
        return "is trained, will be tested"
    done = epochs_done(folder / _LAST)
    return BEGINS if not done else f"resumes at epoch {min(done + 1, spec.epochs)} of {spec.epochs}"


def epochs_done(checkpoint: Path) -> int:
    """Whole epochs of a checkpoint's training; 0 where there is none. What is wrong with a damaged one is said where
    it is loaded.
    """
    if not checkpoint.is_file():
        return 0
    try:
        # Mapped: the weights stay on the disk.
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"]) + 1
    except Exception:
        return 0
