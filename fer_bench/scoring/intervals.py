"""How sure a score is: means over seeds, and intervals of shares and of the statistics of a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.classification import NO_ANSWER, Confusion, confusion_statistic
from fer_bench.scoring.resampling import N_RESAMPLES, Interval, Units, multinomial_blocks, percentiles_of
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


def bootstrap_grouped(
    targets: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    n_classes: int,
    groups: npt.ArrayLike,
    names: Sequence[str],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """As :func:`bootstrap_confusion`, of whole groups of samples: frames of one clip, and pictures of one person, are
    right or wrong together.

    Args:
        targets: shape (N,), class ids.
        predicted: shape (N,), class ids, or ``NO_ANSWER``.
        n_classes: C.
        groups: shape (N,), clip or person.
        names: as there.
        n_resamples: as there.
        seed: as there.
        confidence: as there.

    Returns:
        As there; None also where there is one group only.
    """
    from scipy.sparse import csr_array

    units = Units.of(len(targets), groups)
    if units.n < 2 or units.member is None:
        return dict.fromkeys(names)
    cells = targets * (n_classes + 1) + np.where(predicted == NO_ANSWER, n_classes, predicted)
    shape = (n_classes * (n_classes + 1), units.n)
    counts = csr_array((np.ones(len(cells)), (cells, units.member)), shape=shape)
    drawn = []
    for block in units.blocks(n_resamples, seed):
        matrices = np.asarray(counts @ block.T.astype(np.float64)).T.reshape(-1, n_classes, n_classes + 1)
        drawn.append(np.stack([confusion_statistic(Confusion(matrices), name) for name in names]))
    return dict(zip(names, percentiles_of(np.concatenate(drawn, axis=1), confidence), strict=True))


def resampled_confusions(confusion: npt.ArrayLike, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Iterator[Float]:
    """Blocks of confusion matrices of resampled samples, shape (b, *confusion.shape); none without samples."""
    counts = np.asarray(confusion, dtype=np.int64)
    for block in multinomial_blocks(counts.ravel(), n_resamples, seed):
        yield block.reshape(-1, *counts.shape).astype(np.float64)
