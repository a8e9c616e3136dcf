"""The joint distribution of two values per label, such as valence and arousal, as a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

BANDS = 5


def joint_counts(values: npt.ArrayLike, scale: tuple[float, float], bands: int = BANDS) -> npt.NDArray[np.int64]:
    """How many labels are in each pair of bands.

    Args:
        values: shape (N, 2), in the dataset's units; what is beyond the scale counts in its outermost bands.
        scale: (low, high).
        bands: of equal width, in either dimension.

    Returns:
        Shape (bands, bands): first dimension by rows, second by columns, both from low to high; sum N.
    """
    pairs = np.asarray(values, dtype=np.float64).reshape(-1, 2).clip(*scale)
    counts, _, _ = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=bands, range=(scale, scale))
    return np.asarray(counts, dtype=np.int64)


def joint_lines(values: npt.ArrayLike, names: Sequence[str], scale: tuple[float, float]) -> Iterator[str]:
    """The table of a split: per cent of its labels, the second dimension from high to low, as a plot has it.

    Args:
        values: shape (N, 2).
        names: of both dimensions.
        scale: (low, high).
    """
    counts = joint_counts(values, scale)
    if not counts.sum():
        return
    shares = 100 * counts / counts.sum()
    edges = np.linspace(*scale, BANDS + 1)
    bands = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    width = max(map(len, bands))
    side = max(width, len(names[1]))
    yield f"% of labels, {names[0]} to the right, {names[1]} upwards"
    for row in range(BANDS - 1, -1, -1):
        cells = "  ".join(f"{shares[column, row]:{width}.1f}" for column in range(BANDS))
        yield f"{bands[row]:>{side}s} | {cells}"
    yield f"{'':{side}s}   " + "  ".join(f"{band:>{width}s}" for band in bands)
