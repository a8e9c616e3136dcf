"""What the record of an ensemble says besides its scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from fer_bench.ensembles.choice import Choice
from fer_bench.ensembles.members import name_of
from fer_bench.ensembles.selection import ValidationSet, metric_of
from fer_bench.ensembles.stacking import Stacker
from fer_bench.ensembles.votes import Rule
from fer_bench.errors import RecordError
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.results.record import Record

MODEL = "ensemble"
SELECTED_ON_TEST = "selected on test"
# What an ensemble says of its data is what its members say.
_DATA_KEYS = ("layout", "n", "checksums", "order", "names", "known_copy", "n_test_duplicates")


def draft_record(
    protocol: Protocol, records: Sequence[Record], choice: Choice, options: dict[str, Any], validation: ValidationSet
) -> Record:
    """A record without scores.

    Args:
        protocol: of the ensemble.
        records: the candidates.
        choice: made among them.
        options: what the user asked for; together with members and weights they give the run id.
        validation: of the candidates.
    """
    chosen = [records[i] for i in choice.members]
    accuracy = metric_of(validation.outputs, validation.targets)
    members = [
        {
            "model": record.model,
            "run_id": record.run_id,
            "weight": weight,
            "validation_accuracy": float(accuracy[i]),
            "test_accuracy": record.metrics.get("accuracy"),
            "sha256": {split: record.predictions[split].sha256 for split in ("validation", "test")},
        }
        for i, record, weight in zip(choice.members, chosen, choice.weights, strict=True)
    ]
    identity = {
        **options,
        "protocol": protocol.name,
        "members": sorted([name_of(record), weight] for record, weight in zip(chosen, choice.weights, strict=True)),
    }
    run_id = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    caveats = list(dict.fromkeys([*protocol.caveats, *(caveat for record in chosen for caveat in record.caveats)]))
    if options["order"] == "test" and SELECTED_ON_TEST not in caveats:
        caveats.append(SELECTED_ON_TEST)
    notes = [
        "members that are ordered or weighted by validation stopped their own training there too: validation scores"
        " flatter"
    ]
    if options["selection"]:
        notes.append(
            "validation scores are of the samples that the selection was fitted on; only the test scores are of unseen"
            " samples"
        )
    if options["rule"] != "soft":
        notes.append(
            "outputs are shares of votes: a class without a vote has almost no probability, so NLL says little"
        )
    counts = {key: [record.parameters.get(key) for record in chosen] for key in ("trainable", "total")}
    return Record(
        run_id=run_id,
        row=run_id,
        kind="ensemble",
        protocol=protocol.name,
        protocol_version=protocol.version,
        task=protocol.task.name,
        dataset=chosen[0].dataset,
        model=MODEL,
        recipe=_describe(options, len(chosen), len(records)),
        spec={
            **{key: value for key, value in options.items() if value is not None},
            "n_members": len(chosen),
            "n_candidates": len(records),
        },
        data=_shared_data(chosen),
        code=provenance.code(),
        hardware=provenance.machine(),
        training={"members": members, **({"stacker": choice.stacker.to_json()} if choice.stacker else {})},
        parameters={
            key: sum(value for value in values if value is not None)
            for key, values in counts.items()
            if None not in values
        },
        caveats=caveats,
        notes=notes,
    )


def _shared_data(chosen: Sequence[Record]) -> dict[str, Any]:
    """What the first member says of its data; of checksums those that are all members', who may have been trained on
    different copies.
    """
    data = {key: chosen[0].data[key] for key in _DATA_KEYS if key in chosen[0].data}
    stated = [record.data.get("checksums") or {} for record in chosen]
    if "checksums" in data and any(other != stated[0] for other in stated):
        data["checksums"] = {
            split: value for split, value in stated[0].items() if all(other.get(split) == value for other in stated)
        }
    return data


def read_choice(record: Record) -> tuple[Choice, Rule]:
    """What an ensemble's record says of its choice: everything that :func:`~fer_bench.ensembles.choice.join` needs.

    Args:
        record: as :func:`draft_record` writes it.

    Returns:
        The choice, whose members are counted in the order in which the record lists them, and the rule.

    Raises:
        RecordError: the record is of no ensemble, or its stacker cannot be read.
    """
    listed = record.training.get("members")
    if record.kind != "ensemble" or not listed:
        problem = f"record {record.run_id} is not of an ensemble."
        raise RecordError(problem)
    stacker = Stacker.from_json(record.training["stacker"]) if record.spec.get("selection") == "stack" else None
    rule: Rule = record.spec["rule"]
    return Choice([], list(range(len(listed))), [float(entry["weight"]) for entry in listed], stacker), rule


def _describe(options: dict[str, Any], n: int, n_candidates: int) -> str:
    """The row's name next to ``ensemble``."""
    by = f" by {options['order']}"
    if options["selection"] in ("greedy", "mixture"):
        bags = f", {options['bags']} bags" if options["bags"] else ""
        kind = "greedy selection" if options["selection"] == "greedy" else "mixture"
        return f"{kind} of {n} from {n_candidates}{bags}{by if options['order'] == 'test' else ''}"
    rule = (
        "stacked"
        if options["selection"] == "stack"
        else f"{options['rule']} vote"
        if options["rule"] != "soft"
        else "mean of probabilities"
    )
    return (
        f"{rule}, all {n}{by if options['order'] == 'test' else ''}"
        if n == n_candidates
        else f"{rule}, top {n} of {n_candidates}{by}"
    )
