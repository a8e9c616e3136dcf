"""recompute_from_members(): an ensemble's predictions once more, from the files of its members."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fer_bench import metrics
from fer_bench.ensembles.choice import join, weights_of
from fer_bench.ensembles.ensemble_record import choices_of, read_choice, validation_score
from fer_bench.ensembles.members import load_split, load_validation, name_of
from fer_bench.ensembles.votes import is_weighted
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol, protocol_named
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.folds import pooled


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
    protocol = protocol_named(record.protocol, record.dataset, record.task)
    differences, rebuilt = [], []
    choices = choices_of(record)
    for stated in choices:
        found, joint = _rebuilt(store, record, protocol, stated)
        differences += found
        rebuilt.append(joint)
    # Values are in units of their own.
    low, high = protocol.scale
    size = max(1.0, (high - low) / 2) if protocol.task.kind == "values" else 1.0
    if len(choices) == 1:
        together = rebuilt[0]
    else:
        together = {"test": pooled([joint["test"] for joint in rebuilt])}
        score = validation_score(protocol, [joint["validation"] for joint in rebuilt])
        stated_score = record.training["validation"].get(protocol.primary)
        if (stated_score is None) != (score is None) or abs((stated_score or 0.0) - (score or 0.0)) > 1e-9:
            differences.append(f"training.validation.{protocol.primary}: the folds give {score}")
    for split, expected in together.items():
        stored = store.predictions(record, split)
        if not (np.array_equal(expected.ids, stored.ids) and np.array_equal(expected.targets, stored.targets)):
            differences.append(f"{split}: other samples or targets than the members'")
        elif not np.allclose(expected.outputs, stored.outputs, rtol=0, atol=1e-6 * size, equal_nan=True):
            close = np.isclose(expected.outputs, stored.outputs, rtol=0, atol=1e-6 * size, equal_nan=True)
            rows = int((~close).any(axis=1).sum())
            differences.append(f"{split}: {rows} of {len(stored)} rows do not follow from the members")
    return differences


def _rebuilt(
    store: Store, record: Record, protocol: Protocol, stated: dict[str, Any]
) -> tuple[list[str], dict[str, Predictions]]:
    """What differs in one choice, and its predictions once more."""
    choice, rule = read_choice(record, stated)
    listed = stated["members"]
    members = [_member(store, record, entry) for entry in listed]
    differences = [
        f"member {name_of(member)}: its {split} predictions are not those that the ensemble was built from"
        for member, entry in zip(members, listed, strict=True)
        for split in ("validation", "test")
        if member.predictions[split].sha256 != entry["sha256"][split]
    ]
    validation = load_validation(store, protocol, members)
    if is_weighted(rule) and not np.allclose(choice.weights, weights_of(validation), rtol=0, atol=1e-9):
        differences.append(f"weights: not the members' {metrics.HEADLINE[protocol.task.kind]} on validation")
    joint = {}
    for split in ("validation", "test"):
        loaded = load_split(store, members, split)
        outputs = join(choice, rule, np.stack([predictions.outputs.astype(np.float64) for predictions in loaded]))
        joint[split] = replace(loaded[0], outputs=outputs.astype(np.float32))
    return differences, joint


def _member(store: Store, record: Record, entry: dict[str, Any]) -> Record:
    member = store.find(record.protocol, entry["model"], entry["run_id"])
    if member is None or not {"validation", "test"} <= member.predictions.keys():
        problem = (
            f"ensemble {record.run_id}: its member {entry['model']}/{entry['run_id']} is not in the store, or has no"
            " predictions."
        )
        raise RecordError(problem, "Restore the member from version control, or build the ensemble again.")
    return member
