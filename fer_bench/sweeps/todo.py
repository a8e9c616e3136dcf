"""What of a suite has still to be done on the data that are there now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fer_bench.errors import FerBenchError, MissingDataError, NewerRecordError
from fer_bench.probes.settings import ProbeSettings
from fer_bench.protocols import dataset_name
from fer_bench.results.inputs import Inputs, data_inputs, find_done, stated
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.folds import experiment_inputs, fold_specs, is_experiment
from fer_bench.sweeps.suite import Plan

if TYPE_CHECKING:
    from fer_bench.data.datamodule import AffectDataModule


@dataclass
class Todo:
    """What of a suite is missing.

    Args:
        runs: trainings without a finished record on these data.
        tests: of networks on other datasets, without a record of this network on these data.
        networks: trainings that a missing grid of heads needs, without a finished record on these data.
        grids: of heads, without records on these data.
        unread: datasets that are not on this machine, with the reason; what is on them counts as done where a record
            has its settings.
    """

    runs: list[RunSpec] = field(default_factory=list)
    tests: list[tuple[RunSpec, str]] = field(default_factory=list)
    networks: list[RunSpec] = field(default_factory=list)
    grids: list[ProbeSettings] = field(default_factory=list)
    unread: dict[str, MissingDataError] = field(default_factory=dict)


class DataInPlace:
    """What is known of the datasets that are on this machine, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any] | FerBenchError] = {}

    def of(self, spec: RunSpec, *, test_only: bool = False) -> dict[str, Any]:
        """Facts of a run's data, as :func:`fer_bench.data.provenance.data_facts` gives them.

        Raises:
            MissingDataError: the dataset is not on this machine.
            FerBenchError: it cannot be read.
        """
        decides = {"dataset", "dataset_options", "task", "labels", "target_mode"}
        key = json.dumps(
            [
                spec.model_dump(mode="json", include=decides),
                spec.execution.data_dir,
                spec.execution.table_file,
                test_only,
            ],
            sort_keys=True,
        )
        if key not in self._known:
            self._known[key] = self._read(spec, test_only)
        found = self._known[key]
        if isinstance(found, FerBenchError):
            raise found
        return found

    def _read(self, spec: RunSpec, test_only: bool) -> dict[str, Any] | FerBenchError:
        try:
            from fer_bench.data.provenance import data_facts

            return data_facts(_opened(spec, test_only), spec.judge)
        except FerBenchError as error:
            return error
        except ImportError as error:
            problem = f"reading {spec.dataset} needs the package {error.name}."
            return MissingDataError(problem, "Install it (pip install 'fer_bench[train]').")


def _opened(spec: RunSpec, test_only: bool = False) -> AffectDataModule:
    from fer_bench.datasets.load import build_datamodule

    datamodule = build_datamodule(spec)
    datamodule.test_only = test_only
    datamodule.setup()
    return datamodule


def todo(
    plan: Plan,
    store: Store,
    grids: Sequence[ProbeSettings] = (),
    networks: Iterable[RunSpec] = (),
    data_dir: str | None = None,
) -> Todo:
    """Compare a suite with the store.

    Args:
        plan: trainings, each with the other datasets that its network is tested on.
        store: of records.
        grids: of heads.
        networks: trainings that streams of the grids name by their ids.
        data_dir: where the data of the grids are.
    """
    data, found = DataInPlace(), Todo()
    for spec, abroad in plan:
        record = _done(spec, store, data, found)
        if record is None:
            found.runs.append(spec)
        for dataset in abroad:
            if record is None or not _tested(spec, record, dataset, store, data, found):
                found.tests.append((spec, dataset))
    named = {f"run:{spec.run_id()}": spec for spec in networks}
    recorded = {name: _done(spec, store, data, found) for name, spec in named.items()}
    for grid in grids:
        present = renamed(grid, {name: record.run_id for name, record in recorded.items() if record is not None})
        lacking = [name for name in named if recorded[name] is None and any(name in part for part in grid.streams)]
        if lacking or not _grid_done(present, store, data, found, data_dir):
            found.grids.append(grid)
            found.networks += [named[name] for name in lacking if named[name] not in found.networks]
    return found


def renamed(grid: ProbeSettings, run_ids: Mapping[str, str]) -> ProbeSettings:
    """A grid whose streams name runs as they are recorded, which depends on their data.

    Args:
        grid: of heads.
        run_ids: by ``run:<id>`` as the grid has it.
    """
    streams = list(grid.streams)
    for name, run_id in run_ids.items():
        streams = [f"{part.removesuffix(name)}run:{run_id}" if part.endswith(name) else part for part in streams]
    return grid.model_copy(update={"streams": tuple(streams)})


def _grid_done(grid: ProbeSettings, store: Store, data: DataInPlace, found: Todo, data_dir: str | None) -> bool:
    try:
        from fer_bench.probes.grid_found import data_specs, find_grid, seen_inputs
        from fer_bench.probes.streams import full_name
    except ImportError as error:
        # Without PyTorch nothing of it can be done, nor read.
        problem = f"probing {grid.dataset} needs the package {error.name}."
        found.unread[grid.dataset] = MissingDataError(problem, "Install it (pip install 'fer_bench[train]').")
        return False
    try:
        whole = grid.model_copy(update={"streams": tuple(full_name(stream, store) for stream in grid.streams)})
        specs = data_specs(grid, data_dir)
        try:
            facts = [data.of(spec) for spec in specs]
        except MissingDataError as error:
            found.unread[grid.dataset] = error
            return bool(find_grid(whole, store, None))
        return bool(find_grid(whole, store, seen_inputs(whole, facts, lambda: _opened(specs[0]), data_dir)))
    except NewerRecordError:
        raise
    except FerBenchError:
        # What is wrong with it is said when the grid is begun.
        return False


def done_on_present(spec: RunSpec, store: Store, data: DataInPlace) -> Record | None:
    """The record of a run on the data that are there now; by its settings alone where they are not on this machine."""
    return _done(spec, store, data, Todo())


def _done(spec: RunSpec, store: Store, data: DataInPlace, found: Todo) -> Record | None:
    """The record of a run on the data that are there; a run whose loss became NaN is done."""
    if is_experiment(spec):
        folds = [_done(fold, store, data, found) for fold in fold_specs(spec)]
        there = [fold for fold in folds if fold is not None]
        if len(there) < len(folds):
            # The experiment of folds that are not in the store can be, for its record says all.
            return _by_settings(spec, store) if spec.dataset in found.unread else None
        return find_done(store, spec.protocol, spec.model, spec.run_id(), experiment_inputs(there))
    try:
        facts = data.of(spec)
    except MissingDataError as error:
        found.unread[spec.dataset] = error
        return _by_settings(spec, store)
    except FerBenchError:
        # What is wrong with it is said when the run is begun.
        return None
    statuses = ("finished", "nan")
    return find_done(store, spec.protocol, spec.model, spec.run_id(), _inputs(spec, facts, store), statuses=statuses)


def _inputs(spec: RunSpec, facts: Mapping[str, Any], store: Store) -> Inputs:
    from fer_bench.training.fingerprint import fingerprint, fingerprint_here

    try:
        return fingerprint_here(spec, facts, lambda: _opened(spec), store, gone=[])
    except FerBenchError:
        # What is wrong with its weights, its teachers or its votes is said when the run is begun.
        return fingerprint(spec, facts)


def _by_settings(spec: RunSpec, store: Store) -> Record | None:
    record = store.find(spec.protocol, spec.model, spec.run_id())
    return record if record is not None and record.status in ("finished", "nan") else None


def _tested(spec: RunSpec, record: Record, dataset: str, store: Store, data: DataInPlace, found: Todo) -> bool:
    """Whether a network has been tested on the copy of another dataset that is there now."""
    # A cross-validation is tested by one of its folds.
    own = [record.run_id, *(record.data.get("folds") or ())]
    tests = [
        (store.find_intact(record.protocol, record.model, run_id), test)
        for run_id in own
        for test in _tests_of(record.model, run_id, dataset, store)
    ]
    try:
        from fer_bench.training.evaluate import abroad_spec, evaluated_inputs

        present = data_inputs(data.of(abroad_spec(spec, dataset), test_only=True))
    except MissingDataError as error:
        found.unread[dataset] = error
        return bool(tests)
    except ImportError:
        return bool(tests)
    except FerBenchError:
        return False
    return any(network is not None and _is_test_of(test, evaluated_inputs(network, present)) for network, test in tests)


def _tests_of(model: str, run_id: str, dataset: str, store: Store) -> list[Record]:
    files = store.results.glob(f"*/{folder_name(model)}/{run_id}-on-{dataset_name(dataset)}*.json")
    found = (store.find_intact(path.parent.parent.name, model, path.stem) for path in sorted(files))
    return [record for record in found if record is not None]


def _is_test_of(test: Record, inputs: Inputs) -> bool:
    known, whole = stated(test)
    return known == inputs if whole else known.get("test") == inputs.get("test")
