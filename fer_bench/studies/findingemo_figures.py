"""Figures of the annotation study, as PNG files in memory; drawn without a display."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_bench.datasets.findingemo.annotations import AMBIGUITY, AROUSAL, VALENCE, Annotation
from fer_bench.labels import EMO8
from fer_bench.studies.findingemo_statistics import Agreement, EmotionRow, OverlapScore, Spread

_LARGEST_DISC = 900.0  # area in points squared


def draw(
    annotations: Sequence[Annotation], rows: Sequence[EmotionRow], found: Agreement, scores: Mapping[str, OverlapScore]
) -> dict[str, bytes]:
    """Draw every figure there is data for.

    Args:
        annotations: kept ones.
        rows: the table of the leaves.
        found: agreement of annotators.
        scores: overlap score by annotator.

    Returns:
        File name to PNG; without the figures of agreement where no image has several annotators.
    """
    figures = {
        "emotions.png": _figure(
            1, lambda axes: _bars(axes[0], {r.name: r.count for r in rows}, "leaf of Plutchik's wheel", "annotations")
        ),
        "valence_arousal.png": _figure(1, lambda axes: _valence_arousal(axes[0], annotations)),
        "scales.png": _figure(3, lambda axes: _scales(axes, annotations)),
    }
    if any(found.verdicts.values()):
        figures["annotators.png"] = _figure(1, lambda axes: _bars(axes[0], found.annotators, "annotators", "images"))
    if found.labels24:
        figures["labels.png"] = _figure(
            2, lambda axes: _two_bars(axes, found.labels8, found.labels24, "different Emo{} labels")
        )
    if found.distance24:
        thirds = {d / 3: n for d, n in found.distance24.items()}
        figures["distances.png"] = _figure(
            2, lambda axes: _two_bars(axes, found.distance8, thirds, "largest distance of Emo{} labels")
        )
    if found.pairs:
        figures["pairs.png"] = _figure(1, lambda axes: _pairs(axes[0], found.pairs))
    if found.arousal_by_n and found.valence_by_n:
        figures["ranges.png"] = _figure(2, lambda axes: _ranges(axes, found))
    if scores:
        figures["overlap_scores.png"] = _figure(1, lambda axes: _overlap(axes[0], scores))
    return figures


def _figure(columns: int, fill: Callable[[Sequence[Axes]], None]) -> bytes:
    figure = Figure(figsize=(max(6.4, 4.2 * columns), 4.4), layout="constrained")
    axes = figure.subplots(1, columns, sharey=columns > 1, squeeze=False)[0]
    fill(list(axes))
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120, metadata={"Software": None})
    return png.getvalue()


def _bars(
    axes: Axes, counts: Mapping[int, int] | Mapping[float, int] | Mapping[str, int], x: str, y: str, width: float = 0.8
) -> None:
    bars = axes.bar(list(counts), list(counts.values()), width=width)  # type: ignore[arg-type]
    axes.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if any(isinstance(key, str) for key in counts):
        axes.set_xticks(range(len(counts)), map(str, counts), rotation=30, ha="right", rotation_mode="anchor")
    elif all(isinstance(key, int) for key in counts):
        axes.set_xticks([int(key) for key in counts])


def _two_bars(
    axes: Sequence[Axes], of8: Mapping[int, int], of24: Mapping[int, int] | Mapping[float, int], x: str
) -> None:
    _bars(axes[0], of8, x.format(8), "images")
    _bars(axes[1], of24, x.format(24), "", width=0.8 if all(isinstance(key, int) for key in of24) else 0.25)


def _scales(axes: Sequence[Axes], annotations: Sequence[Annotation]) -> None:
    for ax, name, (low, high) in zip(
        axes, ("arousal", "valence", "ambiguity"), (AROUSAL, VALENCE, AMBIGUITY), strict=True
    ):
        counts = Counter(getattr(a, name) for a in annotations)
        _bars(
            ax,
            {value: counts[value] for value in range(low, high + 1)},
            name,
            "annotations" if name == "arousal" else "",
        )


def _discs(axes: Axes, counts: Mapping[tuple[int, int], int], what: str) -> None:
    largest = max(counts.values(), default=1)
    xs, ys = [x for x, _ in counts], [y for _, y in counts]
    axes.scatter(xs, ys, s=[_LARGEST_DISC * n / largest for n in counts.values()], alpha=0.6)
    axes.margins(0.12)
    axes.set_title(f"area of a disc: number of {what}; the largest is {largest:,}", fontsize=9)


def _valence_arousal(axes: Axes, annotations: Sequence[Annotation]) -> None:
    _discs(
        axes,
        Counter((a.valence, a.arousal) for a in annotations if a.valence is not None and a.arousal is not None),
        "annotations",
    )
    axes.set_xlabel("valence")
    axes.set_ylabel("arousal")


def _pairs(axes: Axes, pairs: Mapping[tuple[int, int], int]) -> None:
    _discs(axes, pairs, "images with just these two leaves")
    axes.set_xticks(range(8), EMO8.names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(8), EMO8.names)
    axes.set(xlim=(-0.6, 7.6), ylim=(-0.6, 7.6))


def _ranges(axes: Sequence[Axes], found: Agreement) -> None:
    for ax, name, by_n in zip(axes, ("arousal", "valence"), (found.arousal_by_n, found.valence_by_n), strict=True):
        spreads: Mapping[int, Spread] = by_n
        deviations = [s.std if s.n > 1 else 0.0 for s in spreads.values()]
        ax.errorbar(list(spreads), [s.mean for s in spreads.values()], yerr=deviations, fmt="o-", capsize=3)
        ax.set_xticks(list(spreads))
        ax.set_xlabel("annotations of the image")
        ax.set_title(name)
    axes[0].set_ylabel("largest difference, mean and standard deviation")


def _overlap(axes: Axes, scores: Mapping[str, OverlapScore]) -> None:
    axes.hist([s.score for s in scores.values()], bins=[i / 20 for i in range(21)])
    axes.axvline(0.8, linestyle="--", color="black", linewidth=1)
    axes.set_xlabel("overlap score (the paper accepts from 0.8)")
    axes.set_ylabel("annotators")
