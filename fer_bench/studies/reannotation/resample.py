"""Bootstrap over images of many statistics at once; raters stay as they are.

The intervals say what other images would have given with these raters. They do not say what other raters would have
said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.resampling import Draw, count_blocks, draws, percentiles
from fer_bench.studies.reannotation.study import Float


class Estimate(NamedTuple):
    """A statistic of any shape with its percentile interval; NaN where it is undefined."""

    value: Float
    low: Float
    high: Float

    def covers(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether the interval holds a value, elementwise: in the shape of both, broadcast."""
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
    blocks = count_blocks(len(table), _draw_of(seed), n_resamples)
    drawn = [statistic(split(block.astype(np.float64) @ table)) for block in blocks]
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
    drawn = [statistic(*(a[rows] for a in arrays)) for rows in draws(len(arrays[0]), _draw_of(seed), n_resamples)]
    return {
        name: _estimate(
            np.asarray(value[name], dtype=np.float64), np.array([d[name] for d in drawn], dtype=np.float64), confidence
        )
        for name in value
    }


def _draw_of(seed: int) -> Draw:
    """Draws from the random stream with which studies were published."""
    generator = np.random.default_rng(seed)
    return lambda n: generator.integers(n, size=n)


def _estimate(value: Float, drawn: Float, confidence: float) -> Estimate:
    """Percentiles over the leading axis; NaN where the value or half of the resamples are undefined."""
    ends = np.full((2, *value.shape), np.nan)
    for at in np.argwhere(~np.isnan(value)) if value.ndim else [()]:
        ends[(slice(None), *at)] = percentiles(drawn[(slice(None), *at)], confidence) or np.nan
    return Estimate(value, *np.where(np.isnan(value), np.nan, ends))
