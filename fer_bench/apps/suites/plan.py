"""From what a suite lacks to pieces of work that an engine can carry out, each with those that come before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fer_bench.apps.suites.task import TrialTask
from fer_bench.probes.settings import ProbeSettings
from fer_bench.protocols import dataset_name
from fer_bench.results.begin import find_checkpoint
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.folds import fold_specs, is_experiment
from fer_bench.sweeps.progress import Step, grid_step, run_step, test_step
from fer_bench.sweeps.suite import Plan, names_of
from fer_bench.sweeps.todo import DataInPlace, Todo, done_on_present

_RUN = "run:"


@dataclass
class Piece:
    """Something that has to be done.

    Args:
        kind: as of :class:`fer_bench.apps.suites.task.Task`; or ``join``: the record over all folds, which the driver
            makes by itself.
        key: names it within the suite.
        name: what a user reads.
        step: for how long it takes.
        spec: of the run, of the network that is tested, or that a search varies.
        dataset: that it is tested on.
        grid: of heads.
        trial: of a search.
        after: keys of pieces that have to be done before.
        force: repeat what has a record.
    """

    kind: Literal["run", "test", "grid", "trial", "join"]
    key: str
    name: str
    step: Step
    spec: RunSpec | None = None
    dataset: str = ""
    grid: ProbeSettings | None = None
    trial: TrialTask | None = None
    after: tuple[str, ...] = ()
    force: bool = False

    @property
    def datasets(self) -> tuple[str, ...]:
        """That it reads."""
        named = (self.spec.dataset if self.spec else "", self.grid.dataset if self.grid else "", self.dataset)
        return tuple(name for name in named if name)


@dataclass
class Work:
    """All pieces of a suite.

    Args:
        pieces: in the suite's order.
        known: records of runs that are done already, by the run's id.
        left_out: how many things cannot be done because a dataset is not here, by its name.
    """

    pieces: list[Piece] = field(default_factory=list)
    known: dict[str, Record] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def work_of(found: Todo, networks: Sequence[RunSpec], store: Store, *, force: bool) -> Work:
    """The pieces of what a suite lacks.

    Args:
        found: what it lacks; of networks and of tests too.
        networks: of the suite, for its grids.
        store: in which some folds, and some networks, may be.
        force: whether ``found`` has things that are done.
    """
    work, data = Work(), DataInPlace()

    def lacks(*datasets: str) -> bool:
        missing = next((name for name in datasets if name in found.unread), None)
        if missing is not None:
            work.left_out[missing] = work.left_out.get(missing, 0) + 1
        return missing is not None

    for spec, name in zip(found.runs, names_of(found.runs), strict=True):
        if not lacks(spec.dataset):
            _add_run(work, spec, f"{name} seed {spec.seed}", store, data, force=force)
    for spec, dataset in found.tests:
        if lacks(spec.dataset, dataset):
            continue
        key = _test_key(spec, dataset)
        name = f"{spec.model} {spec.recipe}".strip() + f" seed {spec.seed} on {dataset}"
        work.pieces.append(Piece("test", key, name, test_step(spec, dataset), spec, dataset, after=(spec.run_id(),)))
    grids = [grid for grid in found.grids if not lacks(grid.dataset)]
    for spec in networks:
        needing = [grid for grid in grids if _needs(grid, spec)]
        if not needing:
            continue
        if spec.dataset in found.unread:
            grids = [grid for grid in grids if grid not in needing or not lacks(spec.dataset)]
            continue
        if not _is_here(spec, store, data):
            # A record without its checkpoint came with the repository: the network is trained here once more.
            _add_run(work, spec, f"network {spec.model} {spec.recipe}".strip(), store, data, force=False)
    for grid in grids:
        key = _grid_key(grid)
        after = tuple(spec.run_id() for spec in networks if _needs(grid, spec))
        name = f"{grid.protocol} {grid.model} heads {grid.recipe}".rstrip()
        work.pieces.append(Piece("grid", key, name, grid_step(grid), grid=grid, after=after, force=force))
    _order(work.pieces)
    for spec in _mentioned(work.pieces, [*(spec for spec, _ in found.tests), *networks]):
        if (record := done_on_present(spec, store, data)) is not None:
            work.known[spec.run_id()] = record
    return work


def keys_of(plan: Plan, grids: Sequence[ProbeSettings], networks: Sequence[RunSpec]) -> set[str]:
    """The keys that the pieces of a part of a suite have, those that are done included.

    Args:
        plan: its trainings, with their tests.
        grids: of heads.
        networks: of the suite, for its grids.
    """
    specs = [spec for spec, _ in plan]
    specs += [spec for spec in networks if any(_needs(grid, spec) for grid in grids)]
    folds = [fold for spec in specs if is_experiment(spec) for fold in fold_specs(spec)]
    tests = {_test_key(spec, dataset) for spec, abroad in plan for dataset in abroad}
    return {spec.run_id() for spec in [*specs, *folds]} | tests | {_grid_key(grid) for grid in grids}


def _test_key(spec: RunSpec, dataset: str) -> str:
    return f"{spec.run_id()}-on-{folder_name(dataset_name(dataset))}"


def _grid_key(grid: ProbeSettings) -> str:
    return f"grid-{hashlib.sha256(grid.model_dump_json().encode()).hexdigest()[:10]}"


def _add_run(work: Work, spec: RunSpec, name: str, store: Store, data: DataInPlace, *, force: bool) -> None:
    if any(piece.key == spec.run_id() for piece in work.pieces):
        return
    if not is_experiment(spec):
        work.pieces.append(Piece("run", spec.run_id(), name, run_step(spec), spec, force=force))
        return
    folds = fold_specs(spec)
    for number, fold in enumerate(folds, start=1):
        record = None if force else done_on_present(fold, store, data)
        if record is not None:
            work.known[fold.run_id()] = record
        elif not any(piece.key == fold.run_id() for piece in work.pieces):
            text = f"{name} fold {number}/{len(folds)}"
            work.pieces.append(Piece("run", fold.run_id(), text, run_step(fold), fold, force=force))
    after = tuple(fold.run_id() for fold in folds)
    work.pieces.append(Piece("join", spec.run_id(), f"{name} all folds", Step("join", ""), spec, after=after))


def _order(pieces: list[Piece]) -> None:
    """A run that begins with another's weights, or learns from it, comes after it."""
    for piece in pieces:
        if piece.kind != "run" or piece.spec is None:
            continue
        named = [name.rpartition("/")[2] for name in named_runs(piece.spec)]
        before = [
            other.key
            for other in pieces
            if other.kind in ("run", "join") and other.key != piece.key and any(other.key in name for name in named)
        ]
        piece.after = tuple(dict.fromkeys([*piece.after, *before]))


def named_runs(spec: RunSpec) -> list[str]:
    """The runs that a run names: teachers, and whose weights it begins with."""
    teachers: Any = spec.method_options.get("teachers") or []
    listed = teachers if isinstance(teachers, list) else [teachers]
    begins = [spec.weights.removeprefix(_RUN)] if spec.weights.startswith(_RUN) else []
    return [*(str(name) for name in listed if str(name).partition(":")[0] != "votes"), *begins]


def streamed_runs(grid: ProbeSettings) -> list[str]:
    """The runs whose networks a grid of heads looks through."""
    return [stream.partition(_RUN)[2] for stream in grid.streams if _RUN in stream]


def runs_in_files(settings: RunSpec | ProbeSettings, store: Store) -> list[str]:
    """The runs whose checkpoints are named as files, by their paths."""
    files = settings.execution.files if isinstance(settings, RunSpec) else settings.weights_files
    if not files:
        return []
    # It reads them by PyTorch, which most suites do without.
    from fer_bench.models.recognised import runs_of_file

    return [record.run_id for path in files.values() for record in runs_of_file(path, store)]


def _needs(grid: ProbeSettings, spec: RunSpec) -> bool:
    return any(spec.run_id() in stream for stream in grid.streams)


def _is_here(spec: RunSpec, store: Store, data: DataInPlace) -> bool:
    record = done_on_present(spec, store, data)
    return record is not None and find_checkpoint(spec, record).is_file()


def _mentioned(pieces: Sequence[Piece], specs: Sequence[RunSpec]) -> list[RunSpec]:
    """Runs that pieces come after, and that are no pieces themselves."""
    keys = {piece.key for piece in pieces}
    wanted = {key for piece in pieces for key in piece.after} - keys
    by_key: Mapping[str, RunSpec] = {spec.run_id(): spec for spec in specs}
    return [by_key[key] for key in sorted(wanted) if key in by_key]
