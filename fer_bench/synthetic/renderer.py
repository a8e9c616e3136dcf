"""The face renderer: turns a description of a face into a picture and its 68 landmarks.

A face is a list of strokes around its landmarks. All strokes are projected at once, painted on a canvas a few times
larger than the picture, shaded, and shrunk; nothing here loops over pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.synthetic.face_model import ACTION_UNITS, FaceParams, landmarks
from fer_bench.synthetic.facial_parts import accessories, brow, creases, eye, head, mouth, nose
from fer_bench.synthetic.hair import back_hair, beard, front_hair
from fer_bench.synthetic.strokes import Array, Stroke, mix

Image = npt.NDArray[np.uint8]
Fixed = npt.NDArray[np.int32]

_SHIFT = 4  # bits of sub-pixel precision in OpenCV's drawing functions
_UNIT = 0.43  # length of a face unit, as a part of the picture's side, at scale 1
_CENTRE_Y = 0.53
_RELIEF = np.concatenate([np.zeros(17), np.ones(51)])
_LIFT = np.zeros(68)
_LIFT[17:27], _LIFT[27:31], _LIFT[31:36], _LIFT[48:] = 0.03, (0.05, 0.1, 0.15, 0.2), 0.14, 0.04


def project(points: Array, relief: Array | float, lift: Array | float, params: FaceParams, side: float) -> Array:
    """Turn points of the face and put them into the picture (orthographic projection of an ellipsoid).

    Args:
        points: shape (N, 2), face units.
        relief: shape (N,) or a number; 1 for points on the front of the head, 0 for its outline.
        lift: shape (N,) or a number; distance before the surface, face units.
        params: the face; its pose is used.
        side: side of the picture in pixels.

    Returns:
        Shape (N, 2), pixels; the centre of the first pixel is at 0.5.
    """
    x, y = points[:, 0], points[:, 1]
    z = relief * (0.72 * np.sqrt(np.maximum(1 - (x * (1 / 0.98)) ** 2 - (y * (1 / 1.35)) ** 2, 0))) + lift
    yaw, pitch, roll = np.radians([params.yaw, params.pitch, params.roll])
    turned = x * np.cos(yaw) + z * np.sin(yaw)
    nodded = y * np.cos(pitch) + (z * np.cos(yaw) - x * np.sin(yaw)) * np.sin(pitch)
    unit = _UNIT * side * params.scale
    c, s = np.cos(roll) * unit, np.sin(roll) * unit
    placed = np.empty((len(points), 2))
    placed[:, 0] = turned * c - nodded * s + (0.5 + params.shift[0]) * side
    placed[:, 1] = turned * s + nodded * c + (_CENTRE_Y + params.shift[1]) * side
    return placed


def _place(strokes: Sequence[Stroke], points: Array, params: FaceParams, side: float) -> tuple[list[Fixed], Array]:
    """All strokes in OpenCV's fixed-point pixels, and the landmarks in pixels, by one projection."""
    counts = [len(s.points) for s in strokes]
    relief = np.concatenate([np.repeat([s.relief for s in strokes], counts), _RELIEF])
    lift = np.concatenate([np.repeat([s.lift for s in strokes], counts), _LIFT])
    placed = project(np.concatenate([*[s.points for s in strokes], points]), relief, lift, params, side)
    fixed = np.round((placed - 0.5) * (1 << _SHIFT)).astype(np.int32)
    ends = np.cumsum([0, *counts]).tolist()
    return [fixed[a:b] for a, b in pairwise(ends)], placed[ends[-1] :]


def _paint(canvas: Image, strokes: Sequence[Stroke], shapes: Sequence[Fixed], unit: float, style: int) -> None:
    for stroke, shape in zip(strokes, shapes, strict=True):
        if stroke.width:
            cv2.polylines(
                canvas, [shape], stroke.closed, stroke.colour, max(1, round(stroke.width * unit)), style, _SHIFT
            )
        else:
            cv2.fillPoly(canvas, [shape], stroke.colour, style, _SHIFT)


def _light(params: FaceParams, mask: Image, side: float) -> Image:
    """What the light leaves of the colours (128 = all): a rounded head lit from one direction; only where the mask is
    set.
    """
    height, width = mask.shape
    step = max(side / 36, 1.0)
    h, w = max(round(height / step), 2), max(round(width / step), 2)
    unit = _UNIT * params.scale
    x = ((np.arange(w, dtype=np.float32) + 0.5) * (width / w / side) - (0.5 + params.shift[0])) / unit
    y = ((np.arange(h, dtype=np.float32) + 0.5) * (height / h / side) - (_CENTRE_Y + params.shift[1]))[:, None] / unit
    r2 = (x * (1 / 0.8)) ** 2 + ((y + 0.06) * (1 / 1.12)) ** 2
    angle = np.radians(params.light_angle)
    slope = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))) * np.float32(0.62 * params.light_strength)
    field = 1.05 + np.clip(slope, -0.7, 0.6) - np.minimum(r2 * r2, 1.2) * np.float32(0.18)
    grid = cv2.resize(np.clip(128 * field, 25, 250).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    light = np.full(mask.shape, 128, np.uint8)
    cv2.copyTo(grid, mask, light)
    return light


def _multiply(canvas: Image, layer: Image, full: float) -> None:
    cv2.multiply(canvas, cv2.merge([layer, layer, layer]), canvas, scale=1 / full)


def paint_face(canvas: Image, params: FaceParams, side: float, body: bool = True, smooth_edges: bool = False) -> Array:
    """Paint one face over what is on the canvas.

    Args:
        canvas: uint8 (H, W, 3) RGB, painted in place; may be a view of a larger picture.
        params: the face; background, noise, blur, brightness and contrast are not used here.
        side: side in pixels of the square picture the parameters speak of; the square starts at the canvas' origin.
        body: whether the shoulders are painted too.
        smooth_edges: whether edges are anti-aliased while painting (not needed where the canvas is shrunk by three or
            more).

    Returns:
        The 68 landmarks, shape (68, 2), pixels of the canvas.
    """
    points = landmarks(params)
    au = dict(zip(ACTION_UNITS, params.action, strict=True))
    person = params.identity
    skin = [*back_hair(person), *head(params, points, au)[0 if body else 1 :], *beard(person, points)]
    lines = creases(params, points, au)
    hair = front_hair(person)
    features = [
        *eye(params, points[36:42], au),
        *eye(params, points[42:48], au),
        *nose(params, points[27:36], au),
        *mouth(params, points[48:68], au),
        *brow(params, points[17:22], inner_first=False),
        *brow(params, points[22:27], inner_first=True),
        *hair,
        *accessories(params),
    ]
    strokes = [*skin, *lines, *features]
    shapes, placed = _place(strokes, points, params, side)
    first, second = len(skin), len(skin) + len(lines)
    unit, style = _UNIT * side * params.scale, cv2.LINE_AA if smooth_edges else cv2.LINE_8

    _paint(canvas, skin, shapes[:first], unit, style)
    left = np.full(canvas.shape[:2], 255, np.uint8)
    _paint(left, lines, shapes[first:second], unit, style)
    _multiply(canvas, cv2.blur(left, (3, 3)), 255)
    _paint(canvas, features, shapes[second:], unit, style)

    mask = np.zeros(canvas.shape[:2], np.uint8)
    for stroke, shape in zip(strokes, shapes, strict=True):
        if not stroke.relief and not stroke.width:
            cv2.fillPoly(mask, [shape], 255, cv2.LINE_8, _SHIFT)
    _multiply(canvas, _light(params, mask, side), 128)
    return placed


def _background(params: FaceParams, side: int, rng: np.random.Generator) -> Image:
    first, second = params.background_colours
    canvas = np.empty((side, side, 3), np.uint8)
    cv2.rectangle(canvas, (0, 0), (side, side), first, -1)
    if params.background == "gradient":
        ends = np.array([[first, first], [second, second]], np.uint8)
        return cv2.resize(ends, (side, side), interpolation=cv2.INTER_LINEAR)
    if params.background == "window":
        x, y = (rng.random(2) * side * 0.8).astype(int)
        cv2.rectangle(canvas, (int(x), int(y) - side // 2), (int(x) + side // 2, int(y) + side // 3), second, -1)
    elif params.background == "blobs":
        for x, y, r in rng.random((5, 3)):
            cv2.circle(
                canvas, (int(x * side), int(y * side)), int((0.08 + 0.15 * r) * side), mix(first, second, float(r)), -1
            )
    elif params.background == "stripes":
        for x in np.arange(rng.random(), 8, 1.6):
            cv2.line(canvas, (int(x * side / 8), 0), (int((x - 0.4) * side / 8), side), second, max(side // 14, 1))
    return canvas


def draw_face(params: FaceParams, size: int, rng: np.random.Generator) -> tuple[Image, npt.NDArray[np.float32]]:
    """Render one face.

    Args:
        params: the face.
        size: side of the picture in pixels.
        rng: source of the background's details and of the noise; the same state gives the same bytes.

    Returns:
        Picture, uint8 (size, size, 3) RGB, and the 68 landmarks in iBUG's order, float32 (68, 2), x and y in pixels
        (some may be outside the picture).
    """
    factor = 3 if size <= 96 else 2
    side = size * factor
    canvas = _background(params, side, rng)
    points = paint_face(canvas, params, side, smooth_edges=size > 96)
    image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    if params.blur * size > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), params.blur * size)
    gain = params.brightness * params.contrast
    image = cv2.convertScaleAbs(image, alpha=gain, beta=max(118 * params.brightness * (1 - params.contrast), 0.0))
    if params.noise > 0:
        grain = rng.standard_normal((size, size), dtype=np.float32) * np.float32(params.noise)
        image = np.clip(image + grain[:, :, None], 0, 255).astype(np.uint8)
    return image, (points / factor).astype(np.float32)
