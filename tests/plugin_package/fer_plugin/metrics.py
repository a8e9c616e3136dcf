"""One metric of classes and one of values."""

import numpy as np

import fer_bench


@fer_bench.metric("Geometric mean", "confusion", unit="%", decimals=1, undefined="a class has no sample")
def geometric_mean(matrix):
    return np.prod(matrix.recall, axis=-1) ** (1 / matrix.n_classes)


@fer_bench.metric("Largest error", "values", unit="dataset", lower_is_better=True)
def largest_error(targets, outputs):
    return np.abs(targets - outputs).max()
