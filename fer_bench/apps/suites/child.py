"""The process of one task of a suite: ``python -m fer_bench.apps.suites.child FOLDER``.

It trains and tests as ``fer-bench run`` does, but writes into a store in its own folder: the driver takes the records
from there.
"""

from __future__ import annotations

from fer_bench.counting import counted
from fer_bench.sweeps.engines.watch import watch_starter

if __name__ == "__main__":
    # Before anything else is imported, while forking costs nothing.
    watch_starter()

import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from fer_bench import paths, plugins
from fer_bench.apps.suites.task import Outcome, Task
from fer_bench.errors import FerBenchError, Interrupted, OutOfMemory, RunInProgress, RunNanError
from fer_bench.packages import explain
from fer_bench.sweeps.engines.seam import OUTBOX, SHARE

if TYPE_CHECKING:
    from fer_bench.results.record import Record
    from fer_bench.results.store import Store

# For a first try that is dying with its node and still holds the lock of its run.
_PATIENCE_SECONDS = 180.0


def main(folder: Path) -> int:
    """Do the task of a folder; returns the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    task, began = Task.read(folder), time.time()
    try:
        with paths.scratch(on=task.scratch):
            for name in task.imports:
                plugins.import_module(name)
            outcome = Outcome(how="done", text=_do(task, folder))
    except BaseException as error:
        if isinstance(error, SystemExit):
            # A rank beside the first, whose part is done.
            raise
        outcome = _failure(error)
        print(f"fer-bench: {outcome.text}", file=sys.stderr, flush=True)
    if _is_rank(task):
        return int(outcome.how != "done")
    outcome.model_copy(
        update={"host": socket.gethostname(), "began": began, "seconds": round(time.time() - began, 3)}
    ).write(folder)
    return int(outcome.how != "done")


def _do(task: Task, folder: Path) -> str:
    from fer_bench.results.store import Store

    if task.stage:
        from fer_bench.apps.suites.staging import staged

        task = staged(task)
    if share_of_gpu() < 1:
        _keep_to_share()
    store = Store(folder / OUTBOX)
    if task.kind == "grid":
        return _grid(task, store)
    if task.kind == "trial":
        return _trial(task, store)
    return said(_test(task, store) if task.kind == "test" else _run(task, store))


def _run(task: Task, store: Store) -> Record:
    from fer_bench.apps.runs import run_and_test

    assert task.spec is not None
    return run_and_test(task.spec, store, force=task.force, wait=_PATIENCE_SECONDS)


def _test(task: Task, store: Store) -> Record:
    from fer_bench.apps.tracking import publish_records
    from fer_bench.training.evaluate import evaluate

    record = evaluate(store, task.network, task.dataset, execution=task.execution)
    publish_records([record], store, task.execution)
    return record


def _grid(task: Task, store: Store) -> str:
    from fer_bench.apps.heads import place_of
    from fer_bench.apps.tracking import publish_records
    from fer_bench.probes.grid import run_grid
    from fer_bench.training.hardware import keep_freed_memory

    keep_freed_memory()
    place = place_of(task.execution.accelerator)
    records = run_grid(task.heads(), store, place=place, data_dir=task.execution.data_dir, force=task.force)
    publish_records([one for one in records if one.ranked], store, task.execution)
    return counted(len(records), "head")


def _trial(task: Task, store: Store) -> str:
    from fer_bench.sweeps.tuning.search import Search, try_next
    from fer_bench.sweeps.tuning.space import space_of
    from fer_bench.training.search import require_searchable

    assert task.spec is not None
    assert task.trial is not None
    trial = task.trial
    space = space_of(trial.space, lambda name: f"the search {trial.name}: {name}")
    search = Search(task.spec, task.spec, require_searchable(task.spec), space, trial.name)
    study = search.join(trial.mark, trial.prune)
    shared = share_of_gpu() < 1
    return try_next(search, study, trial.budget, store, shared=shared, wait=_PATIENCE_SECONDS) or "nothing was left"


def said(record: Record) -> str:
    """What a record scored, in one line."""
    from fer_bench.protocols import protocol_named
    from fer_bench.sweeps.folds import describe

    primary = protocol_named(record.protocol, record.dataset, record.task).primary
    value = record.metrics.get(primary)
    if record.data.get("folds"):
        return describe(record, primary)
    return f"{primary} {value:.4f}" if isinstance(value, float) else record.status


def _failure(error: BaseException) -> Outcome:
    if isinstance(error, ImportError) and (missing := explain(error)) is not None:
        error = missing
    if isinstance(error, FerBenchError):
        kinds = ((RunNanError, "nan"), (OutOfMemory, "memory"), (RunInProgress, "busy"), (Interrupted, "stopped"))
        how = next((name for kind, name in kinds if isinstance(error, kind)), "failed")
        return Outcome.model_validate({"how": how, "text": str(error)})
    # What Python and PyTorch call it.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Outcome(how="memory", text=f"out of memory ({next(iter(str(error).splitlines()), '')[:160]})")
    if isinstance(error, KeyboardInterrupt):
        return Outcome(how="stopped", text="stopped.")
    traceback.print_exception(error)
    return Outcome(how="failed", text=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}")


def _stop(number: int, frame: FrameType | None) -> None:
    """Before a training has begun, and after it; within it Lightning ends the epoch's batch first."""
    raise KeyboardInterrupt


def _is_rank(task: Task) -> bool:
    """Whether this is another process of a distributed training than its first."""
    if task.spec is None:
        return False
    from fer_bench.training.distributed import is_first

    return not is_first(task.spec.execution)


def share_of_gpu() -> float:
    """The part of a GPU's memory that this process may take."""
    return float(os.environ.get(SHARE) or 1)


def _keep_to_share() -> None:
    """Where several runs share a GPU, take no more of its memory than a share, and begin only if that is there.

    Raises:
        OutOfMemory: others have taken it; the driver then tries the run alone.
    """
    import torch

    share = share_of_gpu()
    free, total = torch.cuda.mem_get_info()
    if free < share * total * 0.9:
        problem = f"the GPU has {free / 2**30:.1f} GiB free, less than the share of {share * total / 2**30:.1f} GiB."
        raise OutOfMemory(problem, "Use a smaller --per-gpu.")
    torch.cuda.set_per_process_memory_fraction(share)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
