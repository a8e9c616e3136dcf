"""How much another member helps: number of members against the score of every rule (figure 3 of An, Liu and Zheng
2020).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.ensembles.selection import as_gain, kind_of, metric_of
from fer_bench.ensembles.votes import RULES, VALUE_RULES, Float, Rule, is_weighted, prefixes, rules_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS: dict[Rule, str] = {
    "majority": "#0072B2",
    "weighted": "#E69F00",
    "soft": "#009E73",
    "mean": "#009E73",
    "weighted_mean": "#E69F00",
}
_MARKERS: dict[Rule, str] = {"majority": "o", "weighted": "s", "soft": "^", "mean": "^", "weighted_mean": "s"}


def rule_curves(
    outputs: Sequence[npt.ArrayLike],
    targets: npt.NDArray[Any],
    weights: Sequence[float],
    metric: str = "",
    middle: float = 0.0,
) -> dict[str, list[float]]:
    """Score of the first member, the first two, ... and all M, by every rule.

    Args:
        outputs: M arrays (N, C), in the order in which members are added.
        targets: shape (N,), or (N, D) of values, whose rules are others.
        weights: M numbers, of the rules that weigh.
        metric: as :func:`~fer_bench.ensembles.selection.metric_of` takes it.
        middle: of the scale of values.

    Returns:
        M scores of each rule.
    """
    return {
        rule: [
            _score(joint, targets, metric, middle)
            for joint in prefixes(rule, outputs, weights if is_weighted(rule) else None)
        ]
        for rule in rules_of(kind_of(targets))
    }


def best_size(scores: Sequence[float], metric: str = "") -> int:
    """The number of members, at least two, with the best score; the smallest of equal ones."""
    return 2 + int(np.argmax(as_gain(scores, metric)[1:]))


def draw_curve(curve: Mapping[str, Any], rule: Rule, n_members: int, scores: Mapping[str, float | None]) -> bytes:
    """Draw the curves of validation and test side by side.

    Args:
        curve: ``metric``, ``order`` and, of ``validation`` and ``test``, the curves of :func:`rule_curves`.
        rule: of the ensemble.
        n_members: of the ensemble.
        scores: of the ensemble, by split.

    Returns:
        A PNG file; the same curve always gives the same bytes.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    name = str(curve["metric"])
    rules = [each for each in (*RULES, *VALUE_RULES) if each in curve["test"]]
    factor = 100 if metrics.is_share(name) else 1
    for axes, split in zip(panels, ("validation", "test"), strict=True):
        numbers = np.arange(1, len(curve[split][rules[0]]) + 1)
        for each in rules:
            width = 2.0 if each == rule else 1.1
            axes.plot(
                numbers,
                factor * np.array(curve[split][each]),
                marker=_MARKERS[each],
                markersize=4,
                linewidth=width,
                color=_COLOURS[each],
                label=each.replace("_", " "),
            )
        own = scores.get(split)
        if own is not None:
            label = f"this ensemble: {n_members} of {len(numbers)}, {metrics.in_units(own, name)}"
            axes.plot(
                [n_members],
                [factor * own],
                marker="*",
                markersize=15,
                linestyle="none",
                color="#D55E00",
                markeredgecolor="white",
                label=label,
                zorder=5,
            )
        axes.set_title(split)
        axes.set_xlabel(f"number of members, best on {curve['order']} first")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False, loc="best")
    panels[0].set_ylabel(f"{metrics.in_words(name)}{' (%)' if factor == 100 else ''}")
    return png_of(figure)


def png_of(figure: Figure, dpi: int = 100, colours: int = 128) -> bytes:
    """A figure as a PNG file with a palette: a third of the bytes, which matter in a repository of results; the same
    figure always gives the same bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # savefig draws a figure with a layout twice, and writes a PNG that would have to be read again.
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    small = drawn.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    png = io.BytesIO()
    small.save(png, format="PNG", optimize=True)
    return png.getvalue()


def _score(joint: Float, targets: npt.NDArray[Any], metric: str, middle: float) -> float:
    # As it would be stored: in single precision.
    return float(metric_of(joint.astype(np.float32).astype(np.float64)[None], targets, metric, middle)[0])
