"""Which members an ensemble has, decided on validation alone.

Everything here takes a :class:`ValidationSet`, which is made from validation predictions only: there is no way to hand
a test array to a selection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.errors import SpecError
from fer_bench.scoring.classification import confusion_statistic

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ValidationSet:
    """What a selection may see.

    Args:
        names: of the M members.
        targets: shape (N,), class ids.
        outputs: shape (M, N, C), probabilities; a row of NaN is no answer.
    """

    names: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    outputs: Float

    def subset(self, members: Sequence[int]) -> ValidationSet:
        """Some members, in that order."""
        return ValidationSet(tuple(self.names[i] for i in members), self.targets, self.outputs[list(members)])

    def rows(self, keep: npt.NDArray[np.bool_]) -> ValidationSet:
        """Some samples."""
        return ValidationSet(self.names, self.targets[keep], self.outputs[:, keep])


def metric_of(outputs: Float, targets: npt.NDArray[np.int64], metric: str = "accuracy") -> Float:
    """A statistic of the confusion matrix of several outputs at once.

    Args:
        outputs: shape (M, N, C).
        targets: shape (N,).
        metric: one that a confusion matrix holds, see :mod:`fer_bench.metrics`.

    Returns:
        Shape (M,). A row of NaN counts as wrong.
    """
    n_members, _, n_classes = outputs.shape
    unanswered = np.isnan(outputs).any(axis=2)
    predicted = np.where(unanswered, n_classes, np.where(np.isnan(outputs), -1.0, outputs).argmax(axis=2))
    width = n_classes + 1
    cells = (np.arange(n_members)[:, None] * n_classes + targets[None, :]) * width + predicted
    counts = np.bincount(cells.ravel(), minlength=n_members * n_classes * width)
    return confusion_statistic(counts.reshape(n_members, n_classes, width), metric)


def order_by_score(names: Sequence[str], scores: Sequence[float] | Float) -> list[int]:
    """Positions of members, best score first; equal ones by name."""
    return sorted(range(len(names)), key=lambda i: (-float(scores[i]), names[i]))


def order_by_validation(validation: ValidationSet, metric: str = "accuracy") -> list[int]:
    """Positions of members, best on validation first; equal ones by name."""
    return order_by_score(validation.names, metric_of(validation.outputs, validation.targets, metric))


def greedy(
    validation: ValidationSet,
    metric: str = "accuracy",
    *,
    max_steps: int | None = None,
    initial: int | None = None,
    bags: int = 0,
    bag_fraction: float = 0.5,
    seed: int = 0,
) -> npt.NDArray[np.int64]:
    """Forward selection with replacement from a library of models (Caruana et al. 2004, sections 2.1 to 2.3).

    The ensemble is the mean of its members' probabilities. It begins with the best members on validation (sorted
    initialisation: as many of the first ``initial`` as score best together), then takes, again and again, the member
    whose addition scores best; what is kept is the best ensemble on the way, the smallest of equal ones. Members may be
    taken more than once, which gives them weight. Equal candidates: the better one alone, then by name.

    Args:
        validation: the library.
        metric: what is maximised.
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
    beginnings = _score(
        np.cumsum(sums[:first], axis=0), np.cumsum(answered[:first], axis=0), validation.targets, metric
    )
    best = int(np.argmax(beginnings))
    taken, value = list(range(best + 1)), float(beginnings[best])
    kept, running, count = list(taken), sums[taken].sum(axis=0), answered[taken].sum(axis=0)
    for _ in range(len(taken), max_steps or max(20, 2 * n)):
        scores = _score(running + sums, count + answered, validation.targets, metric)
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


def _score(sums: Float, answered: Float, targets: npt.NDArray[np.int64], metric: str) -> Float:
    return metric_of(np.where(answered[:, :, None] > 0, sums, np.nan), targets, metric)
