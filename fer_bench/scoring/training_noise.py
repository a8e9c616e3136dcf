"""Differences between recipes, not between files: what training again would change, beside what other test samples
would.

A paired test over test samples takes the trained networks as they are. Two runs of one recipe then differ
"significantly" more often than the level says, because training changes many answers at once. Here the score of a run
is a sum of two parts: the recipe's on these test samples, and the noise of one training. The noise is pooled over rows
with several seeds, a one-way analysis of variance with random effects (Searle, Casella and McCulloch, Variance
Components, 1992, chapter 3), and the degrees of freedom of a sum of variances follow Satterthwaite (1946). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.resampling import stream
from fer_bench.scoring.undefined import Float

N_DRAWS = 1000
# Of a variance: what rounding leaves of sums that cancel.
_NOTHING = 1e-18
# Far below what one sample adds to the variance of a difference, above what numerical jitter does.
_JITTERS = 10.0

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TrainingNoise:
    """How much the score of one run varies over seeds on the same test samples, pooled over rows.

    Args:
        variance: of one run's score over seeds.
        flips: the share of ``variance`` that comes from answers that change independently of each other; variance over
            test samples holds this part already.
        df: degrees of freedom: seeds beyond the first, summed over rows.
        n_rows: rows with several seeds.
    """

    variance: float
    flips: float
    df: int
    n_rows: int

    @classmethod
    def pooled(cls, rows: Iterable[tuple[Float, Float]]) -> TrainingNoise | None:
        """Pool rows; None where none has several seeds.

        Args:
            rows: of each its runs' scores (S,), and the covariance (S, S) of these scores over test samples.
        """
        squares = flips = 0.0
        df = n_rows = 0
        for scores, covariance in rows:
            seeds = len(scores)
            if seeds < 2:
                continue
            squares += float(((scores - scores.mean()) ** 2).sum())
            trace = float(np.trace(covariance))
            shared = (float(covariance.sum()) - trace) / (seeds * (seeds - 1))
            flips += (seeds - 1) * max(trace / seeds - shared, 0.0)
            df += seeds - 1
            n_rows += 1
        return cls(squares / df, flips / df, df, n_rows) if df else None

    @property
    def std(self) -> float:
        """Standard deviation of one run's score over seeds."""
        return float(np.sqrt(self.variance))


@dataclass(frozen=True)
class Noises:
    """Noise of training in the mean scores of K rows; each array has shape (K,).

    Args:
        trained: variance of the mean score over trainings; 0 where none is known.
        flips: the part of it that variance over test samples holds already.
        df: degrees of freedom; infinite where no noise is known.
        pool: which rows share an estimate.
    """

    trained: Float
    flips: Float
    df: Float
    pool: Indices

    @classmethod
    def of(cls, noises: Sequence[TrainingNoise | None], seeds: Sequence[int]) -> Noises:
        """Of rows: the noise that is known or assumed of each, and how many seeds it has."""
        names = list(dict.fromkeys(noises))
        n = np.asarray(seeds, dtype=np.float64)
        # Independent changes are the least that training does, whatever one pair of runs happened to show.
        one = [0.0 if x is None else max(x.variance, x.flips) if x.df < 2 else x.variance for x in noises]
        return cls(
            np.array(one) / n,
            np.array([0.0 if x is None else x.flips for x in noises]) / n,
            np.array([np.inf if x is None else x.df for x in noises], dtype=np.float64),
            np.array([names.index(x) for x in noises], dtype=np.intp),
        )


def variance_of_difference(over_samples: Float, noises: Noises, a: Indices, b: Indices) -> tuple[Float, Float]:
    """Variance of the difference of rows a and b over test samples and trainings, and its degrees of freedom.

    Args:
        over_samples: variance of the difference over test samples, shape (P,).
        noises: of all rows.
        a: numbers of the first rows, shape (P,).
        b: of the second.

    Returns:
        Both of shape (P,); degrees of freedom are infinite where no noise of training is known.
    """
    recipes = np.maximum(over_samples - noises.flips[a] - noises.flips[b], 0.0)
    trained_a, trained_b = noises.trained[a], noises.trained[b]
    total = recipes + trained_a + trained_b
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = trained_a**2 / noises.df[a] + trained_b**2 / noises.df[b]
        together = (trained_a + trained_b) ** 2 / noises.df[a]
        uncertain = np.where(noises.pool[a] == noises.pool[b], together, apart)
        df = np.where(uncertain > 0, total**2 / uncertain, np.inf)
    return total, df


def two_sided(difference: Float, variance: Float, df: Float) -> Float:
    """Two-sided p values of differences by Student's t; 1 where a difference is 0 and nothing varies."""
    from scipy import special

    size = np.abs(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(variance > _NOTHING, size / np.sqrt(variance), np.where(size > 1e-12, np.inf, 0.0))
    known = np.isfinite(df)
    p: Float = np.where(known, 2 * special.stdtr(np.where(known, df, 1.0), -t), 2 * special.ndtr(-t))
    return p


def half_width(variance: float, df: float, confidence: float = 0.95) -> float:
    """Half of the width of the interval of a difference."""
    from scipy import special

    upper = (1 + confidence) / 2
    quantile = special.stdtrit(df, upper) if np.isfinite(df) else special.ndtri(upper)
    return float(quantile * np.sqrt(max(variance, 0.0)))


def rank_ranges(
    values: Float,
    covariance: Float,
    noises: Noises,
    *,
    n_units: float = np.inf,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[tuple[int, int]]:
    """Ranges of ranks that hold together: with the given confidence every row's rank is within its range.

    A row is behind another only if their difference exceeds what the largest of all differences would reach by chance,
    were all rows equal (a single-step maximum test, simulated with the rows' own covariance); a range follows from how
    many rows are surely before and surely behind, as in Mogstad, Romano, Shaikh and Wilhelm, Inference for Ranks,
    Review of Economic Studies 91 (2024).

    Args:
        values: higher is better, shape (K,).
        covariance: of the rows' mean scores over test samples, shape (K, K).
        noises: of training, of all rows.
        n_units: test samples, or groups of them: were two rows equal, the squares of what they differ by on each
            would vary about 0, which matters where there are few.
        confidence: of all ranges together.
        seed: of the simulation.

    Returns:
        Of each row the first and the last rank, counted from 1.
    """
    k = len(values)
    if k < 2:
        return [(1, 1)] * k
    a, b = np.triu_indices(k, 1)
    # With all signs equally likely, a pair of equal rows differs on all of few units more often than the level says.
    if len(a) * 2.0 ** (1 - n_units) > 1 - confidence:
        return [(1, k)] * k
    diagonal = np.diag(covariance)
    over_samples = np.maximum(diagonal[a] + diagonal[b] - 2 * covariance[a, b], 0.0)
    difference = values[a] - values[b]
    variance, _ = variance_of_difference(over_samples + difference**2 / n_units, noises, a, b)
    limit = _largest_by_chance(covariance, noises, over_samples, confidence, seed)
    sure = np.abs(difference) > limit * np.sqrt(np.maximum(variance, _NOTHING))
    before, behind = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64)
    for first, second, better in ((a, b, difference > 0), (b, a, difference < 0)):
        np.add.at(behind, first[sure & better], 1)
        np.add.at(before, second[sure & better], 1)
    return [(int(m) + 1, k - int(n)) for m, n in zip(before, behind, strict=True)]


def _largest_by_chance(covariance: Float, noises: Noises, over_samples: Float, confidence: float, seed: int) -> float:
    """The quantile of the largest of all studentised differences, were all rows equal."""
    k = len(covariance)
    a, b = np.triu_indices(k, 1)
    total = covariance + np.diag(np.maximum(noises.trained - noises.flips, 0.0))
    jitter = 1e-9 * float(np.trace(total)) / k + 1e-300
    root = np.linalg.cholesky(total + jitter * np.eye(k))
    pools, which = np.unique(noises.pool, return_inverse=True)
    df = np.array([noises.df[which == i][0] for i in range(len(pools))])
    random = stream(seed)
    normal = random.standard_normal((N_DRAWS, k))
    # The noise of training is itself an estimate: it varies as chi squared over its degrees of freedom.
    scales = np.column_stack([random.chisquare(n, N_DRAWS) / n if np.isfinite(n) else np.ones(N_DRAWS) for n in df])
    recipes = np.maximum(over_samples - noises.flips[a] - noises.flips[b], 0.0)
    # Rows with the same answers are equal for certain: what is left of them is the jitter, and no difference.
    differ = recipes + noises.trained[a] + noises.trained[b] > _JITTERS * jitter
    # One row's draws are contiguous in memory: everything is computed for all draws at once.
    drawn, trained = np.ascontiguousarray((normal @ root.T).T), noises.trained[:, None] * scales.T[which]
    largest = np.zeros(N_DRAWS)
    first = 0
    # One row against all after it: pairs of one row lie side by side, and nothing of the size of all pairs is made.
    for i in range(k - 1):
        pairs = slice(first, first := first + k - 1 - i)
        if not differ[pairs].any():
            continue
        variance = trained[i + 1 :] + trained[i]
        variance += recipes[pairs, None]
        squares = drawn[i + 1 :] - drawn[i]
        squares *= squares
        squares /= np.maximum(variance, jitter, out=variance)
        np.maximum(largest, (squares if differ[pairs].all() else squares[differ[pairs]]).max(axis=0), out=largest)
    # Rounded, so that the last bits of a linear algebra library decide nothing.
    return round(float(np.quantile(np.sqrt(largest), confidence)), 3)
