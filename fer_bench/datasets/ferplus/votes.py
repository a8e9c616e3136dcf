"""The votes of FER+'s ten taggers, and what the authors' script makes of them (Barsoum et al. 2016)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from fer_bench.data.readable import readable
from fer_bench.datasets.fer2013.csv_file import USAGES, split_of
from fer_bench.errors import BadDataError
from fer_bench.labels import FER8

VOTES_NAME = "fer2013new.csv"
HINT = "Download it again."
COLUMNS = (*FER8.names, "unknown", "NF")
N_EMOTIONS = len(FER8)


def whole_number(cell: str) -> int | None:
    """A count, also one that was saved as ``5.0``; None for what is not an integer."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def check_votes(counts: list[int | None], where: str, hint: str) -> list[int]:
    """The counts of one image, if they can be those of ten taggers (one row has nine; up to twenty are let through).

    Args:
        counts: one for each of ``COLUMNS``.
        where: file and line, for the message.
        hint: what to do about it.

    Raises:
        BadDataError: they cannot.
    """
    votes = [count for count in counts if count is not None]
    if len(votes) < len(counts):
        problem = f"{where}: a count of votes is not an integer."
        raise BadDataError(problem, hint)
    if min(votes) < 0 or not 1 <= sum(votes) <= 20:
        problem = f"{where}: the votes {votes} cannot be those of ten taggers."
        raise BadDataError(problem, hint)
    return votes


def read_votes(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Read ``fer2013new.csv``.

    Args:
        path: the file.

    Returns:
        Votes (N, 10) in the order of ``COLUMNS``, and the split of each row (N,).

    Raises:
        BadDataError: another header, a count that is not an integer, a row without votes or with more than twenty, with
            the line number.
    """
    votes, usage = [], []
    with readable(path, HINT), path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader, header = _begin(file)
        absent = _absent(header)
        if absent:
            problem = f"{path}, line 1: the column {absent[0]!r} is missing."
            raise BadDataError(problem, HINT)
        at = [header.index(name) for name in COLUMNS]
        for number, row in enumerate(reader, start=2):
            if not any(cell.strip() for cell in row):
                continue
            where = f"{path}, line {number}"
            if len(row) != len(header):
                problem = f"{where}: {len(row)} columns instead of {len(header)}; the file is truncated or malformed."
                raise BadDataError(problem, HINT)
            counts = check_votes([whole_number(row[i]) for i in at], where, HINT)
            split = split_of(row[header.index("Usage")])
            if split is None:
                problem = f"{where}: Usage {row[header.index('Usage')]!r} is none of {', '.join(USAGES)}."
                raise BadDataError(problem, HINT)
            votes.append(counts)
            usage.append(split)
    if not votes:
        problem = f"{path}: the file has a header and no rows."
        raise BadDataError(problem, HINT)
    return np.array(votes, dtype=np.int64), np.array(usage)


def is_votes(path: Path) -> bool:
    """Whether a file has the columns of ``fer2013new.csv``."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        try:
            return not _absent(_begin(file)[1])
        except csv.Error:
            return False


def _begin(file: TextIO) -> tuple[Iterator[list[str]], list[str]]:
    """The rows of a file, and its header."""
    first = file.readline()
    delimiter = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(chain([first], file), delimiter=delimiter, skipinitialspace=True)
    return reader, [cell.strip() for cell in next(reader, [])]


def _absent(header: Sequence[str]) -> list[str]:
    return [name for name in ("Usage", *COLUMNS) if name not in header]


def targets_of(votes: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.generic]]:
    """Every target that the votes give, as arrays that a cache can keep.

    Args:
        votes: shape (N, 10), in the order of ``COLUMNS``.

    Returns:
        ``fer8`` (N,), the majority or -1, and ``fer8-cross_entropy``, ``fer8-probability`` and ``fer8-multi_target``
        (N, 8).
    """
    modes = {
        mode: np.stack([process_votes(row, mode) for row in votes])
        for mode in ("majority", "cross_entropy", "multi_target")
    }
    majority = modes["majority"]
    hard = np.where(majority.sum(axis=1) > 0, majority.argmax(axis=1), -1).astype(np.int64)
    arrays: dict[str, npt.NDArray[Any]] = {"fer8": hard}
    for mode in ("cross_entropy", "multi_target"):
        soft = modes[mode]
        # An image that has a majority but no distribution keeps its majority, so that every mode trains on the same
        # images.
        empty = (soft.sum(axis=1) == 0) & (hard >= 0)
        soft[empty] = majority[empty]
        arrays[f"fer8-{mode}"] = soft.astype(np.float32)
    arrays["fer8-probability"] = arrays["fer8-cross_entropy"]
    binary = (arrays["fer8-multi_target"] > 0).astype(np.float32)
    arrays["fer8-multi_target"] = np.clip(binary, 0.001, 1 - 0.001)
    return arrays


def process_votes(votes: npt.NDArray[np.int64], mode: str) -> npt.NDArray[np.float64]:
    """The official processing of one image's votes.

    Args:
        votes: shape (10,): eight emotions, unknown, not a face.
        mode: ``majority``, ``cross_entropy`` (also the distribution that ``probability`` samples from) or
            ``multi_target``.

    Returns:
        Shape (8,), summing to 1, or all zero for an image that is left out.
    """
    counts = np.where(votes <= 1, 0, votes).astype(np.float64)
    total = counts.sum()
    chosen = _CHOOSE[mode](counts, total)
    # Left out: nothing reached the threshold, or the top category is unknown or not a face.
    if chosen.sum() == 0 or chosen.argmax() >= N_EMOTIONS:
        return np.zeros(N_EMOTIONS)
    emotions: npt.NDArray[np.float64] = chosen[:N_EMOTIONS]
    return emotions / emotions.sum()


def _majority(counts: npt.NDArray[np.float64], total: float) -> npt.NDArray[np.float64]:
    chosen = np.zeros_like(counts)
    top = int(counts.argmax())
    if counts[top] > 0.5 * total:
        chosen[top] = counts[top]
    return chosen


def _greedy(counts: npt.NDArray[np.float64], total: float) -> npt.NDArray[np.float64]:
    rest, chosen = counts.copy(), np.zeros_like(counts)
    taken, stopped = 0, total == 0
    while chosen.sum() < 0.75 * total and taken < 3 and not stopped:
        highest = rest.max()
        for i in np.flatnonzero(rest == highest):
            if i >= N_EMOTIONS:
                # Unknown or not a face ends the taking; it stays out where emotions came before it.
                stopped = True
                if chosen.sum() > 0:
                    break
            chosen[i] = highest
            rest[i] = 0
            taken += 1
            if stopped:
                break
    return chosen if chosen.sum() > 0.5 * total and taken <= 3 else np.zeros_like(counts)


def _multi_target(counts: npt.NDArray[np.float64], total: float) -> npt.NDArray[np.float64]:
    chosen = np.where(counts >= 0.3 * total, counts, 0.0)
    return chosen if chosen.sum() > 0.5 * total else np.zeros_like(counts)


_CHOOSE = {"majority": _majority, "cross_entropy": _greedy, "multi_target": _multi_target}
