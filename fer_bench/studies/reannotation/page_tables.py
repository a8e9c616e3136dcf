"""Sections of the page that print what otherwise stands only in a picture, and what other people would have said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.figures import named_patterns, pattern_correlations
from fer_bench.studies.reannotation.networks import rater_matrix
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.study import AFFECT, Float, sd_over_raters
from fer_bench.studies.reannotation.wheel import MOST, distance_of_raters

Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]
Shown = Callable[..., str]


def matrices(analysis: Analysis) -> dict[str, tuple[list[str], Float]]:
    """Correlation matrices by what they are of: raters on expression, valence and arousal, and voting patterns."""
    found = {
        f"raters, {what}": rater_matrix(analysis.study, analysis.networks, what) for what in ("expression", *AFFECT)
    }
    patterns = named_patterns(analysis)
    if len(patterns) > 1:
        found["voting patterns"] = (list(patterns), pattern_correlations(patterns))
    return {name: matrix for name, matrix in found.items() if matrix is not None}


def matrix_table(names: Sequence[str], values: Float, table: Table) -> str:
    """A correlation matrix as a table, below its diagonal."""
    rows = [
        [name, *("" if j > i else "–" if np.isnan(value) else f"{value:.2f}" for j, value in enumerate(values[i]))]
        for i, name in enumerate(names)
    ]
    return table(("", *names), rows)


def people(analysis: Analysis, table: Table) -> str:
    """Intervals over images, over raters, and over both."""
    if not analysis.people:
        return ""

    def interval(ends: tuple[float, float]) -> str:
        return "–" if np.isnan(ends[0]) else f"[{ends[0]:.3f}, {ends[1]:.3f}]"

    rows = [[name, f"{r.value:.3f}", *map(interval, r[1:])] for name, r in analysis.people.items()]
    text = (
        "How much the main numbers would change with other images, with other raters (resampled with replacement; a"
        " rater is never compared with a copy of itself), and with both."
    )
    header = ("measure", "value", "other images", "other raters", "other images and raters")
    return f"## Other images and other people\n\n{text}\n\n{table(header, rows)}"


def spread_table(analysis: Analysis, table: Table) -> str:
    """Ratings by category: their mean where raters chose it, and their deviation over raters where it won."""
    study = analysis.study
    if not analysis.affect or not analysis.votes or not study.expression.size:
        return ""
    names = list(analysis.affect)
    header = ["category", "images by max vote", *(f"{name}: mean where chosen" for name in names)]
    header += [f"{name}: median SD over raters" for name in names]
    ratings = {name: study.valence if name == "valence" else study.arousal for name in names}
    rows = []
    for k, category in enumerate(study.categories):
        won = analysis.max_vote == k
        means = [_mean(values[(study.expression == k) & ~np.isnan(values)]) for values in ratings.values()]
        deviations = [_median(sd_over_raters(values)[won]) for values in ratings.values()]
        rows.append([category, f"{int(won.sum()):,}", *means, *deviations])
    return table(header, rows)


def wheel(analysis: Analysis, table: Table, shown: Shown, figure: str) -> str:
    """Agreement by distance on Plutchik's wheel."""
    if not analysis.wheel:
        return ""
    found, study = analysis.wheel, analysis.study
    rows = [
        ("mean distance of two raters' answers (leaves, plus a third per ring)", shown(found["distance"])),
        ("the same of answers to any two images", shown(found["distance_chance"])),
        ("Krippendorff's alpha, squared distance", shown(found["alpha"])),
        ("Krippendorff's alpha, squared distance of leaves", shown(found["alpha_leaves"])),
        ("Krippendorff's alpha, emotions as names", shown(found["alpha_nominal"])),
        ("pairs with the same emotion, %", shown(found["same"], percent=True)),
        ("pairs on the same leaf, %", shown(found["same_leaf"], percent=True)),
    ]
    levels = ["same leaf", *map(str, range(1, MOST)), "opposite"]

    def shares(estimate: Estimate) -> list[str]:
        return [shown(estimate, d, percent=True) for d in range(MOST + 1)]

    raters = [
        [name, "–" if np.isnan(d) else f"{d:.2f}"]
        for name, d in zip(study.raters, distance_of_raters(study), strict=True)
    ]
    parts = [
        "## Distance on Plutchik's wheel",
        figure,
        table(("measure", "value [95 % interval]"), rows),
        table(
            ("leaves between two answers, % of pairs", *levels),
            [
                ["two raters of one image", *shares(found["by_leaves"])],
                ["answers to any two images", *shares(found["by_leaves_chance"])],
            ],
        ),
        table(("rater", "mean distance from the others"), raters),
    ]
    return "\n\n".join(p for p in parts if p)


def _mean(values: Float) -> str:
    return f"{values.mean():.2f}" if len(values) else "–"


def _median(values: Float) -> str:
    known = values[~np.isnan(values)]
    return f"{np.median(known):.2f}" if len(known) else "–"
