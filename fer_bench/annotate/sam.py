"""Self-assessment manikins drawn as SVG: nine figures from frown to smile (valence) and from calm to excited (arousal).

The scale is that of Bradley and Lang (1994), doi:10.1016/0005-7916(94)90063-9; the drawings are our own, one figure for
each of the nine points. Classes instead of style attributes, since the pages forbid inline styles.
"""

from __future__ import annotations

import math

from fer_bench.annotate.forms import SAM_POINTS

_VIEW = 'viewBox="-3 0 70 84" class="sam" aria-hidden="true" focusable="false"'
_BODY = (
    '<path class="sam-body" d="M12 82 V60 Q12 48 24 48 H40 Q52 48 52 60 V82 Z"/><path class="sam-line" d="M20 82 V66'
    ' M44 82 V66"/>'
)
_HEAD = '<rect class="sam-skin" x="11" y="3" width="42" height="42" rx="15"/>'


def valence_figure(point: int) -> str:
    """The manikin of a valence point.

    Args:
        point: 1 (frown) to 9 (smile).

    Returns:
        An ``<svg>`` element.
    """
    pleasure = _centred(point)
    mouth = 34 - 1.5 * pleasure
    bend = mouth + 13 * pleasure
    # the wide smile opens, so that the ends of the scale differ in more than the sign of one curve
    opening = f'<path class="sam-dark" d="M20 {mouth:.1f} Q32 {bend:.1f} 44 {mouth:.1f} Z"/>' if pleasure > 0.6 else ""
    line = f'<path class="sam-line" d="M20 {mouth:.1f} Q32 {bend:.1f} 44 {mouth:.1f}"/>'
    displeasure = max(0.0, -pleasure)
    inner_y, outer_y = 12 - 2 * displeasure, 12 + 4 * displeasure
    brows = f'<path class="sam-line" d="M17 {outer_y:.1f} L27 {inner_y:.1f} M37 {inner_y:.1f} L47 {outer_y:.1f}"/>'
    eyes = _eyes(3.0)
    return f"<svg {_VIEW}>{_BODY}{_HEAD}{brows}{eyes}{opening}{line}</svg>"


def arousal_figure(point: int) -> str:
    """The manikin of an arousal point: eyes open and a burst grows in the chest.

    Args:
        point: 1 (calm) to 9 (excited).

    Returns:
        An ``<svg>`` element.
    """
    excitement = (point - 1) / (SAM_POINTS - 1)
    eyes = _sleeping_eyes() if point == 1 else _eyes(1.2 + 3.4 * excitement, open_wide=excitement > 0.55)
    lift = 4.0 * excitement
    brows = f'<path class="sam-line" d="M18 {14 - lift:.1f} H27 M37 {14 - lift:.1f} H46"/>'
    width, height = 3 * excitement, 4.5 * excitement
    gasp = f'<ellipse class="sam-dark" cx="32" cy="36" rx="{width:.1f}" ry="{height:.1f}"/>'
    mouth = gasp if excitement > 0.7 else '<path class="sam-line" d="M26 36 H38"/>'
    return f"<svg {_VIEW}>{_tremble(excitement)}{_BODY}{_HEAD}{brows}{eyes}{mouth}{_burst(excitement)}</svg>"


def _centred(point: int) -> float:
    return (point - 1) / (SAM_POINTS - 1) * 2 - 1


def _eyes(radius: float, *, open_wide: bool = False) -> str:
    if open_wide:
        rings = "".join(f'<circle class="sam-white" cx="{x}" cy="21" r="{radius + 1.4:.1f}"/>' for x in (23, 41))
        return rings + "".join(f'<circle class="sam-dark" cx="{x}" cy="21" r="{radius * 0.55:.1f}"/>' for x in (23, 41))
    return "".join(f'<ellipse class="sam-dark" cx="{x}" cy="21" rx="3" ry="{radius:.1f}"/>' for x in (23, 41))


def _sleeping_eyes() -> str:
    return '<path class="sam-line" d="M19 21 Q23 24 27 21 M37 21 Q41 24 45 21"/>'


def _burst(excitement: float) -> str:
    outer = 2.0 + 14.0 * excitement
    inner = outer * (0.85 - 0.35 * excitement)
    spikes = 8 + round(4 * excitement)
    corners = []
    for step in range(2 * spikes):
        radius = outer if step % 2 == 0 else inner
        angle = math.pi * step / spikes
        corners.append(f"{32 + radius * math.sin(angle):.1f},{65 - radius * math.cos(angle):.1f}")
    return f'<polygon class="sam-burst" points="{" ".join(corners)}"/>'


def _tremble(excitement: float) -> str:
    if excitement < 0.7:
        return ""
    marks = ["M6 54 Q3 60 6 66", "M58 54 Q61 60 58 66"]
    if excitement > 0.8:
        marks += ["M2.5 50 Q-1.5 60 2.5 70", "M61.5 50 Q65.5 60 61.5 70"]
    return f'<path class="sam-line" d="{" ".join(marks)}"/>'


_DEGREES = ("very ", "", "rather ", "slightly ")
_VALENCE_WORDS = (
    *(f"{degree}negative" for degree in _DEGREES),
    "neutral",
    *(f"{degree}positive" for degree in reversed(_DEGREES)),
)
_AROUSAL_WORDS = (
    *(f"{degree}calm" for degree in _DEGREES),
    "in between",
    *(f"{degree}excited" for degree in reversed(_DEGREES)),
)


def valence_word(point: int) -> str:
    """A valence point in words, for screen readers and the ends of the scale."""
    return _VALENCE_WORDS[point - 1]


def arousal_word(point: int) -> str:
    """An arousal point in words."""
    return _AROUSAL_WORDS[point - 1]
