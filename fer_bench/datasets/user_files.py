"""What readers of user data have in common: options, people, and splits where the data have none."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fer_bench.data.samples import SPLITS
from fer_bench.data.splits import hold_out
from fer_bench.errors import BadDataError, SpecError
from fer_bench.labels import LABEL_SETS, LabelSet
from fer_bench.protocols import find_task


def label_set(dataset: str, task: str) -> LabelSet:
    """The classes of a task.

    Raises:
        SpecError: the task has none.
        UnknownNameError: there is no such task.
    """
    labels = find_task(task).labels
    if labels is None:
        problem = f"dataset {dataset!r} has classes only: it cannot serve the task {task!r}."
        raise SpecError(
            problem, f"Choose one of {', '.join(LABEL_SETS)}, or name classes with dataset_options.classes."
        )
    return labels


def people(ids: npt.NDArray[np.str_], identity: str) -> npt.NDArray[np.str_] | None:
    """The person of each sample.

    Args:
        ids: shape (N,), relative paths.
        identity: regular expression; its first group, or all of it, is the person; empty: people are not known.

    Returns:
        Shape (N,), or None.

    Raises:
        SpecError: no regular expression, or one that does not find a person in every path.
    """
    return found_in(ids, identity, "identity") if identity else None


def found_in(ids: npt.NDArray[np.str_], pattern: str, option: str) -> npt.NDArray[np.str_]:
    """What a regular expression finds in every path: its first group, or all of it.

    Args:
        ids: shape (N,), relative paths.
        pattern: the regular expression.
        option: ``identity`` or ``split``, for messages.

    Raises:
        SpecError: no regular expression, or one that does not find something in every path.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        problem = f"dataset_options.{option} = {pattern!r} is not a regular expression: {error}."
        raise SpecError(problem, r"For example 'S(\d+)_'.") from None
    found = [compiled.search(str(i)) for i in ids]
    names = [(match.group(1) if match.groups() else match.group(0)) if match else None for match in found]
    if not all(names):
        first = next(str(i) for i, name in zip(ids, names, strict=True) if not name)
        problem = f"dataset_options.{option} = {pattern!r} matches nothing in {first!r}."
        raise SpecError(
            problem, f"The pattern must find the {'person' if option == 'identity' else option} in every relative path."
        )
    return np.array([str(name) for name in names])


_FOLDERS = {
    "some": (
        "some class folders are inside split folders and some are not",
        "Move all of them into train/, validation/ and test/, or none.",
    ),
    "splits": ("no split folders",),
    "test": ("no test folder", "the validation folder is the test set"),
    "validation": ("no validation folder",),
}
_TABLE = {
    "some": ("some rows name a split and some do not", "Fill the column in, or name none."),
    "splits": ("the table names no splits",),
    "test": ("no row is of the test split", "the rows of validation are the test set"),
    "validation": ("no row is of the validation split",),
}


def complete_splits(
    split: npt.NDArray[np.str_],
    ids: npt.NDArray[np.str_],
    strata: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_] | None,
    shares: tuple[float, float],
    official: Mapping[str, int] | None = None,
    *,
    folds: bool = False,
    table: bool = False,
) -> tuple[npt.NDArray[np.str_], list[str]]:
    """Make the splits that the data do not have.

    Args:
        split: shape (N,), ``train``, ``validation``, ``test``, or empty where the data do not say.
        ids: shape (N,).
        strata: shape (N,), class ids.
        groups: shape (N,), people who must not be in two of the splits that are made.
        shares: of validation and test.
        official: sizes of the official splits.
        folds: no split is made: the samples will be assigned to folds.
        table: rows of a table name the splits, not folders.

    Returns:
        The splits, and what was done.

    Raises:
        BadDataError: only some samples have a split.
    """
    said, notes = _TABLE if table else _FOLDERS, list[str]()
    split = split.astype("<U10")
    if (split == "").any() and (split != "").any():
        problem, hint = said["some"]
        problem = f"{problem}."
        raise BadDataError(problem, hint)
    if folds:
        split[split == ""] = "train"
        return split, notes
    whole, lacking = (split == "").all(), "splits" if (split == "").all() else "test"
    if whole or (split == "train").all():
        split[:] = "train"
        chosen = hold_out(ids, strata, shares[1], groups=groups, salt="test")
        split[chosen] = "test"
        notes.append(
            f"{said[lacking][0]}: {_held_out(shares[1], chosen, groups)} were held out as test by a hash of the"
            f" {_ids(groups)}"
        )
    if not (split == "test").any() and (split == "validation").any():
        split[split == "validation"] = "test"
        notes.append(": ".join(said["test"]))
    if not (split == "validation").any():
        train = np.flatnonzero(split == "train")
        own = None if groups is None else groups[train]
        chosen = hold_out(ids[train], strata[train], shares[0], groups=own, salt="validation")
        split[train[chosen]] = "validation"
        notes.append(
            f"{said['validation'][0]}: {_held_out(shares[0], chosen, own)} of train were held out by a hash of the"
            f" {_ids(own)}"
        )
    if official:
        counts = {name: int((split == name).sum()) for name in SPLITS}
        if counts != dict(official):
            notes.append(
                f"this copy holds {counts}, not the official {official}; the official validation split cannot be"
                " recovered from it"
            )
    return split, notes


def _held_out(asked: float, chosen: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_] | None) -> str:
    """The share that was held out: whole people may be much more than what was asked for."""
    share = float(chosen.mean()) if len(chosen) else 0.0
    if groups is None or round(100 * share) == round(100 * asked):
        return f"{asked:.0%}"
    return (
        f"{share:.0%} ({len(np.unique(groups[chosen]))} of {len(np.unique(groups))} people; {asked:.0%} were asked for)"
    )


def _ids(groups: npt.NDArray[np.str_] | None) -> str:
    return "ids" if groups is None else "people"
