"""The core of every bootstrap: what is drawn, how often, and what resampled values say.

Randomness comes from a seed alone: the same inputs give the same numbers, bit for bit, under any NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.undefined import Float

N_RESAMPLES = 2000
# The cells of one block of resamples: some 60 MB.
_BLOCK = 8_000_000
# An interval from fewer defined resamples than this share says more about the statistic than about the model.
_DEFINED_SHARE = 0.5
# Sums of thirds and fifths (correctness averaged over seeds) that should cancel leave this much at most.
_TIE = 1e-12

Int = npt.NDArray[np.int64]
Interval = tuple[float, float] | None
# Of n, n numbers below n, drawn with replacement.
Draw = Callable[[int], Int]


def stream(seed: int) -> np.random.RandomState:
    """The random stream of what is published.

    NumPy promises that RandomState's streams never change, and makes no such promise for Generator's methods (NEP 19):
    whoever verifies a published interval may have another NumPy.
    """
    return np.random.RandomState(seed)


def draw_of(seed: int) -> Draw:
    """Draws from :func:`stream`."""
    generator = stream(seed)
    return lambda n: generator.randint(n, size=n, dtype=np.int64)


def draws(n: int, draw: Draw, n_resamples: int = N_RESAMPLES) -> Iterator[Int]:
    """What is in each resample of n: numbers of shape (n,), with repeats."""
    return (draw(n) for _ in range(n_resamples if n else 0))


def count_blocks(n: int, draw: Draw, n_resamples: int = N_RESAMPLES) -> Iterator[Int]:
    """How often each of n is in each resample of :func:`draws`: blocks of shape (b, n)."""
    for size in _sizes(n, n_resamples):
        yield np.stack([np.bincount(each, minlength=n) for each in draws(n, draw, size)])


def multinomial_blocks(counts: Int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Iterator[Int]:
    """Resampled counts of kinds of samples: blocks of shape (b, K).

    To draw N samples with replacement is to draw the number of each kind from a multinomial with the observed shares:
    exact, and independent of N in cost.

    Args:
        counts: shape (K,), of which an empty one stays empty.
        n_resamples: in all blocks together.
        seed: of the resampling.
    """
    # A rounding error could fill an empty one.
    kinds = np.flatnonzero(counts)
    some = counts[kinds]
    generator, total = stream(seed), some.sum()
    for size in _sizes(len(kinds), n_resamples):
        block = np.zeros((size, len(counts)), dtype=np.int64)
        block[:, kinds] = generator.multinomial(total, some / total, size=size)
        yield block


@dataclass(frozen=True)
class Units:
    """What is drawn: samples, or whole groups of them, because frames of one clip, or images of one person, are not
    independent samples.

    Args:
        n: how many there are.
        member: shape (N,), of each sample the group, in the order of ``np.unique``; None: every sample for itself.
    """

    n: int
    member: npt.NDArray[np.intp] | None = None

    @classmethod
    def of(cls, n_samples: int, groups: npt.ArrayLike | None = None) -> Units:
        """Of N samples, in groups of shape (N,), clips or people."""
        if groups is None:
            return cls(n_samples)
        names, member = np.unique(np.asarray(groups), return_inverse=True)
        return cls(len(names), member)

    def total(self, terms: Float) -> Float:
        """Sums over the samples of each: of shape (N, ...) shape (n, ...)."""
        if self.member is None:
            return terms
        out = np.zeros((self.n, *terms.shape[1:]))
        np.add.at(out, self.member, terms)
        return out

    def blocks(self, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Iterator[npt.NDArray[np.integer[Any]]]:
        """How often each is in each resample, blocks of shape (b, n), not to be written to."""
        if self.n * n_resamples > _BLOCK:
            return count_blocks(self.n, draw_of(seed), n_resamples)
        return iter(_drawn(self.n, n_resamples, seed))


@lru_cache(maxsize=4)
def _drawn(n: int, n_resamples: int, seed: int) -> tuple[npt.NDArray[np.integer[Any]], ...]:
    """What is drawn of n depends on their number alone: the records of a protocol share it."""
    return tuple(block.astype(np.min_scalar_type(n)) for block in count_blocks(n, draw_of(seed), n_resamples))


def percentiles(drawn: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """The middle share of resampled values (B,); None where fewer than half of them are defined."""
    return percentiles_of(np.asarray(drawn, dtype=np.float64)[None], confidence)[0]


def percentiles_of(drawn: Float, confidence: float = 0.95) -> list[Interval]:
    """As :func:`percentiles`, of each row of values (K, B)."""
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    defined = ~np.isnan(drawn)
    whole = defined.all(axis=1) & (drawn.shape[1] > 0)
    found: list[Interval] = [None] * len(drawn)
    # All rows at once, where none has gaps of its own.
    if whole.any():
        for at, low, high in zip(np.flatnonzero(whole), *np.quantile(drawn[whole], ends, axis=1), strict=True):
            found[at] = float(low), float(high)
    for at in np.flatnonzero(~whole):
        known = drawn[at][defined[at]]
        if _enough(known, drawn[at]):
            low, high = np.quantile(known, ends)
            found[at] = float(low), float(high)
    return found


def two_sided_p(drawn: Float) -> float | None:
    """Of resampled differences (B,) the p value 2 (k + 1) / (B + 1), at most 1, where k counts those on the rarer side
    of zero, ties included; None where fewer than half of them are defined.

    It is never 0, and below 1 - confidence where the interval is clear of zero.
    """
    known = drawn[~np.isnan(drawn)]
    if not _enough(known, drawn):
        return None
    rarer = min(int((known <= _TIE).sum()), int((known >= -_TIE).sum()))
    return min(1.0, 2 * (rarer + 1) / (known.size + 1))


def _enough(known: Float, drawn: Float) -> bool:
    return known.size > 0 and known.size >= _DEFINED_SHARE * drawn.size


def _sizes(n: int, n_resamples: int) -> Iterator[int]:
    """Sizes of blocks of resamples of n cells each; none where there is nothing to draw."""
    block = max(1, _BLOCK // max(1, n))
    return (min(block, n_resamples - start) for start in range(0, n_resamples if n else 0, block))
