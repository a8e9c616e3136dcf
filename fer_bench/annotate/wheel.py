"""Plutchik's wheel of emotions drawn as SVG: eight leaves of three rings, the most intense emotion at the centre."""

from __future__ import annotations

import math

from fer_bench.annotate.answers import leaf
from fer_bench.labels import EMO24

_RINGS = (24.0, 80.0, 120.0, 158.0)
_HALF = math.pi / 8


def wheel_svg() -> str:
    """The wheel; every cell is a path with ``data-value``, which the page's script ties to the radio button of that
    emotion.

    Returns:
        An ``<svg>`` element. It is hidden from screen readers: the radio buttons next to it say the same.
    """
    cells = []
    for index, emotion in enumerate(EMO24.names):
        spoke, ring = divmod(index, 3)
        middle = spoke * math.pi / 4
        inner, outer = _RINGS[ring], _RINGS[ring + 1]
        cells.append(
            f'<g class="cell leaf-{leaf(emotion)} ring-{ring}" data-value="{emotion}"><path'
            f' d="{_cell(inner, outer, middle)}"/><text transform="{_text_place(ring, spoke)}">{emotion}</text></g>'
        )
    centre = '<g class="cell cell-none" data-value="none"><circle r="22"/><text>none</text></g>'
    return (
        '<svg class="wheel" viewBox="-162 -162 324 324" aria-hidden="true"'
        f' focusable="false">{"".join(cells)}{centre}</svg>'
    )


def _point(radius: float, angle: float) -> tuple[float, float]:
    return radius * math.sin(angle), -radius * math.cos(angle)


def _text_place(ring: int, spoke: int) -> str:
    """The inner ring is long and narrow: its words run along the radius, all others across it, none upside down."""
    angle = spoke * 45
    x, y = _point((_RINGS[ring] + _RINGS[ring + 1]) / 2, math.radians(angle))
    turn = angle - 90 if ring == 0 else angle
    upright = (turn + 90) % 180 - 90
    return f"translate({x:.1f} {y:.1f}) rotate({upright})"


def _cell(inner: float, outer: float, middle: float) -> str:
    a, b = _point(inner, middle - _HALF), _point(outer, middle - _HALF)
    c, d = _point(outer, middle + _HALF), _point(inner, middle + _HALF)
    return (
        f"M{a[0]:.1f} {a[1]:.1f} L{b[0]:.1f} {b[1]:.1f} A{outer} {outer} 0 0 1 {c[0]:.1f} {c[1]:.1f} "
        f"L{d[0]:.1f} {d[1]:.1f} A{inner} {inner} 0 0 0 {a[0]:.1f} {a[1]:.1f} Z"
    )
