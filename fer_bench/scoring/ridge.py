"""Ridge regression in closed form, for a whole grid of penalties at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
# From so many features on, the matrix of their products is decomposed: a third of the time, and of the memory.
_WIDE = 256


def ridge(x: Float, y: Float, penalties: Sequence[float]) -> tuple[Float, Float]:
    """Ridge regression with an intercept that is not penalised, for all penalties at once.

    Args:
        x: shape (N, F).
        y: shape (N, D).
        penalties: P numbers above 0, relative to the mean over features of their sum of squares about their mean.

    Returns:
        Coefficients (P, F, D) and intercepts (P, D).
    """
    centre, level = x.mean(axis=0), y.mean(axis=0)
    centred = x - centre
    singular, right, product = (_of_products if _WIDE <= x.shape[1] <= len(x) else _of_inputs)(centred, y - level)
    squares = singular**2
    unit = squares.sum() / x.shape[1] or 1.0
    shrunk = singular / (squares + np.asarray(penalties)[:, None] * unit)
    coefficients = right.T @ (shrunk[:, :, None] * product)
    return coefficients, level - centre @ coefficients


def _of_inputs(x: Float, y: Float) -> tuple[Float, Float, Float]:
    """Singular values (R,), right vectors (R, F), and left vectors times the targets (R, D)."""
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    return singular, right, left.T @ y


def _of_products(x: Float, y: Float) -> tuple[Float, Float, Float]:
    """As :func:`_of_inputs`, from x'x: of directions without variance, which rounding leaves, nothing is learned."""
    values, vectors = np.linalg.eigh(x.T @ x)
    known = values > values[-1] * len(values) * np.finfo(np.float64).eps
    singular, right = np.sqrt(values[known]), vectors[:, known].T
    return singular, right, (right @ (x.T @ y)) / singular[:, None]
