"""Scores of values from sums over samples: what makes a bootstrap over thousands of frames a matrix product.

CCC, PCC, ICC(3,1), RMSE and MAE are functions of seven sums. A resample of whole groups is a weighted sum of the
groups' sums, so its cost depends on the number of groups alone, and weights of many resamples are one matrix.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import RecordError
from fer_bench.metric_entry import METRICS
from fer_bench.metric_plugins import function
from fer_bench.scoring.resampling import N_RESAMPLES, Interval, Units, percentiles_of
from fer_bench.scoring.undefined import Float, divide

# Variances of equal numbers that rounding leaves, relative to the largest of the resamples.
_CONSTANT = 1e-12


def sums(targets: npt.ArrayLike, outputs: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Float:
    """Sums over each group of samples.

    Args:
        targets: shape (N, D).
        outputs: shape (N, D), without NaN.
        groups: shape (N,), clip or person; None: every sample for itself.

    Returns:
        Shape (G, D, 7): n, t, o, tt, oo, to, |t - o|, groups in the order of ``np.unique``; t and o are taken about the
        mean of all targets, which changes no score and keeps the sums small.

    Raises:
        RecordError: shapes do not fit.
    """
    t, o = np.asarray(targets, dtype=np.float64), np.asarray(outputs, dtype=np.float64)
    if t.shape != o.shape or t.ndim != 2 or (groups is not None and len(np.asarray(groups)) != len(t)):
        problem = (
            f"targets of shape {t.shape} and outputs of shape {o.shape} must both be (samples, dimensions), with one"
            " group each."
        )
        raise RecordError(problem)
    centre = t.mean(axis=0) if len(t) else 0.0
    t, o = t - centre, o - centre
    terms = np.stack([np.ones_like(t), t, o, t * t, o * o, t * o, np.abs(t - o)], axis=2)
    return Units.of(len(t), groups).total(terms)


class Sums:
    """Means, variances and errors of summed terms, each of shape (...): what scores of resamples are computed from.

    Args:
        total: shape (..., 7), sums of :func:`sums` over whatever was drawn.
    """

    def __init__(self, total: Float) -> None:
        n, t, o, tt, oo, to, off = np.moveaxis(total, -1, 0)
        self.mean_t, self.mean_o = divide(t, n), divide(o, n)
        var_t, var_o, cov = (
            divide(tt, n) - self.mean_t**2,
            divide(oo, n) - self.mean_o**2,
            divide(to, n) - self.mean_t * self.mean_o,
        )
        self.var_t, self.var_o = _exact_zero(var_t, divide(tt, n)), _exact_zero(var_o, divide(oo, n))
        self.cov = np.where((self.var_t == 0) | (self.var_o == 0), 0.0, cov)
        self.squared = np.maximum(divide(tt - 2 * to + oo, n), 0.0)
        self.absolute = divide(off, n)


def ccc(found: Sums) -> Float:
    """As :func:`fer_bench.scoring.regression.ccc`."""
    return divide(2 * found.cov, found.var_t + found.var_o + (found.mean_t - found.mean_o) ** 2)


def pcc(found: Sums) -> Float:
    """As :func:`fer_bench.scoring.regression.pcc`."""
    return np.clip(divide(found.cov, np.sqrt(found.var_t * found.var_o)), -1.0, 1.0)


def icc31(found: Sums) -> Float:
    """As :func:`fer_bench.scoring.regression.icc31`."""
    return divide(2 * found.cov, found.var_t + found.var_o)


def rmse(found: Sums) -> Float:
    """As :func:`fer_bench.scoring.regression.rmse`."""
    return np.asarray(np.sqrt(found.squared))


def mae(found: Sums) -> Float:
    """As :func:`fer_bench.scoring.regression.mae`."""
    return found.absolute


def of_sums() -> tuple[str, ...]:
    """Names of the metrics that follow from sums."""
    return tuple(metric.name for metric in metrics.of_kind("values") if metric.of_sums)


def statistics(total: Float) -> dict[str, Float]:
    """Scores of summed terms.

    Args:
        total: as of :class:`Sums`.

    Returns:
        Each of :func:`of_sums`, shape (...); NaN where it is undefined.
    """
    found = Sums(total)
    return {name: function(METRICS[name].of_sums)(found) for name in of_sums()}


def mean_ccc(total: npt.ArrayLike) -> float | None:
    """CCC, mean over dimensions, of the sums (D, 7) of all samples; None where it is undefined."""
    values = ccc(Sums(np.asarray(total, dtype=np.float64)))
    return None if np.isnan(values).any() else float(values.mean())


def bootstrap_values(
    targets: npt.ArrayLike,
    outputs: npt.ArrayLike,
    names: tuple[str, ...],
    groups: npt.ArrayLike | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of :func:`of_sums` of each dimension, and of their means over dimensions.

    Args:
        targets: shape (N, D).
        outputs: shape (N, D), without NaN.
        names: of the D dimensions.
        groups: shape (N,): whole groups are resampled, because frames of one clip are not independent samples.
        n_resamples: number of resamples.
        seed: of the resampling.
        confidence: level of the interval.

    Returns:
        ``valence/ccc`` and so on, and ``ccc`` and so on for the mean; None where fewer than half of the resamples are
        defined, or where there is one group only.
    """
    per_group, scores = sums(targets, outputs, groups), of_sums()
    keys = [*(f"{name}/{key}" for name in names for key in scores), *scores]
    if len(per_group) < 2:
        return dict.fromkeys(keys)
    drawn = statistics(
        np.concatenate([_weighted(block, per_group) for block in Units(len(per_group)).blocks(n_resamples, seed)])
    )
    each = [drawn[key][:, d] for d in range(len(names)) for key in scores]
    means = [drawn[key].mean(axis=1) for key in scores]
    return dict(zip(keys, percentiles_of(np.stack([*each, *means]), confidence), strict=True))


def _weighted(weights: npt.NDArray[np.generic], per_group: Float) -> Float:
    """Sums of each resample, shape (B, D, 7), of weights (B, G)."""
    flat = per_group.reshape(len(per_group), -1)
    return np.asarray(weights.astype(np.float64) @ flat).reshape(len(weights), *per_group.shape[1:])


def _exact_zero(variance: Float, scale: Float) -> Float:
    return np.where(variance <= _CONSTANT * np.maximum(scale, 1e-300), 0.0, variance)
