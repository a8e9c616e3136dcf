"""build_ensemble(): members from the store, chosen on validation, joined, tested once, and written down as a record
like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from fer_bench import metrics
from fer_bench.ensembles.choice import Order, Selection, TopK, choose, join
from fer_bench.ensembles.curve import best_size, draw_curve, rule_curves
from fer_bench.ensembles.ensemble_record import draft_record
from fer_bench.ensembles.members import Pool, find_members, load_split, load_validation, name_of
from fer_bench.ensembles.selection import ValidationSet, metric_of, order_by_score
from fer_bench.ensembles.votes import RULES, Float, Rule
from fer_bench.errors import RecordError, SpecError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored


def build_ensemble(
    store: Store,
    protocol: Protocol,
    members: Sequence[str] | None = None,
    top_k: TopK = None,
    rule: Rule = "soft",
    order: Order = "validation",
    selection: Selection | None = None,
    *,
    pool: Pool | None = None,
    bags: int = 0,
    seed: int = 0,
) -> Record:
    """Build an ensemble of stored predictions, score it, and write its record with the figure ``<run_id>.curve.png``
    next to it.

    Args:
        store: where members are and where the record goes.
        protocol: of classes.
        members: run ids; None: every ``trained`` record that can be ranked.
        top_k: only so many of the best, or ``best``: as many as score best together under the rule; None: all.
        rule: ``majority``, ``weighted`` or ``soft``.
        order: the split whose score orders members, and sizes the ensemble with ``best``. ``test`` is how An, Liu and
            Zheng (2020) did it, section 5.1.2; the row then says *selected on test*.
        selection: ``greedy``, ``mixture`` or ``stack``, which begin from the ``top_k`` members and decide on validation
            alone; with the rule ``soft``.
        pool: narrows the members that are taken where none are named.
        bags: of the greedy selection.
        seed: of bags and folds.

    Returns:
        The record as written. The same members and options give the same run id.

    Raises:
        SpecError: options that make no sense together, or fewer than two members.
        RecordError: members that do not belong together, by name.
        HardwareError: the disk is full.
    """
    _check_options(protocol, top_k, rule, order, selection, bags)
    records = find_members(store, protocol, members, pool)
    if isinstance(top_k, int) and top_k > len(records):
        problem = f"--top-k {top_k}: there are {len(records)} members."
        raise SpecError(problem, "Ask for fewer, or train more.")
    validation = load_validation(store, records)
    names = list(validation.names)
    ranks = order_by_score(names, [_stored_score(record, protocol) for record in records]) if order == "test" else None
    # Here the choice is made; test predictions are opened after it, except for the size that is marked as chosen on
    # them.
    sized = top_k
    if top_k == "best" and ranks is not None:
        sized = best_size(
            _test_curve(store, [records[i] for i in ranks], validation.subset(ranks), rule, protocol.primary)
        )
    choice = choose(validation, protocol.primary, sized, rule, ranks, selection, bags, seed)

    tests = load_split(store, records, "test")
    splits = {"validation": load_split(store, records, "validation")[0], "test": tests[0]}
    outputs = {
        "validation": validation.outputs,
        "test": np.stack([predictions.outputs.astype(np.float64) for predictions in tests]),
    }
    joint = {
        split: _with_outputs(splits[split], join(choice, rule, outputs[split][choice.members])) for split in splits
    }
    curve = _curve(protocol.primary, order, choice.order, outputs, splits, names)
    draft = draft_record(
        protocol,
        records,
        choice,
        {"rule": rule, "order": order, "top_k": top_k, "selection": selection, "bags": bags, "folds_seed": seed},
        validation,
    )
    record = scored(draft.model_copy(update={"training": draft.training | {"curve": curve}}), protocol, joint)
    scores = {
        split: found.get(protocol.primary)
        for split, found in (("validation", record.validation_metrics), ("test", record.metrics))
    }
    figure = draw_curve(curve, rule, record.spec["n_members"], scores)
    return store.put(record, joint, {"curve.png": figure})


def check_protocol(protocol: Protocol) -> None:
    """Refuse a protocol of which there are no ensembles.

    Raises:
        SpecError: it is of values.
    """
    known = metrics.names("confusion")
    if protocol.task.kind != "classes" or protocol.primary not in known:
        problem = f"protocol {protocol.name}: there are ensembles of classes only, ranked by {', '.join(known)}."
        raise SpecError(problem, "Choose a protocol of classes; `fer-bench list protocols` shows all.")


def _check_options(protocol: Protocol, top_k: TopK, rule: str, order: str, selection: str | None, bags: int) -> None:
    check_protocol(protocol)
    for what, value, known in (
        ("rule", rule, RULES),
        ("order", order, get_args(Order)),
        ("selection", selection, (*get_args(Selection), None)),
    ):
        if value not in known:
            problem = f"unknown {what} {value!r}."
            raise SpecError(problem, f"Known: {', '.join(str(name) for name in known if name)}.")
    if isinstance(top_k, int) and top_k < 2:
        problem = f"--top-k {top_k}: an ensemble needs at least two members."
        raise SpecError(problem, "Give 2 or more, or `best`.")
    if selection is not None and rule != "soft":
        problem = f"the selection {selection!r} works on probabilities, not with the rule {rule!r}."
        raise SpecError(problem, "Use the rule soft with it, or no selection.")
    if bags < 0 or (bags and selection != "greedy"):
        problem = f"--bags {bags}: bags belong to the greedy selection, and there are at least 0."
        raise SpecError(problem, "Add --selection greedy.")


def _stored_score(record: Record, protocol: Protocol) -> float:
    value = record.metrics.get(protocol.primary)
    if not isinstance(value, float | int):
        problem = f"member {name_of(record)} has no {protocol.primary} on test."
        raise RecordError(problem, "Leave it out.")
    return float(value)


def _test_curve(
    store: Store, ordered: Sequence[Record], validation: ValidationSet, rule: Rule, metric: str
) -> list[float]:
    loaded = load_split(store, ordered, "test")
    weights = metric_of(validation.outputs, validation.targets).tolist()
    return rule_curves(
        [predictions.outputs for predictions in loaded], loaded[0].targets.astype(np.int64), weights, metric
    )[rule]


def _curve(
    metric: str,
    order: Order,
    ranks: Sequence[int],
    outputs: dict[str, Float],
    splits: dict[str, Predictions],
    names: Sequence[str],
) -> dict[str, Any]:
    accuracy = metric_of(outputs["validation"], splits["validation"].targets.astype(np.int64))
    curves = {
        split: rule_curves(
            [outputs[split][i] for i in ranks],
            splits[split].targets.astype(np.int64),
            [float(accuracy[i]) for i in ranks],
            metric,
        )
        for split in splits
    }
    return {"metric": metric, "order": order, "members": [names[i] for i in ranks], **curves}


def _with_outputs(like: Predictions, outputs: Float) -> Predictions:
    return Predictions(like.ids, like.targets, outputs.astype(np.float32), like.flags, like.groups)
