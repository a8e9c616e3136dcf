"""From a store to the members of an ensemble: which records, and their predictions of one split, checked against each
other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.ensembles.selection import ValidationSet
from fer_bench.ensembles.votes import checked
from fer_bench.errors import FerBenchError, RecordError, SpecError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.copies import by_copy, read_present, same_order
from fer_bench.results.record import Record
from fer_bench.results.store import Store

KINDS = ("trained", "probe")
_ON_TEST = "selected on test"


@dataclass(frozen=True)
class Pool:
    """Which records may become members, where none are named.

    Args:
        models: only these; empty: all.
        recipes: only these; empty: all.
        seeds: only these; empty: all.
        tta: whether rows with test-time augmentation, whose networks are also there without it, may.
        accelerators: only what was trained on these: ``cpu``, ``cuda`` or ``mps``; empty: all.
        kind: ``trained`` networks, or ``probe``: every head of every grid, but for those that were chosen on test.
    """

    models: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    tta: bool = True
    accelerators: tuple[str, ...] = ()
    kind: str = "trained"

    def holds(self, record: Record) -> bool:
        """Whether a record is of the pool."""
        if record.kind != self.kind or (self.kind == "probe" and _ON_TEST in record.caveats):
            return False
        wanted = (not self.models or record.model in self.models) and (
            not self.recipes or record.recipe in self.recipes
        )
        trained_there = not self.accelerators or record.hardware.get("accelerator") in self.accelerators
        return (
            wanted
            and trained_there
            and (not self.seeds or record.seed in self.seeds)
            and (self.tta or not record.spec.get("tta"))
        )


def name_of(record: Record) -> str:
    """``model/run_id``: a record's name within its protocol."""
    return f"{record.model}/{record.run_id}"


def find_members(
    store: Store, protocol: Protocol, references: Sequence[str] | None = None, pool: Pool | None = None
) -> list[Record]:
    """The records that may become members, by name.

    Args:
        store: all records.
        protocol: theirs.
        references: run ids or paths, as :meth:`Store.get` takes them; each must fit. None: all finished records of the
            pool (without one: ``trained`` ones) of the current protocol version, on the copy of the data that the
            protocol ranks or whose table is the board's first; cross-validations rather than single folds of them.
        pool: narrows the latter.

    Raises:
        SpecError: fewer than two, or one named twice.
        RecordError: a record that does not fit, by name.
    """
    if references is None:
        fit = [
            record
            for record in store.records(protocol.name)
            if not _unfit(record, protocol)
            and _on_copy(record, protocol)
            and not record.data.get("fold")
            and (pool or Pool()).holds(record)
        ]
        # Where no copy is declared, those of the board's first table.
        chosen = list(by_copy(protocol, fit, read_present(store, protocol.name))[0].records)
    else:
        chosen = [
            store.get(reference if "/" not in reference or reference.endswith(".json") else _full(reference, protocol))
            for reference in references
        ]
    chosen.sort(key=name_of)
    for record, following in itertools.pairwise(chosen):
        if name_of(record) == name_of(following):
            problem = f"member {name_of(record)} is named twice."
            raise SpecError(
                problem, "Name each member once; the greedy selection gives weight to those that deserve it."
            )
    if len(chosen) < 2:
        problem = f"an ensemble needs at least two members, {protocol.name} has {len(chosen)} that fit."
        raise SpecError(problem, "`fer-bench list runs` shows all records; train more, or name other members.")
    for record in chosen:
        _check_record(record, protocol, chosen[0])
    return chosen


def parts_of(store: Store, protocol: Protocol, records: Sequence[Record]) -> list[list[Record]]:
    """What is chosen and joined at one time: the members themselves or, of cross-validations, their runs of each fold.

    Args:
        store: of the folds' records.
        protocol: theirs.
        records: members, of :func:`find_members`.

    Returns:
        One list per fold, in the order of the members; a single one of members without folds.

    Raises:
        RecordError: cross-validations with different folds, or one of whose runs has no record; by name.
    """
    folds = [[str(name) for name in record.data.get("folds") or ()] for record in records]
    for record, names in zip(records, folds, strict=True):
        if len(names) != len(folds[0]):
            problem = f"member {name_of(record)} has {len(names)} folds, {name_of(records[0])} has {len(folds[0])}."
            raise RecordError(problem, "Members must have been tested on the same folds.")
    if not folds[0]:
        return [list(records)]
    parts = []
    for number in range(len(folds[0])):
        part = [_fold_of(store, record, names[number]) for record, names in zip(records, folds, strict=True)]
        for found in part:
            _check_record(found, protocol, part[0])
        parts.append(part)
    return parts


def _fold_of(store: Store, record: Record, run_id: str) -> Record:
    found = store.find(record.protocol, record.model, run_id)
    if found is None:
        problem = f"member {name_of(record)}: its fold {run_id} is not in the store."
        raise RecordError(problem, "Restore it from version control, or repeat the cross-validation.")
    return found


def load_validation(store: Store, protocol: Protocol, records: Sequence[Record]) -> ValidationSet:
    """The members' validation predictions: all that a selection may see.

    Args:
        store: where the predictions are.
        protocol: gives task and scale.
        records: of the M members.

    Raises:
        RecordError: a member without them, or whose samples, targets or classes are others; by name.
    """
    for record in records:
        if "validation" not in record.predictions:
            problem = f"member {name_of(record)} has no validation predictions."
            raise RecordError(
                problem, "Members are selected and weighted on validation: leave it out, or run it again."
            )
    loaded = load_split(store, records, "validation")
    kind = protocol.task.kind
    outputs = np.stack(
        [
            checked(kind, predictions.outputs, f"member {name_of(r)}")
            for r, predictions in zip(records, loaded, strict=True)
        ]
    )
    targets = targets_of(protocol, loaded[0])
    return ValidationSet(tuple(map(name_of, records)), targets, outputs, sum(protocol.scale) / 2, loaded[0].groups)


def targets_of(protocol: Protocol, predictions: Predictions) -> npt.NDArray[Any]:
    """Targets of N samples: class ids, int64 (N,), categories, int64 (N, K), or values in the dataset's units, float64
    (N, D).
    """
    return predictions.targets.astype(np.float64 if protocol.task.kind == "values" else np.int64)


def load_split(store: Store, records: Sequence[Record], split: str) -> list[Predictions]:
    """The members' predictions of one split, all in the order of the first one's samples.

    Args:
        store: where the predictions are.
        records: of the M members.
        split: train, validation or test.

    Raises:
        RecordError: missing, altered, or of other samples, targets or classes than the first one's; by name.
    """
    loaded: list[Predictions] = []
    for record in records:
        predictions = _named(record, lambda record=record: store.predictions(record, split))  # type: ignore[misc]
        loaded.append(_aligned(predictions, loaded[0] if loaded else predictions, record, records[0], split))
    return loaded


def _full(reference: str, protocol: Protocol) -> str:
    """``model/run_id`` becomes ``protocol/model/run_id``."""
    return reference if reference.startswith(protocol.name + "/") else f"{protocol.name}/{reference.replace(':', '_')}"


def _unfit(record: Record, protocol: Protocol) -> str:
    if record.protocol != protocol.name:
        return f"is of the protocol {record.protocol}, not {protocol.name}"
    if record.task != protocol.task.name:
        what = "label set" if protocol.task.kind == "classes" else "task"
        return f"has the {what} {record.task}, the protocol {protocol.task.name}"
    if record.status != "finished":
        return f"has the status {record.status}"
    if record.protocol_version != protocol.version:
        return f"is of the protocol's version {record.protocol_version}, current is {protocol.version}"
    return ""


def _on_copy(record: Record, protocol: Protocol) -> bool:
    stated = record.data.get("checksums") or {}
    return all(stated.get(split) == value for split, value in protocol.checksums.items())


def _fold(record: Record) -> int | None:
    return (record.spec.get("dataset_options") or {}).get("fold")


def _check_record(record: Record, protocol: Protocol, first: Record) -> None:
    reason = _unfit(record, protocol)
    stated, others = record.data.get("checksums") or {}, first.data.get("checksums") or {}
    differing = sorted(
        split for split in stated.keys() | others.keys() if split != "train" and stated.get(split) != others.get(split)
    )
    if not reason and not _on_copy(record, protocol):
        reason = "was made on another copy of the data than the protocol ranks (checksums differ)"
    elif not reason and differing and _fold(record) != _fold(first):
        reason = f"was tested on another fold than {name_of(first)}: the two have no test sample in common"
    elif not reason and differing:
        reason = (
            f"was made on another copy of the data than {name_of(first)} (checksums of {' and '.join(differing)}"
            " differ)"
        )
    elif not reason and record.kind == "human":
        reason = "is a person, not a model"
    if reason:
        problem = f"member {name_of(record)} {reason}."
        raise RecordError(problem, "Leave it out, or name the members that belong together with --members.")


def _named(record: Record, load: Callable[[], Predictions]) -> Predictions:
    try:
        return load()
    except FerBenchError as error:
        problem = f"member {name_of(record)}: {error.problem}"
        raise RecordError(problem, error.hint) from None


def _aligned(
    predictions: Predictions, reference: Predictions, record: Record, first: Record, split: str
) -> Predictions:
    who, other = f"member {name_of(record)}", name_of(first)
    if predictions.outputs.ndim != 2 or predictions.outputs.shape[1] != reference.outputs.shape[1]:
        problem = (
            f"{who}: {split} outputs of shape {predictions.outputs.shape} have other classes than those of {other},"
            f" {reference.outputs.shape}."
        )
        raise RecordError(problem, "Members must share a label set.")
    if same_order(record, first, split) and len(predictions) == len(reference):
        # The same images, whose files were called otherwise.
        predictions = replace(predictions, ids=reference.ids)
    if not np.array_equal(predictions.ids, reference.ids):
        different = np.setxor1d(predictions.ids, reference.ids)
        if len(different):
            problem = (
                f"{who}: {len(different)} {split} ids are not both in it and in {other}, {str(different[0])!r} among"
                " them."
            )
            raise RecordError(problem, "Members must have predicted the same samples.")
        predictions = predictions.select(np.argsort(predictions.ids)[np.argsort(np.argsort(reference.ids))])
    if not np.array_equal(predictions.targets, reference.targets):
        at = int(np.argmax(predictions.targets != reference.targets))
        problem = f"{who}: the target of {split} sample {str(reference.ids[at])!r} is another one than in {other}."
        raise RecordError(problem, "Members must have been made on the same labels.")
    return predictions
