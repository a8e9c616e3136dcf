"""Figures of how robust and how fair a row is; drawn without a display, the same bytes from the same scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fer_bench.ensembles.curve import png_of
from fer_bench.metrics import is_share, title_of
from fer_bench.report.figures import BLUE, GREEN, GREY, ORANGE
from fer_bench.results.corruptions import FAMILIES, N_STRENGTHS, Corrupted, against_clean, mean_drop

# The fourth of Okabe and Ito's colours next to those of the other figures.
_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7")
_MARKERS = ("o", "s", "^", "D")


def draw_corrupted(runs: Sequence[Corrupted], title: str) -> bytes:
    """Score by strength of every corruption, one panel per family; dashed: the score on clean images.

    Args:
        runs: of one row, at least one; drawn are means over those in which a score is defined.
        title: above.

    Returns:
        A PNG file.
    """
    metric = runs[0].metric
    factor = 100 if is_share(metric) else 1
    clean = _mean([[run.clean] for run in runs])[0] * factor
    figure = Figure(figsize=(9.8, 6.4), layout="constrained")
    figure.suptitle(f"{title}: {_summary(runs, metric)}", fontsize=11)
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, (family, titles) in zip(panels.flat, FAMILIES.items(), strict=True):
        axes.axhline(clean, color=GREY, linewidth=1.1, linestyle="--", label="clean")
        for (name, label), colour, marker in zip(titles.items(), _COLOURS, _MARKERS, strict=False):
            scores = [run.scores[name] for run in runs if len(run.scores.get(name) or ()) == N_STRENGTHS]
            if scores:
                drawn = np.concatenate([[clean], factor * _mean(scores)])
                axes.plot(
                    range(N_STRENGTHS + 1),
                    drawn,
                    color=colour,
                    marker=marker,
                    markersize=4.5,
                    linewidth=1.6,
                    label=label,
                )
        axes.set_title(family, fontsize=10)
        axes.set_xticks(range(N_STRENGTHS + 1), ["clean", *map(str, range(1, N_STRENGTHS + 1))])
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False, loc="best")
    for axes in panels[1]:
        axes.set_xlabel("strength")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{title_of(metric)}{' (%)' if factor == 100 else ''}")
    return png_of(figure)


def _summary(runs: Sequence[Corrupted], metric: str) -> str:
    both = mean_drop({run.run_id: run for run in runs})
    name = title_of(metric)
    if both is None:
        return f"{name} is undefined on some corrupted images"
    mean, drop = both
    text = f"{100 * mean:.1f} %" if is_share(metric) else f"{mean:.3f}"
    return f"{name} {text} on corrupted images" + ("" if drop is None else f", {against_clean(drop)} ones")


def _mean(rows: Sequence[Sequence[float | None]]) -> npt.NDArray[np.float64]:
    """Mean over rows of what is defined; NaN where nothing is."""
    table = np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)
    counts = (~np.isnan(table)).sum(axis=0)
    return np.asarray(np.where(counts > 0, np.nansum(table, axis=0) / np.maximum(counts, 1), np.nan))


def draw_groups(
    rows: Sequence[tuple[str, int, float, tuple[float, float] | None, bool]],
    whole: float,
    label: str,
    title: str,
    *,
    per_cent: bool,
) -> bytes:
    """Score of each group with its interval; dashed: of all samples; grey: too small to be compared.

    Args:
        rows: name, number of samples, score, interval, whether it is large enough.
        whole: score of all samples.
        label: name of the score.
        title: above.
        per_cent: whether the scores are shares, which are shown in per cent.

    Returns:
        A PNG file.
    """
    factor = 100 if per_cent else 1
    figure = Figure(figsize=(7.6, max(2.2, 0.36 * len(rows) + 1.3)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(factor * whole, color=GREY, linewidth=1.1, linestyle="--", label="all samples")
    for place, (_, _, value, interval, large) in enumerate(rows):
        colour = BLUE if large else GREY
        if interval:
            axes.plot(
                [factor * interval[0], factor * interval[1]],
                [place, place],
                color=colour,
                alpha=0.35,
                linewidth=7,
                solid_capstyle="butt",
            )
        axes.plot(factor * value, place, marker="o", markersize=6, color=colour, markeredgecolor="white")
    names = [name if len(name) <= 40 else name[:39] + "…" for name, *_ in rows]
    axes.set_yticks(
        range(len(rows)), [f"{name} ({n})" for name, (_, n, *_) in zip(names, rows, strict=True)], fontsize=9
    )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"{label} on test{' (%)' if per_cent else ''}; wide: 95 % interval", fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return png_of(figure)
