"""How sure a score is: bootstrap and binomial intervals, and paired tests between two rows of a leaderboard.

Randomness comes from a seed argument only: the same inputs give the same interval, bit for bit, under any NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.errors import RecordError
from fer_bench.scoring.classification import confusion_matrix, confusion_statistics
from fer_bench.scoring.undefined import Float

N_RESAMPLES = 2000
# The cells of one block of resampled indices or counts: some 30 MB.
_BLOCK = 4_000_000
# An interval from fewer defined resamples than this share says more about the statistic than about the model.
_DEFINED_SHARE = 0.5
# Sums of thirds and fifths (correctness averaged over seeds) that should cancel leave this much at most.
_TIE = 1e-12

Interval = tuple[float, float] | None
Statistic = Callable[..., float | None]


class PairedDifference(NamedTuple):
    """Outcome of a paired comparison: score of a minus score of b, its interval, and the two-sided p value."""

    difference: float
    low: float
    high: float
    p: float


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

    To draw N samples with replacement is to draw the matrix' cells from a multinomial with the observed shares: exact,
    and independent of N in cost.

    Args:
        confusion: shape (C, C) or (C, C + 1), counts.
        names: statistics of :func:`~fer_bench.scoring.classification.confusion_statistics` that are one number per
            matrix.
        n_resamples: number of resamples.
        seed: of the resampling.
        confidence: level of the interval.

    Returns:
        (low, high) of each name; None without samples.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    cells = np.flatnonzero(counts)
    drawn: list[dict[str, Float]] = []
    for weights in _multinomial(counts.ravel()[cells], n_resamples, seed):
        resampled = np.zeros((len(weights), counts.size))
        resampled[:, cells] = weights
        statistics = confusion_statistics(resampled.reshape(-1, *counts.shape))
        drawn.append({name: statistics[name] for name in names})
    return {
        name: percentiles(np.concatenate([block[name] for block in drawn]) if drawn else np.empty(0), confidence)
        for name in names
    }


def bootstrap(
    statistic: Statistic,
    arrays: Sequence[npt.ArrayLike],
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of any statistic.

    Args:
        statistic: called with every array, resampled alike along the first axis; None or NaN where it is undefined.
        arrays: each of length N.
        n_resamples: number of resamples.
        seed: of the resampling.
        groups: shape (N,), the clip or subject of each sample: whole groups are resampled, because frames of one clip
            are not independent samples.
        confidence: level of the interval.

    Returns:
        (low, high), or None where fewer than half of the resamples have a defined value.
    """
    samples = [np.asarray(array) for array in arrays]
    values = [
        _number(statistic(*(array[rows] for array in samples)))
        for rows in _resamples(_common_length(samples, groups), n_resamples, seed, groups)
    ]
    return percentiles(np.array(values), confidence)


def mcnemar(correct_a: npt.ArrayLike, correct_b: npt.ArrayLike) -> tuple[float, float]:
    """McNemar's test of two models on the same samples (McNemar 1947).

    Args:
        correct_a: shape (N,), whether model a answered each sample rightly.
        correct_b: shape (N,), the same of model b.

    Returns:
        (statistic, p), two-sided. With fewer than 25 discordant samples the exact binomial test, its statistic the
        smaller of the two discordant counts; otherwise chi-squared with the continuity correction.
    """
    from scipy.stats import binom, chi2

    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    _common_length([a, b])
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    discordant = only_a + only_b
    if discordant < 25:
        fewer = min(only_a, only_b)
        return float(fewer), min(1.0, 2 * float(binom.cdf(fewer, discordant, 0.5)))
    statistic = max(0, abs(only_a - only_b) - 1) ** 2 / discordant
    return statistic, float(chi2.sf(statistic, 1))


def paired_bootstrap(
    values_a: npt.ArrayLike,
    values_b: npt.ArrayLike,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> PairedDifference:
    """Paired bootstrap test of a score that is a mean over samples.

    Args:
        values_a: shape (N,), each sample's score under a, e.g. its correctness averaged over seeds.
        values_b: shape (N,), the same under b.
        n_resamples: number of resamples, B.
        seed: of the resampling.
        groups: shape (N,), resample whole groups.
        confidence: level of the interval.

    Returns:
        mean(a) - mean(b), its percentile interval, and p = 2 (k + 1) / (B + 1), at most 1, where k counts the resamples
        on the rarer side of zero, ties included: never 0, and below 1 - confidence when the interval is clear of zero.
    """
    gain = np.asarray(values_a, dtype=np.float64) - np.asarray(values_b, dtype=np.float64)
    n_samples = _common_length([np.asarray(values_a), np.asarray(values_b)], groups)
    if n_samples == 0:
        problem = "two models cannot be compared on no samples."
        raise RecordError(problem)
    drawn = np.array([gain[rows].mean() for rows in _resamples(n_samples, n_resamples, seed, groups)])
    return _difference(float(gain.mean()), drawn, confidence)


def paired_bootstrap_statistic(
    statistic: Statistic,
    targets: npt.ArrayLike,
    outputs_a: npt.ArrayLike,
    outputs_b: npt.ArrayLike,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> PairedDifference | None:
    """Paired bootstrap test of any statistic of (targets, outputs), e.g. the CCC.

    Args:
        statistic: called as ``statistic(targets, outputs)`` on each resample; None or NaN where undefined.
        targets: length N.
        outputs_a: length N, of model a.
        outputs_b: length N, of model b.
        n_resamples: number of resamples.
        seed: of the resampling.
        groups: shape (N,), resample whole groups.
        confidence: level of the interval.

    Returns:
        As :func:`paired_bootstrap`; None where the difference itself, or that of more than half of the resamples, is
        undefined.
    """
    truth, a, b = np.asarray(targets), np.asarray(outputs_a), np.asarray(outputs_b)
    n_samples = _common_length([truth, a, b], groups)
    difference = _number(statistic(truth, a)) - _number(statistic(truth, b))
    resamples = _resamples(n_samples, n_resamples, seed, groups)
    drawn = np.array(
        [_number(statistic(truth[rows], a[rows])) - _number(statistic(truth[rows], b[rows])) for rows in resamples]
    )
    if np.isnan(difference) or percentiles(drawn, confidence) is None:
        return None
    return _difference(difference, drawn[~np.isnan(drawn)], confidence)


def paired_bootstrap_confusion(
    targets: npt.ArrayLike,
    predicted_a: npt.ArrayLike,
    predicted_b: npt.ArrayLike,
    n_classes: int,
    name: str,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedDifference | None:
    """Paired bootstrap test of a statistic of the confusion matrix, e.g. macro-F1; fast, as
    :func:`bootstrap_confusion`.

    Args:
        targets: shape (N,), class ids 0..C-1.
        predicted_a: shape (N,), class ids of model a, or -1.
        predicted_b: shape (N,), class ids of model b, or -1.
        n_classes: C.
        name: a statistic of :func:`~fer_bench.scoring.classification.confusion_statistics` that is one number per
            matrix.
        n_resamples: number of resamples.
        seed: of the resampling.
        confidence: level of the interval.

    Returns:
        As :func:`paired_bootstrap`; None without samples.
    """
    shape = (n_classes, n_classes + 1)
    observed = [
        confusion_statistics(confusion_matrix(targets, predicted, n_classes))[name].item()
        for predicted in (predicted_a, predicted_b)
    ]
    if np.isnan(observed).any():
        return None
    joint = np.stack([np.asarray(targets), np.asarray(predicted_a), np.asarray(predicted_b)], axis=1)
    kinds, counts = np.unique(joint, axis=0, return_counts=True)
    # Each kind of sample (target, answer of a, answer of b) adds to one cell of a's matrix and to one of b's.
    cells = [kinds[:, 0] * shape[1] + np.where(kinds[:, column] < 0, n_classes, kinds[:, column]) for column in (1, 2)]
    indicators = [np.eye(n_classes * shape[1])[cell] for cell in cells]
    drawn = [
        [confusion_statistics((weights @ indicator).reshape(-1, *shape))[name] for indicator in indicators]
        for weights in _multinomial(counts, n_resamples, seed)
    ]
    return _difference(observed[0] - observed[1], np.concatenate([a - b for a, b in drawn]), confidence)


def _generator(seed: int) -> np.random.RandomState:
    # NumPy promises that RandomState's streams never change, and makes no such promise for Generator's methods (NEP
    # 19): whoever verifies a published interval may have another NumPy.
    return np.random.RandomState(seed)


def _multinomial(counts: npt.NDArray[np.int64], n_resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Blocks (b, M) of resampled counts of M cells, none of them empty: a rounding error could otherwise fill an empty
    one.
    """
    if counts.size == 0:
        return
    generator = _generator(seed)
    block = max(1, _BLOCK // counts.size)
    for start in range(0, n_resamples, block):
        yield generator.multinomial(counts.sum(), counts / counts.sum(), size=min(block, n_resamples - start))


def _resamples(
    n_samples: int, n_resamples: int, seed: int, groups: npt.ArrayLike | None
) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers of each resample; with groups, those of as many whole groups as there are."""
    if n_samples == 0:
        return
    generator = _generator(seed)
    if groups is None:
        for _ in range(n_resamples):
            yield generator.randint(n_samples, size=n_samples, dtype=np.int64)
        return
    _, member, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    rows = np.argsort(member, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for _ in range(n_resamples):
        chosen = generator.randint(len(sizes), size=len(sizes), dtype=np.int64)
        length = sizes[chosen]
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        yield rows[np.repeat(starts[chosen], length) + within]


def _common_length(arrays: Sequence[npt.NDArray[np.generic]], groups: npt.ArrayLike | None = None) -> int:
    lengths = {len(array) for array in arrays} | (set() if groups is None else {len(np.asarray(groups))})
    if len(lengths) != 1:
        problem = f"arrays of different lengths cannot be paired: {', '.join(map(str, sorted(lengths)))}."
        raise RecordError(problem, "All must list the same samples in the same order.")
    return lengths.pop()


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def percentiles(drawn: Float, confidence: float) -> Interval:
    """The middle share of resampled values; None where fewer than half of them are defined."""
    known = drawn[~np.isnan(drawn)]
    if known.size == 0 or known.size < _DEFINED_SHARE * drawn.size:
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _difference(difference: float, drawn: Float, confidence: float) -> PairedDifference:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    rarer = min(int((drawn <= _TIE).sum()), int((drawn >= -_TIE).sum()))
    return PairedDifference(difference, float(low), float(high), min(1.0, 2 * (rarer + 1) / (drawn.size + 1)))
