"""Hair, head-wear and beards of drawn faces, as strokes around the head.

Each stroke is a tuple ``(points, colour, width, relief, lift)`` in face units, as in :class:`fer_bench.data.drawing.Stroke`.
"""

from __future__ import annotations

import numpy as np

from fer_bench.data.anatomy import Array, Colour, Identity, smooth

Shape = tuple[Array, Colour, float, float, float]


def _shaded(colour: Colour, gain: float) -> Colour:
    return (min(int(colour[0] * gain), 255), min(int(colour[1] * gain), 255), min(int(colour[2] * gain), 255))


def _dome(p: Identity, volume: float, low: float, n: int = 18) -> Array:
    """Arc over the head from the left to the right temple."""
    t = np.linspace(np.pi, 2 * np.pi, n)
    rx, ry = p.face_width * 1.04 + 0.5 * volume, 0.83 + volume
    arc = np.stack([rx * np.cos(t), -0.36 + ry * np.sin(t)], axis=1)
    arc[[0, -1], 1] = low
    return arc


def back_hair(p: Identity) -> list[Shape]:
    """What lies behind the head."""
    v = 0.1 + 0.22 * p.hair_volume
    dark = _shaded(p.hair, 0.72)
    if p.hair_style == "long":
        w = p.face_width + v
        fall = [(-w, -0.4), (-0.8 * w, -1.05), (0, -1.25 - 0.3 * v), (0.8 * w, -1.05), (w, -0.4), (1.08 * w, 0.5), (0.98 * w, 1.5), (-0.98 * w, 1.5), (-1.08 * w, 0.5)]
        return [(smooth(fall, closed=True), dark, 0.0, 0.0, -0.3)]
    if p.hair_style == "bun":
        t = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        return [(np.stack([0.28 * np.cos(t), -1.3 + 0.26 * np.sin(t)], axis=1), dark, 0.0, 0.0, -0.1)]
    if p.hair_style == "curly":
        t = np.linspace(0.82 * np.pi, 2.18 * np.pi, 12)
        rx, ry = p.face_width + 0.6 * v, 0.82 + 0.7 * v
        centres = np.stack([rx * np.cos(t), -0.36 + ry * np.sin(t)], axis=1)
        a = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        lock = np.stack([np.cos(a), np.sin(a)], axis=1) * (0.15 + 0.6 * v)
        return [(c + lock, _shaded(p.hair, 0.75 + 0.2 * (i % 2)), 0.0, 0.0, -0.1) for i, c in enumerate(centres)]
    if p.hair_style == "scarf":
        w = p.face_width + 0.14
        fall = [(-w, -0.4), (0, -1.36), (w, -0.4), (1.1 * w, 0.7), (1.5 * w, 1.7), (-1.5 * w, 1.7), (-1.1 * w, 0.7)]
        return [(smooth(fall, closed=True), _shaded(p.clothes, 0.8), 0.0, 0.0, -0.2)]
    return []


def _cap(p: Identity, volume: float, hairline: list[tuple[float, float]], colour: Colour, low: float = -0.25) -> Shape:
    """Hair from the crown down to a hairline given from the right to the left temple."""
    return (np.concatenate([_dome(p, volume, low), smooth(hairline, 4)]), colour, 0.0, 0.0, 0.02)


def front_hair(p: Identity) -> list[Shape]:
    """What lies before the forehead."""
    w, line, v = p.face_width, p.hairline, 0.04 + 0.16 * p.hair_volume
    style, light = p.hair_style, _shaded(p.hair, 1.22)
    even = [(0.98 * w, -0.3), (0.86 * w, line + 0.14), (0.45 * w, line - 0.06), (0, line - 0.08), (-0.45 * w, line - 0.06), (-0.86 * w, line + 0.14), (-0.98 * w, -0.3)]
    if style == "bald":
        return []
    if style == "buzz":
        soft = tuple(int(0.62 * a + 0.38 * b) for a, b in zip(p.hair, p.skin, strict=True))
        return [_cap(p, 0.015, even, (soft[0], soft[1], soft[2]))]
    if style == "parted":
        side = [(1.0 * w, -0.12), (0.9 * w, line + 0.2), (0.5 * w, line - 0.12), (0.3 * w, line - 0.2), (-0.2 * w, line + 0.02), (-0.75 * w, line + 0.24), (-1.0 * w, -0.1)]
        gloss = smooth([(0.3 * w, line - 0.2), (-0.1 * w, line - 0.28), (-0.6 * w, line - 0.05)])
        return [_cap(p, v + 0.04, side, p.hair, -0.05), (gloss, light, 0.05, 0.0, 0.1)]
    if style == "fringe":
        low = line + 0.24
        teeth = [(1.0 * w, 0.05), (0.9 * w, low - 0.02), (0.6 * w, low + 0.03), (0.4 * w, low - 0.03), (0.1 * w, low + 0.03), (-0.2 * w, low - 0.02), (-0.5 * w, low + 0.03)]
        return [_cap(p, v + 0.05, [*teeth, (-0.9 * w, low - 0.02), (-1.0 * w, 0.05)], p.hair, 0.1)]
    if style == "long":
        curtain = [(0.97 * w, 0.5), (0.9 * w, -0.2), (0.62 * w, line + 0.12), (0.05, line - 0.2), (-0.62 * w, line + 0.12), (-0.9 * w, -0.2), (-0.97 * w, 0.5)]
        gloss = [(smooth([(s * 0.06, line - 0.25), (s * 0.6 * w, line), (s * 1.0 * w, -0.1)]), light, 0.035, 0.0, 0.05) for s in (-1, 1)]
        return [_cap(p, v + 0.06, curtain, p.hair, 0.6), *gloss]
    if style == "beanie":
        band = np.array([[-1.05 * w, line + 0.02], [0.0, line - 0.06], [1.05 * w, line + 0.02]])
        cap = _cap(p, 0.12, [(1.03 * w, -0.5), (0.6 * w, line), (0, line - 0.04), (-0.6 * w, line), (-1.03 * w, -0.5)], p.clothes, -0.5)
        return [cap, (smooth(band), _shaded(p.clothes, 0.75), 0.16, 0.0, 0.05)]
    if style == "scarf":
        w2 = 0.93 * w
        opening = [(0, line + 0.02), (0.7 * w2, -0.55), (w2, -0.05), (0.86 * w2, 0.5), (0.4 * w2, 0.93 * p.chin_y), (0, 1.0 * p.chin_y + 0.03)]
        left = [(-x, y) for x, y in opening[-2:0:-1]]
        rim = smooth([*opening, *left], closed=True)
        return [(rim, p.clothes, 0.17, 0.0, 0.05)]
    caps = [_cap(p, v, even, p.hair)]
    strands = [(smooth([(x * w, line - 0.05), (1.05 * x * w, line - 0.2), (0.9 * x * w, line - 0.36)]), light, 0.028, 0.0, 0.05) for x in (-0.5, -0.1, 0.35)]
    return caps + strands


def beard(p: Identity, points: Array) -> list[Shape]:
    """Facial hair around the mouth.

    Args:
        p: the person.
        points: the 68 landmarks, face units.
    """
    if p.beard == "none":
        return []
    tint = 0.3 if p.beard == "stubble" else 0.85
    base = tuple(int(tint * a + (1 - tint) * b) for a, b in zip(p.brow, p.skin, strict=True))
    colour = (base[0], base[1], base[2])
    (xl, yl), (xr, yr), top = points[48], points[54], float(points[33, 1]) + 0.05
    lip = float(points[51, 1])
    shapes: list[Shape] = []
    if p.beard in ("stubble", "full"):
        inner = [(0.8 * p.face_width, 0.2), (xr + 0.12, yr - 0.06), (0.0, top + 0.02), (xl - 0.12, yl - 0.06), (-0.8 * p.face_width, 0.2)]
        shapes.append((np.concatenate([smooth(points[1:16:2] * (1.0, 1.0), 2), smooth(inner, 3)]), colour, 0.0, 0.25, 0.0))
    if p.beard in ("moustache", "full", "goatee"):
        hair = [(xl - 0.03, yl - 0.02), (0.6 * xl, lip - 0.05), (0.0, top), (0.6 * xr, lip - 0.05), (xr + 0.03, yr - 0.02), (0.0, lip + 0.03)]
        shapes.append((smooth(hair, 3, closed=True), colour, 0.0, 1.0, 0.05))
    if p.beard == "goatee":
        low, chin = float(points[57, 1]), float(points[8, 1])
        tuft = [(-0.16, low + 0.03), (0.16, low + 0.03), (0.17, chin - 0.08), (0.0, chin + 0.02), (-0.17, chin - 0.08)]
        shapes.append((smooth(tuft, 3, closed=True), colour, 0.0, 0.8, 0.0))
    return shapes
