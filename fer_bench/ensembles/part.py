"""One choice and what follows from it: of a given split, or of one fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.ensembles.choice import Choice, Order, Selection, TopK, choose, join, weights_of
from fer_bench.ensembles.curve import best_size, rule_curves
from fer_bench.ensembles.members import load_split, load_validation, name_of, targets_of
from fer_bench.ensembles.selection import ValidationSet, as_gain, order_by_score
from fer_bench.ensembles.votes import Float, Rule
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store


@dataclass(frozen=True)
class Options:
    """How an ensemble is built; see :func:`~fer_bench.ensembles.build.build_ensemble`."""

    rule: Rule
    order: Order
    top_k: TopK
    selection: Selection | None
    bags: int
    seed: int

    def stated(self) -> dict[str, Any]:
        """As a record states them, and its run id follows from them."""
        return {
            "rule": self.rule,
            "order": self.order,
            "top_k": self.top_k,
            "selection": self.selection,
            "bags": self.bags,
            "folds_seed": self.seed,
        }


@dataclass(frozen=True)
class Part:
    """A choice and its results.

    Args:
        records: the candidates.
        validation: what the choice has seen.
        choice: made among them.
        joint: predictions of the ensemble, of ``validation`` and ``test``.
        curve: number of members against score, by every rule; see :mod:`fer_bench.ensembles.curve`.
    """

    records: Sequence[Record]
    validation: ValidationSet
    choice: Choice
    joint: dict[str, Predictions]
    curve: dict[str, Any]


def build_part(store: Store, protocol: Protocol, records: Sequence[Record], options: Options) -> Part:
    """Choose members on validation, and join their predictions.

    Args:
        store: where the members' predictions are.
        protocol: by whose headline score members are ordered.
        records: of the candidates.
        options: how they are chosen and joined.

    Raises:
        RecordError: members that do not belong together, by name.
    """
    validation = load_validation(store, protocol, records)
    ranks = _ranks(records, protocol) if options.order == "test" else None
    # Here the choice is made; test predictions are opened after it, except for the size that is marked as chosen on
    # them.
    sized = options.top_k
    if options.top_k == "best" and ranks is not None:
        curves = _test_curves(store, protocol, [records[i] for i in ranks], validation.subset(ranks))
        sized = best_size(curves[options.rule], protocol.primary)
    choice = choose(
        validation, protocol.primary, sized, options.rule, ranks, options.selection, options.bags, options.seed
    )
    tests = load_split(store, records, "test")
    splits = {"validation": load_split(store, records, "validation")[0], "test": tests[0]}
    outputs = {
        "validation": validation.outputs,
        "test": np.stack([predictions.outputs.astype(np.float64) for predictions in tests]),
    }
    joint = {
        split: _with_outputs(splits[split], join(choice, options.rule, outputs[split][choice.members]))
        for split in splits
    }
    curve = _curve(protocol, options.order, choice.order, outputs, splits, validation)
    return Part(records, validation, choice, joint, curve)


def _ranks(records: Sequence[Record], protocol: Protocol) -> list[int]:
    scores = [_stored_score(record, protocol) for record in records]
    return order_by_score([name_of(record) for record in records], as_gain(scores, protocol.primary))


def _stored_score(record: Record, protocol: Protocol) -> float:
    value = record.metrics.get(protocol.primary)
    if not isinstance(value, float | int):
        problem = f"member {name_of(record)} has no {protocol.primary} on test."
        raise RecordError(problem, "Leave it out.")
    return float(value)


def _test_curves(
    store: Store, protocol: Protocol, ordered: Sequence[Record], validation: ValidationSet
) -> dict[str, list[float]]:
    loaded = load_split(store, ordered, "test")
    return rule_curves(
        [predictions.outputs for predictions in loaded],
        targets_of(protocol, loaded[0]),
        weights_of(validation),
        protocol.primary,
        validation.middle,
    )


def _curve(
    protocol: Protocol,
    order: str,
    ranks: Sequence[int],
    outputs: dict[str, Float],
    splits: dict[str, Predictions],
    validation: ValidationSet,
) -> dict[str, Any]:
    weights = weights_of(validation)
    curves = {
        split: rule_curves(
            [outputs[split][i] for i in ranks],
            targets_of(protocol, splits[split]),
            [weights[i] for i in ranks],
            protocol.primary,
            validation.middle,
        )
        for split in splits
    }
    return {"metric": protocol.primary, "order": order, "members": [validation.names[i] for i in ranks], **curves}


def _with_outputs(like: Predictions, outputs: Float) -> Predictions:
    return Predictions(like.ids, like.targets, outputs.astype(np.float32), like.flags, like.groups)
