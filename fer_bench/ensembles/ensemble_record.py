"""What the record of an ensemble says besides its scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_bench import metrics
from fer_bench.ensembles.choice import Choice
from fer_bench.ensembles.members import name_of, targets_of
from fer_bench.ensembles.part import Options, Part
from fer_bench.ensembles.ridge import RidgeStacker
from fer_bench.ensembles.selection import metric_of
from fer_bench.ensembles.stacking import Stacker
from fer_bench.ensembles.votes import RULES, VALUE_RULES, Rule
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import SELECTED_ON_TEST, Protocol
from fer_bench.results import provenance
from fer_bench.results.record import Record
from fer_bench.scoring.undefined import defined

MODEL = "ensemble"
_NAMES = {"soft": "mean of probabilities", "mean": "mean of values", "weighted_mean": "mean weighted by CCC"}
# What an ensemble says of its data is what its members say.
_DATA_KEYS = ("layout", "n", "checksums", "order", "names", "known_copy", "n_test_duplicates")


def draft_record(protocol: Protocol, records: Sequence[Record], parts: Sequence[Part], options: Options) -> Record:
    """A record without scores.

    Args:
        protocol: of the ensemble.
        records: the candidates.
        parts: the choice made among them; of cross-validations one per fold.
        options: what the user asked for; together with members and weights they give the run id.
    """
    listed = [_members(protocol, part) for part in parts]
    used = sorted({i for part in parts for i in part.choice.members}, key=lambda i: name_of(records[i]))
    chosen = [records[i] for i in (parts[0].choice.members if len(parts) == 1 else used)]
    weights = [
        sorted([f"{entry['model']}/{entry['run_id']}", entry["weight"]] for entry in members) for members in listed
    ]
    identity = {
        **options.stated(),
        "protocol": protocol.name,
        "members": weights[0] if len(parts) == 1 else weights,
    }
    run_id = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    caveats = list(dict.fromkeys([*protocol.caveats, *(caveat for record in chosen for caveat in record.caveats)]))
    if options.order == "test" and SELECTED_ON_TEST not in caveats:
        caveats.append(SELECTED_ON_TEST)
    notes = [
        "members that are ordered or weighted by validation stopped their own training there too: validation scores"
        " flatter"
    ]
    if options.selection:
        notes.append(
            "validation scores are of the samples that the selection was fitted on; only the test scores are of unseen"
            " samples"
        )
    if options.rule in RULES[:2]:
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
        recipe=_describe(protocol.task.kind, options, len(chosen), len(records)),
        spec={
            **{key: value for key, value in options.stated().items() if value is not None},
            "n_members": len(chosen),
            "n_candidates": len(records),
        },
        data=_shared_data(chosen),
        code=provenance.code(),
        hardware=provenance.machine(),
        training=_training(protocol, records, used, parts, listed),
        parameters={
            key: sum(value for value in values if value is not None)
            for key, values in counts.items()
            if None not in values
        },
        caveats=caveats,
        notes=notes,
    )


def _members(protocol: Protocol, part: Part) -> list[dict[str, Any]]:
    """What a record says of the members of one choice."""
    headline = metrics.HEADLINE[protocol.task.kind]
    scores = part.validation.scores()
    return [
        {
            "model": part.records[i].model,
            "run_id": part.records[i].run_id,
            "weight": weight,
            f"validation_{headline}": defined(scores[i]),
            f"test_{headline}": part.records[i].metrics.get(headline),
            "sha256": {split: part.records[i].predictions[split].sha256 for split in ("validation", "test")},
        }
        for i, weight in zip(part.choice.members, part.choice.weights, strict=True)
    ]


def _training(
    protocol: Protocol,
    records: Sequence[Record],
    used: Sequence[int],
    parts: Sequence[Part],
    listed: Sequence[list[dict[str, Any]]],
) -> dict[str, Any]:
    each = [
        {"members": members, **({"stacker": part.choice.stacker.to_json()} if part.choice.stacker else {})}
        | {"curve": part.curve}
        for members, part in zip(listed, parts, strict=True)
    ]
    if len(parts) == 1:
        return each[0]
    headline = metrics.HEADLINE[protocol.task.kind]
    folds = [{entry["run_id"]: entry for entry in members} for members in listed]
    members = []
    for i in used:
        record = records[i]
        own = [fold.get(run_id) for fold, run_id in zip(folds, record.data["folds"], strict=True)]
        members.append(
            {
                "model": record.model,
                "run_id": record.run_id,
                # A fold that does without it gives it no weight.
                "weight": sum(entry["weight"] for entry in own if entry) / len(parts),
                f"validation_{headline}": defined(np.mean([part.validation.scores()[i] for part in parts])),
                f"test_{headline}": record.metrics.get(headline),
            }
        )
    return {
        "members": members,
        "folds": each,
        "validation": {protocol.primary: validation_score(protocol, [part.joint["validation"] for part in parts])},
        "curve": _mean_curve([part.curve for part in parts]),
    }


def validation_score(protocol: Protocol, predictions: Sequence[Predictions]) -> float | None:
    """Mean over folds of the score on each fold's validation samples, which may be in several folds and are therefore
    not pooled; None where one is undefined.
    """
    scores = [
        metric_of(
            part.outputs.astype(np.float64)[None], targets_of(protocol, part), protocol.primary, sum(protocol.scale) / 2
        )[0]
        for part in predictions
    ]
    return defined(np.mean(scores))


def validation_score_of(record: Record, metric: str) -> float | None:
    """What an ensemble scored on validation; of cross-validations, the mean over their folds."""
    value = record.validation_metrics.get(metric, (record.training.get("validation") or {}).get(metric))
    return float(value) if isinstance(value, int | float) else None


def _mean_curve(curves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over folds, each in its own order of members."""
    means = {
        split: {rule: np.mean([curve[split][rule] for curve in curves], axis=0).tolist() for rule in curves[0][split]}
        for split in ("validation", "test")
    }
    return {"metric": curves[0]["metric"], "order": curves[0]["order"], **means}


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


def choices_of(record: Record) -> list[dict[str, Any]]:
    """What an ensemble's record says of its choice; of cross-validations, of that of each fold.

    Raises:
        RecordError: the record is of no ensemble.
    """
    if record.kind != "ensemble" or not record.training.get("members"):
        problem = f"record {record.run_id} is not of an ensemble."
        raise RecordError(problem)
    return list(record.training.get("folds") or [record.training])


def read_choice(record: Record, stated: dict[str, Any] | None = None) -> tuple[Choice, Rule]:
    """What an ensemble's record says of its choice: everything that :func:`~fer_bench.ensembles.choice.join` needs.

    Args:
        record: as :func:`draft_record` writes it.
        stated: one of :func:`choices_of`; None: the only one.

    Returns:
        The choice, whose members are counted in the order in which the record lists them, and the rule.

    Raises:
        RecordError: the record is of no ensemble, or of one of cross-validations, or its stacker cannot be read.
    """
    each = choices_of(record)
    if stated is None and len(each) > 1:
        problem = f"ensemble {record.run_id} is of cross-validations: it has other members in each of its folds."
        raise RecordError(problem, "Build one of runs of a single fold, by their names: --members.")
    found = stated or each[0]
    rule: Rule = record.spec["rule"]
    kind = "values" if rule in VALUE_RULES else "classes"
    reader: type[RidgeStacker] | type[Stacker] = RidgeStacker if kind == "values" else Stacker
    stacker = reader.from_json(found["stacker"]) if record.spec.get("selection") == "stack" else None
    weights = [float(entry["weight"]) for entry in found["members"]]
    return Choice([], list(range(len(weights))), weights, stacker), rule


def _describe(kind: str, options: Options, n: int, n_candidates: int) -> str:
    """The row's name next to ``ensemble``."""
    by = f" by {options.order}"
    marked = by if options.order == "test" else ""
    if options.selection in ("greedy", "mixture"):
        bags = f", {options.bags} bags" if options.bags else ""
        how = "greedy selection" if options.selection == "greedy" else "mixture"
        return f"{how} of {n} from {n_candidates}{bags}{marked}"
    rule = "stacked" if options.selection == "stack" else _NAMES.get(options.rule, f"{options.rule} vote")
    if kind == "labels":
        rule = rule.replace("values", "probabilities").replace("CCC", "mAP")
    return f"{rule}, all {n}{marked}" if n == n_candidates else f"{rule}, top {n} of {n_candidates}{by}"
