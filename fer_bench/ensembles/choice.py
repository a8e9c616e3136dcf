"""The choice of members and weights, and what the chosen ones answer together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fer_bench.ensembles.curve import best_size, rule_curves
from fer_bench.ensembles.mixture import mixture_weights
from fer_bench.ensembles.ridge import RidgeStacker, fit_ridge_stacker
from fer_bench.ensembles.selection import ValidationSet, greedy, kind_of, order_by_validation
from fer_bench.ensembles.stacking import Stacker, fit_stacker
from fer_bench.ensembles.votes import Float, Rule, combine, is_weighted

Order = Literal["validation", "test"]
Selection = Literal["greedy", "mixture", "stack"]
TopK = int | Literal["best"] | None


@dataclass(frozen=True)
class Choice:
    """What the selection decided.

    Args:
        order: positions of the candidates, best first.
        members: positions of the chosen ones, in the order in which they are joined.
        weights: of the chosen ones: 1 for ``majority``, ``soft`` and ``mean``, :func:`weights_of` for ``weighted`` and
            ``weighted_mean``, times taken for ``greedy``, shares of the mixture for ``mixture``.
        stacker: of the selection ``stack``.
    """

    order: list[int]
    members: list[int]
    weights: list[float]
    stacker: Stacker | RidgeStacker | None = None


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
    own = weights_of(validation)
    if top_k == "best":
        in_order = list(validation.outputs[order])
        curves = rule_curves(in_order, validation.targets, [own[i] for i in order], metric, validation.middle)
        top_k = best_size(curves[rule], metric)
    chosen = order if top_k is None else order[:top_k]
    if selection in ("greedy", "mixture"):
        library = validation.subset(chosen)
        weights = mixture_weights(library) if selection == "mixture" else greedy(library, metric, bags=bags, seed=seed)
        taken = [i for i in range(len(chosen)) if weights[i]]
        return Choice(order, [chosen[i] for i in taken], [float(weights[i]) for i in taken])
    if selection == "stack":
        return Choice(order, chosen, [1.0] * len(chosen), _fit_stacker(validation.subset(chosen), metric, seed))
    return Choice(order, chosen, weights_of(validation.subset(chosen)) if is_weighted(rule) else [1.0] * len(chosen))


def weights_of(validation: ValidationSet) -> list[float]:
    """What members count under the rules that weigh: accuracy, mAP, or the mean CCC over dimensions; a member whose
    score is undefined or below 0 counts nothing, and all count alike where no member has one above 0.
    """
    scores = validation.scores()
    if kind_of(validation.targets) != "classes":
        scores = np.nan_to_num(scores, nan=0.0).clip(min=0.0)
        scores = scores if scores.any() else np.ones_like(scores)
    return [float(value) for value in scores]


def _fit_stacker(validation: ValidationSet, metric: str, seed: int) -> Stacker | RidgeStacker:
    if kind_of(validation.targets) == "values":
        return fit_ridge_stacker(validation, metric, seed)
    return fit_stacker(validation, seed)


def join(choice: Choice, rule: Rule, outputs: Float) -> Float:
    """Join the outputs of the chosen members.

    Args:
        choice: members, their weights, and a stacker if one was fitted.
        rule: joins them where there is no stacker.
        outputs: shape (M, N, C), probabilities, or (M, N, D), values in the dataset's units, in the members' order.

    Returns:
        Shape (N, C), probabilities, or (N, D), values; NaN where no member answers.
    """
    if choice.stacker is not None:
        return choice.stacker.apply(outputs)
    return combine(rule, list(outputs), None if rule == "majority" else choice.weights)
