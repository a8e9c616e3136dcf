"""Folding: how a dataset without official splits is cut into folds; torch-free, because protocols are named after
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fer_bench.errors import SpecError

FoldBy = Literal["identity", "clip", "photo", "frame"]
FOLD_BY: tuple[FoldBy, ...] = ("identity", "clip", "photo", "frame")
KEYS = ("fold", "folds", "fold_by")
FOLDS = 5


@dataclass(frozen=True)
class Folding:
    """A k-fold split.

    Args:
        by: what is never split: a person, a clip, a photograph of several faces, or nothing (frames, which leak).
        folds: how many.
        fold: which of them is tested, from 0; None stands for all, one after the other.
    """

    by: FoldBy = "identity"
    folds: int = FOLDS
    fold: int | None = None


def folding_of(options: Mapping[str, Any]) -> Folding | None:
    """The folding that ``dataset_options`` ask for, or None where they say nothing of folds.

    Args:
        options: may hold ``fold``, ``folds`` (5) and ``fold_by`` (identity).

    Raises:
        SpecError: a number out of range, or an unknown grouping.
    """
    if not any(key in options for key in KEYS):
        return None
    by, folds, fold = options.get("fold_by", "identity"), options.get("folds", FOLDS), options.get("fold")
    if by not in FOLD_BY:
        problem = f"dataset_options.fold_by = {by!r}: there is no such grouping."
        raise SpecError(problem, f"Use {', '.join(FOLD_BY)}.")
    if not _whole(folds) or folds < 2:
        problem = f"dataset_options.folds = {folds!r}: at least two folds are needed."
        raise SpecError(problem, "Use 5, for example.")
    if fold is not None and (not _whole(fold) or not 0 <= fold < folds):
        problem = f"dataset_options.fold = {fold!r}: {folds} folds are numbered 0 to {folds - 1}."
        raise SpecError(problem, "Correct it, or leave it out to run all of them.")
    return Folding(by, folds, fold)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
