"""Scores of groups of samples, and the gap between the best and the worst of them, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.scoring.additive import of_predictions
from fer_bench.scoring.resampling import Interval, Units, percentiles
from fer_bench.scoring.undefined import Float

# Fewer say nothing about a group.
LEAST = 20


@dataclass(frozen=True)
class GroupScore:
    """One group.

    Args:
        name: of the group.
        n: samples.
        value: its score; None where it is undefined.
        interval: 95 %, bootstrap; None for small groups.
        large: whether it has enough samples for the gap.
    """

    name: str
    n: int
    value: float | None
    interval: Interval
    large: bool


@dataclass(frozen=True)
class Gap:
    """Between the best and the worst large group.

    Args:
        best: name of the group.
        worst: name of the group.
        difference: by how much the best is better, never below 0.
        interval: of that difference, 95 %, bootstrap. The two were chosen by their scores, so it leans towards a gap
            where there are many groups.
    """

    best: str
    worst: str
    difference: float
    interval: Interval


@dataclass(frozen=True)
class GroupScores:
    """Scores by group.

    Args:
        metric: the score.
        whole: of all samples.
        n: all samples.
        groups: in the order given.
        gap: None where fewer than two groups are large.
        unit: what was drawn in the bootstrap: ``samples``, or ``clips or people``.
    """

    metric: str
    whole: float | None
    n: int
    groups: tuple[GroupScore, ...]
    gap: Gap | None
    unit: str


def score_groups(
    protocol: Protocol,
    predictions: Predictions,
    groups: Mapping[str, npt.NDArray[np.int64]],
    metric: str | None = None,
) -> GroupScores:
    """Score groups of samples.

    Args:
        protocol: by whose score.
        predictions: all samples.
        groups: positions of the samples of each, in the order in which they are listed; a sample may be in several, or
            in none.
        metric: another score of the confusion matrix than the protocol's own; None: that.

    Returns:
        Scores; the bootstrap draws whole clips or people where the predictions know them, unless a group is one clip or
        person alone.
    """
    score, answers = of_predictions(protocol, predictions, metric)
    at = dict(groups)
    values = {name: score.of(answers, rows) for name, rows in at.items()}
    large = [name for name in at if len(at[name]) >= LEAST]
    together = predictions.groups
    if together is not None and any(len(np.unique(together[at[name]])) < 2 for name in large):
        together = None
    drawn: dict[str, list[Float]] = {name: [] for name in large}
    units = Units.of(len(predictions), together)
    for block in units.blocks() if large else ():
        for name in large:
            drawn[name].append(score.drawn(answers, units, block, at[name]))
    replicates = {name: np.concatenate(blocks) for name, blocks in drawn.items()}
    scores = tuple(
        GroupScore(
            name,
            len(at[name]),
            values[name],
            percentiles(replicates[name]) if name in replicates else None,
            name in replicates,
        )
        for name in at
    )
    compared = [group for group in scores if group.large and group.value is not None]
    gap = None
    found = metrics.get(score.name)
    # Of errors the smallest is best.
    sign = -1.0 if found is not None and found.lower_is_better else 1.0
    if len(compared) > 1:
        best = max(compared, key=lambda group: sign * (group.value or 0.0))
        worst = min(compared, key=lambda group: sign * (group.value or 0.0))
        between = percentiles(sign * (replicates[best.name] - replicates[worst.name]))
        gap = Gap(best.name, worst.name, sign * (float(best.value or 0.0) - float(worst.value or 0.0)), between)
    unit = "samples" if together is None else "clips or people"
    return GroupScores(score.name, score.of(answers), len(predictions), scores, gap, unit)
