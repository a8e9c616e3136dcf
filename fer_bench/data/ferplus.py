"""FER+: the faces of FER2013 with the votes of ten taggers (Barsoum et al. 2016), processed as the authors' script does.

Validation and test always use the majority. Row i of ``fer2013new.csv`` is row i of ``fer2013.csv``; the image names in it say nothing about the row.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data import files
from fer_bench.data.base import AffectDataModule
from fer_bench.data.fer2013 import read_fer2013
from fer_bench.data.fer2013_csv import USAGES
from fer_bench.data.fer2013_files import CSV_NAMES, find_csv
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.errors import BadDataError
from fer_bench.labels import FER8

VOTES_NAME = "fer2013new.csv"
COLUMNS = (*FER8.names, "unknown", "NF")
N_EMOTIONS = len(FER8)
HOW_TO_GET = f"{VOTES_NAME} is in the public FERPlus repository of its authors."
HINT = "Download it again."


class FERPlusDataModule(AffectDataModule):
    """FER+ with eight expressions; ``target_mode`` chooses what training sees (``hard`` is the majority)."""

    dataset = "ferplus"

    def read(self) -> Samples:
        """Read faces and votes."""
        return read_ferplus(self.data_dir)


def read_ferplus(data_dir: str | None) -> Samples:
    """Read FER2013's faces joined, by row, with FER+'s votes.

    Args:
        data_dir: the data root or a folder that holds both files.

    Returns:
        Samples with the targets ``fer8`` (majority, -1 for images that are left out), ``fer8:probability``, ``fer8:cross_entropy`` and
        ``fer8:multi_target`` (distributions), ``fer7`` (FER2013's own labels), and the column ``votes`` (N, 10).

    Raises:
        MissingDataError: no votes or no ``fer2013.csv`` (class folders have lost the order of rows that the votes refer to).
        BadDataError: the votes are malformed, or of another file.
    """
    places = [place for name in ("ferplus", "fer2013") for place in files.candidates(name, data_dir)]
    path = next((place / VOTES_NAME for place in places if (place / VOTES_NAME).is_file()), None)
    if path is None:
        raise files.missing("ferplus", [VOTES_NAME], list(dict.fromkeys(places)), HOW_TO_GET)
    faces_at = next((place for place in places for name in CSV_NAMES if (place / name).is_file()), None)
    if faces_at is None:
        raise files.missing("ferplus", CSV_NAMES, files.candidates("fer2013", data_dir), "The votes need the faces, row by row.")
    faces = read_fer2013(data_dir if find_csv(data_dir) else str(faces_at))
    votes, usage = read_votes(path)
    if len(votes) != len(faces) or (usage != faces.split).any():
        common = min(len(votes), len(faces))
        row = next(iter(np.flatnonzero(usage[:common] != faces.split[:common])), common)
        problem = f"{path}: {len(votes)} rows of votes do not match the {len(faces)} rows of {faces.layout} (first at line {row + 2})."
        raise BadDataError(problem, "Both files must be the official, complete ones.")
    return _join(faces, votes, path)


def _join(faces: Samples, votes: npt.NDArray[np.int64], path: Path) -> Samples:
    key = f"{faces.key}-{files.file_sha256(path)}"
    arrays, _ = files.cached("ferplus", files.text_sha256(f"1-{key}"), lambda: (_targets(votes), {}))
    targets: dict[str, npt.NDArray[np.generic]] = dict(faces.targets)
    targets |= {name.replace("-", ":"): np.asarray(array) for name, array in arrays.items()}
    majority = np.asarray(arrays["fer8"])
    checksums = {}
    for split in SPLITS:
        at = np.flatnonzero((faces.split == split) & (majority >= 0))
        # The faces' own identity is FER2013's; what FER+ adds are labels, so they are what is identified here.
        checksums[split] = split_checksum(sample_digests(votes[at].astype(np.uint8), at.astype(np.int64)))
    faces.targets = targets
    faces.columns = {**faces.columns, "votes": votes}
    faces.checksums = {split: f"{faces.checksums[split][:8]}{checksums[split][:8]}" for split in SPLITS if split in faces.checksums}
    faces.layout = f"{faces.layout} + {path.name}"
    return faces


def _targets(votes: npt.NDArray[np.int64]) -> files.Arrays:
    modes = {mode: np.stack([process_votes(row, mode) for row in votes]) for mode in ("majority", "cross_entropy", "multi_target")}
    majority = modes["majority"]
    hard = np.where(majority.sum(axis=1) > 0, majority.argmax(axis=1), -1).astype(np.int64)
    arrays: files.Arrays = {"fer8": hard}
    for mode in ("cross_entropy", "multi_target"):
        soft = modes[mode]
        # An image that has a majority but no distribution keeps its majority, so that every mode trains on the same images.
        empty = (soft.sum(axis=1) == 0) & (hard >= 0)
        soft[empty] = majority[empty]
        arrays[f"fer8-{mode}"] = soft.astype(np.float32)
    arrays["fer8-probability"] = arrays["fer8-cross_entropy"]
    binary = (arrays["fer8-multi_target"] > 0).astype(np.float32)
    arrays["fer8-multi_target"] = np.clip(binary, 0.001, 1 - 0.001)
    return arrays


def read_votes(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Read ``fer2013new.csv``.

    Args:
        path: the file.

    Returns:
        Votes (N, 10) in the order of ``COLUMNS``, and the split of each row (N,).

    Raises:
        BadDataError: another header, a count that is no number, a row without votes or with more than twenty, with the line number.
    """
    votes, usage = [], []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [cell.strip() for cell in next(reader, [])]
        absent = [name for name in ("Usage", *COLUMNS) if name not in header]
        if absent:
            problem = f"{path}, line 1: the column {absent[0]!r} is missing."
            raise BadDataError(problem, HINT)
        at = [header.index(name) for name in COLUMNS]
        for number, row in enumerate(reader, start=2):
            if not row:
                continue
            where = f"{path}, line {number}"
            if len(row) != len(header):
                problem = f"{where}: {len(row)} columns instead of {len(header)}; the file is truncated or malformed."
                raise BadDataError(problem, HINT)
            try:
                counts = [int(row[i]) for i in at]
            except ValueError:
                problem = f"{where}: a count of votes is no whole number."
                raise BadDataError(problem, HINT) from None
            if min(counts) < 0 or not 1 <= sum(counts) <= 20:
                problem = f"{where}: the votes {counts} cannot be those of ten taggers."
                raise BadDataError(problem, HINT)
            split = USAGES.get(row[header.index("Usage")].strip())
            if split is None:
                problem = f"{where}: Usage {row[header.index('Usage')]!r} is none of {', '.join(USAGES)}."
                raise BadDataError(problem, HINT)
            votes.append(counts)
            usage.append(split)
    if not votes:
        problem = f"{path}: the file has a header and no rows."
        raise BadDataError(problem, HINT)
    return np.array(votes, dtype=np.int64), np.array(usage)


def process_votes(votes: npt.NDArray[np.int64], mode: str) -> npt.NDArray[np.float64]:
    """The official processing of one image's votes.

    Args:
        votes: shape (10,): eight emotions, unknown, not a face.
        mode: ``majority``, ``cross_entropy`` (also the distribution that ``probability`` samples from) or ``multi_target``.

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
