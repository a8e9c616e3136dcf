"""Figures of votes: categories, confusion, kept labels, agreement between raters, voting patterns of people and
networks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_bench.scoring.undefined import divide
from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.drawing import colours, heatmap, name_ticks, new_figure, save_png
from fer_bench.studies.reannotation.figures_affect import (
    affect_distributions,
    affect_networks,
    affect_scatter,
    affect_spread,
)
from fer_bench.studies.reannotation.figures_examples import examples
from fer_bench.studies.reannotation.networks import pattern, rater_matrix
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.shift import confusion
from fer_bench.studies.reannotation.study import AFFECT, Float
from fer_bench.studies.reannotation.wheel import draw_wheel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_all(analysis: Analysis, folder: Path, images: Path | None = None) -> dict[str, str]:
    """Draw every figure that the study has data for.

    Args:
        analysis: the numbers.
        folder: where the PNG files go.
        images: folder with the study's images, for examples of them; None: no examples.

    Returns:
        Figure name to file name.
    """
    figures: dict[str, Callable[[Analysis], Figure | None]] = {
        "votes": votes_per_category,
        "confusion": original_to_vote,
        "kept": kept_and_ceiling,
        "raters": rater_matrices,
        "bias": rater_bias,
        "patterns": voting_patterns,
        "affect": affect_scatter,
        "affect_distributions": affect_distributions,
        "affect_spread": affect_spread,
        "affect_networks": affect_networks,
        "wheel": lambda analysis: draw_wheel(analysis.study, analysis.wheel),
        "examples": lambda analysis: examples(analysis, images) if images else None,
    }
    drawn = {}
    for name, draw in figures.items():
        figure = draw(analysis)
        if figure is not None:
            drawn[name] = save_png(figure, folder / f"{name}.png").name
    return drawn


def votes_per_category(analysis: Analysis) -> Figure | None:
    """Share of each category among people's votes (box plots over raters, if known) next to the original labels (the
    paper's figure 3a).
    """
    if not analysis.votes:
        return None
    study = analysis.study
    figure, axes = new_figure(6.4, 3.4)
    axis = axes[0, 0]
    places = np.arange(len(study.categories))
    if analysis.raters:
        shares = np.stack(
            [np.bincount(row[row >= 0], minlength=len(places)) / max(1, (row >= 0).sum()) for row in study.expression]
        )
        parts = axis.boxplot(
            shares,
            positions=places,
            widths=0.55,
            patch_artist=True,
            medianprops={"color": "black"},
            flierprops={"markersize": 3},
        )
        for k, box in enumerate(parts["boxes"]):
            box.set(facecolor=colours(len(places))[k], linewidth=0.7)
    else:
        estimate = analysis.votes["vote_share"]
        axis.bar(
            places,
            estimate.value,
            0.6,
            yerr=_error_bars(estimate),
            color=colours(len(places)),
            ecolor="black",
            capsize=2,
            label="votes",
        )
    if "original_share" in analysis.votes:
        share = analysis.votes["original_share"].value
        axis.plot(
            places[: len(share)],
            share,
            color="#d95f02",
            marker="o",
            markersize=4,
            linewidth=1.2,
            label="original labels of these images",
        )
    if study.reference is not None:
        axis.plot(
            places[: len(study.reference)],
            study.reference,
            color="#3b6fb6",
            marker="s",
            markersize=4,
            linewidth=1.2,
            label="whole dataset",
        )
    name_ticks(axis, study.categories)
    axis.set_ylabel("share")
    axis.set_ylim(0)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize=8)
    axis.set_title("Votes of each rater per category" if analysis.raters else "Votes per category")
    return figure


def original_to_vote(analysis: Analysis) -> Figure | None:
    """Original label to max vote, share of each label's images, ties shared (figure 3b)."""
    if "kept_votes" not in analysis.votes:
        return None
    study = analysis.study
    cells = confusion(study)
    rows = np.flatnonzero(cells.sum(axis=1) > 0)
    shares = divide(cells[rows], cells[rows].sum(axis=1, keepdims=True))
    figure, axes = new_figure(6.4, 0.9 + 0.42 * len(rows))
    axis = axes[0, 0]
    texts = np.array([["" if s < 0.005 else f"{100 * s:.0f}" for s in row] for row in shares])
    heatmap(axis, shares, 0, 1, "Blues", texts)
    name_ticks(axis, study.categories)
    name_ticks(axis, [f"{study.categories[r]} ({round(cells[r].sum())})" for r in rows], "y")
    axis.set_xlabel("max vote")
    axis.set_ylabel("original label (images)")
    axis.set_title("Where the images of each label went, in %")
    return figure


def kept_and_ceiling(analysis: Analysis) -> Figure | None:
    """Share of votes and of max votes that kept the label, per category, and the human ceiling, with 95 % intervals."""
    if "kept_votes" not in analysis.votes:
        return None
    study = analysis.study
    n = len(study.label_set)
    series = {
        "votes that kept the label": analysis.votes["kept_votes_per_category"],
        "max votes that kept the label": analysis.votes["kept_max_per_category"],
        "one vote against the majority of the others": Estimate(
            *(part[:n] for part in analysis.votes["ceiling_per_category"])
        ),
    }
    figure, axes = new_figure(6.4, 3.3)
    axis = axes[0, 0]
    for k, (label, estimate) in enumerate(series.items()):
        axis.bar(
            np.arange(n) + 0.27 * (k - 1),
            estimate.value,
            0.26,
            yerr=_error_bars(estimate),
            color=("#9ecae1", "#3182bd", "#bdbdbd")[k],
            capsize=1.5,
            label=label,
        )
    name_ticks(axis, study.categories[:n])
    axis.set_ylim(0, 1.25)
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("share")
    axis.legend(frameon=False, fontsize=8, loc="upper center", ncols=2)
    return figure


def rater_matrices(analysis: Analysis) -> Figure | None:
    """Correlations between raters, networks as further raters (figure 7; expressions image by image)."""
    matrices = [
        (what, m)
        for what in ("expression", *AFFECT)
        if (m := rater_matrix(analysis.study, analysis.networks, what)) is not None
    ]
    if not matrices:
        return None
    figure, axes = new_figure(3.5 * len(matrices), 3.4, len(matrices))
    for axis, (what, (names, matrix)) in zip(axes[0], matrices, strict=True):
        heatmap(axis, matrix, 0, 1, "viridis")
        name_ticks(axis, names)
        name_ticks(axis, names, "y")
        axis.tick_params(labelsize=6)
        axis.tick_params(axis="x", labelrotation=90)
        for label in axis.get_xticklabels():
            label.set(ha="center", rotation_mode="default")
        axis.set_title(what)
        if len(names) > len(analysis.study.raters):
            edge = len(analysis.study.raters) - 0.5
            axis.axhline(edge, color="white")
            axis.axvline(edge, color="white")
    figure.colorbar(axes[0, 0].images[0], ax=axes[0].tolist(), shrink=0.8, label="correlation")
    return figure


def rater_bias(analysis: Analysis) -> Figure | None:
    """Which categories each rater prefers, and who rates higher than the others."""
    if not analysis.raters and not analysis.affect:
        return None
    study = analysis.study
    panels = (["expression"] if analysis.raters else []) + list(analysis.affect)
    figure, axes = new_figure(
        4.2 + 1.9 * len(analysis.affect),
        3.4,
        len(panels),
        width_ratios=[2.0 if p == "expression" else 1.0 for p in panels],
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        if panel == "expression":
            bias = analysis.raters["bias"].value
            limit = max(0.05, float(np.nanmax(np.abs(bias))))
            heatmap(axis, bias, -limit, limit, "RdBu_r", np.array([[str(round(100 * b)) for b in row] for row in bias]))
            name_ticks(axis, study.categories)
            axis.set_title("share of votes, minus others' (points)")
        else:
            estimate = analysis.affect[panel]["offset"]
            axis.errorbar(
                estimate.value,
                range(len(study.raters)),
                xerr=_error_bars(estimate),
                fmt="o",
                markersize=4,
                color="#3b6fb6",
                capsize=2,
            )
            axis.axvline(0, color="#999999", linewidth=0.8)
            axis.set_ylim(len(study.raters) - 0.5, -0.5)
            axis.set_title(f"{panel} offset")
        name_ticks(axis, study.raters, "y")
    return figure


def voting_patterns(analysis: Analysis) -> Figure | None:
    """Shares of the classes among answers of people, labels and networks, and the correlations of these patterns
    (figure 8).
    """
    patterns = named_patterns(analysis)
    if len(patterns) < 2:
        return None
    names = list(patterns)
    figure, axes = new_figure(9.6, 4.2, 2, width_ratios=[1.4, 1.0])
    left, right = axes[0]
    for k, (name, share) in enumerate(patterns.items()):
        left.plot(
            share,
            marker="o",
            markersize=3.5,
            linewidth=2.2 if name == "people" else 1.2,
            color="#59a14f" if name == "people" else _line_colour(k),
            label=name,
        )
    name_ticks(left, analysis.study.label_set.names)
    left.set_ylabel("share of answers")
    left.set_ylim(0)
    # Names of networks are long: next to the curves they would cover them.
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    matrix = pattern_correlations(patterns)
    heatmap(
        right,
        matrix,
        -1,
        1,
        "RdBu_r",
        np.array([["n/a" if np.isnan(c) else f"{c:.2f}" for c in row] for row in matrix]),
    )
    name_ticks(right, names)
    name_ticks(right, names, "y")
    right.set_title("correlation of patterns")
    return figure


def named_patterns(analysis: Analysis) -> dict[str, Float]:
    """Shares of the C classes, shape (C,), 0 to 1: people's votes, original labels, the whole dataset, every
    classifying network.
    """
    study, n = analysis.study, len(analysis.study.label_set)
    if not analysis.votes:
        return {}
    votes = study.counts[:, :n].sum(axis=0)
    patterns = {"people": divide(votes, votes.sum())}
    if "original_share" in analysis.votes:
        patterns["original labels"] = analysis.votes["original_share"].value
    if study.reference is not None:
        patterns["whole dataset"] = study.reference
    return patterns | {network.name: pattern(network, n) for network in analysis.networks if network.n_expressions}


def pattern_correlations(patterns: dict[str, Float]) -> Float:
    """PCC of each pair of P patterns of shape (C,): shape (P, P), NaN where one is even."""
    table = np.stack(list(patterns.values()))
    centred = table - table.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=1))
    return divide(centred @ centred.T, np.outer(length, length))


def _error_bars(estimate: Estimate) -> Float:
    return np.nan_to_num(np.maximum(0, np.stack([estimate.value - estimate.low, estimate.high - estimate.value])))


def _line_colour(k: int) -> str:
    return ("#59a14f", "#d95f02", "#3b6fb6", "#7570b3", "#e7298a", "#a6761d", "#666666", "#1b9e77")[k % 8]
