"""Heads of values in closed form: one decomposition of the features gives every penalty of a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.probes.head import RidgeHead
from fer_bench.probes.heads import TrainedHeads
from fer_bench.probes.stack import Split
from fer_bench.scoring.ridge import ridge

# Separates the samples of a bootstrap from the orders of a training, which begin with the same seed.
_BOOTSTRAP = 1


def fit_ridge_heads(heads: Sequence[RidgeHead], train: Split) -> TrainedHeads:
    """Fit ridge regressions, all penalties of a seed at once, in double precision on the CPU.

    Args:
        heads: their settings, at least one.
        train: features (N, F) and values (N, D).

    Returns:
        The heads, in single precision, on the device of the features; ``chosen_epoch`` is -1 where they are not finite.
    """
    x, y = (tensor.double().cpu().numpy() for tensor in (train.features, train.targets))
    weight = np.full((len(heads), y.shape[1], x.shape[1]), np.nan)
    bias = np.full((len(heads), y.shape[1]), np.nan)
    if np.isfinite(x).all():
        for seed, resample in dict.fromkeys((head.seed, head.resample) for head in heads):
            at = [h for h, head in enumerate(heads) if (head.seed, head.resample) == (seed, resample)]
            rows = bootstrap(seed, len(y)) if resample else slice(None)
            found, offsets = ridge(x[rows], y[rows], [heads[h].penalty for h in at])
            weight[at], bias[at] = found.transpose(0, 2, 1), offsets
    chosen = np.where(np.isfinite(weight).all(axis=(1, 2)), 0, -1)
    fitted, offset = (torch.from_numpy(values).to(train.features) for values in (weight, bias))
    return TrainedHeads(tuple(heads), fitted, offset, chosen, np.zeros(len(heads), dtype=np.int64), classes=False)


def bootstrap(seed: int, n: int) -> npt.NDArray[np.int64]:
    """Positions of n training samples, with replacement; a function of the seed alone."""
    return np.random.default_rng([seed, _BOOTSTRAP, n]).integers(n, size=n)
