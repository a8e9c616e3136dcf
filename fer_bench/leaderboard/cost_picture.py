"""The rows of a board by what a face costs them, with the front that nothing cheaper is better than; pure."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours; shapes say the same to whoever sees none.
_LOOK = {
    "one view": ("#0072B2", "o"),
    "several views": ("#009E73", "^"),
    "ensemble": ("#D55E00", "s"),
}
_GREY = "#7f7f7f"
# Names beside the picture.
_NAMED, _LONGEST = 16, 41
# Of the front's height, how far below it there is room for a point.
_BELOW = 0.5
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


def within(points: Sequence[Point], higher_is_better: bool = True) -> list[Point]:
    """The points that a picture has room for: one that is far below the front would press all others together."""
    front = pareto_front(points, higher_is_better)
    sign, height = 1.0 if higher_is_better else -1.0, abs(front[-1].score - front[0].score)
    return [point for point in points if not height or sign * (front[0].score - point.score) <= _BELOW * height]


def digest_of(points: Sequence[Point], label: str, higher_is_better: bool) -> str:
    """What a picture of these points has in it: whether it is up to date does not depend on who draws it."""
    content = json.dumps([3, sorted(points), label, higher_is_better])
    return _DIGEST + hashlib.sha256(content.encode()).hexdigest()[:16]


def draw(points: Sequence[Point], label: str, higher_is_better: bool = True) -> str:
    """A picture, as SVG.

    Args:
        points: two or more.
        label: of the score, with its unit.
        higher_is_better: direction of the score.
    """
    # Most boards have their picture already, and importing the library takes longer than rendering a board.
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    class Amounts(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            # Which ticks have a label, minor ones among them, is the library's choice.
            return _amount(x) if super().__call__(x, pos) else ""

    digest, front = digest_of(points, label, higher_is_better), pareto_front(points, higher_is_better)
    points = within(points, higher_is_better)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fer_bench", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9.6, 4.6), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.step(
            [point.macs for point in front] + [max(point.macs for point in points)],
            [point.score for point in front] + [front[-1].score],
            where="post",
            color=_GREY,
            linewidth=1,
            zorder=1,
        )
        for group, (colour, marker) in _LOOK.items():
            _scatter(axes, [point for point in points if point.group == group], group, colour, marker)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(Amounts())
        axes.xaxis.set_minor_formatter(Amounts())
        axes.set_xlabel("multiply-adds for one face")
        axes.set_ylabel(label)
        axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.margins(x=0.05, y=0.08)
        axes.legend(fontsize=8.5, frameon=False, loc="lower right" if higher_is_better else "upper right")
        _name(axes, front)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Description": digest})
    return "\n".join(line.rstrip() for line in out.getvalue().decode("utf-8", "replace").splitlines()) + "\n"


def _scatter(axes: Axes, points: Sequence[Point], group: str, colour: str, marker: str) -> None:
    if not points:
        return
    ends = [(point, point.low, point.high) for point in points if point.low is not None and point.high is not None]
    if ends:
        down, up = [max(p.score - low, 0.0) for p, low, _ in ends], [max(high - p.score, 0.0) for p, _, high in ends]
        x, y = [p.macs for p, _, _ in ends], [p.score for p, _, _ in ends]
        axes.errorbar(x, y, [down, up], fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.35, zorder=2)
    x, y = [point.macs for point in points], [point.score for point in points]
    axes.scatter(x, y, s=26, color=colour, marker=marker, zorder=3, label=group, linewidths=0)


def _name(axes: Axes, front: Sequence[Point]) -> None:
    """Number the points of the front, and list their names beside the picture."""
    step = max(1, -(-len(front) // _NAMED))
    named = [point for i, point in enumerate(front) if i % step == 0 or i == len(front) - 1]
    for number, point in enumerate(named, start=1):
        axes.annotate(
            str(number),
            (point.macs, point.score),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            weight="bold",
            color="#333333",
            zorder=4,
        )
    lines = [
        f"{number}  {point.name if len(point.name) <= _LONGEST else f'{point.name[: _LONGEST - 1]}…'}"
        for number, point in enumerate(named, start=1)
    ]
    title = "Nothing cheaper is better than"
    axes.text(1.02, 1.0, title, transform=axes.transAxes, fontsize=8.5, weight="bold", va="top", color="#333333")
    axes.text(
        1.02, 0.93, "\n".join(lines), transform=axes.transAxes, fontsize=8, va="top", color="#333333", linespacing=1.6
    )


def is_of(picture: str, points: Sequence[Point], label: str, higher_is_better: bool) -> bool:
    """Whether a picture shows these points, whichever version drew it."""
    return digest_of(points, label, higher_is_better) in picture


def _amount(value: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
