"""recompute_from_members(): an ensemble's predictions once more, from the files of its members."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_bench.ensembles.choice import join
from fer_bench.ensembles.ensemble_record import read_choice
from fer_bench.ensembles.members import load_split, load_validation, name_of
from fer_bench.ensembles.selection import metric_of
from fer_bench.errors import RecordError
from fer_bench.results.record import Record
from fer_bench.results.store import Store


def recompute_from_members(store: Store, record: Record) -> list[str]:
    """Rebuild an ensemble's predictions from the files of its members, and compare.

    Args:
        store: holds both.
        record: of an ensemble.

    Returns:
        What differs, in words; empty if the ensemble follows from its members.

    Raises:
        RecordError: the record is of no ensemble, or a member or a file is missing or damaged.
    """
    choice, rule = read_choice(record)
    listed = record.training["members"]
    members = [_member(store, record, entry) for entry in listed]
    differences = [
        f"member {name_of(member)}: its {split} predictions are not those that the ensemble was built from"
        for member, entry in zip(members, listed, strict=True)
        for split in ("validation", "test")
        if member.predictions[split].sha256 != entry["sha256"][split]
    ]
    validation = load_validation(store, members)
    if rule == "weighted" and not np.allclose(
        choice.weights, metric_of(validation.outputs, validation.targets), rtol=0, atol=1e-9
    ):
        differences.append("weights: not the members' accuracies on validation")
    for split in ("validation", "test"):
        loaded, stored = load_split(store, members, split), store.predictions(record, split)
        rebuilt = join(choice, rule, np.stack([predictions.outputs.astype(np.float64) for predictions in loaded]))
        if not (np.array_equal(loaded[0].ids, stored.ids) and np.array_equal(loaded[0].targets, stored.targets)):
            differences.append(f"{split}: other samples or targets than the members'")
        elif not np.allclose(rebuilt, stored.outputs, rtol=0, atol=1e-6, equal_nan=True):
            rows = int((~np.isclose(rebuilt, stored.outputs, rtol=0, atol=1e-6, equal_nan=True)).any(axis=1).sum())
            differences.append(f"{split}: {rows} of {len(stored)} rows do not follow from the members")
    return differences


def _member(store: Store, record: Record, entry: dict[str, Any]) -> Record:
    member = store.find(record.protocol, entry["model"], entry["run_id"])
    if member is None or not {"validation", "test"} <= member.predictions.keys():
        problem = (
            f"ensemble {record.run_id}: its member {entry['model']}/{entry['run_id']} is not in the store, or has no"
            " predictions."
        )
        raise RecordError(problem, "Restore the member from version control, or build the ensemble again.")
    return member
