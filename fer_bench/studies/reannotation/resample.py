"""Bootstrap over images of many statistics at once; raters stay as they are.

The intervals say what other images would have given with these raters. They do not say what other raters would have
said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.studies.reannotation.study import Float

# Cells of one block of weights: some 30 MB.
_BLOCK = 4_000_000


class Estimate(NamedTuple):
    """A statistic of any shape with its percentile interval; NaN where it is undefined."""

    value: Float
    low: Float
    high: Float

    def covers(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Elementwise, whether the interval holds a value."""
        value = np.asarray(truth, dtype=np.float64)
        return np.asarray((self.low <= value) & (value <= self.high))


Sums = dict[str, Float]


def resample_sums(
    features: Mapping[str, Float],
    statistic: Callable[[Sums], dict[str, Float]],
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Statistics that are functions of sums over images: one matrix product instead of one pass per resample.

    Args:
        features: name to shape (N, ...), what each image adds to a sum.
        statistic: maps sums of shape (B, ...) to statistics of shape (B, ...), B resamples at once.
        n_resamples: number of resamples.
        seed: of the resampling.
        confidence: level of the intervals.

    Returns:
        Name to estimate, the leading axis gone.
    """
    names = list(features)
    shapes = [features[name].shape[1:] for name in names]
    table = np.concatenate([features[name].reshape(len(features[name]), -1) for name in names], axis=1).astype(
        np.float64
    )
    edges = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def split(sums: Float) -> Sums:
        parts = np.split(sums, edges, axis=1)
        return {name: part.reshape(len(sums), *shape) for name, part, shape in zip(names, parts, shapes, strict=True)}

    value = statistic(split(table.sum(axis=0, keepdims=True)))
    drawn = [statistic(split(weights @ table)) for weights in _weights(len(table), n_resamples, seed)]
    return {
        name: _estimate(np.asarray(value[name][0]), np.concatenate([block[name] for block in drawn]), confidence)
        for name in value
    }


def resample_rows(
    statistic: Callable[..., Mapping[str, npt.ArrayLike]],
    arrays: tuple[npt.NDArray[np.generic], ...],
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Statistics that need the images themselves.

    Args:
        statistic: called with every array, resampled alike along the first axis; name to number or array.
        arrays: each of length N.
        n_resamples: number of resamples.
        seed: of the resampling.
        confidence: level of the intervals.

    Returns:
        Name to estimate.
    """
    value = statistic(*arrays)
    generator = np.random.default_rng(seed)
    n = len(arrays[0])
    drawn = [
        statistic(*(a[rows] for a in arrays)) for rows in (generator.integers(n, size=n) for _ in range(n_resamples))
    ]
    return {
        name: _estimate(
            np.asarray(value[name], dtype=np.float64), np.array([d[name] for d in drawn], dtype=np.float64), confidence
        )
        for name in value
    }


def _weights(n: int, n_resamples: int, seed: int) -> Iterator[Float]:
    """How often each of n images is drawn, shape (b, n), block by block."""
    generator = np.random.default_rng(seed)
    block = max(1, min(n_resamples, _BLOCK // max(1, n)))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        yield np.stack([np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(size)]).astype(
            np.float64
        )


def _estimate(value: Float, drawn: Float, confidence: float) -> Estimate:
    """Percentiles over the leading axis; NaN where the value or half of the resamples are undefined."""
    undefined = np.isnan(drawn).mean(axis=0) > 0.5
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    if np.isnan(drawn).any():
        low, high = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
        for at in np.argwhere(~np.atleast_1d(undefined)):
            index = tuple(at) if value.ndim else ()
            low[index], high[index] = np.nanquantile(drawn[(slice(None), *index)], ends)
    else:
        low, high = np.quantile(drawn, ends, axis=0)
    unknown = np.isnan(value)
    return Estimate(value, np.where(unknown, np.nan, low), np.where(unknown, np.nan, high))
