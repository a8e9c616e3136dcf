"""The processes of one run: which of them continues alone after training, and how the others exit."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from fer_bench.atomic import write_atomically
from fer_bench.data.contents import file_sha256
from fer_bench.errors import Interrupted, RunNanError, SpecError
from fer_bench.spec import Execution

# Launchers state the rank of a process in one of these: Lightning, torchrun, SLURM, LSF.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
T = TypeVar("T")
# Set by Lightning in the first process before it starts the others.
_LAUNCH = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_first(execution: Execution) -> bool:
    """Whether this process is the one that locks, tests and writes; a run on one device has no other."""
    if execution.devices * execution.num_nodes == 1:
        return True
    return not any(int(os.environ.get(name) or 0) for name in _RANKS)


def join(execution: Execution, accelerator: str) -> None:
    """Connect the processes that torchrun or srun has started, before anything is decided by one of them alone. Those
    that Lightning starts begin later, and on this machine.

    Args:
        execution: of the run.
        accelerator: that it runs on.

    Raises:
        SpecError: as many processes were started as the run has no devices for.
    """
    world = execution.devices * execution.num_nodes
    with warnings.catch_warnings():
        # Where there is a SLURM, Lightning would rather be started by it.
        warnings.simplefilter("ignore")
        launcher = next((kind() for kind in (SLURMEnvironment, TorchElasticEnvironment) if kind.detect()), None)
    if world == 1 or launcher is None or torch.distributed.is_initialized():
        return
    if launcher.world_size() != world:
        problem = (
            f"{launcher.world_size()} processes were started, for {execution.devices} devices on each of"
            f" {execution.num_nodes} nodes."
        )
        raise SpecError(problem, "Start one process a device, and say so by --devices and --num-nodes.")
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = launcher.main_address, str(launcher.main_port)
    if accelerator == "cuda":
        torch.cuda.set_device(launcher.local_rank())
    backend = "cpu:gloo,cuda:nccl" if accelerator == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, rank=launcher.global_rank(), world_size=world)


def said_by_first(value: T) -> T:
    """What the first of the connected processes says; where none are, what this one does."""
    if not torch.distributed.is_initialized():
        return value
    said = [value]
    torch.distributed.broadcast_object_list(said, src=0)
    return said[0]


def take_from_first(folder: Path, names: Iterable[str]) -> None:
    """Let some files of a folder be on every node what they are at the first process, whether or not the nodes share
    the folder.

    Args:
        folder: of the training here.
        names: of the files; what the first has not, none has.
    """
    if not torch.distributed.is_initialized():
        return
    paths = [folder / name for name in names]
    here = {path.name: file_sha256(path) for path in paths if path.is_file()}
    lacks: list[bool] = [False] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(lacks, said_by_first(here) != here)
    if any(lacks):
        content = said_by_first({path.name: path.read_bytes() for path in paths if path.is_file()})
        if lacks[torch.distributed.get_rank()] and int(os.environ.get("LOCAL_RANK") or 0) == 0:
            for path in paths:
                if path.name in content:
                    write_atomically(path, content[path.name])
                else:
                    path.unlink(missing_ok=True)
    torch.distributed.barrier()


@contextlib.contextmanager
def distribution(execution: Execution) -> Iterator[None]:
    """Around training: after it, only the first process is left, and it is as free of the group as it was before.

    Without this, a suite's second distributed run would take the environment of the first for a launcher's, start
    nobody, and wait for them.
    """
    if execution.devices * execution.num_nodes == 1:
        yield
        return
    before = {name: os.environ.get(name) for name in _LAUNCH}
    try:
        yield
    except (RunNanError, Interrupted):
        # All processes end this way together; the first one says so, and one exit code that is not 0 would have it
        # killed before it can.
        if is_first(execution):
            raise
        sys.exit(0)
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if is_first(execution):
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
    if not is_first(execution):
        sys.stdout.flush()
        sys.exit(0)
