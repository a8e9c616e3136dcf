"""Undefined scores: NaN inside this package (so that arrays stay arrays), ``None`` with a reason where a result leaves
it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


def defined(value: float | np.floating[Any]) -> float | None:
    """A plain float, or None for NaN and the infinities, neither of which JSON can hold."""
    number = float(value)
    return number if math.isfinite(number) else None


def defined_list(values: npt.ArrayLike) -> list[float | None]:
    """As :func:`defined`, over a one-dimensional array."""
    return [defined(value) for value in np.asarray(values, dtype=np.float64)]


def mean_where_defined(values: Float) -> Float:
    """Mean over the last axis of what is not NaN; NaN where nothing is left.

    Args:
        values: shape (..., C).

    Returns:
        Shape (...).
    """
    known = ~np.isnan(values)
    if known.all() and values.shape[-1]:
        return np.asarray(values.sum(axis=-1) / values.shape[-1])
    return divide(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def divide(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Float:
    """Elementwise division in float64 that gives NaN, silently, where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient
