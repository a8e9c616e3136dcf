"""The features of a synthetic face, each a list of strokes around its landmarks.

Each is a function of the face's parameters, of its 68 landmarks in iBUG's order (or of those of the part), shape (n, 2)
in face units, and of the strength of its action units, 0 to 1 by their number: :mod:`fer_bench.synthetic.face_model`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fer_bench.synthetic.face_model import FaceParams
from fer_bench.synthetic.strokes import Array, Colour, Stroke, ellipse, mix, smooth

_WHITE: Colour = (236, 234, 230)
_DARK: Colour = (38, 22, 24)
_CREASE = np.stack(
    [np.zeros(10), 0.03 + 0.022 * np.sin(np.linspace(0, np.pi, 10))], axis=1
)  # from the upper lid to the crease above


def head(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    """Shoulders, neck, ears, head and cheeks, in this order."""
    p = params.identity
    w = p.face_width
    shade = mix(p.skin, (60, 25, 20), 0.28)
    shoulders = np.array(
        [[-0.52, 1.0], [-0.5, 1.25], [-1.5, 1.5], [-1.7, 3.0], [1.7, 3.0], [1.5, 1.5], [0.5, 1.25], [0.52, 1.0]]
    )
    neck = np.array([[-0.46, 0.4], [-0.44, 1.2], [-0.5, 1.35], [0.0, 1.5], [0.5, 1.35], [0.44, 1.2], [0.46, 0.4]])
    strokes = [Stroke(shoulders, p.clothes, relief=0, lift=-0.3), Stroke(neck, shade, relief=0, lift=-0.25)]
    for side in (-1, 1):
        ear = ellipse(side * (w + 0.02), -0.02, 0.1, p.ear_size)
        strokes += [Stroke(ear, mix(p.skin, (90, 30, 25), 0.14), relief=0, lift=-0.12)]
        strokes += [Stroke(ellipse(side * (w + 0.04), -0.02, 0.05, 0.6 * p.ear_size), shade, relief=0, lift=-0.12)]
    crown = [
        (0.99 * w, -0.55),
        (0.8 * w, -0.95),
        (0.4 * w, -1.13),
        (0.0, -1.17),
        (-0.4 * w, -1.13),
        (-0.8 * w, -0.95),
        (-0.99 * w, -0.55),
    ]
    outline = smooth(np.concatenate([points[:17:2], crown]), closed=True)
    strokes.append(Stroke(outline, p.skin, relief=0))
    blush = 0.1 + 0.15 * au[12]
    for side in (-1, 1):
        cheek = ellipse(side * 0.44, 0.24 - 0.05 * au[6], 0.17, 0.13)
        strokes.append(Stroke(cheek, mix(p.skin, (215, 90, 80), blush)))
    return strokes


def eye(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    """Eyeball, iris and lids; six points from the image's left corner around, upper lid first."""
    p = params.identity
    upper, lower = smooth(points[[0, 1, 2, 3]], 3), smooth(points[[3, 4, 5, 0]], 3)
    lid_line = mix(p.skin, _DARK, 0.85)
    strokes = []
    if float(lower[:, 1].max() - upper[:, 1].min()) > 0.03:
        strokes.append(Stroke(np.concatenate([upper, lower[1:-1]]), _WHITE))
        centre = points[[0, 3]].mean(axis=0)
        x, y = centre[0] + 0.055 * params.gaze[0], centre[1] - 0.012 + 0.03 * params.gaze[1]
        radius = 0.074
        balls = np.concatenate(
            [
                ellipse(x, y, radius, radius),
                ellipse(x, y, 0.5 * radius, 0.5 * radius),
                ellipse(x - 0.025, y - 0.03, 0.014, 0.014, 6),
            ]
        )
        ceiling = np.interp(balls[:, 0], upper[:, 0], upper[:, 1])
        glint = bool(ceiling[-1] < y - 0.045)
        balls[:, 1] = np.minimum(
            np.maximum(balls[:, 1], ceiling), np.interp(balls[:, 0], lower[::-1, 0], lower[::-1, 1])
        )
        strokes += [Stroke(balls[:16], mix(p.iris, (0, 0, 0), 0.15)), Stroke(balls[16:32], (16, 12, 12))]
        if glint:
            strokes.append(Stroke(balls[32:], (250, 250, 250)))
    strokes.append(Stroke(lower, mix(p.skin, _DARK, 0.4), 0.014))
    strokes.append(Stroke(upper, lid_line, 0.034))
    strokes.append(Stroke(upper - _CREASE, mix(p.skin, _DARK, 0.32), 0.016))
    return strokes


def brow(params: FaceParams, points: Array, inner_first: bool) -> list[Stroke]:
    """One brow; ``points`` holds its five landmarks."""
    p = params.identity
    taper = np.array([0.35, 0.8, 1.0, 1.05, 0.95]) * p.brow_thickness
    if inner_first:
        taper = taper[::-1]
    edge = np.zeros((5, 2))
    edge[:, 1] = 0.5 * taper
    band = np.concatenate([smooth(points - edge, 3), smooth(points + edge, 3)[::-1]])
    return [Stroke(band, p.brow, lift=0.03)]


def nose(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    """Nose; ``points`` holds its nine landmarks."""
    p = params.identity
    dark, line = mix(p.skin, (70, 20, 20), 0.55), mix(p.skin, (80, 30, 25), 0.38)
    tip, wings = points[3], points[4:]
    lit = 1 if np.cos(np.radians(params.light_angle)) < 0 else -1
    x = lit * 0.055
    ridge = smooth([(1.5 * x, -0.28), (x, -0.1), (1.15 * x, tip[1] - 0.06), (1.6 * x, tip[1])], 3)
    strokes = [Stroke(ridge, mix(p.skin, (80, 30, 25), 0.26), 0.03, lift=0.05)]
    strokes.append(Stroke(ellipse(-0.3 * x, tip[1], 0.035, 0.04, 10), mix(p.skin, (255, 250, 240), 0.16), lift=0.2))
    strokes.append(Stroke(smooth(wings, 3), line, 0.025, lift=0.14))
    half = float(wings[4, 0])
    for side in (-1, 1):
        top = wings[0, 1] - 0.09 - 0.02 * au[9]
        wing = smooth(
            [(side * 0.8 * half, top), (side * 1.12 * half, top + 0.05), (side * 0.85 * half, wings[0, 1] + 0.005)], 3
        )
        strokes.append(Stroke(wing, line, 0.022, lift=0.1))
        strokes.append(Stroke(ellipse(side * 0.46 * half, wings[1, 1] - 0.008, 0.24 * half, 0.016, 8), dark, lift=0.15))
    return strokes


def mouth(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    """Lips, teeth and tongue; ``points`` holds the twenty landmarks of the mouth."""
    p = params.identity
    outer_top, outer_bottom = smooth(points[:7], 3), smooth([*points[6:12], points[0]], 3)
    inner_top, inner_bottom = smooth(points[[0, *range(13, 16), 6]], 3), smooth(points[[6, *range(17, 20), 0]], 3)
    upper_colour = mix(p.lips, (60, 10, 20), 0.16)
    strokes = [
        Stroke(np.concatenate([outer_top, inner_top[::-1]]), upper_colour, lift=0.04),
        Stroke(np.concatenate([inner_bottom, outer_bottom[::-1]]), p.lips, lift=0.04),
    ]
    gap = float(points[18, 1] - points[14, 1])
    if gap > 0.03:
        strokes.append(Stroke(np.concatenate([inner_top, inner_bottom[1:-1]]), (52, 14, 18), lift=0.02))
        floor = np.interp(inner_top[:, 0], inner_bottom[::-1, 0], inner_bottom[::-1, 1])
        if au[26] > 0.35:
            x, y = float(points[18, 0]), float(points[18, 1])
            tongue = ellipse(x, y, 0.45 * p.mouth_width, 0.32 * gap)
            tongue[:, 1] = np.minimum(tongue[:, 1], np.interp(tongue[:, 0], inner_top[:, 0], floor))
            strokes.append(Stroke(tongue, (168, 70, 74), lift=0.02))
        bared = 0.02 + 0.075 * max(au[12], au[10], 0.75 * au[20], 0.5 * au[9])
        teeth = np.minimum(inner_top[:, 1] + bared, floor)
        strokes.append(
            Stroke(
                np.concatenate([inner_top, np.stack([inner_top[:, 0], teeth], axis=1)[::-1]]),
                (238, 232, 220),
                lift=0.02,
            )
        )
        if au[20] > 0.4 or (au[10] > 0.4 and au[12] < 0.4):
            low = np.maximum(floor - 0.045, teeth)
            strokes.append(
                Stroke(np.stack([inner_top[:, 0], 0.5 * (low + floor)], axis=1)[3:-3], (220, 212, 200), 0.03, lift=0.02)
            )
    else:
        strokes.append(Stroke(inner_top, mix(p.lips, _DARK, 0.8), 0.03, lift=0.04))
    for corner in (0, 6):
        strokes.append(Stroke(ellipse(points[corner, 0], points[corner, 1], 0.018, 0.016, 6), mix(p.skin, _DARK, 0.5)))
    return strokes


class _Crease(NamedTuple):
    """A line of the skin by three knots; ``strength`` 0 to 1."""

    knots: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    strength: float
    width: float = 0.03
    lift: float = 0.0


def _cheek_lines(params: FaceParams, points: Array, au: dict[int, float], side: int) -> list[_Crease]:
    """Nasolabial fold, dimple and the line below the corner of the mouth."""
    p, age = params.identity, params.identity.age
    gain = min(max(1 + params.asymmetry * side, 0.0), 1.0)
    corner = points[48] if side < 0 else points[54]
    wing, x, y = float(points[35, 0]), float(abs(corner[0])), float(corner[1])
    fold = max(gain * au[12], gain * 0.8 * au[10], 0.75 * au[9], 0.5 * gain * au[14]) * 0.6 + 0.35 * age**1.5
    top = p.nose_y - 0.06 - 0.05 * au[9]
    middle = (side * (0.5 * (wing + x) + 0.09), 0.45 * p.nose_y + 0.55 * y - 0.06)
    return [
        _Crease(((side * (wing + 0.02), top), middle, (side * (x + 0.07), y + 0.02)), fold, 0.032),
        _Crease(
            ((side * (x + 0.03), y - 0.04), (side * (x + 0.05), y + 0.02), (side * (x + 0.03), y + 0.07)),
            0.7 * gain * au[14],
        ),
        _Crease(
            ((side * x, y + 0.01), (side * (x + 0.03), y + 0.07), (side * (x + 0.02), y + 0.14)),
            0.6 * au[15] + 0.3 * age * age,
        ),
    ]


def _eye_lines(params: FaceParams, au: dict[int, float], side: int) -> list[_Crease]:
    """Crow's feet, the bag under the eye, the furrow between the brows and the wrinkles of the nose."""
    p, age = params.identity, params.identity.age
    ex, ew = p.eye_distance, p.eye_width
    outer, inner = side * (ex + ew), side * (ex - ew)
    crow = 0.7 * au[6] + 0.4 * age * age
    lines = [
        _Crease(
            (
                (outer + side * 0.05, -0.2 + 0.4 * dy),
                (outer + side * 0.1, -0.195 + 0.9 * dy),
                (outer + side * 0.15, -0.19 + 1.4 * dy),
            ),
            crow,
            0.02,
        )
        for dy in (-0.05, 0.0, 0.05)
    ]
    under = -0.15 + p.eye_open * 0.62
    lines.append(
        _Crease(
            ((inner, under - 0.01), (side * ex, under + 0.035), (outer, under - 0.02)),
            0.55 * au[6] + 0.35 * au[7] + 0.5 * age * age,
            0.022,
        )
    )
    lines.append(
        _Crease(
            ((side * 0.055, -0.34 + 0.05 * au[4]), (side * 0.06, -0.41), (side * 0.065, -0.48)), au[4] * 0.95, 0.026
        )
    )
    lines.append(
        _Crease(
            ((side * 0.03, -0.1 - 0.03 * au[9]), (side * 0.07, -0.08), (side * 0.11, -0.06)), 0.9 * au[9], 0.024, 0.05
        )
    )
    lines.append(_Crease(((side * 0.03, -0.18), (side * 0.07, -0.17), (side * 0.12, -0.16)), 0.8 * au[9], 0.022, 0.05))
    return lines


def creases(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    """Lines of the skin, from age and from what the face does; their colour is what they leave of the light, out of
    255.
    """
    age = params.identity.age
    lines = []
    for side in (-1, 1):
        lines += _cheek_lines(params, points, au, side) + _eye_lines(params, au, side)
    brow_y = float(points[19:25, 1].mean())
    raised = 0.5 * (au[1] + au[2]) + 0.3 * (au[1] * au[4])
    for i, dy in enumerate((0.12, 0.2, 0.28)):
        span = 0.42 - 0.05 * i if au[2] > 0.3 or au[1] < 0.3 else 0.2
        y = brow_y - dy
        lines.append(
            _Crease(
                ((-span, y + 0.02), (0.0, y - 0.015), (span, y + 0.02)),
                0.5 * raised * (0.35 + age) + 0.45 * age**2.5,
                0.02,
            )
        )
    chin = float(points[57, 1])
    lines.append(_Crease(((-0.13, chin + 0.06), (0.0, chin + 0.035), (0.13, chin + 0.06)), 0.25 + 0.5 * au[17], 0.035))
    for x in (-0.06, 0.0, 0.06):
        lines.append(
            _Crease(((x, chin + 0.13), (x + 0.008, chin + 0.15), (x + 0.015, chin + 0.17)), 0.6 * au[17], 0.028)
        )
    lines = [one for one in lines if one.strength >= 0.06]
    curves = smooth(np.array([one.knots for one in lines]), 3)
    greys = [int(255 * (1 - min(0.62 * one.strength, 0.6))) for one in lines]
    return [
        Stroke(curve, (g, g, g), one.width, lift=one.lift) for curve, g, one in zip(curves, greys, lines, strict=True)
    ]


def accessories(params: FaceParams) -> list[Stroke]:
    """Glasses, and whatever hides a part of the face."""
    p = params.identity
    strokes: list[Stroke] = []
    if p.glasses != "none":
        frame: Colour = (36, 34, 40) if sum(p.hair) % 2 else (120, 84, 46)
        for side in (-1, 1):
            x, ry = side * p.eye_distance, 0.125 if p.glasses == "square" else 0.155
            rim = ellipse(x, -0.17, 0.2, ry)
            if p.glasses != "round":
                rim = np.array([x, -0.17]) + np.array([[-0.21, -ry], [0.21, -ry], [0.19, ry], [-0.19, ry]])
            rim = rim[2:4] if p.glasses == "half" else rim
            strokes.append(Stroke(rim, frame, 0.03, lift=0.12, closed=True))
            strokes.append(
                Stroke(
                    np.array([[x + side * 0.2, -0.2], [side * p.face_width, -0.17]]),
                    frame,
                    0.026,
                    relief=0.6,
                    lift=0.08,
                )
            )
        strokes.append(
            Stroke(np.array([[-p.eye_distance + 0.2, -0.19], [p.eye_distance - 0.2, -0.19]]), frame, 0.026, lift=0.14)
        )
    return strokes + _occlusion(params)


def _occlusion(params: FaceParams) -> list[Stroke]:
    p, (x, y) = params.identity, params.occluder_at
    if params.occluder == "hand":
        skin, edge = mix(p.skin, (90, 30, 25), 0.12), mix(p.skin, (60, 20, 20), 0.4)
        strokes = [Stroke(ellipse(x, y + 0.42, 0.3, 0.34), skin, lift=0.3)]
        for i, dx in enumerate((-0.22, -0.07, 0.08, 0.22)):
            finger = np.array([[x + dx, y + 0.3], [x + 1.15 * dx, y - 0.16 + 0.05 * abs(i - 1.5)]])
            strokes += [Stroke(finger, edge, 0.16, lift=0.3), Stroke(finger, skin, 0.125, lift=0.3)]
        return strokes
    if params.occluder == "bar":
        bar = np.array([[x - 0.1, -2.0], [x + 0.1, -2.0], [x + 0.16, 2.5], [x - 0.05, 2.5]])
        return [Stroke(bar, params.background_colours[1], relief=0)]
    if params.occluder == "strand":
        strand = smooth([(x - 0.3, -1.2), (x, -0.6), (x + 0.16, 0.0), (x + 0.1, 0.5)])
        return [
            Stroke(strand, p.hair, 0.1, lift=0.1),
            Stroke(strand + 0.05, mix(p.hair, (255, 240, 220), 0.15), 0.05, lift=0.1),
        ]
    if params.occluder == "mask":
        w = p.face_width
        cloth = smooth(
            [(-0.96 * w, 0.12), (0, -0.02), (0.96 * w, 0.12), (0.75 * w, 0.75), (0, 1.08), (-0.75 * w, 0.75)],
            closed=True,
        )
        return [
            Stroke(cloth, (196, 214, 226), relief=0.6),
            Stroke(np.array([[-0.6, 0.36], [0.6, 0.36]]), (160, 182, 198), 0.025),
        ]
    if params.occluder == "corner":
        sign = 1 if x > 0 else -1
        return [
            Stroke(
                np.array([[sign * 0.25, 1.6], [sign * 1.3, 0.1], [sign * 2.0, 2.0]]),
                params.background_colours[0],
                relief=0,
            )
        ]
    return []
