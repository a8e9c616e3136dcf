"""RAF-DB (Li et al. 2017), the basic set: 12,271 faces to train and 3,068 to test, one of seven expressions each.

``EmoLabel/list_patition_label.txt`` (the authors' spelling; ``list_partition_label.txt`` circulates too) holds lines as
``train_00001.jpg 5``; the pictures are ``Image/aligned/train_00001_aligned.jpg``, or ``Image/original/train_00001.jpg``
with ``Annotation/boundingbox/train_00001_boundingbox.txt``. A copy that circulates has class folders instead, called by
the codes: ``DATASET/train/5/train_00001_aligned.jpg``. The list of the compound set, under the same name, is refused.

Unverified: written from descriptions of these layouts, and not yet tried on real files of the basic set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.data.splits import hold_out
from fer_bench.datasets.list_lines import lines_of, not_read
from fer_bench.datasets.pictures import Rows, picture_samples
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7
from fer_bench.protocols.raf_db import RafDbOptions

SIDE = 100
# Codes 1 to 7.
CODES = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
OFFICIAL = {"train": 12271, "test": 3068}
LISTS = ("EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt")
OTHERS = "Unpack the pictures, or choose others: --set dataset_options.images=original."
_NAME = re.compile(r"(train|test)_\d+(?=(_aligned)?\.\w+$)")


class RafDbDataModule(AffectDataModule):
    """RAF-DB's basic set; its options are :class:`fer_bench.protocols.raf_db.RafDbOptions`."""

    dataset = "raf_db"

    def read(self) -> Samples:
        """Read whichever layout is there; images are decoded when they are asked for."""
        return read_raf_db(self.data_dir, self.chosen(RafDbOptions), size=self.image_size or SIDE)


@dataclass(frozen=True)
class _Row:
    """One face: ``train_00001``, its code, and its file."""

    name: str
    code: int
    file: Path

    @property
    def split(self) -> str:
        return self.name.partition("_")[0]


def read_raf_db(data_dir: str | None, options: RafDbOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read RAF-DB's basic set.

    Args:
        data_dir: the data root, the dataset's folder, or the folder ``basic`` in it.
        options: which pictures are read, and the share of train that becomes validation.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``train_00001`` and the target ``fer7``. The checksums are over names, labels, face boxes and
        the content of the image files.

    Raises:
        MissingDataError: no known layout is there, or a list without its pictures.
        BadDataError: a line that is none, the compound set's list, a face box that is none, or more than 1 % of the
            listed pictures cannot be used.
    """
    options = options or RafDbOptions()
    root, layout, rows = _find(data_dir, options.images)
    ids, split = [row.name for row in rows], np.array([row.split for row in rows], dtype="<U10")
    labels = np.array([FER7.index(CODES[row.code - 1]) for row in rows], dtype=np.int64)
    train = np.flatnonzero(split == "train")
    split[train[hold_out(np.array(ids)[train], labels[train], options.validation)]] = "validation"
    found = Rows(
        root,
        f"{layout}, {options.images} pictures",
        ids,
        [row.file.relative_to(root).as_posix() for row in rows],
        {"fer7": labels},
        split=split,
        boxes=_boxes(root, rows) if options.images == "original" else None,
        official=OFFICIAL,
        notes=_contradictions(root, layout, rows),
    )
    return picture_samples("raf_db", found, size, hint=OTHERS)


def _find(data_dir: str | None, images: str) -> tuple[Path, str, list[_Row]]:
    places = cache.candidates("raf_db", data_dir)
    for root in (inner for place in places for inner in (place, place / "basic", place / "DATASET")):
        for name in LISTS:
            if (root / name).is_file():
                return root, name, read_list(root / name, images)
        found = sorted(root.glob("t*/[1-7]/t*_*")) if images == "aligned" else []
        if rows := [_Row(named[0], int(path.parent.name), path) for path in found if (named := _NAME.match(path.name))]:
            return root, "class folders 1 to 7", rows
    raise cache.missing("raf_db", (LISTS[0], "train/1 to train/7 and test/1 to test/7"), places)


def _contradictions(root: Path, layout: str, rows: list[_Row]) -> list[str]:
    """What the other list of the same folder says otherwise, if both spellings are there."""
    said = {row.name: row.code for row in rows}
    notes = []
    for other in LISTS:
        if layout not in LISTS or other == layout or not (root / other).is_file():
            continue
        try:
            codes = {row.name: row.code for row in read_list(root / other)}
        except BadDataError as error:
            notes.append(f"{layout} was read; next to it, {error.problem}")
            continue
        if n := sum(said.get(name) != codes.get(name) for name in said.keys() | codes.keys()):
            notes.append(f"{layout} was read; {other} next to it contradicts it on {n} pictures")
    return notes


def read_list(path: Path, images: str = "aligned") -> list[_Row]:
    """Read the list of names and codes.

    Args:
        path: ``EmoLabel/list_patition_label.txt``.
        images: ``aligned`` or ``original``.

    Raises:
        BadDataError: a line that is none, a name that stands twice, no line at all, or the list of the compound set.
    """
    rows: dict[str, _Row] = {}
    folder = path.parents[1] / "Image" / images
    for where, line in lines_of("raf_db", path):
        cells = line.split()
        named, code = _NAME.match(cells[0]), cells[-1]
        if len(cells) != 2 or named is None or named[0] in rows or not (code.isascii() and code.isdigit()):
            raise not_read(
                "raf_db", where, f"{line[:60]!r} is no new picture and its code, such as 'train_00001.jpg 5'"
            )
        if not 1 <= int(code[:3]) <= len(CODES):
            compound = "; this is the list of the compound set" if int(code[:3]) > len(CODES) else ""
            problem = f"{where}: the code {code[:20]} is none of the basic set's, 1 to {len(CODES)}{compound}."
            raise BadDataError(problem, "Put the list of the basic set there, from the folder basic/EmoLabel.")
        name = named[0]
        file = f"{name}_aligned" if images == "aligned" else name
        rows[name] = _Row(name, int(code), folder / f"{file}{Path(cells[0]).suffix}")
    return list(rows.values())


def _boxes(root: Path, rows: list[_Row]) -> npt.NDArray[np.float64]:
    """Left, top, right and bottom of each face in its photograph, (N, 4)."""
    boxes = np.zeros((len(rows), 4))
    for i, row in enumerate(rows):
        path = root / "Annotation" / "boundingbox" / f"{row.name}_boundingbox.txt"
        try:
            boxes[i] = [float(cell) for cell in path.read_text(encoding="utf-8-sig").split()]
        except (OSError, ValueError):
            problem = f"{path}: no face box of four numbers."
            raise BadDataError(problem, "Unpack Annotation/boundingbox, or read the aligned pictures.") from None
    return boxes
