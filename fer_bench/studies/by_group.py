"""Scores of a stored run by group: for whom, and on which images, it is worse. Nothing is predicted anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.provenance import data_facts
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import MissingDataError, RecordError, SpecError, UnknownNameError
from fer_bench.faces.attributes import (
    COMPUTED,
    QUALITIES,
    Attribute,
    by_column,
    by_frequency,
    by_pose,
    by_quality,
    columns_of,
)
from fer_bench.predictions import Predictions
from fer_bench.protocols import VIA, Protocol, find_task
from fer_bench.registry import unknown_name
from fer_bench.results.copies import checksums_of
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.by_group import GroupScores, score_groups
from fer_bench.spec import Execution, build

_KIND = "attribute of test samples"


@dataclass(frozen=True)
class ByGroup:
    """Scores of a run by group.

    Args:
        record: of the run.
        attribute: by which its test samples were divided.
        scores: of the groups.
    """

    record: Record
    attribute: Attribute
    scores: GroupScores


def score_by(store: Store, reference: str, name: str, execution: Execution | None = None) -> ByGroup:
    """Score the stored test predictions of a run, of any kind, by group.

    Args:
        store: where the run is.
        reference: the run, as :meth:`Store.get` takes it.
        name: of the attribute. ``class``, ``duplicate``, ``group`` and ``fold`` are known from the predictions;
            ``frequency``, ``sharpness``, ``brightness``, ``contrast`` and ``pose`` are computed from the dataset; all
            else is what the dataset says of its samples.
        execution: where the data is.

    Raises:
        RecordError: the run did not finish, or the dataset that is here is another copy.
        UnknownNameError: no such attribute; lists what there is.
        MissingDataError: what the attribute needs is not here.
    """
    record = store.get(reference)
    if record.status != "finished":
        problem = f"run {record.run_id} has the status {record.status}: there are no scores to group."
        raise RecordError(problem, record.message)
    protocol, predictions = protocol_of(record), store.predictions(record)
    stored = _stored(protocol, predictions)
    attribute = (
        stored[name]
        if name in stored
        else _of_dataset(store, record, protocol, predictions, name, list(stored), execution or Execution())
    )
    metric = "accuracy" if attribute.by_class else None
    return ByGroup(record, attribute, score_groups(protocol, predictions, attribute.members, metric))


def _stored(protocol: Protocol, predictions: Predictions) -> dict[str, Attribute]:
    """Attributes that need no dataset."""
    found: dict[str, Attribute] = {}
    if protocol.task.labels is not None:
        names = protocol.task.labels.names
        of_class = np.array(names)[predictions.targets.astype(np.int64)]
        found["class"] = Attribute(
            "class", of_class, tuple(names), "true class; the accuracy of a class is its recall", by_class=True
        )
    if "duplicate" in predictions.flags:
        kinds = ("near-duplicate", "no duplicate")
        groups = np.where(predictions.flags["duplicate"], *kinds)
        found["duplicate"] = Attribute(
            "duplicate", groups, kinds, "whether a near-duplicate of the test image is in another split"
        )
    if predictions.groups is not None:
        found["group"] = Attribute("group", predictions.groups, (), "the clips or people that intervals keep together")
    folds = {key.removeprefix("fold_"): flag for key, flag in predictions.flags.items() if key.startswith("fold_")}
    if folds:
        order = tuple(f"fold {int(key) + 1}" for key in sorted(folds, key=int))
        groups = np.full(len(predictions), "", dtype="<U16")
        for key, flag in folds.items():
            groups[flag] = f"fold {int(key) + 1}"
        found["fold"] = Attribute("fold", groups, order, "which fold tested a sample")
    return found


def _of_dataset(
    store: Store,
    record: Record,
    protocol: Protocol,
    predictions: Predictions,
    name: str,
    stored: list[str],
    execution: Execution,
) -> Attribute:
    computed = [one for one in COMPUTED if one != "frequency" or protocol.task.labels is not None]
    if name == "frequency" and name not in computed:
        problem = f"--by frequency: run {record.run_id} predicts values, which have no classes that could be rare."
        raise SpecError(
            problem, f"Choose another attribute: {', '.join([*stored, *computed])}, or a column of the dataset."
        )
    try:
        datamodule = _datamodule(store, record, execution)
    except MissingDataError as error:
        known = f"The stored predictions alone know {', '.join(stored)}. " if stored else ""
        problem = f"--by {name} needs the dataset of run {record.run_id}: {error.problem}"
        raise MissingDataError(problem, known + error.hint) from None
    at = _positions(record, predictions, datamodule, protocol)
    samples = datamodule.read_samples.select(at)
    if name in QUALITIES:
        return by_quality(name, samples.images)
    if name == "pose":
        return by_pose(samples, record.dataset, execution.data_dir)
    if name == "frequency":
        return _by_frequency(protocol, predictions, datamodule)
    columns = columns_of(samples)
    if name not in columns:
        raise _unknown(name, list(dict.fromkeys([*stored, *computed, *columns])))
    return by_column(name, columns[name])


def _unknown(name: str, names: list[str]) -> UnknownNameError:
    """The error for a name that is no attribute, which lists all of them."""
    close = unknown_name(_KIND, name, names)
    hint = (
        close.hint if all(one in close.hint for one in names) else f"{close.hint} There are {', '.join(names)}.".strip()
    )
    return UnknownNameError(close.problem, hint)


def _by_frequency(protocol: Protocol, predictions: Predictions, datamodule: AffectDataModule) -> Attribute:
    """Classes by how many training samples they have in the dataset that tests."""
    labels = protocol.task.labels
    assert labels is not None
    own = datamodule.read_samples
    train = own.where("train")
    targets = own.targets[datamodule.task][train if len(train) else np.arange(len(own))].astype(np.int64)
    task_labels = protocol.task.name.partition(VIA)
    counts = np.bincount(targets, minlength=len(labels))
    if task_labels[1]:
        counts = _shared_counts(counts, protocol, datamodule.task)
    return by_frequency(predictions.targets.astype(np.int64), counts, labels.names)


def _shared_counts(counts: npt.NDArray[np.int64], protocol: Protocol, task: str) -> npt.NDArray[np.int64]:
    """Counts of the classes that a network of another label set was judged on."""
    whole, shared = find_task(task).labels, protocol.task.labels
    assert whole is not None
    assert shared is not None
    return np.array([counts[whole.names.index(name)] for name in shared.names], dtype=np.int64)


def _datamodule(store: Store, record: Record, execution: Execution) -> AffectDataModule:
    """The dataset that tested a run, read at its native size."""
    settings = {**_settings(store, record), "labels": "", "weights": "none", "execution": execution}
    spec = build(settings, f"the record of {record.run_id}")
    datamodule = build_datamodule(spec.model_copy(update={"image_size": None}))
    # Where a dataset is cut into folds, all of it was tested by the folds together, and by a network of another
    # dataset.
    datamodule.test_only = bool(record.data.get("folds")) or (
        record.kind == "evaluated" and record.spec.get("dataset") != record.dataset
    )
    datamodule.setup()
    return datamodule


def _settings(store: Store, record: Record) -> dict[str, Any]:
    """Settings that name the dataset of a record."""
    task = record.task.partition(VIA)[0]
    own = record.spec.get("dataset") == record.dataset
    if record.kind == "ensemble":
        for member in record.training.get("members") or ():
            found = store.find(record.protocol, member["model"], member["run_id"])
            if found is not None and found.spec.get("dataset") == record.dataset:
                return {
                    "dataset": record.dataset,
                    "task": task,
                    "dataset_options": found.spec.get("dataset_options") or {},
                }
    return {
        "dataset": record.dataset,
        "task": task,
        "dataset_options": dict(record.spec.get("dataset_options") or {}) if own else {},
    }


def _positions(
    record: Record, predictions: Predictions, datamodule: AffectDataModule, protocol: Protocol
) -> npt.NDArray[np.int64]:
    """Where the samples of stored predictions are in the dataset.

    Raises:
        RecordError: it is another copy.
    """
    facts = data_facts(datamodule, protocol)
    found, stated = (
        (facts.get("fold") or {}).get("copy") or facts["checksums"].get("test"),
        checksums_of(record).get("test"),
    )
    hint = "Give the folder of the copy that it was tested on with --data-dir."
    if stated and found != stated and not record.data.get("judged_by"):
        problem = (
            f"run {record.run_id} was tested on another copy of {record.dataset} than the one that is here (checksum"
            f" {stated}, here {found})."
        )
        raise RecordError(problem, hint)
    place = {name: i for i, name in enumerate(datamodule.read_samples.ids.tolist())}
    ids = predictions.ids.tolist()
    absent = [name for name in ids if name not in place]
    if absent:
        problem = (
            f"{len(absent)} of the {len(ids)} test samples of run {record.run_id} are not in the {record.dataset} here;"
            f" the first is {absent[0]!r}."
        )
        raise RecordError(problem, hint)
    return np.array([place[name] for name in ids], dtype=np.int64)
