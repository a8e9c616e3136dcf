"""Splits as pure functions of ids and a salt: the same on every machine, in every order, and for every subset of the
data.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fer_bench.cross_validation import FOLD_BY, Folding
from fer_bench.data.samples import Samples
from fer_bench.errors import BadDataError, SpecError

# Share of the samples outside the test fold.
VALIDATION_SHARE = 0.125
# The splits that a search for settings has.
SEARCHED = ("train", "validation")


def hold_out(
    ids: npt.NDArray[np.str_],
    strata: npt.NDArray[np.int64],
    share: float,
    groups: npt.NDArray[np.str_] | None = None,
    salt: str = "validation",
    seed: int = 0,
) -> npt.NDArray[np.bool_]:
    """Choose a share of samples, stratified by class, or whole groups where samples belong together.

    Args:
        ids: shape (N,), text.
        strata: shape (N,), class ids; each class gives its share (at least one sample where it has two).
        share: between 0 and 1.
        groups: shape (N,): people or clips that must not be split; strata then only affect the order of choice.
        salt: separates different choices from the same ids.
        seed: another seed, another choice.

    Returns:
        Shape (N,): True where the sample was chosen.
    """
    chosen = np.zeros(len(ids), dtype=bool)
    if groups is not None:
        names, inverse = np.unique(groups, return_inverse=True)
        order = np.argsort([_rank(str(name), salt, seed) for name in names])
        taken, sizes = 0, np.bincount(inverse)
        for group in order:
            if taken >= share * len(ids):
                break
            chosen[inverse == group] = True
            taken += int(sizes[group])
        return chosen
    ranks = np.array([_rank(str(i), salt, seed) for i in ids])
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = max(round(share * len(members)), 1 if len(members) > 1 else 0)
        chosen[members[np.argsort(ranks[members], kind="stable")[:n]]] = True
    return chosen


def deal(groups: npt.NDArray[np.str_], folds: int, salt: str = "folds", seed: int = 0) -> npt.NDArray[np.int64]:
    """Assign whole groups to folds of nearly equal size: the largest group first, each to the smallest fold.

    Args:
        groups: shape (N,), text; what must not be split.
        folds: how many.
        salt: separates different choices from the same groups.
        seed: another seed, another choice.

    Returns:
        Shape (N,): the fold of each sample, 0 to ``folds`` - 1.

    Raises:
        BadDataError: fewer groups than folds.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < folds:
        problem = f"{len(names)} group{'s' * (len(names) != 1)} cannot be assigned to {folds} folds."
        fewer = f"Use at most {len(names)} folds" if len(names) > 1 else "Complete the copy"
        raise BadDataError(problem, f"{fewer}, or fold by something finer.")
    ranks = [_rank(str(name), salt, seed) for name in names]
    heap = [(0, fold) for fold in range(folds)]
    fold_of = np.empty(len(names), dtype=np.int64)
    for group in sorted(range(len(names)), key=lambda g: (-int(sizes[g]), ranks[g])):
        size, fold = heapq.heappop(heap)
        fold_of[group] = fold
        heapq.heappush(heap, (size + int(sizes[group]), fold))
    return fold_of[inverse]


def fold_split(groups: npt.NDArray[np.str_], folds: int, fold: int) -> npt.NDArray[np.str_]:
    """Splits of one fold of a cross-validation: the fold is tested, validation is held out from the rest, by the same
    groups.

    Args:
        groups: shape (N,), text; what must not be split.
        folds: how many.
        fold: which one is tested.

    Returns:
        Shape (N,), ``train``, ``validation`` or ``test``; no group is in two of them.

    Raises:
        BadDataError: too few groups.
    """
    tested = deal(groups, folds) == fold
    rest = np.flatnonzero(~tested)
    split = np.where(tested, "test", "train").astype("<U10")
    split[
        rest[
            hold_out(
                groups[rest],
                np.zeros(len(rest), dtype=np.int64),
                VALIDATION_SHARE,
                groups[rest],
                salt=f"validation of fold {fold}",
            )
        ]
    ] = "validation"
    if not (split == "train").any():
        problem = f"{len(np.unique(groups))} groups leave nothing to train on besides test and validation."
        raise BadDataError(problem, "Fold by something finer.")
    return split


def fold_samples(samples: Samples, folding: Folding) -> Samples:
    """A dataset with the splits of one fold instead of its own.

    Args:
        samples: with the columns ``identity``, ``clip`` and ``photo`` for folds that keep those together.
        folding: names the fold.

    Raises:
        SpecError: no fold is named, or the dataset does not know what should be kept together.
    """
    if folding.fold is None:
        problem = f"dataset_options.folds = {folding.folds}: one training needs to know which fold it tests."
        raise SpecError(problem, "Run all of them with --folds, or name one with dataset_options.fold.")
    if folding.by != "frame" and folding.by not in samples.columns:
        known = [name for name in FOLD_BY if name in samples.columns and name != "frame"]
        problem = (
            f"dataset_options.fold_by = {folding.by!r}: this dataset does not say which {folding.by} a sample is of."
        )
        raise SpecError(problem, f"Use {' or '.join([*known, 'frame'])}.")
    groups = samples.ids if folding.by == "frame" else samples.columns[folding.by].astype(str)
    split = fold_split(groups, folding.folds, folding.fold)
    whole = samples.checksums.get("all") or _joined(samples.checksums)
    name = f"{whole}|{folding.by}|{folding.folds}|{folding.fold}"
    checksums = (
        {part: hashlib.sha256(f"{name}|{part}".encode()).hexdigest()[:16] for part in ("train", "validation", "test")}
        if whole
        else {}
    )
    # Groups are not part of the images: the same copy with other identities is split differently.
    assignment = hashlib.sha256(
        "\n".join(f"{i}|{part}" for i, part in zip(samples.ids, split, strict=True)).encode()
    ).hexdigest()[:16]
    facts = {
        "fold": {
            "fold": folding.fold,
            "folds": folding.folds,
            "by": folding.by,
            "copy": whole,
            "assignment": assignment,
        }
    }
    kept = {key: value for key, value in samples.facts.items() if key != "order"}
    return replace(
        samples,
        split=split,
        selects_on_test=False,
        checksums=checksums,
        key=f"{samples.key}|{name}" if samples.key else "",
        facts={**kept, **facts},
    )


def all_as_test(samples: Samples) -> Samples:
    """A dataset that is split into folds as one test set, in the order in which a cross-validation keeps its samples.

    Args:
        samples: all of them; nothing may have been trained on any.
    """
    ordered = samples.select(np.argsort(samples.ids, kind="stable"))
    whole = samples.checksums.get("all") or _joined(samples.checksums)
    split = np.full(len(samples), "test", dtype="<U10")
    kept = {key: value for key, value in samples.facts.items() if key != "order"}
    return replace(
        ordered,
        split=split,
        selects_on_test=False,
        checksums={"test": whole} if whole else {},
        facts={**kept, "tested": "all samples"},
    )


def without_test(samples: Samples, name: str) -> Samples:
    """A dataset without its test split: neither its images, nor its labels, nor what identifies them.

    Args:
        samples: with all splits.
        name: of the dataset, for the error.

    Raises:
        SpecError: test is what this dataset validates on.
    """
    if samples.selects_on_test:
        problem = f"dataset {name!r}: with these options its test split stands for validation."
        raise SpecError(problem, "Settings are searched for on validation alone: choose a split that has one.")
    kept = samples.select(samples.split != "test")
    order = {part: value for part, value in (samples.facts.get("order") or {}).items() if part in SEARCHED}
    return replace(
        kept,
        checksums={part: value for part, value in samples.checksums.items() if part != "test"},
        key=f"{samples.key}|without test" if samples.key else "",
        facts={**samples.facts, **({"order": order} if order else {})},
    )


def _joined(checksums: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(checksums.items())).encode()).hexdigest()[:16] if checksums else ""


def _rank(name: str, salt: str, seed: int) -> float:
    digest = hashlib.sha256(f"{salt}|{seed}|{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
