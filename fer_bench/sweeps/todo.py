"""What of a suite has still to be done on the data that are there now."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from fer_bench.errors import FerBenchError, MissingDataError
from fer_bench.protocols import dataset_name
from fer_bench.results.inputs import Inputs, data_inputs, find_done, stated
from fer_bench.results.record import Record
from fer_bench.results.store import Store, folder_name
from fer_bench.spec import RunSpec
from fer_bench.sweeps.folds import experiment_inputs, fold_specs, is_experiment

Plan = Sequence[tuple[RunSpec, tuple[str, ...]]]


@dataclass
class Todo:
    """What of a suite is missing.

    Args:
        runs: without a finished record on these data.
        tests: of networks on other datasets, without a record of this network on these data.
        unread: datasets that are not on this machine, with the reason; their runs count as done where a record has
            their settings.
    """

    runs: list[RunSpec] = field(default_factory=list)
    tests: list[tuple[RunSpec, str]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


class DataInPlace:
    """Fingerprints of the datasets that are on this machine, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, Inputs | MissingDataError] = {}

    def of(self, spec: RunSpec, *, test_only: bool = False) -> Inputs:
        """Fingerprint of a run's data.

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
        if isinstance(found, MissingDataError):
            raise found
        return found

    def _read(self, spec: RunSpec, test_only: bool) -> Inputs | MissingDataError:
        try:
            from fer_bench.data.provenance import data_facts
            from fer_bench.datasets.load import build_datamodule

            datamodule = build_datamodule(spec)
            datamodule.test_only = test_only
            datamodule.setup()
            return data_inputs(data_facts(datamodule, spec.judge))
        except MissingDataError as error:
            return error
        except ImportError as error:
            problem = f"reading {spec.dataset} needs the package {error.name}."
            return MissingDataError(problem, "Install it (pip install 'fer_bench[train]').")


def todo(plan: Plan, store: Store) -> Todo:
    """Compare a suite with the store.

    Args:
        plan: runs, each with the other datasets that its network is tested on.
        store: of records.
    """
    data, found = DataInPlace(), Todo()
    for spec, abroad in plan:
        record = _done(spec, store, data, found)
        if record is None:
            found.runs.append(spec)
        for dataset in abroad:
            if record is None or not _tested(spec, record, dataset, store, data, found):
                found.tests.append((spec, dataset))
    return found


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
        inputs = data.of(spec)
    except MissingDataError as error:
        found.unread[spec.dataset] = error.problem
        return _by_settings(spec, store)
    except FerBenchError:
        # What is wrong with it is said when the run is begun.
        return None
    statuses = ("finished", "nan")
    return find_done(
        store, spec.protocol, spec.model, spec.run_id(), inputs | _beyond_data(spec, store), statuses=statuses
    )


def _beyond_data(spec: RunSpec, store: Store) -> Inputs:
    """Fingerprint of the code from outside that a run names, of ImageNet's weights where they are on this machine (no
    hub is asked), and of its teachers.
    """
    from fer_bench.training.outside import plugin_inputs

    found = plugin_inputs(spec)
    with contextlib.suppress(FerBenchError):  # what is wrong with them is said when the run is begun
        if spec.weights == "imagenet":
            from fer_bench.models.initial import initial_weights, weights_inputs

            found |= weights_inputs(initial_weights(spec, hub=False))
        if spec.method != "plain":
            from fer_bench.training.teachers import find_teachers, teachers_inputs

            found |= teachers_inputs(find_teachers(spec, store, gone=[]))
    return found


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

        present = data.of(abroad_spec(spec, dataset), test_only=True)
    except MissingDataError as error:
        found.unread[dataset] = error.problem
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
