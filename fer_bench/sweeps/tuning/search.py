"""``fer-bench tune``: search around the settings of a run, on validation, and write the winner down as a recipe."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.counting import counted
from fer_bench.errors import HardwareError, OutOfMemory, RunNanError, SpecError
from fer_bench.metrics import find as find_metric
from fer_bench.packages import require
from fer_bench.protocols import Protocol
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.folds import fold_specs, is_experiment
from fer_bench.sweeps.recipes import TUNED, slug, tuned_dir
from fer_bench.sweeps.tuning.space import Space, at, corners, default_space, start_of
from fer_bench.sweeps.tuning.study import Asked, Study, Trial, mark_of
from fer_bench.training.build import check_names
from fer_bench.training.dry_run import settings_of
from fer_bench.training.search import Abandoned, forget, require_searchable, try_settings, untested_inputs

Say = Callable[[str], None]


@dataclass(frozen=True)
class Search:
    """A search: what is searched around, and where.

    Args:
        asked: the settings, of a cross-validation those of all folds.
        spec: those that are trained; of a cross-validation its first fold's.
        protocol: under which they are scored.
        space: what is varied.
        name: of the search, from all that decides its trials.
    """

    asked: RunSpec
    spec: RunSpec
    protocol: Protocol
    space: Space
    name: str

    @property
    def use(self) -> str:
        """What ``run --use`` takes."""
        return f"{TUNED}/{self.name}"

    @property
    def recipe_file(self) -> Path:
        """Where the winner is written."""
        return tuned_dir() / f"{self.name}.yaml"

    @property
    def study_folder(self) -> Path:
        """Where its trials are."""
        return paths.runs_dir() / "tuning" / self.name

    def at(self, point: Mapping[str, Any], spec: RunSpec | None = None) -> RunSpec:
        """Settings at a point."""
        return at(spec or self.spec, point, f"a point of the search {self.name}")

    def open(self, prune: bool = True) -> Study:
        """Its study, as far as it has come."""
        return Study(
            self.study_folder,
            self.space,
            higher_is_better=self.protocol.higher_is_better,
            seed=self.spec.seed,
            epochs=self.spec.epochs,
            prune=prune,
            start=start_of(self.spec, self.space),
        )

    def join(self, mark: str, prune: bool = True) -> Study:
        """The study that another process has opened.

        Args:
            mark: of the study.
            prune: as of :meth:`open`.

        Raises:
            HardwareError: this machine does not see its folder.
        """
        if mark_of(self.study_folder) != mark:
            problem = f"{socket.gethostname()} does not see the folder of this search, {self.study_folder}."
            raise HardwareError(problem, "Name a folder that all machines share: FER_BENCH_RUNS=/shared/runs.")
        return self.open(prune)


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Args:
        spec: the winner's settings, with the number of trials.
        trial: the winner.
        trials: all that have ended.
        start: the score of the settings that were searched around; None where they were not trained to the end.
        elsewhere: how many other processes are at.
    """

    spec: RunSpec
    trial: Trial
    trials: list[Trial] = field(default_factory=list)
    start: float | None = None
    elsewhere: int = 0


def plan(asked: RunSpec, space: Space | None = None) -> Search:
    """Settle a search, and refuse what could not be carried out.

    Args:
        asked: the settings to search around.
        space: what is varied; None: what is usually worth it.

    Raises:
        MissingPackageError: Optuna is not installed.
        SpecError: settings that cannot be searched around, or values of the space that cannot be.
        MissingDataError: the data are not here.
    """
    require(["optuna"])
    spec = fold_specs(asked)[0] if is_experiment(asked) else asked
    protocol = require_searchable(spec)
    if space is None:
        space = {name: part for name, part in default_space(spec, protocol).items() if _possible(spec, {name: part})}
    else:
        for name, value in corners(space):
            check_names(at(spec, {name: value}, "the search space"))
    decides = {
        "settings": spec.identity(),
        "seed": spec.seed,
        "space": {name: part.plain() for name, part in space.items()},
        "inputs": untested_inputs(spec),
    }
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:6]
    return Search(asked, spec, protocol, space, f"{slug(f'{protocol.name} {spec.model}')}-{digest}")


def _possible(spec: RunSpec, space: Space) -> bool:
    try:
        for name, value in corners(space):
            check_names(at(spec, {name: value}, "the search space"))
    except SpecError:
        return False
    return True


def search(planned: Search, budget: int, store: Store, *, prune: bool = True, say: Say = print) -> Found:
    """Carry out the trials that a search lacks, and write its winner down as a recipe.

    The same search in another process shares the trials; one that was killed is gone on with.

    Args:
        planned: as of :func:`plan`.
        budget: trials in all, those that have ended included.
        store: with the record of the run that the settings begin with, if any.
        prune: whether hopeless trainings end early.
        say: is told of each trial.

    Raises:
        SpecError: no trial was trained to its end.
        FerBenchError: what every trial would meet, such as a full disk.
    """
    study = planned.open(prune)
    while try_next(planned, study, budget, store, say=say):
        pass
    return conclude(planned, study)


def try_next(
    planned: Search, study: Study, budget: int, store: Store, *, say: Say = print, shared: bool = False, wait: float = 0
) -> str:
    """Carry out one trial that a search lacks.

    Args:
        planned: the search.
        study: of it.
        budget: trials in all.
        store: as of :func:`search`.
        say: likewise.
        shared: whether the device has other trainings: then one that does not fit has not failed.
        wait: seconds to wait for another process that is carrying out the same training.

    Returns:
        What was tried and what came of it; empty where nothing is left to be tried.

    Raises:
        OutOfMemory: it does not fit beside others, and remains to be tried.
        FerBenchError: what every trial would meet.
    """
    with study.next(budget) as asked:
        if asked is None:
            return ""
        again, point = "goes on" if asked.resumed else "begins", in_words(asked.point)
        say(f"[{asked.number + 1}/{budget}] {again}: {point}")
        said = _carry_out(planned, study, asked, store, shared=shared, wait=wait)
        say(f"[{asked.number + 1}/{budget}] {said}")
        return f"trial {asked.number + 1}, {point}: {said}"


def conclude(planned: Search, study: Study) -> Found:
    """What a search has found so far; its winner is written down as a recipe.

    Args:
        planned: the search.
        study: of it.

    Raises:
        SpecError: no trial was trained to its end.
    """
    trials = study.trials()
    ended, best = [one for one in trials if one.state != "running"], study.best()
    if best is None:
        why = next((f" ({one.message})" for one in ended if one.message), "")
        problem = f"search {planned.name}: none of {counted(len(ended), 'trial')} was trained to its end{why}."
        raise SpecError(problem, "Give another --search, or a larger --budget.")
    # Of trials that end at the same moment in several processes, each may have been the best so far.
    for folder in {one.folder for one in ended} - {"", best.folder}:
        forget(paths.runs_dir() / folder)
    spec = planned.at(best.point, planned.asked).model_copy(
        update={"trials": len(ended), "recipe": f"tuned, {counted(len(ended), 'trial')}"}
    )
    first = start_of(planned.spec, planned.space)
    start = next((one.value for one in ended if one.point == first), None)
    found = Found(spec, best, ended, start, len(trials) - len(ended))
    write_atomically(planned.recipe_file, _recipe(planned, found).encode())
    return found


def _carry_out(planned: Search, study: Study, asked: Asked, store: Store, *, shared: bool, wait: float) -> str:
    """Train a trial; returns what came of it, in words."""
    metric = planned.protocol.primary
    same = next((one for one in study.ended() if one.point == asked.point), None)
    if same is not None and same.value is not None:
        asked.finish(same.value, same.epoch, same.folder)
        return f"validation {metric} {same.value:.4f}, as trial {same.number + 1}, which it repeats"
    try:
        tried = try_settings(planned.at(asked.point), store, asked.watch, wait)
    except Abandoned:
        asked.abandon()
        return "ended early: behind the others"
    except (RunNanError, OutOfMemory, SpecError) as error:
        if shared and isinstance(error, OutOfMemory):
            raise
        asked.abandon(error.problem)
        return f"failed: {error.problem}"
    before = study.best()
    asked.finish(tried.value, tried.epoch, tried.folder.name)
    best = study.best()
    is_best = best is not None and best.number == asked.number
    # Whose training nobody will take up takes no space.
    loser = before.folder if is_best and before is not None else "" if is_best else tried.folder.name
    if loser and (best is None or loser != best.folder):
        forget(paths.runs_dir() / loser)
    return f"validation {metric} {tried.value:.4f} in epoch {tried.epoch}{', the best so far' if is_best else ''}"


def in_words(point: Mapping[str, Any]) -> str:
    """A point for people."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in point.items()
    )


def _recipe(planned: Search, found: Found) -> str:
    """The winner as a suite of one run."""
    metric = find_metric(planned.protocol.primary)
    title = metric.title if metric is not None else planned.protocol.primary
    finished = sum(one.value is not None for one in found.trials)
    about = (
        f"the best of {len(found.trials)} settings on validation ({title} {found.trial.value:.4f}), {finished} of them"
        " trained to the end; written by fer-bench tune"
    )
    lines = settings_of(found.spec).splitlines()
    entry = "\n".join(("  - " if i == 0 else "    ") + line for i, line in enumerate(lines))
    searched = json.dumps({name: part.plain() for name, part in planned.space.items()})
    return f"about: {json.dumps(about)}\n# Searched: {searched}\nruns:\n{entry}\n"
