"""The processes of one run: which of them continues alone after training, and how the others exit."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import torch

from fer_bench.errors import Interrupted, RunNanError
from fer_bench.spec import Execution

# Launchers state the rank of a process in one of these: Lightning, torchrun, SLURM, LSF.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
# Set by Lightning in the first process before it starts the others.
_LAUNCH = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_first(execution: Execution) -> bool:
    """Whether this process is the one that locks, tests and writes; a run on one device has no other."""
    if execution.devices * execution.num_nodes == 1:
        return True
    return not any(int(os.environ.get(name) or 0) for name in _RANKS)


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
