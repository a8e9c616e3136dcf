"""Which members an ensemble has, decided on validation alone.

Everything here takes a :class:`ValidationSet`, which is made from validation predictions only: there is no way to hand
a test array to a selection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import SpecError
from fer_bench.metric_entry import METRICS
from fer_bench.metric_plugins import compute, function
from fer_bench.scoring.classification import confusion_statistic
from fer_bench.scoring.moments import Sums
from fer_bench.scoring.multilabel import Categories
from fer_bench.scoring.undefined import divide

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ValidationSet:
    """What a selection may see.

    Args:
        names: of the M members.
        targets: shape (N,), class ids; (N, K), categories, integers; or (N, D), values in the dataset's units.
        outputs: shape (M, N, C), probabilities, or (M, N, D), values as targets; a row of NaN is no answer.
        middle: of the scale of values, which scores a sample without an answer.
        groups: shape (N,), clip or person; None where every sample stands alone.
    """

    names: tuple[str, ...]
    targets: npt.NDArray[Any]
    outputs: Float
    middle: float = 0.0
    groups: npt.NDArray[np.str_] | None = None

    def subset(self, members: Sequence[int]) -> ValidationSet:
        """Some members, in that order."""
        return replace(self, names=tuple(self.names[i] for i in members), outputs=self.outputs[list(members)])

    def rows(self, keep: npt.NDArray[np.bool_]) -> ValidationSet:
        """The samples where ``keep``, shape (N,), is true."""
        groups = None if self.groups is None else self.groups[keep]
        return replace(self, targets=self.targets[keep], outputs=self.outputs[:, keep], groups=groups)

    def scores(self, metric: str = "", outputs: Float | None = None) -> Float:
        """:func:`metric_of` each member, shape (M,), or of other outputs for the same samples, (K, N, C) to (K,)."""
        return metric_of(self.outputs if outputs is None else outputs, self.targets, metric, self.middle)

    def gains(self, metric: str = "", outputs: Float | None = None) -> Float:
        """As :meth:`scores`, turned so that more is better, and what is undefined is worst."""
        return as_gain(self.scores(metric, outputs), metric)


def kind_of(targets: npt.NDArray[Any]) -> str:
    """``classes`` for targets (N,), ``labels`` for integers (N, K), ``values`` for targets (N, D)."""
    if targets.ndim == 1:
        return "classes"
    return "labels" if np.issubdtype(targets.dtype, np.integer) else "values"


def metric_of(outputs: Float, targets: npt.NDArray[Any], metric: str = "", middle: float = 0.0) -> Float:
    """A score of several outputs at once.

    Args:
        outputs: shape (M, N, C), or (M, N, D).
        targets: shape (N,), class ids; or (N, D), values.
        metric: one that a confusion matrix holds, one of several labels, or one of
            :func:`fer_bench.scoring.moments.of_sums`; empty: accuracy, mAP or CCC.
        middle: stands for a missing answer of values, as in :func:`fer_bench.scoring.regression.answer_missing`.

    Returns:
        Shape (M,); of values the mean over dimensions, NaN where it is undefined. A row of NaN counts as a wrong class.
    """
    kind = kind_of(targets)
    metric = metric or metrics.HEADLINE[kind]
    if kind == "labels":
        return _of_labels(outputs, targets, metric)
    return _of_values(outputs, targets, metric, middle) if kind == "values" else _of_classes(outputs, targets, metric)


def as_gain(scores: npt.ArrayLike, metric: str) -> Float:
    """Scores of any shape turned so that more is better; minus infinity where they are undefined."""
    found = metrics.get(metric) if metric else None
    turned = np.asarray(scores, dtype=np.float64) * (-1.0 if found is not None and found.lower_is_better else 1.0)
    return np.where(np.isnan(turned), -np.inf, turned)


def _of_values(outputs: Float, targets: npt.NDArray[Any], metric: str, middle: float) -> Float:
    found = metrics.get(metric)
    if found is None or not found.of_sums:
        problem = f"members cannot be compared by {metric!r}."
        raise SpecError(problem, "Choose a protocol that is ranked by CCC, PCC, ICC(3,1), RMSE or MAE.")
    centre = targets.mean(axis=0)
    t = np.broadcast_to(targets - centre, outputs.shape)
    o = np.where(np.isnan(outputs).any(axis=2, keepdims=True), middle, outputs) - centre
    terms = (np.ones_like(t), t, o, t * t, o * o, t * o, np.abs(t - o))
    total = np.stack([term.sum(axis=1) for term in terms], axis=-1)
    return np.asarray(function(found.of_sums)(Sums(total)).mean(axis=-1), dtype=np.float64)


def _of_labels(outputs: Float, targets: npt.NDArray[np.int64], metric: str) -> Float:
    found = METRICS[metric]
    return np.array([compute(found, Categories(targets, each)) for each in outputs], dtype=np.float64)


def _of_classes(outputs: Float, targets: npt.NDArray[np.int64], metric: str) -> Float:
    n_members, _, n_classes = outputs.shape
    unanswered = np.isnan(outputs).any(axis=2)
    predicted = np.where(unanswered, n_classes, np.where(np.isnan(outputs), -1.0, outputs).argmax(axis=2))
    width = n_classes + 1
    cells = (np.arange(n_members)[:, None] * n_classes + targets[None, :]) * width + predicted
    counts = np.bincount(cells.ravel(), minlength=n_members * n_classes * width)
    return confusion_statistic(counts.reshape(n_members, n_classes, width), metric)


def order_by_score(names: Sequence[str], scores: Sequence[float] | Float) -> list[int]:
    """Positions of the M members, by scores of shape (M,), the highest first; equal ones by name."""
    return sorted(range(len(names)), key=lambda i: (-float(scores[i]), names[i]))


def order_by_validation(validation: ValidationSet, metric: str = "") -> list[int]:
    """Positions of members, best on validation first; equal ones by name."""
    return order_by_score(validation.names, validation.gains(metric))


def greedy(
    validation: ValidationSet,
    metric: str = "",
    *,
    max_steps: int | None = None,
    initial: int | None = None,
    bags: int = 0,
    bag_fraction: float = 0.5,
    seed: int = 0,
) -> npt.NDArray[np.int64]:
    """Forward selection with replacement from a library of models (Caruana et al. 2004, sections 2.1 to 2.3).

    The ensemble is the mean of its members' probabilities, or values. It begins with the best members on validation
    (sorted initialisation: as many of the first ``initial`` as score best together), then takes, again and again, the
    member whose addition scores best; what is kept is the best ensemble on the way, the smallest of equal ones. Members
    may be taken more than once, which gives them weight. Equal candidates: the better one alone, then by name.

    Args:
        validation: the library.
        metric: what is made as good as possible; empty: accuracy or CCC.
        max_steps: members taken at most, repetitions included; None: twice the library, at least 20.
        initial: how many of the best are tried as a beginning; None: half of the library, at least 1.
        bags: selections from random parts of the library whose counts are added up (bagging); 0: one selection from all
            of it.
        bag_fraction: share of the library in a bag.
        seed: of the bags.

    Returns:
        Shape (M,): how often each member was taken, at least one of them more than never.

    Raises:
        SpecError: a number out of range.
    """
    n = len(validation.names)
    if (
        not n
        or bags < 0
        or not 0 < bag_fraction <= 1
        or (max_steps is not None and max_steps < 1)
        or (initial is not None and initial < 1)
    ):
        problem = (
            f"greedy selection from {n} members with {bags} bags of {bag_fraction:g}, {max_steps} steps and {initial}"
            " initial members makes no sense."
        )
        raise SpecError(
            problem, "Bags hold a share in (0, 1] of the library; steps and initial members are at least 1."
        )
    if bags == 0:
        return _hillclimb(validation, metric, max_steps, initial)
    # A random stream that NumPy froze: the same bags under any version.
    generator = np.random.RandomState(seed)
    counts = np.zeros(n, dtype=np.int64)
    for _ in range(bags):
        bag = np.sort(generator.permutation(n)[: max(1, math.ceil(bag_fraction * n))]).tolist()
        counts[bag] += _hillclimb(validation.subset(bag), metric, max_steps, initial)
    return counts


def _hillclimb(
    validation: ValidationSet, metric: str, max_steps: int | None, initial: int | None
) -> npt.NDArray[np.int64]:
    order = order_by_validation(validation, metric)
    n = len(order)
    sums, answered = _summands(validation.outputs[order])
    # Sorted initialisation: prefixes of the order, without replacement.
    first = min(initial or max(1, n // 2), n)
    beginnings = _gains(validation, np.cumsum(sums[:first], axis=0), np.cumsum(answered[:first], axis=0), metric)
    best = int(np.argmax(beginnings))
    taken, value = list(range(best + 1)), float(beginnings[best])
    kept, running, count = list(taken), sums[taken].sum(axis=0), answered[taken].sum(axis=0)
    for _ in range(len(taken), max_steps or max(20, 2 * n)):
        scores = _gains(validation, running + sums, count + answered, metric)
        chosen = int(np.argmax(scores))
        taken.append(chosen)
        running, count = running + sums[chosen], count + answered[chosen]
        if scores[chosen] > value:
            kept, value = list(taken), float(scores[chosen])
    counts = np.zeros(n, dtype=np.int64)
    np.add.at(counts, [order[i] for i in kept], 1)
    return counts


def _summands(outputs: Float) -> tuple[Float, Float]:
    unanswered: npt.NDArray[np.bool_] = np.asarray(np.isnan(outputs).any(axis=2))
    return np.where(unanswered[:, :, None], 0.0, outputs), np.asarray(~unanswered, dtype=np.float64)


def _gains(validation: ValidationSet, sums: Float, answered: Float, metric: str) -> Float:
    # Which class has the largest sum needs no mean.
    joint = divide(sums, answered[:, :, None]) if kind_of(validation.targets) != "classes" else sums
    return validation.gains(metric, np.where(answered[:, :, None] > 0, joint, np.nan))
