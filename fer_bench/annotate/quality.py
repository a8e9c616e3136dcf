"""How far a rater's answers can be trusted: overlap with expected answers, and consistency over repeated images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fer_bench.annotate.answers import Answer, leaf
from fer_bench.annotate.study import Expected


@dataclass(frozen=True)
class Overlap:
    """FindingEmo's overlap score of one rater (Mertens et al. 2024, section 2.3.3).

    Args:
        matching: datapoints that match.
        out_of: datapoints compared.
        score: matching / out_of in 0..1; None if nothing was compared.
        alternative: the score without images that were to be kept but were rejected; None if nothing is left.
    """

    matching: int
    out_of: int
    score: float | None
    alternative: float | None


def matching_points(expected: Expected, answer: Answer) -> tuple[int, int]:
    """Compare an answer with the reference.

    An emotion of the wheel matches if it is on the leaf of an expected one.

    Args:
        expected: the reference of a catch item.
        answer: what the rater said.

    Returns:
        (matching datapoints, datapoints).
    """
    checks: list[bool] = []
    if expected.decision is not None:
        checks.append(answer.decision == expected.decision)
    if expected.category is not None:
        checks.append(answer.category in expected.category)
    if expected.wheel is not None:
        checks.append(answer.wheel is not None and leaf(answer.wheel) in {leaf(emotion) for emotion in expected.wheel})
    for bounds, value in ((expected.valence, answer.valence), (expected.arousal, answer.arousal)):
        if bounds is not None:
            checks.append(value is not None and bounds[0] <= value <= bounds[1])
    return sum(checks), len(checks)


def overlap_score(pairs: Iterable[tuple[Expected, Answer]]) -> Overlap:
    """The overlap score over the catch items a rater answered; skipped ones do not count.

    Args:
        pairs: reference and answer of each.
    """
    matching = out_of = kept_matching = kept_out_of = 0
    for expected, answer in pairs:
        hit, all_points = matching_points(expected, answer)
        matching, out_of = matching + hit, out_of + all_points
        if not (expected.decision == "keep" and answer.decision == "reject"):
            kept_matching, kept_out_of = kept_matching + hit, kept_out_of + all_points
    return Overlap(
        matching, out_of, matching / out_of if out_of else None, kept_matching / kept_out_of if kept_out_of else None
    )


@dataclass(frozen=True)
class Consistency:
    """Agreement of one rater with themselves; None where no repeated pair has both values.

    Args:
        pairs: images answered twice.
        same_category: share of pairs with the same category.
        same_leaf: share of pairs on the same leaf of the wheel.
        valence_difference: mean absolute difference, in scale points.
        arousal_difference: mean absolute difference, in scale points.
    """

    pairs: int
    same_category: float | None
    same_leaf: float | None
    valence_difference: float | None
    arousal_difference: float | None


def consistency(pairs: Iterable[tuple[Answer, Answer]]) -> Consistency:
    """Intra-rater consistency over repeated images.

    Args:
        pairs: first and second answer to the same image.
    """
    both = list(pairs)
    categories = [float(a.category == b.category) for a, b in both if a.category is not None and b.category is not None]
    leaves = [float(leaf(a.wheel) == leaf(b.wheel)) for a, b in both if a.wheel is not None and b.wheel is not None]
    valences = [float(abs(a.valence - b.valence)) for a, b in both if a.valence is not None and b.valence is not None]
    arousals = [float(abs(a.arousal - b.arousal)) for a, b in both if a.arousal is not None and b.arousal is not None]
    return Consistency(len(both), _mean(categories), _mean(leaves), _mean(valences), _mean(arousals))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
