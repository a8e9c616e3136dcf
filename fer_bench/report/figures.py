"""Figures of one row, as PNG files in memory; drawn without a display, the same bytes from the same records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_bench.ensembles.curve import png_of
from fer_bench.metrics import in_words
from fer_bench.scoring.classification import confusion_statistics
from fer_bench.scoring.intervals import resampled_confusions
from fer_bench.scoring.probabilities import reliability
from fer_bench.scoring.resampling import percentiles

Float = npt.NDArray[np.float64]
Curves = Mapping[str, Sequence[float | None]]
# Okabe and Ito's colours, which people with any colour vision can distinguish.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7f7f7f"
_SPLITS = {"train": BLUE, "validation": ORANGE}
_N_RESAMPLES = 1000
# A loss that is so many times the median is off the panel.
_EXPLODED = 20
# From this many classes on, a figure in every cell cannot be read.
_MANY_CLASSES = 12


def learning_curves(
    runs: Sequence[Curves],
    best_epochs: Sequence[int | None],
    metrics: Sequence[str] = ("loss", "accuracy"),
    each: str = "seeds",
) -> bytes | None:
    """Loss and scores by epoch: the mean over runs, a band of one standard deviation (ddof 1), and every run as a thin
    line.

    Args:
        runs: the curves of each seed, ``train/loss`` and so on, one value an epoch; None where it is unknown.
        best_epochs: which epoch each run kept, from 1.
        metrics: one panel each; those that no run has are left out.
        each: what the runs are: seeds or folds.

    Returns:
        A PNG file; None where no run has curves.
    """
    shown = [
        metric
        for metric in dict.fromkeys(metrics)
        if any(f"{split}/{metric}" in run for run in runs for split in _SPLITS)
    ]
    if not shown:
        return None
    figure = Figure(figsize=(4.9 * len(shown), 3.9), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for split, colour in _SPLITS.items():
            _band(axes, [run[f"{split}/{metric}"] for run in runs if run.get(f"{split}/{metric}")], split, colour, each)
        kept = [epoch for epoch in best_epochs if epoch]
        for i, epoch in enumerate(kept):
            axes.axvline(
                epoch,
                color=GREY,
                linewidth=0.9,
                linestyle=":",
                zorder=0,
                label="best epoch on validation" if i == 0 else None,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(in_words(metric))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        if metric == "loss":
            _keep_readable(
                axes, [value for run in runs for split in _SPLITS for value in run.get(f"{split}/loss") or ()]
            )
        _plain(axes)
        axes.legend(fontsize=8, frameon=False)
    return png_of(figure)


def _keep_readable(axes: Axes, values: Sequence[float | None]) -> None:
    """An epoch in which a loss exploded would flatten all others into a line."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known) or known.min() < 0 or known.max() <= _EXPLODED * np.median(known):
        return
    axes.set_ylim(0, 4 * float(np.median(known)))
    axes.set_ylabel(f"loss (the largest, {known.max():.3g}, is not shown)")


def confusion(matrix: npt.ArrayLike, names: Sequence[str], title: str) -> bytes:
    """A confusion matrix twice: counts, and the share of each row.

    Args:
        matrix: shape (C, C) or (C, C + 1), the last column being samples without an answer; shown if there are any.
        names: of the C classes.
        title: above both.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    if counts.shape[1] > len(names) and not counts[:, len(names) :].any():
        counts = counts[:, : len(names)]
    columns = [*names, "no answer"][: counts.shape[1]]
    side = max(3.6, 0.52 * len(names) + 1.2)
    figure = Figure(figsize=(2 * side + 0.9, side + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=11)
    left, right = figure.subplots(1, 2)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _matrix(left, counts, counts, columns, names, "counts", "{:.0f}")
    _matrix(right, 100 * shares, 100 * shares, columns, names, "per cent of each true class", "{:.0f}")
    right.set_ylabel("")
    return png_of(figure)


def reliability_diagram(targets: npt.ArrayLike, outputs: npt.ArrayLike, title: str) -> bytes:
    """Accuracy against confidence in 15 bins, and how many samples each bin has (Guo et al. 2017).

    Args:
        targets: shape (N,).
        outputs: shape (N, C), probabilities, or NaN for no answer.
        title: above.
    """
    bars = reliability(targets, outputs)
    centres, width = (bars["edges"][:-1] + bars["edges"][1:]) / 2, np.diff(bars["edges"])
    filled = bars["count"] > 0
    accuracy, confidence = bars["accuracy"][filled], bars["confidence"][filled]
    error = float((bars["count"][filled] * np.abs(accuracy - confidence)).sum() / bars["count"].sum())
    figure = Figure(figsize=(4.8, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.bar(centres[filled], accuracy, width=0.92 * width[filled], color=BLUE, label="accuracy")
    over = confidence - accuracy
    upper.bar(
        centres[filled],
        over,
        bottom=accuracy,
        width=0.92 * width[filled],
        facecolor="none",
        edgecolor=ORANGE,
        hatch="////",
        linewidth=0.8,
        label="gap to confidence",
    )
    upper.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--", label="calibrated")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    upper.set_ylabel("accuracy")
    upper.set_title(f"{title}: expected calibration error {error:.3f}", fontsize=10)
    upper.legend(fontsize=8, frameon=False, loc="upper left")
    lower.bar(centres, bars["count"] / bars["count"].sum() * 100, width=0.92 * width, color=GREY)
    lower.set_xlabel("confidence")
    lower.set_ylabel("samples (%)")
    for axes in (upper, lower):
        _plain(axes)
    return png_of(figure)


def per_class_f1(matrices: Sequence[npt.ArrayLike], names: Sequence[str], title: str) -> bytes:
    """F1 of each class with its 95 % bootstrap interval over samples, precision and recall next to it.

    Args:
        matrices: the confusion matrix of each run; shown are means over runs, of the values and of the ends of the
            intervals.
        names: of the classes.
        title: above.
    """
    each = [confusion_statistics(matrix) for matrix in matrices]
    f1, precision, recall = (
        _mean([np.nan_to_num(statistics[name]) for statistics in each]) for name in ("f1", "precision", "recall")
    )
    ends = _mean([_f1_interval(np.asarray(matrix, dtype=np.int64)) for matrix in matrices])
    support = np.asarray(each[0]["support"], dtype=np.int64)
    places = np.arange(len(names))
    figure = Figure(figsize=(6.4, max(2.8, 0.42 * len(names) + 1.4)), layout="constrained")
    axes = figure.subplots()
    # An interval of a mean over resamples may not contain the value; an error bar must.
    reach = np.maximum(np.stack([f1 - ends[0], ends[1] - f1]), 0.0)
    axes.barh(
        places,
        f1,
        height=0.62,
        color=BLUE,
        alpha=0.45,
        xerr=reach,
        error_kw={"elinewidth": 1.2, "capsize": 3, "ecolor": "black"},
        label="F1, 95 % interval",
    )
    axes.plot(
        precision,
        places - 0.2,
        linestyle="none",
        marker=">",
        markersize=7,
        color=ORANGE,
        markeredgecolor="white",
        label="precision",
    )
    axes.plot(
        recall,
        places + 0.2,
        linestyle="none",
        marker="o",
        markersize=6.5,
        color=GREEN,
        markeredgecolor="white",
        label="recall",
    )
    axes.set_yticks(places, [f"{name} ({n})" for name, n in zip(names, support, strict=True)])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(title, fontsize=10)
    _plain(axes)
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    return png_of(figure)


def reconstructions(originals: Float, reconstructed: Float, names: Sequence[str]) -> bytes:
    """Originals above, what an autoencoder makes of them below, with the mean squared error of each (An, Liu and Zheng
    2020, Figure 5).

    Args:
        originals: shape (N, S, S, 3), pixels in [0, 1].
        reconstructed: the same; what is outside is clipped in the picture, not in the error.
        names: above each of the N columns.
    """
    n = len(originals)
    figure = Figure(figsize=(1.15 * n + 0.3, 3.0), layout="constrained")
    rows = figure.subplots(2, n, squeeze=False)
    errors = ((reconstructed - originals) ** 2).mean(axis=(1, 2, 3))
    for i in range(n):
        for axes, image in zip(rows[:, i], (originals[i], reconstructed[i]), strict=True):
            axes.imshow(np.clip(image, 0.0, 1.0), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        rows[0, i].set_title(names[i], fontsize=9)
        rows[1, i].set_xlabel(f"{errors[i]:.4f}", fontsize=8)
    rows[0, 0].set_ylabel("original", fontsize=9)
    rows[1, 0].set_ylabel("reconstruction", fontsize=9)
    return png_of(figure)


def comparison(
    rows: Sequence[tuple[str, float, float | None, tuple[float, float] | None]], label: str, *, per_cent: bool = True
) -> bytes:
    """Rows against each other: score, standard deviation over seeds, and 95 % interval over test samples.

    Args:
        rows: name, mean, deviation, interval; best first.
        label: name of the score.
        per_cent: whether the scores are shares, which are shown in per cent.
    """
    factor = 100 if per_cent else 1
    places = np.arange(len(rows))
    figure = Figure(figsize=(8.2, max(2.2, 0.36 * len(rows) + 1.2)), layout="constrained")
    axes = figure.subplots()
    for place, (_, mean, deviation, interval) in zip(places, rows, strict=True):
        if interval:
            axes.plot(
                [factor * interval[0], factor * interval[1]],
                [place, place],
                color=BLUE,
                alpha=0.35,
                linewidth=7,
                solid_capstyle="butt",
            )
        if deviation is not None:
            axes.errorbar(factor * mean, place, xerr=factor * deviation, color="black", capsize=3, linewidth=1.2)
        axes.plot(factor * mean, place, marker="o", markersize=6, color=BLUE, markeredgecolor="white")
    axes.set_yticks(places, [_shorten(name) for name, *_ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(
        f"{label} on test{' (%)' if per_cent else ''}\nwide: 95 % interval over samples; black: standard deviation over"
        " seeds",
        fontsize=9,
    )
    _plain(axes)
    return png_of(figure)


def _band(axes: Axes, lines: Sequence[Sequence[float | None]], name: str, colour: str, each: str) -> None:
    if not lines:
        return
    length = max(map(len, lines))
    table = np.full((len(lines), length), np.nan)
    for i, line in enumerate(lines):
        table[i, : len(line)] = [np.nan if value is None else value for value in line]
    epochs, known = np.arange(1, length + 1), (~np.isnan(table)).sum(axis=0)
    mean = np.nansum(table, axis=0) / np.where(known > 0, known, np.nan)
    marker = "o" if length == 1 else None
    axes.plot(
        epochs,
        mean,
        color=colour,
        linewidth=1.9,
        marker=marker,
        label=name if len(lines) == 1 else f"{name}, mean of {len(lines)} {each} ± sd",
    )
    if len(lines) == 1:
        return
    # Runs that stopped early thin the band out; where one is left there is no deviation.
    deviation = np.sqrt(np.nansum((table - mean) ** 2, axis=0) / np.where(known > 1, known - 1, np.nan))
    axes.fill_between(epochs, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)
    for single in table:
        axes.plot(epochs, single, color=colour, linewidth=0.6, alpha=0.45)


def _matrix(
    axes: Axes, values: Float, shown: Float, columns: Sequence[str], rows: Sequence[str], title: str, form: str
) -> None:
    axes.imshow(values, cmap="Blues", vmin=0, vmax=max(float(values.max()), 1e-9), aspect="auto")
    many = len(rows) > _MANY_CLASSES
    for i, j in np.ndindex(*shown.shape):
        if many and values[i, j] < 0.05 * values.max():
            continue
        colour = "white" if values[i, j] > 0.55 * values.max() else "black"
        axes.text(j, i, form.format(shown[i, j]), ha="center", va="center", fontsize=6 if many else 9, color=colour)
    size = 7 if many else 9
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _f1_interval(matrix: npt.NDArray[np.int64]) -> Float:
    """Ends of the interval of each class, shape (2, C); 0 stands for an undefined F1."""
    drawn = np.concatenate([confusion_statistics(block)["f1"] for block in resampled_confusions(matrix, _N_RESAMPLES)])
    return np.array([percentiles(of_class) for of_class in np.nan_to_num(drawn).T]).T


def _mean(values: Sequence[Any]) -> Float:
    return np.asarray(np.mean(np.stack(values), axis=0), dtype=np.float64)


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _shorten(name: str, most: int = 48) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
