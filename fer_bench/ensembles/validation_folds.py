"""Folds of the validation samples: what a choice is fitted on, and what it is judged on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_bench.ensembles.selection import ValidationSet, kind_of
from fer_bench.errors import SpecError

FOLDS = 5


def validation_folds(validation: ValidationSet, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each sample, shape (N,), 0 to FOLDS - 1.

    Frames of one clip are alike: where samples have groups, a group is in one fold. Without groups, or where those of
    classes are fewer than folds, classes are stratified; values are assigned at random.

    Args:
        validation: the samples.
        seed: of the order.

    Raises:
        SpecError: fewer groups of values than folds.
    """
    # Several labels make no strata either.
    is_values = kind_of(validation.targets) != "classes"
    if validation.groups is not None:
        names, member = np.unique(validation.groups, return_inverse=True)
        if len(names) >= FOLDS:
            return _dealt(len(names), seed)[member]
        if is_values:
            problem = (
                f"validation has samples of {len(names)} groups (clips or people), and {FOLDS} folds need {FOLDS}."
            )
            raise SpecError(problem, "Choose members by a rule that needs no samples held out: mean.")
    if is_values:
        return _dealt(len(validation.targets), seed)
    return stratified_folds(validation.targets, seed)


def stratified_folds(y: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """The fold, 0 to FOLDS - 1, of each sample: each class is assigned to the folds in random order, also one with
    fewer samples than folds.

    Args:
        y: shape (N,), class ids.
        seed: of the order.
    """
    generator = np.random.RandomState(seed)
    folds = np.empty(len(y), dtype=np.int64)
    dealt = 0
    for label in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == label))
        folds[members] = (np.arange(len(members)) + dealt) % FOLDS
        dealt += len(members)
    return folds


def _dealt(n: int, seed: int) -> npt.NDArray[np.int64]:
    folds = np.empty(n, dtype=np.int64)
    folds[np.random.RandomState(seed).permutation(n)] = np.arange(n) % FOLDS
    return folds
