"""A figure and a table of a row that predicts several labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fer_bench.ensembles.curve import png_of
from fer_bench.metrics import number
from fer_bench.results.record import Record
from fer_bench.scoring.rows import mean_at, mean_interval

_BLUE, _ORANGE = "#0072B2", "#D55E00"


def category_table(records: Sequence[Record], names: Sequence[str]) -> tuple[str, list[str], list[list[str]]]:
    """Average precision of each category on test, means over runs: heading, header, rows."""
    over = "" if len(records) == 1 else f", means over {len(records)} runs"
    rows = []
    for k, name in enumerate(names):
        pair = mean_interval([record.metrics for record in records], f"average_precision.{k}")
        ends = "–" if pair is None else f"{number(pair[0], 'map')} to {number(pair[1], 'map')}"
        rows.append([name, str(_support(records[0], k)), number(_mean(records, k), "map"), ends])
    return f"By category, on test{over}", ["category", "samples", "average precision (%)", "95 % interval"], rows


def average_precisions(records: Sequence[Record], names: Sequence[str], title: str) -> bytes:
    """Average precision of each category with its 95 % bootstrap interval; a marker is at the share of samples that
    have it, which is what an uninformed order gives.

    Args:
        records: of several labels; shown are means over them.
        names: of the categories.
        title: above.
    """
    found = np.array([np.nan if (value := _mean(records, k)) is None else value for k in range(len(names))])
    pairs = [mean_interval([record.metrics for record in records], f"average_precision.{k}") for k in range(len(names))]
    ends = np.array([(np.nan, np.nan) if pair is None else pair for pair in pairs]).T
    shares = np.array([_support(records[0], k) / max(records[0].n_scored, 1) for k in range(len(names))])
    places = np.arange(len(names))
    figure = Figure(figsize=(6.4, 0.3 * len(names) + 1.4), layout="constrained")
    axes = figure.subplots()
    # An interval of a mean over resamples may not contain the value; an error bar must.
    reach = np.nan_to_num(np.maximum(np.stack([found - ends[0], ends[1] - found]), 0.0))
    style = {"elinewidth": 1.2, "capsize": 3, "ecolor": "black"}
    axes.barh(places, np.nan_to_num(found), height=0.62, color=_BLUE, alpha=0.45, xerr=reach, error_kw=style)
    axes.plot(shares, places, linestyle="none", marker="|", markersize=9, color=_ORANGE, label="share of samples")
    axes.set_yticks(places, list(names), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return png_of(figure)


def _support(record: Record, k: int) -> int:
    support = (record.metrics.get("per_class") or {}).get("support") or []
    return int(support[k]) if k < len(support) else 0


def _mean(records: Sequence[Record], k: int) -> float | None:
    return mean_at([record.metrics.get("average_precision") or [] for record in records], k)
