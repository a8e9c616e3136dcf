"""Hair, head-wear and beards of synthetic faces, as strokes around the head."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fer_bench.synthetic.face_model import Identity
from fer_bench.synthetic.strokes import Array, Colour, Stroke, ellipse, mix, shaded, smooth

Knots = list[tuple[float, float]]


def _mirrored(right: Knots) -> Knots:
    """Knots of a symmetric line, given from the right temple to the middle (x = 0)."""
    return [*right, *[(-x, y) for x, y in right[-2::-1]]]


def _dome(p: Identity, volume: float, low: float) -> Array:
    """Arc over the head from the left to the right temple."""
    t = np.linspace(np.pi, 2 * np.pi, 18)
    rx, ry = p.face_width * 1.04 + 0.5 * volume, 0.83 + volume
    arc = np.stack([rx * np.cos(t), -0.36 + ry * np.sin(t)], axis=1)
    arc[[0, -1], 1] = low
    return arc


@lru_cache(maxsize=32)
def back_hair(p: Identity) -> tuple[Stroke, ...]:
    """What is behind the head."""
    return tuple(_back(p))


def _back(p: Identity) -> list[Stroke]:
    w, v = p.face_width, 0.1 + 0.22 * p.hair_volume
    dark = shaded(p.hair, 0.72)
    if p.hair_style == "long":
        w += v
        fall = _mirrored([(0.98 * w, 1.5), (1.08 * w, 0.5), (w, -0.4), (0.8 * w, -1.05), (0, -1.25 - 0.3 * v)])
        return [Stroke(smooth(fall, closed=True), dark, relief=0, lift=-0.3)]
    if p.hair_style == "pigtails":
        tail = np.array([(0.95, -0.2), (1.2, -0.3), (1.36, 0.1), (1.3, 0.55), (1.16, 0.7), (1.12, 0.3)]) * (
            w,
            0.8 + 0.4 * p.hair_volume,
        )
        return [Stroke(smooth(tail * (s, 1), closed=True), dark, relief=0, lift=-0.15) for s in (-1, 1)]
    if p.hair_style == "curly":
        t = np.linspace(0.82 * np.pi, 2.18 * np.pi, 12)
        x, y = (w + 0.6 * v) * np.cos(t), -0.36 + (0.82 + 0.7 * v) * np.sin(t)
        r = 0.15 + 0.6 * v
        return [
            Stroke(ellipse(x[i], y[i], r, r, 10), shaded(p.hair, 0.75 + 0.2 * (i % 2)), relief=0, lift=-0.1)
            for i in range(12)
        ]
    if p.hair_style == "scarf":
        w += 0.14
        fall = [(-w, -0.4), (0, -1.36), (w, -0.4), (1.1 * w, 0.7), (1.5 * w, 1.7), (-1.5 * w, 1.7), (-1.1 * w, 0.7)]
        return [Stroke(smooth(fall, closed=True), shaded(p.clothes, 0.8), relief=0, lift=-0.2)]
    return []


def _cap(p: Identity, volume: float, hairline: Knots, colour: Colour, low: float = -0.25) -> Stroke:
    """Hair from the crown down to a hairline given from the right to the left temple."""
    return Stroke(np.concatenate([_dome(p, volume, low), smooth(hairline, 4)]), colour, relief=0, lift=0.02)


def _gloss(knots: Knots, p: Identity, width: float) -> Stroke:
    return Stroke(smooth(knots), shaded(p.hair, 1.22), width, relief=0, lift=0.06)


def _flowing(p: Identity, v: float) -> list[Stroke]:
    """Styles with their own hairline: parted, fringe, long."""
    w, line = p.face_width, p.hairline
    if p.hair_style == "parted":
        ends = [(0.9, 0.2), (0.5, -0.12), (0.3, -0.2), (-0.2, 0.02), (-0.75, 0.24)]
        side = [(w, -0.12), *[(x * w, line + dy) for x, dy in ends], (-w, -0.1)]
        gloss = [(0.3 * w, line - 0.2), (-0.1 * w, line - 0.28), (-0.6 * w, line - 0.05)]
        return [_cap(p, v + 0.04, side, p.hair, -0.05), _gloss(gloss, p, 0.05)]
    if p.hair_style == "fringe":
        low = line + 0.24
        tips = [(0.9, -0.02), (0.6, 0.03), (0.4, -0.03), (0.1, 0.03), (-0.2, -0.02), (-0.5, 0.03), (-0.9, -0.02)]
        return [_cap(p, v + 0.05, [(w, 0.05), *[(x * w, low + dy) for x, dy in tips], (-w, 0.05)], p.hair, 0.1)]
    curtain = _mirrored([(0.97 * w, 0.5), (0.9 * w, -0.2), (0.62 * w, line + 0.12), (0.0, line - 0.2)])
    gloss_lines = [_gloss([(s * 0.06, line - 0.25), (s * 0.6 * w, line), (s * w, -0.1)], p, 0.035) for s in (-1, 1)]
    return [_cap(p, v + 0.06, curtain, p.hair, 0.6), *gloss_lines]


@lru_cache(maxsize=32)
def front_hair(p: Identity) -> tuple[Stroke, ...]:
    """What is before the forehead."""
    return tuple(_front(p))


def _front(p: Identity) -> list[Stroke]:
    w, line, v = p.face_width, p.hairline, 0.04 + 0.16 * p.hair_volume
    even = _mirrored([(0.98 * w, -0.3), (0.86 * w, line + 0.14), (0.45 * w, line - 0.06), (0, line - 0.08)])
    if p.hair_style == "bald":
        return []
    if p.hair_style == "buzz":
        return [_cap(p, 0.015, even, mix(p.hair, p.skin, 0.38))]
    if p.hair_style in ("parted", "fringe", "long"):
        return _flowing(p, v)
    if p.hair_style == "beanie":
        edge = _mirrored([(1.03 * w, -0.5), (0.6 * w, line), (0, line - 0.04)])
        band = smooth(_mirrored([(1.05 * w, line + 0.02), (0.0, line - 0.06)]))
        return [_cap(p, 0.12, edge, p.clothes, -0.5), Stroke(band, shaded(p.clothes, 0.75), 0.16, relief=0, lift=0.05)]
    if p.hair_style == "scarf":
        edge = _mirrored([(1.0 * w, 0.1), (0.9 * w, -0.3), (0.66 * w, line + 0.1), (0, line + 0.02)])
        rim = smooth(_mirrored([(w, 0.0), (0.86 * w, 0.52), (0.44 * w, 0.95 * p.chin_y), (0, 1.03 * p.chin_y)]))
        return [_cap(p, 0.12, edge, p.clothes, 0.1), Stroke(rim, p.clothes, 0.17, relief=0, lift=0.05)]
    strands = [
        _gloss([(x * w, line - 0.1), (1.05 * x * w, line - 0.22), (0.9 * x * w, line - 0.36)], p, 0.028)
        for x in (-0.5, -0.1, 0.35)
    ]
    return [_cap(p, v, even, p.hair), *strands]


def beard(p: Identity, points: Array) -> list[Stroke]:
    """Facial hair around the mouth.

    Args:
        p: the person.
        points: the 68 landmarks, face units.
    """
    if p.beard == "none":
        return []
    colour = mix(p.skin, p.brow, 0.3 if p.beard == "stubble" else 0.8)
    (xl, yl), (xr, yr), top = points[48], points[54], float(points[33, 1]) + 0.06
    strokes = []
    if p.beard in ("stubble", "full"):
        inner = [
            (0.86 * p.face_width, 0.2),
            (xr + 0.12, yr - 0.06),
            (0.0, top + 0.03),
            (xl - 0.12, yl - 0.06),
            (-0.86 * p.face_width, 0.2),
        ]
        strokes.append(Stroke(np.concatenate([smooth(points[1:16:2], 2), smooth(inner, 3)]), colour, relief=0.2))
    if p.beard in ("moustache", "full", "goatee"):
        lip = float(points[51, 1])
        side = 0.4 * top + 0.6 * lip - 0.02
        hair = [
            (xl - 0.02, yl - 0.04),
            (0.5 * xl, side),
            (0.0, top),
            (0.5 * xr, side),
            (xr + 0.02, yr - 0.04),
            (0.0, lip + 0.01),
        ]
        strokes.append(Stroke(smooth(hair, 3, closed=True), colour, lift=0.05))
    if p.beard == "goatee":
        low, chin = float(points[57, 1]), float(points[8, 1])
        tuft = [(-0.13, low + 0.05), (0.13, low + 0.05), (0.15, chin - 0.08), (0.0, chin + 0.02), (-0.15, chin - 0.08)]
        strokes.append(Stroke(smooth(tuft, 3, closed=True), colour, relief=0.7))
    return strokes
