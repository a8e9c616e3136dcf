"""FER+: the faces of FER2013 with the votes of ten taggers (Barsoum et al. 2016), processed as the authors' script
does.

Validation and test always use the majority. Row i of ``fer2013new.csv`` is row i of ``fer2013.csv``; the image names in
it say nothing about the row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.datasets.fer2013.location import CSV_NAMES, explain, find_csv
from fer_bench.datasets.fer2013.module import read_fer2013
from fer_bench.datasets.ferplus.generated import WHICH, find_generated
from fer_bench.datasets.ferplus.votes import VOTES_NAME, read_votes, targets_of
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7, FER8, class_map

# Of faces and votes that are joined by row: in blocks, how many of the labels must agree.
_BLOCK, _FEWEST, _AGREEING = 200, 30, 0.4


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
        Samples with the targets ``fer8`` (majority, -1 for images that are left out), ``fer8:probability``,
        ``fer8:cross_entropy`` and ``fer8:multi_target`` (distributions), ``fer7`` (FER2013's own labels), and the
        column ``votes`` (N, 10).

    Raises:
        MissingDataError: no votes or no ``fer2013.csv`` (class folders have lost the order of rows that the votes refer
            to); the authors' generated layout, which is the dataset ``ferplus_generated``, is named where it is there
            instead.
        BadDataError: the votes are malformed, or of another file.
    """
    path, faces_root = _find(data_dir)
    if (path is None or faces_root is None) and (generated := find_generated(data_dir)):
        problem = f"dataset 'ferplus': {VOTES_NAME} and fer2013.csv are not both there, but {generated} is: {WHICH}."
        raise MissingDataError(problem, "Use --dataset ferplus_generated.")
    if path is None:
        raise cache.missing("ferplus", [VOTES_NAME], _places(data_dir))
    if faces_root is None:
        folders = cache.candidates("fer2013", data_dir)
        raise explain(folders) or cache.missing("ferplus", CSV_NAMES, folders, "The votes need the faces, row by row.")
    faces = read_fer2013(faces_root)
    votes, usage = read_votes(path)
    if len(votes) != len(faces) or (usage != faces.split).any():
        common = min(len(votes), len(faces))
        row = next(iter(np.flatnonzero(usage[:common] != faces.split[:common])), common)
        problem = (
            f"{path}: {len(votes)} rows of votes do not match the {len(faces)} rows of {faces.layout} (first at line"
            f" {row + 2})."
        )
        raise BadDataError(problem, "Both files must be the official, complete ones.")
    joined = _join(faces, votes, path)
    _check_order(joined, path)
    return joined


def _check_order(joined: Samples, path: Path) -> None:
    """Refuse a table of faces whose rows are in another order than the votes: sizes and splits are right then, and the
    labels are not.

    Of FER2013's own labels 68 % are what most taggers chose, in blocks of 200 rows 58 % at the least; of rows that do
    not belong together 18 %, and 28 % at the most.
    """
    majority, own = joined.targets["fer8"].astype(np.int64), joined.targets["fer7"].astype(np.int64)
    as_own = np.where(majority < 0, -1, class_map(FER8, FER7)[majority])
    rows = np.flatnonzero(as_own >= 0)
    for block in np.array_split(rows, max(len(rows) // _BLOCK, 1)):
        share = float((as_own[block] == own[block]).mean()) if len(block) >= _FEWEST else 1.0
        if share < _AGREEING:
            problem = (
                f"{path}: from line {block[0] + 2} to {block[-1] + 2}, the taggers chose FER2013's own label for"
                f" {share:.0%} of the faces, where about 68 % are usual: votes belong to faces by their row, and"
                f" {joined.layout.partition(' + ')[0]} has its rows in another order."
            )
            raise BadDataError(problem, "Use both files as they were given out, with their rows in that order.")


def is_generated_alone(data_dir: str | None) -> bool:
    """Whether only the authors' generated layout is there, so that ``ferplus`` cannot be read but ``ferplus_generated``
    can.
    """
    return not all(_find(data_dir)) and find_generated(data_dir) is not None


def _places(data_dir: str | None) -> list[Path]:
    return list(dict.fromkeys(place for name in ("ferplus", "fer2013") for place in cache.candidates(name, data_dir)))


def _find(data_dir: str | None) -> tuple[Path | None, str | None]:
    """The file of votes, and the data root under which the faces are."""
    places = _places(data_dir)
    votes = next((place / VOTES_NAME for place in places if (place / VOTES_NAME).is_file()), None)
    roots = [str(paths.data_root(data_dir)), *map(str, places)]
    return votes, next((root for root in roots if find_csv(root)), None)


def _join(faces: Samples, votes: npt.NDArray[np.int64], path: Path) -> Samples:
    key = f"{faces.key}-{cache.file_sha256(path)}"
    arrays, _ = cache.cached("ferplus", cache.text_sha256(f"1-{key}"), lambda: (targets_of(votes), {}))
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
    faces.checksums = {
        split: f"{faces.checksums[split][:8]}{checksums[split][:8]}" for split in SPLITS if split in faces.checksums
    }
    faces.layout = f"{faces.layout} + {path.name}"
    return faces
