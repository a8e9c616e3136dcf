"""The rows of a board by what a face costs them, with the front that nothing cheaper is better than; pure."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# Okabe and Ito's colours; shapes say the same to whoever sees none.
_LOOK = {
    "one view": ("#0072B2", "o"),
    "several views": ("#009E73", "^"),
    "ensemble": ("#D55E00", "s"),
}
_GREY = "#7f7f7f"
# Names beside the front; more would overlap.
_NAMED = 8
_LONGEST = 30
_DIGEST = "fer_bench:"


class Point(NamedTuple):
    """A row.

    Args:
        name: of it.
        group: a key of the legend: ``one view``, ``several views`` or ``ensemble``.
        macs: multiply-adds for a face.
        score: primary metric, in the units in which it is shown.
        low: lower end of its 95 % interval.
        high: its upper end.
    """

    name: str
    group: str
    macs: int
    score: float
    low: float | None
    high: float | None


def pareto_front(points: Sequence[Point], higher_is_better: bool = True) -> list[Point]:
    """The points that no other is both cheaper and better than, from the cheapest on.

    Args:
        points: in any order.
        higher_is_better: direction of the score.
    """
    sign = 1.0 if higher_is_better else -1.0
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.macs, -sign * one.score, one.name)):
        if not front or sign * point.score > sign * front[-1].score:
            front.append(point)
    return front


def digest_of(points: Sequence[Point], label: str, higher_is_better: bool) -> str:
    """What a picture of these points has in it: whether it is up to date does not depend on who draws it."""
    content = json.dumps([1, sorted(points), label, higher_is_better])
    return _DIGEST + hashlib.sha256(content.encode()).hexdigest()[:16]


def draw(points: Sequence[Point], label: str, higher_is_better: bool = True) -> str:
    """A picture, as SVG.

    Args:
        points: two or more.
        label: of the score, with its unit.
        higher_is_better: direction of the score.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fer_bench", "font.family": "sans-serif"}):
        figure = Figure(figsize=(8.4, 4.6), layout="constrained", facecolor="white")
        axes = figure.subplots()
        front = pareto_front(points, higher_is_better)
        axes.step(
            [point.macs for point in front] + [max(point.macs for point in points)],
            [point.score for point in front] + [front[-1].score],
            where="post",
            color=_GREY,
            linewidth=1,
            zorder=1,
            label="nothing cheaper is better",
        )
        for group, (colour, marker) in _LOOK.items():
            own = [point for point in points if point.group == group]
            if not own:
                continue
            x, y = [point.macs for point in own], [point.score for point in own]
            ends = [(point.score - point.low, point.high - point.score) for point in own if _has_interval(point)]
            if len(ends) == len(own):
                errors = [[max(low, 0.0) for low, _ in ends], [max(high, 0.0) for _, high in ends]]
                axes.errorbar(x, y, errors, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.35, zorder=2)
            axes.scatter(x, y, s=26, color=colour, marker=marker, zorder=3, label=group, linewidths=0)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(value)))
        axes.set_xlabel("multiply-adds for one face")
        axes.set_ylabel(label)
        axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        shown = (
            front
            if len(front) <= _NAMED
            else [front[round(i * (len(front) - 1) / (_NAMED - 1))] for i in range(_NAMED)]
        )
        for i, point in enumerate(shown):
            axes.annotate(
                point.name if len(point.name) <= _LONGEST else f"{point.name[: _LONGEST - 1]}…",
                (point.macs, point.score),
                xytext=(6, -11 if i % 2 else 6),
                textcoords="offset points",
                fontsize=7.5,
                color="#333333",
            )
        axes.margins(x=0.12, y=0.12)
        axes.legend(fontsize=8, frameon=False, loc="lower right" if higher_is_better else "upper right")
        out = io.BytesIO()
        figure.savefig(
            out,
            format="svg",
            metadata={"Date": None, "Creator": None, "Description": digest_of(points, label, higher_is_better)},
        )
    return "\n".join(line.rstrip() for line in out.getvalue().decode("utf-8", "replace").splitlines()) + "\n"


def is_of(picture: str, points: Sequence[Point], label: str, higher_is_better: bool) -> bool:
    """Whether a picture shows these points, whichever version drew it."""
    return digest_of(points, label, higher_is_better) in picture


def _has_interval(point: Point) -> bool:
    return point.low is not None and point.high is not None


def _amount(value: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
