"""Where values are and where they are wrong: the circumplex, regions of it, residuals, and traces of clips."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_bench.ensembles.curve import png_of
from fer_bench.report.figures import BLUE, GREY, ORANGE
from fer_bench.scoring.regression import answer_missing

Float = npt.NDArray[np.float64]
Scale = tuple[float, float]
_BINS = 41
_REGIONS = 7
# A region with fewer samples says nothing of its mean.
_FEWEST = 3
_MOST_CLIPS = 6


def answered(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> tuple[Float, Float]:
    """Both (N, D) in float64, without the samples that have no answer."""
    truth, found = np.asarray(targets, dtype=np.float64), np.asarray(outputs, dtype=np.float64)
    kept: npt.NDArray[np.bool_] = np.asarray(~np.isnan(found).any(axis=1))
    return truth[kept], found[kept]


def circumplex(truth: Float, found: Float, names: Sequence[str], scale: Scale, title: str) -> bytes:
    """Where labels and predictions are: of two dimensions their joint density on the circumplex, of others a histogram
    of each.

    Args:
        truth: shape (N, D), in the dataset's units.
        found: shape (N, D), predictions; what is beyond the scale is shown at its ends.
        names: of the D dimensions.
        scale: (low, high).
        title: above.
    """
    found = found.clip(*scale)
    if len(names) != 2:
        figure = Figure(figsize=(4.4 * len(names) + 0.4, 3.6), layout="constrained")
        for d, (axes, name) in enumerate(zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
            for values, label, colour in ((truth, "labels", GREY), (found, "predictions", BLUE)):
                axes.hist(values[:, d], bins=_BINS, range=scale, color=colour, alpha=0.55, label=label)
            axes.set_xlabel(name)
            axes.set_ylabel("samples")
            axes.legend(fontsize=8, frameon=False)
        figure.suptitle(title, fontsize=11)
        return png_of(figure)
    figure = Figure(figsize=(9.2, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, values, label in zip(panels, (truth, found), ("labels", "predictions"), strict=True):
        draw_density(axes, values, names, scale)
        axes.set_title(label, fontsize=10)
    return png_of(figure)


def label_distributions(splits: Mapping[str, npt.ArrayLike], names: Sequence[str], scale: Scale, title: str) -> bytes:
    """Where the labels of each split are: of two dimensions their joint density, of others a histogram of each.

    Args:
        splits: labels (N, D) by name of the split, N at least 1, in the dataset's units.
        names: of the D dimensions.
        scale: (low, high).
        title: above.
    """
    joint = len(names) == 2
    rows, columns = (1, len(splits)) if joint else (len(names), len(splits))
    figure = Figure(figsize=(4.2 * columns + 0.4, (4.4 if joint else 2.9) * rows + 0.3), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(rows, columns, squeeze=False)
    for column, (split, given) in enumerate(splits.items()):
        values = np.asarray(given, dtype=np.float64).clip(*scale)
        panels[0, column].set_title(f"{split} ({len(values):,})", fontsize=10)
        if joint:
            draw_density(panels[0, column], values, names, scale)
            continue
        for d, name in enumerate(names):
            panels[d, column].hist(values[:, d], bins=_BINS, range=scale, color=BLUE)
            panels[d, column].set_xlabel(name)
            panels[d, column].set_ylabel("samples")
    return png_of(figure)


def draw_density(axes: Axes, values: Float, names: Sequence[str], scale: Scale) -> None:
    """Joint density of values (N, 2) within the circle that the scale spans; the darker, the more samples."""
    counts, edges, _ = np.histogram2d(values[:, 0], values[:, 1], bins=_BINS, range=(scale, scale))
    axes.pcolormesh(edges, edges, np.log1p(counts.T), cmap="Blues")
    _circle(axes, scale)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])


def error_by_region(truth: Float, found: Float, names: Sequence[str], scale: Scale, title: str) -> bytes:
    """Root mean squared error by the region of the label, and where the predictions for a region are on average.

    Args:
        truth: shape (N, D).
        found: shape (N, D).
        names: of the D dimensions.
        scale: (low, high).
        title: above.

    Returns:
        Of two dimensions a map with arrows from the mean label of a region to the mean prediction for it, and the
        number of samples in each; of others a panel each, error against label.
    """
    edges = np.linspace(*scale, _REGIONS + 1)
    place = np.clip(np.digitize(truth, edges) - 1, 0, _REGIONS - 1)
    squared = (found - truth) ** 2
    if len(names) != 2:
        figure = Figure(figsize=(4.4 * len(names) + 0.4, 3.6), layout="constrained")
        for d, (axes, name) in enumerate(zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
            n = np.bincount(place[:, d], minlength=_REGIONS)
            error = np.sqrt(np.bincount(place[:, d], squared[:, d], _REGIONS) / np.maximum(n, 1))
            axes.bar((edges[:-1] + edges[1:]) / 2, np.where(n >= _FEWEST, error, 0), np.diff(edges) * 0.9, color=BLUE)
            axes.set_xlabel(f"label of {name}")
            axes.set_ylabel("RMSE")
        figure.suptitle(title, fontsize=11)
        return png_of(figure)
    cell = place[:, 0] * _REGIONS + place[:, 1]
    cells = _REGIONS * _REGIONS
    n = np.bincount(cell, minlength=cells)
    shown = n >= _FEWEST
    error = np.sqrt(np.bincount(cell, squared.mean(axis=1), cells) / np.maximum(n, 1))
    start, end = (
        np.stack([np.bincount(cell, values[:, d], cells) for d in (0, 1)]) / np.maximum(n, 1)
        for values in (truth, found)
    )
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(edges, edges, np.where(shown, error, np.nan).reshape(_REGIONS, -1).T, cmap="YlOrRd", vmin=0)
    figure.colorbar(mesh, ax=axes, label="RMSE, mean over both", shrink=0.85)
    gap = end - start
    axes.quiver(
        *start[:, shown],
        *gap[:, shown],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.005,
        color="black",
    )
    middles = (edges[:-1] + edges[1:]) / 2
    for i in np.flatnonzero(n):
        axes.annotate(
            str(n[i]),
            (middles[i // _REGIONS], edges[i % _REGIONS]),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color="#404040",
        )
    _circle(axes, scale)
    axes.set_xlabel(f"label of {names[0]}")
    axes.set_ylabel(f"label of {names[1]}")
    axes.set_title(title, fontsize=10)
    return png_of(figure)


def residuals(truth: Float, found: Float, names: Sequence[str], scale: Scale, title: str) -> bytes:
    """Predicted minus true value against the true one: density, and the mean in each of seven bands.

    Args:
        truth: shape (N, D).
        found: shape (N, D).
        names: of the D dimensions.
        scale: (low, high).
        title: above.
    """
    gap, reach = found - truth, scale[1] - scale[0]
    figure = Figure(figsize=(4.7 * len(names) + 0.4, 4.0), layout="constrained")
    figure.suptitle(title, fontsize=11)
    edges = np.linspace(*scale, _REGIONS + 1)
    for d, (axes, name) in enumerate(zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
        shown = gap[:, d].clip(-reach, reach)
        largest = float(np.abs(shown).max()) if len(shown) else 1.0
        counts, x, y = np.histogram2d(
            truth[:, d], shown, bins=_BINS, range=(scale, (-max(largest, 1e-6), max(largest, 1e-6)))
        )
        axes.pcolormesh(x, y, np.log1p(counts.T), cmap="Blues")
        axes.axhline(0, color="black", linewidth=1, linestyle="--")
        place = np.clip(np.digitize(truth[:, d], edges) - 1, 0, _REGIONS - 1)
        n = np.bincount(place, minlength=_REGIONS)
        means = np.bincount(place, gap[:, d], _REGIONS) / np.maximum(n, 1)
        kept = n >= _FEWEST
        axes.plot(
            ((edges[:-1] + edges[1:]) / 2)[kept], means[kept], color=ORANGE, marker="o", markersize=4, label="mean"
        )
        bias, spread = (float(gap[:, d].mean()), float(gap[:, d].std())) if len(gap) else (0.0, 0.0)
        axes.set_title(f"{name}: mean {bias:+.3f}, standard deviation {spread:.3f}", fontsize=10)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted − true")
        axes.legend(fontsize=8, frameon=False, loc="upper right")
    return png_of(figure)


def clip_traces(
    truth: Float,
    found: Float,
    ids: npt.NDArray[np.str_],
    groups: npt.NDArray[np.str_],
    names: Sequence[str],
    scale: Scale,
    title: str,
) -> bytes | None:
    """Labels and predictions frame by frame, of clips from the smallest to the largest error.

    Args:
        truth: shape (N, D).
        found: shape (N, D); a frame without an answer (NaN) is a gap in the line.
        ids: shape (N,); frames are in their natural order.
        groups: shape (N,), the clip or person of each frame.
        names: of the D dimensions.
        scale: (low, high).
        title: above.

    Returns:
        A PNG file; None where no clip has two frames.
    """
    clips, member = np.unique(groups, return_inverse=True)
    n, error = np.bincount(member), clip_errors(truth, found, member, scale)
    several = np.flatnonzero(n > 1)
    if not len(several):
        return None
    several = several[np.argsort(error[several], kind="stable")]
    shown = several[np.unique(np.linspace(0, len(several) - 1, min(_MOST_CLIPS, len(several))).round().astype(int))]
    figure = Figure(figsize=(4.8 * len(names) + 0.4, 1.55 * len(shown) + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for row, clip in zip(figure.subplots(len(shown), len(names), squeeze=False), shown, strict=True):
        at = np.flatnonzero(member == clip)
        at = at[sorted(range(len(at)), key=lambda i: _natural(str(ids[at[i]])))]
        for d, (axes, name) in enumerate(zip(row, names, strict=True)):
            axes.plot(truth[at, d], color=GREY, linewidth=1.8, label="true")
            axes.plot(found[at, d].clip(*scale), color=BLUE, linewidth=1.4, marker=".", markersize=4, label="predicted")
            axes.set_ylim(*scale)
            axes.set_ylabel(name, fontsize=8)
            axes.set_title(
                f"{str(clips[clip])[-40:]}: RMSE {error[clip]:.3f}" if d == 0 else "", fontsize=8, loc="left"
            )
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=7, frameon=False, ncols=2, loc="upper right")
    for axes in figure.axes[-len(names) :]:
        axes.set_xlabel("frame", fontsize=8)
    return png_of(figure)


def clip_errors(truth: Float, found: Float, member: npt.NDArray[np.intp], scale: Scale) -> Float:
    """RMSE of each clip over its frames and dimensions; a frame without an answer counts as the middle of the scale, as
    in every score.

    Args:
        truth: shape (N, D).
        found: shape (N, D).
        member: shape (N,), number of each frame's clip.
        scale: (low, high).
    """
    squared = ((answer_missing(found, scale) - truth) ** 2).mean(axis=1)
    return np.asarray(np.sqrt(np.bincount(member, squared) / np.bincount(member)))


def _circle(axes: Axes, scale: Scale) -> None:
    middle, radius = (scale[0] + scale[1]) / 2, (scale[1] - scale[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 181)
    axes.plot(middle + radius * np.cos(angle), middle + radius * np.sin(angle), color=GREY, linewidth=0.8)
    axes.axhline(middle, color=GREY, linewidth=0.6, linestyle=":")
    axes.axvline(middle, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_aspect("equal")
    axes.set_xlim(*scale)
    axes.set_ylim(*scale)
    axes.set_xticks(np.linspace(*scale, 5))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
