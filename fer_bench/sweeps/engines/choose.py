"""From ``--on`` to an engine."""

from __future__ import annotations

import os
import re

from pydantic import ConfigDict, Field

from fer_bench.counting import counted
from fer_bench.errors import HardwareError, SpecError
from fer_bench.packages import require
from fer_bench.spec import Settings
from fer_bench.sweeps.engines.local import LocalEngine
from fer_bench.sweeps.engines.seam import Engine

# What each needs.
_PACKAGES: dict[str, tuple[str, ...]] = {"local": (), "ray": ("ray",), "slurm": ("submitit",)}
_USES = ("local:N", "ray[:ADDRESS]", "slurm")
_OF_SLURM = ("partition", "time", "gpus", "account", "sbatch")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


class EngineOptions(Settings):
    """How the runs of a suite, or of a search, are spread; changes no result but by the number of threads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: str | None = Field(
        None,
        description=(
            "carry the runs out side by side: local:N (N GPUs or CPU slots of this machine), ray[:ADDRESS], slurm;"
            " without it one after the other"
        ),
    )
    cpus: int | None = Field(
        None,
        ge=1,
        description="cores, and threads, of a run; by default, without GPUs, those of the machine are shared out",
    )
    per_gpu: int = Field(1, ge=1, le=64, description="runs on one device that share a GPU")
    stage: str | None = Field(
        None, description="folder on each node's own disk into which datasets are copied, once a node"
    )
    partition: str | None = Field(None, description="SLURM's partition, or several with commas between them")
    time: str = Field(
        "1:00:00",
        description=("SLURM's limit of time for a run, such as 12:00:00; one that reaches it goes back into the queue"),
    )
    gpus: str | None = Field(None, description="GPUs that SLURM gives each run on its node, such as 1 or a100:1")
    account: str | None = Field(None, description="SLURM's account")
    sbatch: tuple[str, ...] = Field((), description="other options of sbatch, such as mem=32G")


def check_engine(options: EngineOptions) -> None:
    """Refuse an engine that cannot be made, before anything is read.

    Raises:
        SpecError: no such engine.
        MissingPackageError: its extra is not installed.
    """
    kind, _, detail = (options.on or "").partition(":")
    if kind not in _PACKAGES:
        problem = f"--on {options.on!r}: there is no such engine."
        raise SpecError(problem, f"Use {' or '.join(_USES)}.")
    if kind == "local" and detail and not _NUMBER.fullmatch(detail):
        problem = f"--on local:{detail}: {detail!r} is no number of devices."
        raise SpecError(problem, "For example --on local:4.")
    if kind == "slurm" and detail:
        problem = f"--on slurm:{detail}: SLURM takes nothing after its name."
        raise SpecError(problem, "Use --on slurm; how much runs at a time is the cluster's business.")
    extra = [name for name in _OF_SLURM if name in options.model_fields_set]
    if kind != "slurm" and extra:
        problem = f"--{extra[0]} is for --on slurm."
        raise SpecError(problem, "Leave it out.")
    require(_PACKAGES[kind])
    if kind == "slurm":
        _slurm(options)


def make_engine(options: EngineOptions, accelerator: str = "auto", n: int = 1) -> Engine:
    """The engine that ``--on`` names.

    Args:
        options: as :func:`check_engine` has accepted them.
        accelerator: as of :class:`fer_bench.spec.Execution`.
        n: how much there is to do; where that is nothing, nothing is connected to.

    Raises:
        HardwareError: the machine has fewer devices, or there is no such cluster.
        SpecError: GPUs are to be shared, and there are none.
    """
    kind, _, detail = (options.on or "").partition(":")
    if accelerator == "cpu":
        _refuse_sharing(options)
    if kind == "ray" and n:
        from fer_bench.sweeps.engines.ray import RayEngine

        return RayEngine(detail, accelerator, per_gpu=options.per_gpu, cpus=options.cpus)
    if kind == "slurm":
        return _slurm(options)
    return _local(options, detail if kind == "local" else "1", accelerator)


def _slurm(options: EngineOptions) -> Engine:
    from fer_bench.sweeps.engines.slurm import SlurmEngine, minutes, require_slurm

    if options.per_gpu > 1:
        problem = "--per-gpu is not for --on slurm."
        raise SpecError(problem, "What of a node a run gets SLURM is told by --gpus, --cpus and --sbatch mem=32G.")
    more = dict(option.partition("=")[::2] for option in options.sbatch)
    if not all(name and value for name, value in more.items()):
        problem = f"--sbatch {' '.join(options.sbatch)}: expected NAME=VALUE."
        raise SpecError(problem, "For example --sbatch mem=32G.")
    limits = {
        "timeout_min": minutes(options.time),
        "slurm_partition": options.partition,
        "slurm_gpus_per_node": options.gpus,
        "slurm_account": options.account,
    }
    require_slurm()
    given = {name: value for name, value in limits.items() if value is not None}
    return SlurmEngine(
        {**given, "slurm_additional_parameters": more}, gpu=options.gpus is not None, cpus=options.cpus or 1
    )


def _local(options: EngineOptions, detail: str, accelerator: str) -> LocalEngine:
    gpus = _gpus() if accelerator in ("auto", "gpu", "cuda") else []
    if gpus:
        wanted = int(detail or len(gpus))
        if wanted > len(gpus):
            problem = f"--on local:{wanted}: this machine has {counted(len(gpus), 'GPU')}."
            raise HardwareError(problem, f"Use --on local:{len(gpus)}; --per-gpu lets several runs share one.")
        return LocalEngine(gpus[:wanted], gpu=True, per_gpu=options.per_gpu, threads=options.cpus)
    _refuse_sharing(options)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slots = int(detail or cores // (options.cpus or 1) or 1)
    return LocalEngine([str(slot) for slot in range(slots)], threads=options.cpus or max(1, cores // slots))


def _refuse_sharing(options: EngineOptions) -> None:
    """What shares a GPU needs one."""
    if options.per_gpu > 1:
        problem = f"--per-gpu {options.per_gpu}: there is no GPU to share; these runs are on the processor."
        raise SpecError(problem, "Leave it out; how many run at a time is the number after local:, or told by --cpus.")


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` has them."""
    import torch

    n = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(number) for number in range(n)])[:n]
