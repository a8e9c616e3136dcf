"""How sure a score is: means over seeds, and intervals of shares and of the statistics of a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.classification import Confusion, confusion_statistic
from fer_bench.scoring.resampling import N_RESAMPLES, Interval, multinomial_blocks, percentiles_of
from fer_bench.scoring.undefined import Float


def mean_std(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (ddof 1) over seeds; None where there are too few values."""
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean()) if numbers.size else None
    return mean, float(numbers.std(ddof=1)) if numbers.size > 1 else None


def wilson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for k successes in n trials (Wilson 1927); None for n = 0."""
    from scipy.stats import norm

    if n == 0:
        return None
    z = float(norm.ppf(0.5 + confidence / 2))
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * float(np.sqrt(k * (n - k) / n + z * z / 4))
    # At the ends the interval reaches 0 or 1 exactly; rounding would leave it a hair inside or outside.
    return 0.0 if k == 0 else max(0.0, centre - half), 1.0 if k == n else min(1.0, centre + half)


def bootstrap_confusion(
    confusion: npt.ArrayLike,
    names: Sequence[str],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of statistics of the confusion matrix.

    Args:
        confusion: shape (C, C) or (C, C + 1), counts.
        names: metrics of a confusion matrix.
        n_resamples: number of resamples.
        seed: of the resampling.
        confidence: level of the interval.

    Returns:
        (low, high) of each name; None without samples.
    """
    matrices = map(Confusion, resampled_confusions(confusion, n_resamples, seed))
    drawn = [np.stack([confusion_statistic(matrix, name) for name in names]) for matrix in matrices]
    together = np.concatenate(drawn, axis=1) if drawn else np.empty((len(names), 0))
    return dict(zip(names, percentiles_of(together, confidence), strict=True))


def resampled_confusions(confusion: npt.ArrayLike, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Iterator[Float]:
    """Blocks of confusion matrices of resampled samples, shape (b, *confusion.shape); none without samples."""
    counts = np.asarray(confusion, dtype=np.int64)
    for block in multinomial_blocks(counts.ravel(), n_resamples, seed):
        yield block.reshape(-1, *counts.shape).astype(np.float64)
