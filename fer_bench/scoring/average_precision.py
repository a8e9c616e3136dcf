"""Average precision as scikit-learn computes it, to the last bit, without its checks of every argument, which take
longer than the scores and dominate the verification of a store.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.undefined import Float


def average_precision(targets: npt.NDArray[np.bool_], ranking: Float) -> Float:
    """Average precision of each category: the sum over thresholds of precision times the gain in recall.

    Args:
        targets: shape (N, K), which samples have each category.
        ranking: shape (N, K), finite; samples of one value are one threshold.

    Returns:
        Shape (K,); NaN for a category that no sample has.
    """
    columns = zip(np.ascontiguousarray(targets.T), np.ascontiguousarray(ranking.T), strict=True)
    return np.array([_of_one(truth, values) if truth.any() else np.nan for truth, values in columns])


def _of_one(truth: npt.NDArray[np.bool_], values: Float) -> float:
    # Within a threshold order decides nothing, so no stable sort is needed.
    order = np.argsort(-values)
    ordered = values[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    right = np.cumsum(truth[order], dtype=np.float64)[last]
    precision, recall = right / (last + 1.0), right / right[-1]
    # From the last threshold to the first, as the library sums: rounding depends on the order.
    gain = np.diff(np.append(recall[::-1], 0.0))
    return max(0.0, -float(np.sum(gain * precision[::-1])))
