"""Figures and tables of a row that predicts values: valence, arousal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_bench.ensembles.curve import png_of
from fer_bench.metrics import headline, number, shown_of
from fer_bench.results.record import Record
from fer_bench.scoring.regression import answer_missing, ccc

Float = npt.NDArray[np.float64]


def predicted_against_true(
    targets: npt.ArrayLike, outputs: npt.ArrayLike, names: Sequence[str], scale: tuple[float, float], title: str
) -> bytes:
    """How often each pair of true and predicted value occurs, one panel per dimension; on the dashed line both are
    equal.

    Args:
        targets: shape (N, D), in the dataset's units.
        outputs: shape (N, D), as targets; a row of NaN is no answer and is left out.
        names: of the D dimensions.
        scale: (low, high) of the dataset; predictions beyond it are shown at its ends, and scored as they are.
        title: above.
    """
    shown = headline("values")
    truth, found = np.asarray(targets, dtype=np.float64), np.asarray(outputs, dtype=np.float64)
    each = scores_shown(truth, found, scale)
    answered = ~np.isnan(found).any(axis=1)
    truth, found = truth[answered], found[answered].clip(*scale)
    figure = Figure(figsize=(4.4 * len(names) + 0.4, 4.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for d, (axes, name) in enumerate(zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
        counts, edges, _ = np.histogram2d(truth[:, d], found[:, d], bins=41, range=(scale, scale))
        axes.pcolormesh(edges, edges, np.log1p(counts.T), cmap="Blues")
        axes.plot(scale, scale, color="black", linewidth=1, linestyle="--")
        axes.set_title(name if np.isnan(each[d]) else f"{name}: {shown.title} {shown.text(each[d])}", fontsize=10)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_aspect("equal")
    return png_of(figure)


def scores_shown(truth: Float, found: Float, scale: tuple[float, float]) -> list[float]:
    """CCC of each dimension as records have it: of all samples, unclipped, one without an answer at the middle of the
    scale.
    """
    answers = answer_missing(found, scale)
    return [ccc(truth[:, d], answers[:, d]) for d in range(truth.shape[1])]


def dimension_table(records: Sequence[Record], names: Sequence[str]) -> tuple[str, list[str], list[list[str]]]:
    """Scores of each dimension on test, means over runs: heading, header, rows."""
    shown = [
        metric
        for metric in shown_of("values", [record.code for record in records])
        if any(metric.name in (record.metrics.get(name) or {}) for record in records for name in names)
    ]
    rows = [
        [
            name,
            *(
                _mean([(record.metrics.get(name) or {}).get(metric.name) for record in records], metric.name)
                for metric in shown
            ),
        ]
        for name in names
    ]
    over = "" if len(records) == 1 else f", means over {len(records)} runs"
    return f"By dimension, on test{over}", ["dimension", *(metric.title for metric in shown)], rows


def fold_rows(record: Record) -> Iterable[tuple[str, str]]:
    """What the folds of a cross-validation scored by themselves."""
    folds: dict[str, Any] = record.metrics.get("folds") or {}
    shown = headline("values")
    mean, std = (folds.get("averaged") or {}).get(shown.name), (folds.get("std") or {}).get(shown.name)
    if mean is not None:
        spread = "" if std is None else f" ± {shown.text(std)}"
        yield (
            "folds",
            (
                f"{shown.title} {shown.text(mean)}{spread}, averaged over {folds['n']} folds; the scores above are of"
                " all samples together"
            ),
        )


def _mean(values: Sequence[float | None], name: str) -> str:
    known = [value for value in values if value is not None]
    return number(sum(known) / len(known) if known and len(known) == len(values) else None, name)
