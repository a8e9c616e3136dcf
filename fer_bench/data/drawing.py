"""The face renderer: turns a description of a face into a picture and its 68 landmarks.

A face is a list of strokes around its landmarks. All strokes are projected at once, painted on a canvas a few times larger
than the picture, shaded, and shrunk; nothing here loops over pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.anatomy import ACTION_UNITS, Array, Colour, FaceParams, landmarks, project, smooth
from fer_bench.data.hair import back_hair, beard, front_hair

Image = npt.NDArray[np.uint8]

_SHIFT = 4  # bits of sub-pixel precision in OpenCV's drawing functions
_WHITE: Colour = (236, 234, 230)
_DARK: Colour = (38, 22, 24)


class Stroke(NamedTuple):
    """A filled shape (``width`` 0) or a line, in face units."""

    points: Array
    colour: Colour
    width: float = 0.0
    relief: float = 1.0
    lift: float = 0.0
    closed: bool = False


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour a part ``t`` of the way from a to b."""
    return (int(a[0] + (b[0] - a[0]) * t), int(a[1] + (b[1] - a[1]) * t), int(a[2] + (b[2] - a[2]) * t))


def _circle(x: float, y: float, rx: float, ry: float, n: int = 16) -> Array:
    t = np.arange(n) * (2 * np.pi / n)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


def _head(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    p = params.identity
    w = p.face_width
    shade = mix(p.skin, (60, 25, 20), 0.28)
    shoulders = np.array([[-0.52, 1.0], [-0.5, 1.25], [-1.5, 1.5], [-1.7, 3.0], [1.7, 3.0], [1.5, 1.5], [0.5, 1.25], [0.52, 1.0]])
    neck = np.array([[-0.46, 0.4], [-0.44, 1.2], [-0.5, 1.35], [0.0, 1.5], [0.5, 1.35], [0.44, 1.2], [0.46, 0.4]])
    strokes = [Stroke(shoulders, p.clothes, relief=0, lift=-0.3), Stroke(neck, shade, relief=0, lift=-0.25)]
    for side in (-1, 1):
        ear = _circle(side * (w + 0.02), -0.02, 0.1, p.ear_size)
        strokes += [Stroke(ear, mix(p.skin, (90, 30, 25), 0.14), relief=0, lift=-0.12)]
        strokes += [Stroke(_circle(side * (w + 0.04), -0.02, 0.05, 0.6 * p.ear_size), shade, relief=0, lift=-0.12)]
    crown = [(0.99 * w, -0.55), (0.8 * w, -0.95), (0.4 * w, -1.13), (0.0, -1.17), (-0.4 * w, -1.13), (-0.8 * w, -0.95), (-0.99 * w, -0.55)]
    outline = smooth(np.concatenate([points[:17:2], crown]), closed=True)
    strokes.append(Stroke(outline, p.skin, relief=0))
    blush = 0.1 + 0.15 * au[12]
    for side in (-1, 1):
        cheek = _circle(side * 0.44, 0.24 - 0.05 * au[6], 0.17, 0.13)
        strokes.append(Stroke(cheek, mix(p.skin, (215, 90, 80), blush)))
    return strokes


def _eye(params: FaceParams, eye: Array, side: int, au: dict[int, float]) -> list[Stroke]:
    """Eyeball, iris and lids; ``eye`` holds six points from the image's left corner around, upper lid first."""
    p = params.identity
    upper, lower = smooth(eye[[0, 1, 2, 3]], 3), smooth(eye[[3, 4, 5, 0]], 3)
    lid_line = mix(p.skin, _DARK, 0.85)
    strokes = []
    if float(lower[:, 1].max() - upper[:, 1].min()) > 0.03:
        strokes.append(Stroke(np.concatenate([upper, lower[1:-1]]), _WHITE))
        centre = eye[[0, 3]].mean(axis=0)
        x, y = centre[0] + 0.055 * params.gaze[0], centre[1] - 0.012 + 0.03 * params.gaze[1]
        radius = 0.074
        top, bottom = upper[:, 1], lower[::-1, 1]
        for r, colour in ((radius, mix(p.iris, (0, 0, 0), 0.15)), (0.5 * radius, (16, 12, 12))):
            ball = _circle(x, y, r, r)
            ball[:, 1] = np.clip(ball[:, 1], np.interp(ball[:, 0], upper[:, 0], top), np.interp(ball[:, 0], lower[::-1, 0], bottom))
            strokes.append(Stroke(ball, colour))
        glint = (x - 0.025, y - 0.03)
        if np.interp(glint[0], upper[:, 0], top) < glint[1] - 0.01:
            strokes.append(Stroke(_circle(*glint, 0.014, 0.014, 6), (250, 250, 250)))
    strokes.append(Stroke(lower, mix(p.skin, _DARK, 0.4), 0.014))
    strokes.append(Stroke(upper, lid_line, 0.034))
    crease = smooth(eye[[0, 1, 2, 3]] + np.array([[0, -0.03], [0, -0.05], [0, -0.05], [0, -0.03]]), 3)
    strokes.append(Stroke(crease, mix(p.skin, _DARK, 0.32), 0.016))
    return strokes


def _brow(params: FaceParams, brow: Array, inner_first: bool) -> list[Stroke]:
    p = params.identity
    taper = np.array([0.35, 0.8, 1.0, 1.05, 0.95]) * p.brow_thickness
    if inner_first:
        taper = taper[::-1]
    edge = np.stack([np.zeros(5), taper], axis=1)
    band = np.concatenate([smooth(brow - 0.5 * edge, 3), smooth(brow + 0.5 * edge, 3)[::-1]])
    return [Stroke(band, p.brow, lift=0.03)]


def _nose(params: FaceParams, nose: Array, au: dict[int, float]) -> list[Stroke]:
    p = params.identity
    dark, line = mix(p.skin, (70, 20, 20), 0.55), mix(p.skin, (80, 30, 25), 0.38)
    tip, wings = nose[3], nose[4:]
    lit = 1 if np.cos(np.radians(params.light_angle)) < 0 else -1
    x = lit * 0.055
    ridge = smooth([(1.5 * x, -0.28), (x, -0.1), (1.15 * x, tip[1] - 0.06), (1.6 * x, tip[1])], 3)
    strokes = [Stroke(ridge, mix(p.skin, (80, 30, 25), 0.26), 0.03, lift=0.05)]
    strokes.append(Stroke(_circle(-0.3 * x, tip[1], 0.035, 0.04, 10), mix(p.skin, (255, 250, 240), 0.35), lift=0.2))
    strokes.append(Stroke(smooth(wings, 3), line, 0.025, lift=0.14))
    half = float(wings[4, 0])
    for side in (-1, 1):
        top = wings[0, 1] - 0.09 - 0.02 * au[9]
        wing = smooth([(side * 0.8 * half, top), (side * 1.12 * half, top + 0.05), (side * 0.85 * half, wings[0, 1] + 0.005)], 3)
        strokes.append(Stroke(wing, line, 0.022, lift=0.1))
        strokes.append(Stroke(_circle(side * 0.46 * half, wings[1, 1] - 0.008, 0.24 * half, 0.016, 8), dark, lift=0.15))
    return strokes


def _mouth(params: FaceParams, mouth: Array, au: dict[int, float]) -> list[Stroke]:
    p = params.identity
    outer_top, outer_bottom = smooth(mouth[:7], 3), smooth([*mouth[6:12], mouth[0]], 3)
    inner_top, inner_bottom = smooth(mouth[[0, *range(13, 16), 6]], 3), smooth(mouth[[6, *range(17, 20), 0]], 3)
    upper_colour = mix(p.lips, (60, 10, 20), 0.16)
    strokes = [
        Stroke(np.concatenate([outer_top, inner_top[::-1]]), upper_colour, lift=0.04),
        Stroke(np.concatenate([inner_bottom, outer_bottom[::-1]]), p.lips, lift=0.04),
    ]
    gap = float(mouth[18, 1] - mouth[14, 1])
    if gap > 0.03:
        strokes.append(Stroke(np.concatenate([inner_top, inner_bottom[1:-1]]), (52, 14, 18), lift=0.02))
        floor = np.interp(inner_top[:, 0], inner_bottom[::-1, 0], inner_bottom[::-1, 1])
        if au[26] > 0.35:
            x, y = float(mouth[18, 0]), float(mouth[18, 1])
            tongue = _circle(x, y, 0.45 * p.mouth_width, 0.32 * gap)
            tongue[:, 1] = np.minimum(tongue[:, 1], np.interp(tongue[:, 0], inner_top[:, 0], floor))
            strokes.append(Stroke(tongue, (168, 70, 74), lift=0.02))
        bared = 0.02 + 0.075 * max(au[12], au[10], 0.75 * au[20], 0.5 * au[9])
        teeth = np.minimum(inner_top[:, 1] + bared, floor)
        strokes.append(Stroke(np.concatenate([inner_top, np.stack([inner_top[:, 0], teeth], axis=1)[::-1]]), (238, 232, 220), lift=0.02))
        if au[20] > 0.4 or (au[10] > 0.4 and au[12] < 0.4):
            low = np.maximum(floor - 0.045, teeth)
            strokes.append(Stroke(np.stack([inner_top[:, 0], 0.5 * (low + floor)], axis=1)[3:-3], (220, 212, 200), 0.03, lift=0.02))
    else:
        strokes.append(Stroke(inner_top, mix(p.lips, _DARK, 0.75), 0.024, lift=0.04))
    for corner in (0, 6):
        strokes.append(Stroke(_circle(*mouth[corner], 0.018, 0.016, 6), mix(p.skin, _DARK, 0.5)))
    return strokes


def _line(knots: list[tuple[float, float]], strength: float, width: float = 0.03, lift: float = 0.0) -> list[Stroke]:
    """A crease of the skin; its grey value is what it leaves of the light, out of 255."""
    if strength < 0.06:
        return []
    grey = int(255 * (1 - min(0.62 * strength, 0.6)))
    return [Stroke(smooth(knots, 3), (grey, grey, grey), width, lift=lift)]


def _creases(params: FaceParams, points: Array, au: dict[int, float]) -> list[Stroke]:
    p = params.identity
    age = p.age
    strokes = []
    wing, corner_y = float(points[35, 0]), p.nose_y
    nose_raise = 0.05 * au[9]
    for side, corner in ((-1, points[48]), (1, points[54])):
        gain = min(max(1 + params.asymmetry * side, 0.0), 1.0)
        x, y = float(abs(corner[0])), float(corner[1])
        fold = max(gain * au[12], gain * 0.8 * au[10], 0.75 * au[9], 0.5 * gain * au[14]) * 0.85 + 0.45 * age**1.5
        knots = [(side * (wing + 0.02), corner_y - 0.06 - nose_raise), (side * (0.5 * (wing + x) + 0.09), 0.45 * corner_y + 0.55 * y - 0.06), (side * (x + 0.07), y + 0.02)]
        strokes += _line(knots, fold, 0.032)
        strokes += _line([(side * (x + 0.03), y - 0.04), (side * (x + 0.05), y + 0.02), (side * (x + 0.03), y + 0.07)], 0.7 * gain * au[14])
        strokes += _line([(side * x, y + 0.01), (side * (x + 0.03), y + 0.07), (side * (x + 0.02), y + 0.14)], 0.6 * au[15] + 0.3 * age * age)
        ex, ew = p.eye_distance, p.eye_width
        crow = 0.7 * au[6] + 0.4 * age * age
        for dy in (-0.05, 0.0, 0.05):
            start = (side * (ex + ew + 0.05), -0.2 + 0.4 * dy)
            strokes += _line([start, (side * (ex + ew + 0.15), -0.19 + 1.4 * dy)], crow, 0.02)
        bag = 0.55 * au[6] + 0.35 * au[7] + 0.5 * age * age
        under = -0.2 + p.eye_open * 0.62 + 0.05
        strokes += _line([(side * (ex - ew), under - 0.01), (side * ex, under + 0.035), (side * (ex + ew), under - 0.02)], bag, 0.022)
        strokes += _line([(side * (0.05 + 0.005), -0.34 + 0.05 * au[4]), (side * 0.065, -0.48)], au[4] * 0.95, 0.026)
        strokes += _line([(side * 0.03, -0.1 - 0.03 * au[9]), (side * 0.11, -0.06)], 0.9 * au[9], 0.024, 0.05)
        strokes += _line([(side * 0.03, -0.18), (side * 0.12, -0.16)], 0.8 * au[9], 0.022, 0.05)
    brow = float(points[19:25, 1].mean())
    raised = 0.5 * (au[1] + au[2]) + 0.3 * (au[1] * au[4])
    for i, dy in enumerate((0.12, 0.2, 0.28)):
        span = 0.42 - 0.05 * i if au[2] > 0.3 or au[1] < 0.3 else 0.2
        y = brow - dy
        strokes += _line([(-span, y + 0.02), (0.0, y - 0.015), (span, y + 0.02)], 0.55 * raised * (0.5 + age) + 0.5 * age**2.5, 0.02)
    chin = float(points[57, 1])
    strokes += _line([(-0.13, chin + 0.06), (0.0, chin + 0.035), (0.13, chin + 0.06)], 0.25 + 0.5 * au[17], 0.035)
    for x in (-0.06, 0.0, 0.06):
        strokes += _line([(x, chin + 0.13), (x + 0.015, chin + 0.17)], 0.6 * au[17], 0.028)
    return strokes


def _accessories(params: FaceParams) -> list[Stroke]:
    p = params.identity
    strokes = []
    if p.glasses != "none":
        frame: Colour = (36, 34, 40) if sum(p.hair) % 2 else (120, 84, 46)
        for side in (-1, 1):
            x, ry = side * p.eye_distance, 0.15 if p.glasses == "round" else 0.125
            rim = _circle(x, -0.17, 0.2, ry)
            if p.glasses != "round":
                rim = np.array([x, -0.17]) + np.array([[-0.21, -ry], [0.21, -ry], [0.19, ry], [-0.19, ry]])
            rim = rim[2:4] if p.glasses == "half" else rim
            strokes.append(Stroke(rim, frame, 0.03, lift=0.12, closed=True))
            strokes.append(Stroke(np.array([[x + side * 0.2, -0.2], [side * p.face_width, -0.17]]), frame, 0.026, relief=0.6, lift=0.08))
        strokes.append(Stroke(np.array([[-p.eye_distance + 0.2, -0.19], [p.eye_distance - 0.2, -0.19]]), frame, 0.026, lift=0.14))
    return strokes + _occlusion(params)


def _occlusion(params: FaceParams) -> list[Stroke]:
    p, (x, y) = params.identity, params.occluder_at
    if params.occluder == "hand":
        skin, edge = mix(p.skin, (90, 30, 25), 0.12), mix(p.skin, (60, 20, 20), 0.4)
        strokes = [Stroke(_circle(x, y + 0.42, 0.3, 0.34), skin, lift=0.3)]
        for i, dx in enumerate((-0.22, -0.07, 0.08, 0.22)):
            finger = np.array([[x + dx, y + 0.3], [x + 1.15 * dx, y - 0.16 + 0.05 * abs(i - 1.5)]])
            strokes += [Stroke(finger, edge, 0.16, lift=0.3), Stroke(finger, skin, 0.125, lift=0.3)]
        return strokes
    if params.occluder == "bar":
        bar = np.array([[x - 0.1, -2.0], [x + 0.1, -2.0], [x + 0.16, 2.5], [x - 0.05, 2.5]])
        return [Stroke(bar, params.background_colours[1], relief=0)]
    if params.occluder == "strand":
        strand = smooth([(x - 0.3, -1.2), (x, -0.6), (x + 0.16, 0.0), (x + 0.1, 0.5)])
        return [Stroke(strand, p.hair, 0.1, lift=0.1), Stroke(strand + 0.05, mix(p.hair, (255, 240, 220), 0.15), 0.05, lift=0.1)]
    if params.occluder == "mask":
        w = p.face_width
        cloth = smooth([(-0.96 * w, 0.12), (0, -0.02), (0.96 * w, 0.12), (0.75 * w, 0.75), (0, 1.08), (-0.75 * w, 0.75)], closed=True)
        return [Stroke(cloth, (196, 214, 226), relief=0.6), Stroke(np.array([[-0.6, 0.36], [0.6, 0.36]]), (160, 182, 198), 0.025)]
    if params.occluder == "corner":
        sign = 1 if x > 0 else -1
        return [Stroke(np.array([[sign * 0.25, 1.6], [sign * 1.3, 0.1], [sign * 2.0, 2.0]]), params.background_colours[0], relief=0)]
    return []


def _render(canvas: Image, strokes: list[Stroke], params: FaceParams, side: float, aa: bool) -> None:
    """Project all strokes at once and paint them in order."""
    if not strokes:
        return
    counts = [len(s.points) for s in strokes]
    relief, lift = np.repeat([s.relief for s in strokes], counts), np.repeat([s.lift for s in strokes], counts)
    points = project(np.concatenate([s.points for s in strokes]), relief, lift, params, side)
    fixed = np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32)
    unit = 0.43 * side * params.scale
    style = cv2.LINE_AA if aa else cv2.LINE_8
    start = 0
    for stroke, count in zip(strokes, counts, strict=True):
        shape = fixed[start : start + count]
        start += count
        if stroke.width:
            cv2.polylines(canvas, [shape], stroke.closed, stroke.colour, max(1, round(stroke.width * unit)), style, _SHIFT)
        else:
            cv2.fillPoly(canvas, [shape], stroke.colour, style, _SHIFT)


def _light(params: FaceParams, height: int, width: int, side: float) -> Image:
    """What the light leaves of the colours (128 = all), on a coarse grid: a rounded head lit from one direction."""
    step = max(side / 36, 1.0)
    h, w = max(round(height / step), 2), max(round(width / step), 2)
    x = ((np.arange(w, dtype=np.float32) + 0.5) * (width / w) / side - 0.5 - params.shift[0]) / (0.43 * params.scale)
    y = ((np.arange(h, dtype=np.float32) + 0.5) * (height / h) / side - 0.53 - params.shift[1])[:, None] / (0.43 * params.scale)
    r2 = (x * (1 / 0.8)) ** 2 + ((y + 0.06) * (1 / 1.12)) ** 2
    angle = np.radians(params.light_angle)
    slope = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))) * np.float32(0.62 * params.light_strength)
    field = 1.05 + slope - np.minimum(r2 * r2, 1.2) * np.float32(0.2)
    weight = np.clip((1.75 - r2) * 2, 0, 1)
    grid = np.clip(128 * (1 + weight * (field - 1)), 20, 250).astype(np.uint8)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)


def _multiply(canvas: Image, layer: Image, full: float) -> None:
    cv2.multiply(canvas, cv2.merge([layer, layer, layer]), canvas, scale=1 / full)


def paint_face(canvas: Image, params: FaceParams, side: float, body: bool = True, aa: bool = False) -> Array:
    """Paint one face over what is on the canvas.

    Args:
        canvas: uint8 (H, W, 3) RGB, painted in place; may be a view of a larger picture.
        params: the face; background, noise, blur, brightness and contrast are not used here.
        side: side in pixels of the square picture the parameters speak of; the square starts at the canvas' origin.
        body: whether neck and shoulders are painted too.
        aa: whether edges are anti-aliased while painting (not needed on canvases to be shrunk by three or more).

    Returns:
        The 68 landmarks, shape (68, 2), pixels of the canvas.
    """
    height, width = canvas.shape[:2]
    points = landmarks(params)
    au = dict(zip(ACTION_UNITS, params.action, strict=True))
    skin = [Stroke(*s) for s in back_hair(params.identity)] + _head(params, points, au)[0 if body else 2 :] + [Stroke(*s) for s in beard(params.identity, points)]
    _render(canvas, skin, params, side, aa)
    creases = np.full((height, width), 255, np.uint8)
    _render(creases, _creases(params, points, au), params, side, aa)
    _multiply(canvas, cv2.blur(creases, (3, 3)), 255)
    features = [
        *_eye(params, points[36:42], -1, au),
        *_eye(params, points[42:48], 1, au),
        *_nose(params, points[27:36], au),
        *_mouth(params, points[48:68], au),
        *_brow(params, points[17:22], inner_first=False),
        *_brow(params, points[22:27], inner_first=True),
        *[Stroke(*s) for s in front_hair(params.identity)],
        *_accessories(params),
    ]
    _render(canvas, features, params, side, aa)
    _multiply(canvas, _light(params, height, width, side), 128)
    relief = np.concatenate([np.zeros(17), np.ones(51)])
    lift = np.zeros(68)
    lift[17:27], lift[27:31], lift[31:36], lift[48:] = 0.03, (0.05, 0.1, 0.15, 0.2), 0.14, 0.04
    return project(points, relief, lift, params, side)


def _background(params: FaceParams, side: int, rng: np.random.Generator) -> Image:
    first, second = params.background_colours
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = first
    if params.background == "gradient":
        ends = np.array([[first, first], [second, second]], np.uint8)
        return cv2.resize(ends, (side, side), interpolation=cv2.INTER_LINEAR)
    if params.background == "window":
        x, y = (rng.random(2) * side * 0.8).astype(int)
        cv2.rectangle(canvas, (int(x), int(y) - side // 2), (int(x) + side // 2, int(y) + side // 3), second, -1)
    elif params.background == "blobs":
        for x, y, r in rng.random((5, 3)):
            cv2.circle(canvas, (int(x * side), int(y * side)), int((0.08 + 0.15 * r) * side), mix(first, second, float(r)), -1)
    elif params.background == "stripes":
        for x in np.arange(rng.random(), 8, 1.6):
            cv2.line(canvas, (int(x * side / 8), 0), (int((x - 0.4) * side / 8), side), second, max(side // 14, 1))
    return canvas


def draw_face(params: FaceParams, size: int, rng: np.random.Generator) -> tuple[Image, npt.NDArray[np.float32]]:
    """Draw one face.

    Args:
        params: the face.
        size: side of the picture in pixels.
        rng: source of the background's details and of the noise; the same state gives the same bytes.

    Returns:
        Picture, uint8 (size, size, 3) RGB, and the 68 landmarks in iBUG's order, float32 (68, 2), x and y in pixels
        (some may lie outside the picture).
    """
    factor = 3 if size <= 96 else 2
    side = size * factor
    canvas = _background(params, side, rng)
    points = paint_face(canvas, params, side, aa=size > 96)
    image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    if params.blur * size > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), params.blur * size)
    gain = params.brightness * params.contrast
    image = cv2.convertScaleAbs(image, alpha=gain, beta=max(118 * params.brightness * (1 - params.contrast), 0.0))
    if params.noise > 0:
        grain = rng.standard_normal((size, size), dtype=np.float32) * np.float32(params.noise)
        image = np.clip(image + grain[:, :, None], 0, 255).astype(np.uint8)
    return image, (points / factor).astype(np.float32)
