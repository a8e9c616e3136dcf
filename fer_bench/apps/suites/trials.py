"""The trials that a search lacks, as pieces of work for an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.apps.suites.plan import Piece, Work
from fer_bench.apps.suites.state import read_state
from fer_bench.apps.suites.task import Outcome, TrialTask
from fer_bench.sweeps.progress import run_step

if TYPE_CHECKING:
    from fer_bench.sweeps.tuning.search import Search
    from fer_bench.sweeps.tuning.study import Study


def trials_of(planned: Search, study: Study, budget: int, *, prune: bool, over: set[str]) -> Work:
    """One piece for each trial that is lacking; which settings it tries is decided when it begins.

    Args:
        planned: the search.
        study: of it.
        budget: trials in all.
        prune: whether hopeless trainings end early.
        over: as of :func:`over_in`.
    """
    earlier = read_state(study.folder)
    in_queue = {row.key for row in earlier.rows if row.state in ("queued", "running")} if earlier else set()
    names = {f"task-{at}": f"task {at + 1}" for at in range(budget)}
    # What a queue still has of an earlier call comes first, to be taken over.
    keys = sorted((key for key in names if key not in over), key=lambda key: key not in in_queue)
    lacking = budget - len(study.ended())
    space = {name: part.plain() for name, part in planned.space.items()}
    trial = TrialTask(name=planned.name, space=space, budget=budget, prune=prune, mark=study.mark)
    step = run_step(planned.spec)
    return Work([Piece("trial", key, names[key], step, planned.spec, trial=trial) for key in keys[: max(0, lacking)]])


def over_in(folder: Path) -> set[str]:
    """Keys of the tasks of earlier calls that have tried something, taken or not."""
    state = read_state(folder)
    done = {row.key for row in state.rows if row.state == "done"} if state else set()
    ended = {path.parent.name: Outcome.read(path.parent) for path in folder.glob("*/result.json")}
    return done | {key for key, outcome in ended.items() if outcome is not None and outcome.how == "done"}
