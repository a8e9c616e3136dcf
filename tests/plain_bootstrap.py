"""The bootstrap as a textbook has it, one resample at a time: what the package's fast forms are compared with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def resamples(n, n_resamples, seed, groups=None):
    """Row numbers of each resample; with groups, those of as many whole groups as there are."""
    generator = np.random.RandomState(seed)
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)] if groups is not None else range(n)
    for _ in range(n_resamples):
        chosen = generator.randint(len(members), size=len(members))
        yield chosen if groups is None else np.concatenate([members[unit] for unit in chosen])


def bootstrap(statistic, arrays, n_resamples=2000, seed=0, groups=None):
    """95 % interval of any statistic; None where fewer than half of the resamples have a defined value."""
    samples = [np.asarray(array) for array in arrays]
    groups = None if groups is None else np.asarray(groups)
    rows = resamples(len(samples[0]), n_resamples, seed, groups)
    return interval(np.array([statistic(*(array[chosen] for array in samples)) for chosen in rows], dtype=float))


def interval(drawn):
    known = drawn[~np.isnan(drawn)]
    return tuple(np.quantile(known, [0.025, 0.975])) if 2 * len(known) >= len(drawn) > 0 else None


class Paired(NamedTuple):
    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(statistic, arrays_a, arrays_b, n_resamples=2000, seed=0):
    """A statistic of a less that of b on the same resamples, and twice the share of the rarer side of zero."""
    a, b = ([np.asarray(array) for array in arrays] for arrays in (arrays_a, arrays_b))
    rows = resamples(len(a[0]), n_resamples, seed)
    drawn = np.array([statistic(*(x[at] for x in a)) - statistic(*(x[at] for x in b)) for at in rows])
    rarer = min(int((drawn <= 1e-12).sum()), int((drawn >= -1e-12).sum()))
    p = min(1.0, 2 * (rarer + 1) / (n_resamples + 1))
    return Paired(statistic(*a) - statistic(*b), *interval(drawn), p)


def mean_over_dimensions(score, targets, outputs):
    """Mean of a score of two arrays (N,) over the D dimensions of arrays (N, D)."""
    return float(np.mean([score(targets[:, d], outputs[:, d]) for d in range(targets.shape[1])]))
