"""The choice of members and weights, and what the chosen ones answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fer_bench.ensembles.curve import best_size, rule_curves
from fer_bench.ensembles.mixture import mixture_weights
from fer_bench.ensembles.selection import ValidationSet, greedy, metric_of, order_by_validation
from fer_bench.ensembles.stacking import Stacker, fit_stacker
from fer_bench.ensembles.votes import Float, Rule, combine

Order = Literal["validation", "test"]
Selection = Literal["greedy", "mixture", "stack"]
TopK = int | Literal["best"] | None


@dataclass(frozen=True)
class Choice:
    """What the selection decided.

    Args:
        order: positions of the candidates, best first.
        members: positions of the chosen ones, in the order in which they are joined.
        weights: of the chosen ones: 1 for ``majority`` and ``soft``, validation accuracy for ``weighted``, times taken
            for ``greedy``, shares of the mixture for ``mixture``.
        stacker: of the selection ``stack``.
    """

    order: list[int]
    members: list[int]
    weights: list[float]
    stacker: Stacker | None = None


def choose(
    validation: ValidationSet,
    metric: str,
    top_k: TopK,
    rule: Rule,
    ranks: Sequence[int] | None = None,
    selection: Selection | None = None,
    bags: int = 0,
    seed: int = 0,
) -> Choice:
    """Decide on members and weights; sees validation predictions only.

    Args:
        validation: the candidates.
        metric: by which they are ordered and selected.
        top_k: as :func:`build_ensemble`; ``best`` is decided on validation.
        rule: the rule.
        ranks: an order that was decided elsewhere (on the test scores: marked so); None: by validation.
        selection: as :func:`build_ensemble`.
        bags: as :func:`build_ensemble`.
        seed: as :func:`build_ensemble`.
    """
    order = order_by_validation(validation, metric) if ranks is None else list(ranks)
    accuracy = metric_of(validation.outputs, validation.targets)
    if top_k == "best":
        curves = rule_curves(
            list(validation.outputs[order]), validation.targets, [float(accuracy[i]) for i in order], metric
        )
        top_k = best_size(curves[rule])
    chosen = order if top_k is None else order[:top_k]
    if selection in ("greedy", "mixture"):
        library = validation.subset(chosen)
        weights = mixture_weights(library) if selection == "mixture" else greedy(library, metric, bags=bags, seed=seed)
        taken = [i for i in range(len(chosen)) if weights[i]]
        return Choice(order, [chosen[i] for i in taken], [float(weights[i]) for i in taken])
    if selection == "stack":
        return Choice(order, chosen, [1.0] * len(chosen), fit_stacker(validation.subset(chosen), seed))
    return Choice(order, chosen, [float(accuracy[i]) if rule == "weighted" else 1.0 for i in chosen])


def join(choice: Choice, rule: Rule, outputs: Float) -> Float:
    """Outputs (M, N, C) of the chosen members, in their order, to those of the ensemble, (N, C)."""
    if choice.stacker is not None:
        return choice.stacker.apply(outputs)
    return combine(rule, list(outputs), None if rule == "majority" else choice.weights)
