"""Strokes, the elements of synthetic faces: filled shapes and lines, smooth curves and mixed colours."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Colour = tuple[int, int, int]


class Stroke(NamedTuple):
    """A filled shape or a line, in face units.

    Args:
        points: shape (N, 2).
        colour: RGB; for creases of the skin, what they leave of the light out of 255.
        width: thickness of the line; 0 fills the shape.
        relief: 1 for points on the front of the head, 0 for its outline; decides how far they move when the head turns.
        lift: distance before that surface.
        closed: whether a line returns to its start.
    """

    points: Array
    colour: Colour
    width: float = 0.0
    relief: float = 1.0
    lift: float = 0.0
    closed: bool = False


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour a part ``t`` of the way from a to b."""
    return (int(a[0] + (b[0] - a[0]) * t), int(a[1] + (b[1] - a[1]) * t), int(a[2] + (b[2] - a[2]) * t))


def shaded(colour: Colour, gain: float) -> Colour:
    """A darker (gain below 1) or lighter version of a colour."""
    return (min(int(colour[0] * gain), 255), min(int(colour[1] * gain), 255), min(int(colour[2] * gain), 255))


@lru_cache(maxsize=16)
def _unit_circle(n: int) -> Array:
    t = np.arange(n) * (2 * np.pi / n)
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float, n: int = 16) -> Array:
    """Points of an axis-parallel ellipse, shape (n, 2)."""
    return _unit_circle(n) * np.array((rx, ry)) + np.array((x, y))


@lru_cache(maxsize=256)
def _spline_matrix(knots: int, per_segment: int, closed: bool) -> Array:
    """Weights (samples, knots) of a Catmull-Rom spline through the knots."""
    segments = knots if closed else knots - 1
    t = (
        np.linspace(0, segments, segments * per_segment, endpoint=False)
        if closed
        else np.linspace(0, segments, segments * per_segment + 1)
    )
    i = np.minimum(t.astype(int), segments - 1)
    f = t - i
    weights = np.stack(
        [
            -0.5 * f + f**2 - 0.5 * f**3,
            1 - 2.5 * f**2 + 1.5 * f**3,
            0.5 * f + 2 * f**2 - 1.5 * f**3,
            -0.5 * f**2 + 0.5 * f**3,
        ]
    )
    matrix = np.zeros((len(t), knots))
    rows = np.arange(len(t))
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        k = (i + offset) % knots if closed else np.clip(i + offset, 0, knots - 1)
        np.add.at(matrix, (rows, k), weight)
    return matrix


def smooth(knots: npt.ArrayLike, per_segment: int = 4, closed: bool = False) -> Array:
    """Catmull-Rom spline through points.

    Args:
        knots: shape (K, 2), or (M, K, 2) for many curves at once.
        per_segment: points per segment.
        closed: whether the curve returns to its start.

    Returns:
        Shape (N, 2) or (M, N, 2).
    """
    points = np.asarray(knots, dtype=np.float64)
    return _spline_matrix(points.shape[-2], per_segment, closed) @ points
