"""Figures of valence and arousal: where images are, how ratings scatter, networks against people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.drawing import colours, name_ticks, new_figure
from fer_bench.studies.reannotation.networks import EARLIER
from fer_bench.studies.reannotation.study import AFFECT, Float, Int, mean_over_raters, sd_over_raters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def affect_scatter(analysis: Analysis) -> Figure | None:
    """Mean valence and arousal of each image, coloured by max vote and by original label (figure 4); below those of
    the original annotation.
    """
    if set(analysis.affect) != set(AFFECT):
        return None
    study = analysis.study
    sources = {"people": (mean_over_raters(study.valence), mean_over_raters(study.arousal))}
    sources |= {n.name: (n.valence, n.arousal) for n in analysis.networks if n.name == EARLIER}
    panels = _colourings(analysis)
    figure, axes = new_figure(4.0 * len(panels) + 0.8, 3.6 * len(sources), len(panels), len(sources))
    for row, (source, (valence, arousal)) in zip(axes, sources.items(), strict=True):
        for axis, (title, classes) in zip(row, panels, strict=True):
            _coloured_points(axis, valence, arousal, classes, study.categories)
            axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel="valence", ylabel="arousal")
            axis.set_title(f"{source}, by {title}" if len(sources) > 1 else f"coloured by {title}")
    _legend(figure, axes[0, -1], analysis, [classes for _, classes in panels])
    return figure


def affect_distributions(analysis: Analysis) -> Figure | None:
    """Ratings of answers that chose each expression (figure 5)."""
    study = analysis.study
    if not analysis.affect or not study.expression.size:
        return None
    figure, axes = new_figure(3.8 * len(analysis.affect) + 0.4, 3.4, len(analysis.affect))
    chosen = [k for k in range(len(study.categories)) if (study.expression == k).sum() > 1]
    for axis, name in zip(axes[0], analysis.affect, strict=True):
        ratings = study.valence if name == "valence" else study.arousal
        for place, k in enumerate(chosen):
            values = ratings[(study.expression == k) & ~np.isnan(ratings)]
            _histogram_beside(axis, place, values, colours(len(study.categories))[k])
        name_ticks(axis, [study.categories[k] for k in chosen])
        axis.set_ylim(-1.18, 1.18)
        axis.set_ylabel(name)
        axis.set_title(f"{name} per chosen expression")
    return figure


def affect_spread(analysis: Analysis) -> Figure | None:
    """Standard deviation over raters of each image's ratings, by max vote (figure 6)."""
    study = analysis.study
    if not analysis.affect or not analysis.votes:
        return None
    figure, axes = new_figure(3.8 * len(analysis.affect) + 0.4, 3.2, len(analysis.affect))
    chosen = [k for k in range(len(study.categories)) if (analysis.max_vote == k).any()]
    for axis, name in zip(axes[0], analysis.affect, strict=True):
        spread = sd_over_raters(study.valence if name == "valence" else study.arousal)
        values = [spread[(analysis.max_vote == k) & ~np.isnan(spread)] for k in chosen]
        parts = axis.boxplot(
            values,
            positions=range(len(chosen)),
            widths=0.55,
            patch_artist=True,
            medianprops={"color": "black"},
            flierprops={"markersize": 2},
        )
        for k, box in zip(chosen, parts["boxes"], strict=True):
            box.set(facecolor=colours(len(study.categories))[k], linewidth=0.7)
        name_ticks(axis, [study.categories[k] for k in chosen])
        axis.set_ylim(0)
        axis.set_title(f"SD of {name} over raters")
    return figure


def affect_networks(analysis: Analysis) -> Figure | None:
    """Networks against the mean of people, by max vote and by original label (figures 9 and 10)."""
    study = analysis.study
    pairs = [(n, name) for n in analysis.networks for name in AFFECT if (n.name, name) in analysis.network_affect]
    if not pairs:
        return None
    panels = _colourings(analysis)
    figure, axes = new_figure(3.4 * len(panels) + 0.8, 2.9 * len(pairs), len(panels), len(pairs))
    for row, (network, name) in zip(axes, pairs, strict=True):
        people = mean_over_raters(study.valence if name == "valence" else study.arousal)
        for axis, (title, classes) in zip(row, panels, strict=True):
            _coloured_points(axis, people, network.affect(name), classes, study.categories)
            axis.plot([-1, 1], [-1, 1], color="#999999", linewidth=0.8)
            axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel=f"people, {name}", ylabel=network.name)
            axis.set_title(f"{name} by {title}")
    _legend(figure, axes[0, -1], analysis, [classes for _, classes in panels])
    return figure


def _colourings(analysis: Analysis) -> list[tuple[str, Int]]:
    panels = [("max vote", analysis.max_vote)] if analysis.votes else []
    if (analysis.study.original >= 0).any():
        panels.append(("original label", analysis.study.original))
    return panels or [("nothing", np.full(len(analysis.study.ids), -1))]


def _coloured_points(axis: Axes, x: Float, y: Float, classes: Int, names: tuple[str, ...]) -> None:
    # A fixed shuffle, so that no category hides the others.
    order = np.random.default_rng(0).permutation(len(x))
    of_class = np.array([*colours(len(names)), "#dddddd"])
    axis.scatter(x[order], y[order], s=7, c=of_class[classes[order]], linewidths=0)


def _legend(figure: Figure, axis: Axes, analysis: Analysis, used: list[Int]) -> None:
    from matplotlib.lines import Line2D

    present = [k for k in range(len(analysis.study.categories)) if any((classes == k).any() for classes in used)]
    of_class = colours(len(analysis.study.categories))
    marks = [
        Line2D([], [], marker="o", linestyle="", markersize=5, color=of_class[k], label=analysis.study.categories[k])
        for k in present
    ]
    if marks:
        axis.legend(handles=marks, frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _histogram_beside(axis: Axes, place: int, values: Float, colour: str) -> None:
    """A vertical histogram, widest bar 0.8, and the mean as a line."""
    # A bar for each point of a scale of seven, else of nine.
    points = 7 if np.allclose(values * 3, np.round(values * 3)) else 9
    step = 2 / (points - 1)
    edges = np.linspace(-1 - step / 2, 1 + step / 2, points + 1)
    shares = np.histogram(values, edges)[0].astype(np.float64)
    if not shares.any():
        return
    widths = 0.8 * shares / shares.max()
    axis.barh((edges[1:] + edges[:-1]) / 2, widths, height=0.92 * step, left=place - widths / 2, color=colour)
    axis.plot([place - 0.4, place + 0.4], [values.mean()] * 2, color="black", linewidth=1)
