"""What a synthetic face is made of: who it is, what it does, and where its 68 points then are.

Face units: the origin is between eyes and nose tip, x points to the right of the image, y down; the chin is near y =
1, the crown near y = -1.15. Every facial feature is built around the landmarks, so the landmarks of a picture are
exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_bench.synthetic.strokes import Array, Colour, smooth

ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 43)
"""The facial action units (FACS) a face can show, each 0 to 1; 43 is the closing of the eyes."""

HAIR_STYLES = ("bald", "buzz", "short", "parted", "fringe", "long", "curly", "pigtails", "beanie", "scarf")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square", "half")
OCCLUDERS = ("none", "hand", "bar", "strand", "mask", "corner")
BACKGROUNDS = ("plain", "gradient", "window", "blobs", "stripes")


@dataclass(frozen=True)
class Identity:
    """What stays the same in all pictures of one person; lengths in face units, colours RGB.

    Args:
        face_width: half width of the head at the temples.
        jaw: width of the jaw as a part of ``face_width``.
        chin: half width of the chin.
        chin_y: height of the chin.
        eye_distance: x of the eyes' centres.
        eye_width: half width of an eye.
        eye_open: height of the upper lid over the corners at rest.
        eye_tilt: how much the outer corner is above the inner one.
        brow_gap: distance from eye to brow.
        brow_arch: height of the brow's arch.
        brow_tilt: how much the outer end of the brow is above the inner one.
        brow_thickness: thickness of the brow.
        nose_y: height of the nose base.
        nose_width: half width of the nose.
        mouth_y: height of the mouth.
        mouth_width: half width of the mouth.
        lip_upper: thickness of the upper lip.
        lip_lower: thickness of the lower lip.
        ear_size: height of the ears.
        age: 0 (smooth) to 1 (lined).
        skin: colour of the skin.
        hair: colour of the hair.
        brow: colour of the brows.
        iris: colour of the iris.
        lips: colour of the lips.
        clothes: colour of the clothes.
        hair_style: one of :data:`HAIR_STYLES`.
        hair_volume: 0 to 1.
        hairline: height of the hairline.
        beard: one of :data:`BEARDS`.
        glasses: one of :data:`GLASSES`.
        rest: action units of the face at rest, shape (17,), a tuple.
        expressivity: how strongly the person shows what there is to show, around 1.
    """

    face_width: float = 0.74
    jaw: float = 0.86
    chin: float = 0.32
    chin_y: float = 1.0
    eye_distance: float = 0.34
    eye_width: float = 0.15
    eye_open: float = 0.07
    eye_tilt: float = 0.01
    brow_gap: float = 0.2
    brow_arch: float = 0.04
    brow_tilt: float = 0.02
    brow_thickness: float = 0.045
    nose_y: float = 0.28
    nose_width: float = 0.14
    mouth_y: float = 0.57
    mouth_width: float = 0.27
    lip_upper: float = 0.05
    lip_lower: float = 0.065
    ear_size: float = 0.2
    age: float = 0.2
    skin: Colour = (238, 200, 172)
    hair: Colour = (70, 45, 30)
    brow: Colour = (60, 40, 28)
    iris: Colour = (90, 70, 45)
    lips: Colour = (190, 110, 100)
    clothes: Colour = (60, 80, 120)
    hair_style: str = "short"
    hair_volume: float = 0.5
    hairline: float = -0.68
    beard: str = "none"
    glasses: str = "none"
    rest: tuple[float, ...] = (0.0,) * len(ACTION_UNITS)
    expressivity: float = 1.0


@dataclass(frozen=True)
class FaceParams:
    """One picture of one person.

    Args:
        identity: who.
        action: strength of each of :data:`ACTION_UNITS`, 0 to 1, in that order.
        asymmetry: -1 to 1: action units of the mouth act on the image's left (-1) or right (+1) half only.
        gaze: where the eyes look, x and y, -1 to 1.
        roll: in-plane rotation in degrees, clockwise.
        yaw: turn to the right of the image in degrees.
        pitch: nod (downwards) in degrees.
        scale: size of the face; 1 fills the picture as a face crop does.
        shift: displacement of the face as a part of the picture's side, x and y.
        light_angle: direction the light comes from, in degrees (0 right, 90 below, -90 above).
        light_strength: 0 (flat) to 1.
        brightness: gain of the picture, around 1.
        contrast: contrast of the picture, around 1.
        background: one of :data:`BACKGROUNDS`.
        background_colours: the two colours of the background.
        occluder: one of :data:`OCCLUDERS`.
        occluder_at: where the occluder is, x and y in face units.
        noise: standard deviation of the sensor noise, grey levels.
        blur: standard deviation of the blur, as a part of the picture's side.
    """

    identity: Identity = Identity()
    action: tuple[float, ...] = (0.0,) * len(ACTION_UNITS)
    asymmetry: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    light_angle: float = -90.0
    light_strength: float = 0.3
    brightness: float = 1.0
    contrast: float = 1.0
    background: str = "plain"
    background_colours: tuple[Colour, Colour] = ((150, 160, 170), (110, 115, 125))
    occluder: str = "none"
    occluder_at: tuple[float, float] = (0.0, 0.5)
    noise: float = 0.0
    blur: float = 0.0


_T = np.linspace(0, 1, 5)
_INNER, _OUTER = _T**1.4, (1 - _T) ** 1.1
_ARCH = np.sin(np.pi * np.array([0.08, 0.4, 0.56, 0.72, 0.86]))
_UPPER_X = np.array([-0.64, -0.24, 0.0, 0.24, 0.64])
_UPPER_RIM = np.array([0.66, 1.0, 0.84, 1.0, 0.66])
_LOWER_X = np.array([0.62, 0.3, 0.0, -0.3, -0.62])
_LOWER_RIM = np.array([0.66, 0.96, 1.0, 0.96, 0.66])
_INNER_X = np.array([-0.45, 0.0, 0.45])
_INNER_RIM = np.array([0.78, 1.0, 0.78])


def _side_gain(asymmetry: float, side: int) -> float:
    return min(max(1 + asymmetry * side, 0.0), 1.0)


def _jaw(p: Identity, au: dict[int, float]) -> Array:
    drop = 0.17 * au[26] - 0.02 * au[17]
    cheek = 1 + 0.035 * au[12]
    w, y = p.face_width, p.chin_y
    half = [
        (-w, -0.22),
        (-0.985 * w * cheek, 0.14),
        (-p.jaw * w * cheek, 0.52 + 0.35 * drop),
        (-p.chin, 0.87 * y + 0.85 * drop),
    ]
    return smooth([*half, (0.0, y + drop), *[(-x, v) for x, v in half[::-1]]], per_segment=2)


def _brow(p: Identity, au: dict[int, float], side: int) -> Array:
    """Five points from the outer to the inner end."""
    outer, inner = p.eye_distance + 1.25 * p.eye_width, p.eye_distance - 1.05 * p.eye_width
    x = outer + (inner - outer) * _T - 0.045 * au[4] * _INNER
    y = -0.2 - p.brow_gap - p.brow_arch * _ARCH - p.brow_tilt * (1 - _T)
    y = (
        y
        - (0.15 * au[1] * _INNER + 0.13 * au[2] * _OUTER)
        + au[4] * (0.045 + 0.075 * _INNER)
        + 0.04 * au[9]
        - 0.012 * au[5]
    )
    return np.stack([side * x, y], axis=1)


def _eye(p: Identity, au: dict[int, float], side: int) -> Array:
    """Six points: outer corner, upper lid (outer, inner), inner corner, lower lid (inner, outer)."""
    lid = 1 + 0.8 * au[5] - 0.4 * au[7] - 0.25 * au[6] - 0.22 * au[9] - 0.1 * au[4]
    upper = p.eye_open * max(lid * (1 - 0.97 * au[43]), 0.04)
    lower = (
        0.62
        * p.eye_open
        * max((1 + 0.2 * au[5] - 0.65 * au[6] - 0.55 * au[7] - 0.3 * au[9]) * (1 - 0.5 * au[43]), 0.05)
    )
    sorrow = 0.03 * au[1] * au[15]
    x = p.eye_distance + p.eye_width * np.array([1.0, 0.4, -0.4, -1.0, -0.4, 0.4])
    y = -0.2 + np.array([-p.eye_tilt + sorrow, -upper + 0.6 * sorrow, -upper - 0.2 * sorrow, p.eye_tilt, lower, lower])
    return np.stack([side * x, y], axis=1)


def _nose(p: Identity, au: dict[int, float]) -> Array:
    base = p.nose_y - 0.045 * au[9] - 0.015 * au[10]
    width = p.nose_width * (1 + 0.14 * au[9] + 0.1 * au[12] + 0.05 * au[5])
    bridge = np.stack([np.zeros(4), np.linspace(-0.2, base - 0.09, 4)], axis=1)
    wings = np.stack(
        [width * np.array([-0.85, -0.42, 0.0, 0.42, 0.85]), base + np.array([-0.02, 0.012, 0.03, 0.012, -0.02])], axis=1
    )
    return np.concatenate([bridge, wings])


def _mouth(p: Identity, au: dict[int, float], asymmetry: float) -> Array:
    """Twenty points: twelve of the outer and eight of the inner lip line."""
    jaw = 0.17 * au[26]
    corners = []
    for side in (-1, 1):
        gain = _side_gain(asymmetry, side)
        smile, dimple = au[12] * gain, au[14] * gain
        width = p.mouth_width * (
            1
            + 0.34 * smile
            + 0.1 * dimple
            + 0.24 * au[20]
            - 0.1 * au[23]
            - 0.1 * au[17]
            - 0.3 * au[26] * (1 - 0.7 * max(smile, au[20]))
        )
        y = (
            p.mouth_y
            + 0.45 * jaw
            - 0.008
            - 0.15 * smile
            - 0.045 * dimple
            + 0.1 * au[15]
            + 0.035 * au[20]
            - 0.015 * au[10]
        )
        corners.append((side * width, y))
    (left, y_left), (right, y_right) = corners
    thin = (1 - 0.55 * au[23]) * (1 - 0.25 * au[20])
    middle = p.mouth_y + 0.02 * au[12] - 0.02 * au[15] - 0.03 * au[17]
    lift = 0.02 * au[25] + 0.06 * au[10] * (1 - 0.4 * au[17]) + 0.03 * au[9] + 0.025 * au[12] * au[25]
    part = min(au[25] + 0.6 * au[26], 1.0)
    gap_up, gap_down = part * (0.012 + 0.6 * lift), part * (0.02 + 0.03 * au[25]) + 1.05 * jaw * part
    upper = p.lip_upper * thin * (1 - 0.25 * au[12])
    lower = p.lip_lower * thin * (1 + 0.25 * au[17] - 0.2 * au[12])

    def line(x: Array) -> Array:
        """Height of the line between the lips at x, -1 (left corner) to 1."""
        bend = np.abs(x) ** 1.6
        return middle - lift + 0.5 * lift * bend + (np.where(x < 0, y_left, y_right) - middle + 0.5 * lift) * bend

    def place(x: Array) -> Array:
        return np.where(x < 0, -x * left, x * right)

    top = np.stack([place(_UPPER_X), line(_UPPER_X) - gap_up * _UPPER_RIM - upper * _UPPER_RIM], axis=1)
    bottom = np.stack([place(_LOWER_X), line(_LOWER_X) + (gap_down + lower + lift) * _LOWER_RIM], axis=1)
    inner_top = np.stack([place(_INNER_X), line(_INNER_X) - gap_up * _INNER_RIM], axis=1)
    back = _INNER_X[::-1]
    inner_bottom = np.stack([place(back), line(back) + (gap_down + lift * part) * _INNER_RIM], axis=1)
    ends = np.array([[left, y_left], [right, y_right]])
    inside = np.array([[0.92 * left, 0.92 * y_left + 0.08 * middle], [0.92 * right, 0.92 * y_right + 0.08 * middle]])
    return np.concatenate([ends[:1], top, ends[1:], bottom, inside[:1], inner_top, inside[1:], inner_bottom])


def landmarks(params: FaceParams) -> Array:
    """The 68 points of a face before it is turned, in iBUG's order.

    Args:
        params: the face.

    Returns:
        Shape (68, 2), face units.
    """
    p = params.identity
    au = dict(zip(ACTION_UNITS, params.action, strict=True))
    right_brow, right_eye = _brow(p, au, 1), _eye(p, au, 1)
    return np.concatenate(
        [
            _jaw(p, au),
            _brow(p, au, -1),
            right_brow[::-1],
            _nose(p, au),
            _eye(p, au, -1),
            right_eye[[3, 2, 1, 0, 5, 4]],
            _mouth(p, au, params.asymmetry),
        ]
    )
