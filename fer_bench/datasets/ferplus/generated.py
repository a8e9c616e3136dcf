"""FER+ in the layout that its authors' script writes and their training code reads:
``FER2013{Train,Valid,Test}/fer*.png``, each with ``label.csv``.

Its votes differ from those of ``fer2013new.csv`` in 1,602 of that file's 35,714 rows with a name, so it is a dataset of
its own, ``ferplus_generated``, with its own protocol. The label files list 28,558 / 3,579 / 3,573 images; the majority
rule keeps 25,045 / 3,191 / 3,137 of them. (Counted by the rows of ``fer2013new.csv`` these are 25,048 / 3,191 / 3,138:
four names occur in it twice, and an image of that name is there once.) Numbers published from the authors' code were
tested on these.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.native import decode_grey
from fer_bench.data.readable import readable
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.datasets.fer2013.csv_file import SIDE
from fer_bench.datasets.ferplus.votes import check_votes, targets_of, whole_number
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.protocols.fer2013 import FERPLUS_GENERATED

READER_VERSION = "1"
FOLDERS = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
LABELS_NAME = "label.csv"
# Images with a majority for an emotion.
OFFICIAL = {"train": 25045, "validation": 3191, "test": 3137}
MAX_BAD_SHARE = 0.01
HINT = FERPLUS_GENERATED.how_to_get
WHICH = (
    "this is the layout that the authors' script generates, whose votes differ from fer2013new.csv in 1,602 of 35,714"
    " rows: a separate protocol, ferplus_generated-fer8, on which numbers published from the authors' code were"
    " tested; its 25,045 / 3,191 / 3,137 images are 25,048 / 3,191 / 3,138 rows of fer2013new.csv, where four names"
    " occur twice"
)


class FERPlusGeneratedDataModule(AffectDataModule):
    """FER+ from the authors' generated layout, eight expressions; ``target_mode`` chooses what training sees (``hard``
    is the majority).
    """

    dataset = "ferplus_generated"

    def read(self) -> Samples:
        """Read faces and votes."""
        return read_ferplus_generated(self.data_dir)


@dataclass(frozen=True)
class _Row:
    """One line of a label file."""

    split: str
    path: Path
    votes: list[int]


def find_generated(data_dir: str | None) -> Path | None:
    """The folder that holds ``FER2013Train`` and its siblings (in any case), at least one of them with its
    ``label.csv``.

    Args:
        data_dir: the data root, the dataset's folder, or a clone of the authors' repository, which has them in
            ``data/``.
    """
    places = [
        place for name in ("ferplus_generated", "ferplus", "fer2013") for place in cache.candidates(name, data_dir)
    ]
    for folder in dict.fromkeys(inner for place in places for inner in (place, place / "data")):
        if _label_files(folder):
            return folder
    return None


def read_ferplus_generated(data_dir: str | None) -> Samples:
    """Read the generated layout.

    Args:
        data_dir: as of :func:`find_generated`.

    Returns:
        Samples whose ids are the images' names, with the targets ``fer8`` (majority, -1 for images that are left out),
        ``fer8:probability``, ``fer8:cross_entropy`` and ``fer8:multi_target`` (distributions), and the column ``votes``
        (N, 10). The checksums are over pixels and votes of the images with a majority.

    Raises:
        MissingDataError: the layout is not there, or its label files are there without images.
        BadDataError: a label file is malformed, or an image is of another size.
    """
    root = find_generated(data_dir)
    if root is None:
        looked_for = [f"{folder}/{LABELS_NAME}" for folder in FOLDERS.values()]
        raise cache.missing("ferplus_generated", looked_for, cache.candidates("ferplus_generated", data_dir))
    listed = _label_files(root)
    absent = [f"{FOLDERS[split]}/{LABELS_NAME}" for split in SPLITS if split not in listed]
    if absent:
        problem = f"{root}: {' and '.join(absent)} is missing."
        raise MissingDataError(problem, HINT)
    rows = [row for split in SPLITS for row in _read_labels(split, listed[split])]
    there = [row.path for row in rows if row.path.is_file()]
    if not there:
        problem = f"{root}: the label files list {len(rows)} images, and none of them is there."
        raise MissingDataError(problem, HINT)
    key = f"{READER_VERSION}-{cache.listing_sha256(root, [*listed.values(), *there])}"
    arrays, facts = cache.cached("ferplus_generated", cache.text_sha256(key), lambda: _decode(root, rows))
    split = np.array(SPLITS)[arrays["split"]]
    kept = np.asarray(arrays["fer8"]) >= 0
    counts = {name: int((kept & (split == name)).sum()) for name in SPLITS}
    return Samples(
        ids=arrays["ids"],
        images=arrays["images"],
        split=split,
        targets={
            name.replace("-", ":"): np.asarray(array) for name, array in arrays.items() if name.startswith("fer8")
        },
        layout="FER2013Train, FER2013Valid and FER2013Test with label.csv",
        columns={"votes": np.asarray(arrays["votes"])},
        notes=[WHICH, *([] if counts == OFFICIAL else [f"this copy holds {counts}, not the official {OFFICIAL}."])],
        quarantined=[(str(path), str(reason)) for path, reason in facts["quarantined"]],
        checksums={name: split_checksum(arrays["digests"][kept & (split == name)]) for name in SPLITS},
        key=f"ferplus_generated-{key}",
    )


def _label_files(place: Path) -> dict[str, Path]:
    """The label file of each split that has one."""
    if not place.is_dir():
        return {}
    there = {path.name.lower(): path for path in place.iterdir() if path.is_dir()}
    folders = {split: there[name.lower()] for split, name in FOLDERS.items() if name.lower() in there}
    return {split: folder / LABELS_NAME for split, folder in folders.items() if (folder / LABELS_NAME).is_file()}


def _read_labels(split: str, path: Path) -> list[_Row]:
    rows: list[_Row] = []
    names: set[str] = set()
    with readable(path, HINT), path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file, skipinitialspace=True)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}, line {reader.line_num}"
            # The box is one cell in quotes, or four where it lost them.
            if len(cells) not in (12, 15):
                problem = f"{where}: {len(cells)} columns instead of 12 (name, box, ten counts)."
                raise BadDataError(problem, HINT)
            name = cells[0].strip()
            if not name or name != Path(name.replace("\\", "/")).name:
                problem = f"{where}: {name[:60]!r} is not the name of a file in this folder."
                raise BadDataError(problem, HINT)
            if name in names:
                problem = f"{where}: {name} is listed twice."
                raise BadDataError(problem, HINT)
            names.add(name)
            votes = [whole_number(cell) for cell in cells[-10:]]
            rows.append(_Row(split, path.parent / name, check_votes(votes, where, HINT)))
    if not rows:
        problem = f"{path}: the file is empty."
        raise BadDataError(problem, HINT)
    return rows


def _decode(root: Path, rows: list[_Row]) -> tuple[cache.Arrays, dict[str, Any]]:
    at, images, unread = decode_grey([row.path for row in rows], SIDE, HINT)
    kept = [rows[i] for i in at]
    bad = [(rows[i].path.relative_to(root).as_posix(), reason) for i, reason in unread]
    if len(bad) > MAX_BAD_SHARE * len(rows):
        problem = (
            f"{root}: {len(bad)} of the {len(rows)} listed images cannot be read, more than {MAX_BAD_SHARE:.0%}; the"
            f" first is {bad[0][0]}: {bad[0][1]}."
        )
        raise BadDataError(problem, HINT)
    votes = np.array([row.votes for row in kept], dtype=np.int64)
    stacked = np.stack(images)
    arrays: cache.Arrays = {
        "images": stacked,
        "ids": np.array([row.path.stem for row in kept]),
        "split": np.array([SPLITS.index(row.split) for row in kept], dtype=np.int8),
        "votes": votes,
        "digests": sample_digests(stacked, votes.astype(np.uint8)),
        **targets_of(votes),
    }
    return arrays, {"quarantined": bad}
