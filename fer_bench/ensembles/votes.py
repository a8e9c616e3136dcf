"""Rules that join the outputs of several members into one.

``majority``: each member votes for its class (An, Liu and Zheng 2020, section 4.1.2). ``weighted``: votes count as much
as the member's weight, its accuracy on validation. ``soft``: mean of the probabilities. Tied classes of the first two:
the one with the highest mean probability over members, then the lower id. Of values there are ``mean`` and
``weighted_mean``, which weighs each member by its CCC on validation; of the probabilities of several labels the
same, by mAP. A member without an answer (a row of NaN)
abstains; where all do, the ensemble has no answer either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fer_bench.errors import RecordError, SpecError
from fer_bench.scoring.classification import NO_ANSWER, predicted_classes
from fer_bench.scoring.undefined import divide

Float = npt.NDArray[np.float64]
ClassRule = Literal["majority", "weighted", "soft"]
ValueRule = Literal["mean", "weighted_mean"]
Rule = ClassRule | ValueRule
RULES: tuple[Rule, ...] = get_args(ClassRule)
VALUE_RULES: tuple[Rule, ...] = get_args(ValueRule)
# The plain mean, which selections that give weights build on.
PLAIN: dict[str, Rule] = {"classes": "soft", "labels": "mean", "values": "mean"}
# What the winner of a vote gets on top of its share, so that argmax follows the rule also in the single precision of
# the predictions file.
TIE_BREAK = 1e-6
# Sums of weights, or of probabilities, that should be equal differ by rounding at most this much.
_SAME = 1e-9
_SUM_TOLERANCE = 1e-2


def rules_of(kind: str) -> tuple[Rule, ...]:
    """The rules for ``classes``, or for ``labels`` and ``values``."""
    return RULES if kind == "classes" else VALUE_RULES


def is_weighted(rule: Rule) -> bool:
    """Whether a rule weighs members by their score on validation."""
    return rule in ("weighted", "weighted_mean")


class Tally:
    """Running sums over members: adding one costs the same whatever came before.

    Args:
        rule: of classes.
        shape: (N, C).
    """

    def __init__(self, rule: Rule, shape: tuple[int, int]) -> None:
        self.rule = rule
        self._votes = np.zeros(shape)
        self._probability = np.zeros(shape)
        self._answered = np.zeros(shape[0])

    def add(self, probabilities: Float, weight: float = 1.0) -> None:
        """Add a member.

        Args:
            probabilities: shape (N, C), of :func:`as_probabilities`.
            weight: what its vote (``weighted``) or its probabilities (``soft``) count; ``majority`` knows none.
        """
        answers = predicted_classes(probabilities)
        answered = answers != NO_ANSWER
        if self.rule != "soft":
            self._votes[answered, answers[answered]] += weight if self.rule == "weighted" else 1.0
        share = weight if self.rule == "soft" else 1.0
        self._probability += share * np.where(answered[:, None], probabilities, 0.0)
        self._answered += share * answered

    def outputs(self) -> Float:
        """What the members added so far answer together: shape (N, C), rows of probabilities or all NaN."""
        n_classes = self._votes.shape[1]
        answered = self._answered > 0
        mean = self._probability / np.where(answered, self._answered, 1.0)[:, None]
        if self.rule == "soft":
            joint = mean / np.where(answered, mean.sum(axis=1), 1.0)[:, None]
        else:
            cast = self._votes.sum(axis=1, keepdims=True)
            # Weights may all be 0; every class is tied then.
            share = np.where(cast > 0, self._votes / np.where(cast > 0, cast, 1.0), 1.0 / n_classes)
            joint = (1 - TIE_BREAK) * share + TIE_BREAK * np.eye(n_classes)[_winners(share, mean)]
        return np.where(answered[:, None], joint, np.nan)


class ValueTally:
    """As :class:`Tally`, of values: a mean over the members that answer.

    Args:
        shape: (N, D).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._sum = np.zeros(shape)
        self._weight = np.zeros(shape[0])

    def add(self, values: Float, weight: float = 1.0) -> None:
        """Add a member: values (N, D), of :func:`as_values`, and what they count."""
        answered: npt.NDArray[np.bool_] = np.asarray(~np.isnan(values).any(axis=1))
        self._sum += weight * np.where(answered[:, None], values, 0.0)
        self._weight += weight * answered

    def outputs(self) -> Float:
        """Shape (N, D); NaN where no member with a weight answered."""
        return divide(self._sum, self._weight[:, None])


def combine(rule: Rule, members: Sequence[npt.ArrayLike], weights: Sequence[float] | None = None) -> Float:
    """Join the outputs of members.

    Args:
        rule: of classes ``majority``, ``weighted`` or ``soft``, of values ``mean`` or ``weighted_mean``.
        members: M arrays (N, C) of probabilities, or (N, D) of values, of the same samples in the same order; a row of
            NaN is no answer.
        weights: M numbers, none negative; needed by ``weighted`` and ``weighted_mean``, possible for ``soft`` and
            ``mean``, unknown to ``majority``.

    Returns:
        float64. Of values shape (N, D), in their units. Of classes shape (N, C): for ``soft`` the mean; for votes each
        class' share of them, shrunk by a millionth that goes to the winner, so that argmax follows the rule; rows sum
        to 1. NaN where no member answered.

    Raises:
        RecordError: outputs are not probabilities, or not values, or of different shapes.
        SpecError: weights are missing, useless or too many.
    """
    *_, last = prefixes(rule, members, weights)
    return last


def prefixes(rule: Rule, members: Sequence[npt.ArrayLike], weights: Sequence[float] | None = None) -> Iterator[Float]:
    """As :func:`combine`, of the first member, the first two, ... and all M: M arrays of shape (N, C) or (N, D);
    arguments and errors as there.
    """
    if len(members) == 0:
        problem = "an ensemble needs members."
        raise SpecError(problem)
    if rule not in (*RULES, *VALUE_RULES):
        problem = f"unknown rule {rule!r}."
        raise SpecError(problem, f"Known: {', '.join((*RULES, *VALUE_RULES))}.")
    kind = "values" if rule in VALUE_RULES else "classes"
    numbers = _weights(rule, weights, len(members))
    tally: Tally | ValueTally | None = None
    shape: tuple[int, int] | None = None
    for i, given in enumerate(members):
        outputs = checked(kind, given, f"member {i}")
        if tally is None or shape is None:
            shape = (outputs.shape[0], outputs.shape[1])
            tally = ValueTally(shape) if kind == "values" else Tally(rule, shape)
        if outputs.shape != shape:
            problem = f"member {i} has outputs of shape {outputs.shape}, the first {shape}."
            raise RecordError(problem)
        tally.add(outputs, numbers[i])
        yield tally.outputs()


def checked(kind: str, outputs: npt.ArrayLike, who: str) -> Float:
    """Outputs (N, C) of classes by :func:`as_probabilities`, or (N, D) of several labels and of values by
    :func:`as_values`; errors as there.
    """
    return as_probabilities(outputs, who) if kind == "classes" else as_values(outputs, who)


def as_values(outputs: npt.ArrayLike, who: str) -> Float:
    """Outputs (N, D) in float64; each row finite, or all NaN where a value of it is missing.

    Raises:
        RecordError: another shape, or an infinite value.
    """
    values = np.array(outputs, dtype=np.float64)
    if values.ndim != 2:
        problem = f"{who}: outputs of shape {values.shape} are not (samples, values)."
        raise RecordError(problem)
    if np.isinf(values).any():
        problem = f"{who}: row {int(np.isinf(values).any(axis=1).argmax())} of its outputs is infinite."
        raise RecordError(problem, "Leave it out.")
    return np.where(np.isnan(values).any(axis=1, keepdims=True), np.nan, values)


def as_probabilities(outputs: npt.ArrayLike, who: str) -> Float:
    """Outputs (N, C) in float64 with rows that sum to 1 exactly, or are all NaN.

    Raises:
        RecordError: they are no probabilities.
    """
    values = np.array(outputs, dtype=np.float64)
    if values.ndim != 2:
        problem = f"{who}: outputs of shape {values.shape} are not (samples, classes)."
        raise RecordError(problem)
    unanswered = np.isnan(values).all(axis=1)
    sums = values.sum(axis=1)
    fits: npt.NDArray[np.bool_] = np.asarray(
        unanswered | ((values >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM_TOLERANCE))
    )
    if not fits.all():
        row = int((~fits).argmax())
        problem = f"{who}: row {row} of its outputs is not a probability distribution (it sums to {sums[row]:.4g})."
        raise RecordError(problem, "Only members that store the softmax's output can vote.")
    return np.asarray(values / np.where(unanswered, 1.0, sums)[:, None], dtype=np.float64)


def _winners(share: Float, mean: Float) -> npt.NDArray[np.int64]:
    tied = share >= share.max(axis=1, keepdims=True) - _SAME
    among = np.where(tied, mean, -1.0)
    return np.asarray((among >= among.max(axis=1, keepdims=True) - _SAME).argmax(axis=1), dtype=np.int64)


def _weights(rule: Rule, weights: Sequence[float] | None, n: int) -> list[float]:
    if weights is None:
        if is_weighted(rule):
            problem = f"the rule {rule!r} needs a weight for each member."
            raise SpecError(problem)
        return [1.0] * n
    values = np.asarray(weights, dtype=np.float64)
    if rule == "majority":
        problem = "the rule 'majority' takes no weights."
        raise SpecError(problem, "Use the rule 'weighted'.")
    if (
        values.shape != (n,)
        or not np.isfinite(values).all()
        or (values < 0).any()
        or (rule not in RULES[:2] and not values.any())
    ):
        problem = f"weights must be {n} finite numbers, none negative and not all 0."
        raise SpecError(problem)
    return [float(value) for value in values]
