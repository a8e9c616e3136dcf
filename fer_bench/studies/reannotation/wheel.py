"""Answers on Plutchik's wheel: how far apart on it are two people's answers to one image, and by chance?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fer_bench.labels import EMO24, wheel_distance
from fer_bench.scoring.undefined import divide
from fer_bench.studies.reannotation.drawing import heatmap, name_ticks, new_figure
from fer_bench.studies.reannotation.resample import Estimate, Sums, resample_sums
from fer_bench.studies.reannotation.study import Float, Reannotation, count_votes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_EMOTIONS = len(EMO24)
MOST = 4  # leaves between opposite emotions
_ALL = range(N_EMOTIONS)
LEAVES: npt.NDArray[np.int64] = np.array([[wheel_distance(a // 3, b // 3) for b in _ALL] for a in _ALL])
RINGS = np.array([[abs(a % 3 - b % 3) for b in _ALL] for a in _ALL])
# Of FindingEmo's figure 13: leaves, plus a third for each ring.
DISTANCES: Float = LEAVES + RINGS / 3


def wheel_estimates(study: Reannotation, n_resamples: int = 1000, seed: int = 0) -> dict[str, Estimate]:
    """Agreement by distance on the wheel, with bootstrap intervals over images.

    Pairs of raters of one image are compared, each image with the weight of its number of raters; chance is two answers
    to any two images.

    Args:
        study: with answers on the wheel.
        n_resamples: number of resamples.
        seed: of the resampling.

    Returns:
        ``distance``: mean distance of two raters' answers to one image, in leaves plus thirds for rings, and
        ``distance_chance``; ``alpha``: Krippendorff's alpha with the squared distance; ``alpha_leaves``: the same of
        leaves alone; ``alpha_nominal``: of emotions as names; ``same`` and ``same_leaf``: shares of pairs with the same
        emotion and on the same leaf; ``by_leaves`` (5,): shares of pairs by leaves between them, and
        ``by_leaves_chance``. Empty without answers on the wheel.
    """
    if not study.wheel.size or not (study.wheel >= 0).any():
        return {}
    counts = count_votes(study.wheel, N_EMOTIONS).astype(np.float64)
    per_image = counts.sum(axis=1)
    comparable = per_image > 1
    counts = np.where(comparable[:, None], counts, 0.0)
    weight = np.where(comparable, 1 / np.maximum(per_image - 1, 1), 0.0)

    def observed(cost: Float) -> Float:
        """Sum of a cost over ordered pairs of raters of each image."""
        pairs = np.einsum("nk,kl,nl->n", counts, cost, counts) - counts @ np.diagonal(cost)
        return np.asarray(pairs * weight)

    costs: dict[str, Float] = {
        "distance": DISTANCES,
        "alpha": DISTANCES**2,
        "alpha_leaves": LEAVES.astype(np.float64) ** 2,
        "alpha_nominal": 1 - np.eye(N_EMOTIONS),
        **{f"leaves {d}": np.asarray(d == LEAVES, dtype=np.float64) for d in range(MOST + 1)},
    }
    features = {"votes": counts, **{name: observed(cost)[:, None] for name, cost in costs.items()}}

    def statistic(sums: Sums) -> dict[str, Float]:
        votes = sums["votes"]
        n = votes.sum(axis=-1)

        def found(name: str) -> Float:
            return divide(sums[name][:, 0], n)

        def by_chance(name: str) -> Float:
            cost = costs[name]
            pairs = np.einsum("bk,kl,bl->b", votes, cost, votes) - votes @ np.diagonal(cost)
            return divide(pairs, n * (n - 1))

        levels = [f"leaves {d}" for d in range(MOST + 1)]
        return {
            "distance": found("distance"),
            "distance_chance": by_chance("distance"),
            **{name: 1 - divide(found(name), by_chance(name)) for name in ("alpha", "alpha_leaves", "alpha_nominal")},
            "same": 1 - found("alpha_nominal"),
            "same_leaf": found("leaves 0"),
            "by_leaves": np.stack([found(name) for name in levels], axis=-1),
            "by_leaves_chance": np.stack([by_chance(name) for name in levels], axis=-1),
        }

    return resample_sums(features, statistic, n_resamples, seed)


def distance_of_raters(study: Reannotation) -> Float:
    """Mean distance of each rater's answers from those of the others to the same images, shape (R,), NaN without."""
    counts = count_votes(study.wheel, N_EMOTIONS).astype(np.float64)
    found = np.full(len(study.wheel), np.nan)
    for r, row in enumerate(study.wheel):
        at = np.flatnonzero(row >= 0)
        others = counts[at]
        others[np.arange(len(at)), row[at]] -= 1
        n = others.sum(axis=1)
        if (n > 0).any():
            found[r] = ((DISTANCES[row[at]] * others).sum(axis=1)[n > 0] / n[n > 0]).mean()
    return found


def draw_wheel(study: Reannotation, estimates: dict[str, Estimate]) -> Figure | None:
    """Pairs of answers by distance next to chance, and which leaves meet in one image."""
    if not estimates:
        return None
    figure, axes = new_figure(9.6, 3.8, 2, width_ratios=[1.1, 1.0])
    left, right = axes[0]
    places = np.arange(MOST + 1)
    for shift, name, label, colour in (
        (-0.2, "by_leaves", "two raters of one image", "#3b6fb6"),
        (0.2, "by_leaves_chance", "answers to any two images", "#bdbdbd"),
    ):
        e = estimates[name]
        error = np.nan_to_num(np.maximum(0, np.stack([e.value - e.low, e.high - e.value])))
        left.bar(places + shift, e.value, 0.38, yerr=error, color=colour, capsize=2, label=label)
    left.set_xticks(places, ["same leaf", "1", "2", "3", "opposite"])
    left.set_xlabel("leaves between the two answers")
    left.set_ylabel("share of pairs")
    left.legend(frameon=False, fontsize=8)
    meets = leaf_pairs(study)
    rows = divide(meets, meets.sum(axis=1, keepdims=True))
    texts = np.array([["" if np.isnan(s) or s < 0.005 else f"{100 * s:.0f}" for s in row] for row in rows])
    heatmap(right, rows, 0, 1, "Blues", texts)
    names = [EMO24.names[3 * leaf + 1] for leaf in range(N_EMOTIONS // 3)]
    name_ticks(right, names)
    name_ticks(right, names, "y")
    right.set_xlabel("the other rater's leaf")
    right.set_ylabel("one rater's leaf")
    right.set_title("what others say where one chooses a leaf, in %")
    return figure


def leaf_pairs(study: Reannotation) -> Float:
    """How often two raters of one image chose two leaves, shape (8, 8), symmetric."""
    counts = count_votes(np.where(study.wheel >= 0, study.wheel // 3, -1), N_EMOTIONS // 3).astype(np.float64)
    return np.asarray(counts.T @ counts - np.diag(counts.sum(axis=0)))
