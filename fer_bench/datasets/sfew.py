"""SFEW 2.0 (Dhall et al. 2011, 2015): stills from films, seven expressions.

Class folders, ``Angry`` to ``Surprise``, in folders of the splits, with names such as
``Airheads_000519240_00000005.png``: the film, the time, the number of the person. Copies call the splits differently
(``Train/Angry``, ``Train_Aligned_Faces/Angry``, ``Train/Train_Aligned_Faces/Angry``), so they are looked for; those
with *aligned* in their path hold the authors' aligned faces. The labels of the test set are not given out: the
validation set is tested, and whole films of train are held out to select on.

Unverified: written from folders and names that public programs quote, and not yet tried on real files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_bench.class_sets import Classes
from fer_bench.clutter import is_clutter_name
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.data.splits import hold_out
from fer_bench.datasets.class_folders import check_found, find_images, names_in, readable_name, subfolders
from fer_bench.datasets.pictures import Rows, picture_samples
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7
from fer_bench.protocols.sfew import SfewOptions

SIDE = 112
OFFICIAL = {"train": 958, "test": 436}
DEPTH = 3
_SPLITS = {"train": "train", "val": "test"}
_SPLIT = re.compile(r"(train|val|test)(?:ing|id|idation)?(?![a-z])", re.IGNORECASE)
_NAME = re.compile(r"(?P<film>.+)_\d{6,}_\d{6,}")


class SfewDataModule(AffectDataModule):
    """SFEW; its options are :class:`fer_bench.protocols.sfew.SfewOptions`."""

    dataset = "sfew"

    def read(self) -> Samples:
        """Find the pictures; they are decoded when they are asked for."""
        return read_sfew(self.data_dir, self.chosen(SfewOptions), size=self.image_size or SIDE)


class _Folder(NamedTuple):
    """A folder of class folders: of which split, and whether of aligned faces."""

    path: Path
    split: str
    aligned: bool


def read_sfew(data_dir: str | None, options: SfewOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read SFEW.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        options: which pictures are read, and the share of train that becomes validation.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``train/angry/Airheads_000519240_00000005``, the target ``fer7``, and groups = the column film.

    Raises:
        MissingDataError: there are no folders of both splits, with names such as these.
        BadDataError: a folder that is no class, two folders of one split, pictures of another kind than was asked for,
            or more than 1 % of them cannot be read.
    """
    options = options or SfewOptions()
    places = cache.candidates("sfew", data_dir)
    for root in places:
        kinds = {aligned: [f for f in _split_folders(root) if f.aligned == aligned] for aligned in (True, False)}
        whole = [aligned for aligned, folders in kinds.items() if {f.split for f in folders} == set(_SPLITS.values())]
        if not whole:
            continue
        aligned = whole[0] if options.images == "either" else options.images == "aligned"
        if aligned not in whole:
            there = "aligned" if whole[0] else "original"
            problem = f"{root}: there are no {options.images} pictures of both splits, only {there} ones."
            raise BadDataError(problem, f"Unpack them, or read the others: --set dataset_options.images={there}.")
        return picture_samples("sfew", _rows(root, kinds[aligned], options.validation), size)
    looked_for = (
        "Train/ and Val/, or Train_Aligned_Faces/ and Val_Aligned_Faces/, with class folders of pictures such as"
    )
    raise cache.missing("sfew", (f"{looked_for} Airheads_000519240_00000005.png",), places)


def _rows(root: Path, folders: list[_Folder], validation: float) -> Rows:
    ids, files, labels, split, films = [], [], [], [], []
    broken: list[tuple[str, str]] = []
    classes = Classes(FER7)
    for name in _SPLITS.values():
        first, *more = (folder.path for folder in folders if folder.split == name)
        if more:
            problem = f"{root}: {first.relative_to(root)} and {more[0].relative_to(root)} are of one split."
            raise BadDataError(problem, "Keep one of the two folders.")
        found = find_images(first, classes)
        check_found(first, found, classes, own=False)
        broken += found.broken
        for path, label in zip(found.files, found.labels, strict=True):
            stem = readable_name(path.stem)
            named = _NAME.fullmatch(stem)
            films.append(named["film"] if named else stem)
            ids.append(f"{name}/{FER7.names[label]}/{stem}")
            files.append(path.relative_to(root).as_posix())
            labels.append(label)
            split.append(name)
    targets, parts, film = np.array(labels, dtype=np.int64), np.array(split, dtype="<U10"), np.array(films)
    train = np.flatnonzero(parts == "train")
    parts[train[hold_out(np.array(ids)[train], targets[train], validation, film[train])]] = "validation"
    return Rows(
        root,
        f"class folders, {'aligned faces' if folders[0].aligned else 'original pictures'}",
        ids,
        files,
        {"fer7": targets},
        split=parts,
        columns={"film": film},
        groups="film",
        # Of some stills the authors give no aligned face.
        official={} if folders[0].aligned else OFFICIAL,
        quarantined=broken,
    )


def _split_folders(root: Path) -> list[_Folder]:
    """Folders of train and validation with class folders in them, down to a depth of three."""
    found: list[_Folder] = []

    def visit(folder: Path, depth: int) -> None:
        inner = [child for child in subfolders(folder) if not is_clutter_name(child.name)]
        of_class = [child for child in inner if FER7.find(child.name) is not None]
        parts = folder.relative_to(root).parts
        split = next((match[1].lower() for part in parts if (match := _SPLIT.match(part))), "")
        if split in _SPLITS and of_class and _is_named(of_class[0]):
            found.append(_Folder(folder, _SPLITS[split], "align" in "/".join(parts).lower()))
        for child in inner if depth < DEPTH else []:
            # Another dataset in the same data root may have pictures by the million.
            if child not in of_class:
                visit(child, depth + 1)

    if root.is_dir():
        visit(root, 0)
    return found


def _is_named(folder: Path) -> bool:
    return any(_NAME.fullmatch(name.rpartition(".")[0]) for name in names_in(folder))
