"""CAER-S (Lee et al. 2019): stills from television series, people in their surroundings, seven emotions.

``train/Anger/0001.png`` and ``test/Surprise/2998.png``: class folders in the folders of the splits, which copies call
``Train`` and ``Test`` too. A public list of
face boxes, ``train.txt`` and ``test.txt`` in the same folder, has a picture a line,
``test/Sad/0157.png,5,191,109,293,211``: the class (0 anger, 1 disgust, 2 fear, 3 happy, 4 neutral, 5 sad, 6 surprise),
then left, top, right and bottom of the face that the label is about. Pictures that its authors found unusable are not
in it, and are left out of what is read with it.

Unverified: tried on the names and boxes of that list, and not yet on the pictures themselves.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import Classes
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.data.split_names import check_one_folder_each
from fer_bench.data.splits import hold_out
from fer_bench.datasets.class_folders import check_found, find_images, names_in, readable_name, subfolders
from fer_bench.datasets.list_lines import lines_of, not_read
from fer_bench.datasets.pictures import Rows, class_ids, picture_samples, widened
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7
from fer_bench.protocols.caers import CAERS, CaersOptions

SIDE = 224
SPLITS = ("train", "test")
# As papers on it count them.
OFFICIAL = {"train": 48995, "test": 20987}
CODES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
COPIES = ("", "CAER-S", "CAER_S")
EXAMPLE = "'test/Sad/0157.png,5,191,109,293,211'"
_NAME = re.compile(r"\d+\.\w+")
Boxes = dict[str, tuple[float, float, float, float]]


class CaersDataModule(AffectDataModule):
    """CAER-S; its options are :class:`fer_bench.protocols.caers.CaersOptions`."""

    dataset = "caers"

    def read(self) -> Samples:
        """Find the pictures; they are decoded when they are asked for."""
        return read_caers(self.data_dir, self.chosen(CaersOptions), size=self.image_size or SIDE)


def read_caers(data_dir: str | None, options: CaersOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read CAER-S.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        options: whether scenes or faces are shown, the margin around faces, and the share of train that becomes
            validation.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``train/Anger/0001`` and the target ``fer7``.

    Raises:
        MissingDataError: there are no folders of both splits with pictures such as 0001.png, or no list of face boxes
            where faces are asked for.
        BadDataError: two folders of one split, a folder that is no class, a line that is none, a class that is not that
            of the folder, or more than 1 % of the pictures cannot be read.
    """
    options = options or CaersOptions()
    places = cache.candidates("caers", data_dir)
    copies = [place / name for place in places for name in COPIES]
    root, folders = next(((copy, by_split) for copy in copies if (by_split := _split_folders(copy))), (None, {}))
    if root is None:
        looked_for = ("train/ and test/ with class folders of pictures such as 0001.png",)
        raise cache.missing("caers", looked_for, places)
    ids, files, labels, split = [], [], [], []
    broken: list[tuple[str, str]] = []
    classes = Classes(FER7)
    for name, folder in folders.items():
        found = find_images(folder, classes)
        check_found(folder, found, classes, own=False)
        broken += found.broken
        within = [path.relative_to(folder).as_posix() for path in found.files]
        ids += [readable_name(f"{name}/{path.rpartition('.')[0]}") for path in within]
        files += [f"{folder.name}/{path}" for path in within]
        labels += found.labels
        split += [name] * len(found.files)
    targets, parts = np.array(labels, dtype=np.int64), np.array(split, dtype="<U10")
    rows = Rows(root, "class folders, whole pictures", ids, files, {"fer7": targets}, parts, quarantined=broken)
    rows.official = OFFICIAL
    if options.images == "face":
        rows = _faces(rows, options.margin)
    assert rows.split is not None
    train = np.flatnonzero(rows.split == "train")
    held_out = hold_out(np.array(rows.ids)[train], rows.targets["fer7"][train], options.validation)
    rows.split[train[held_out]] = "validation"
    return picture_samples("caers", rows, size, keep_crops=options.cache or options.images == "face")


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split, in any case; empty unless both are there, with pictures that are called by numbers:
    others have class folders too.
    """
    beside = subfolders(root) if root.is_dir() else []
    there = {child.name.lower(): child for child in beside}
    found = {}
    for name in SPLITS:
        inner = subfolders(there[name]) if name in there else []
        folders = [child for child in inner if FER7.find(child.name) is not None]
        if not folders or not any(map(_NAME.fullmatch, names_in(folders[0]))):
            return {}
        found[name] = there[name]
    check_one_folder_each(root, [child.name for child in beside if child.name.lower() in SPLITS])
    return found


def _faces(rows: Rows, margin: float) -> Rows:
    lists = [path for name in SPLITS if (path := rows.root / f"{name}.txt").is_file()]
    if len(lists) < len(SPLITS):
        problem = f"{rows.root}: there is no train.txt and test.txt with face boxes."
        raise MissingDataError(problem, f"{CAERS.how_to_get} Or show whole pictures: dataset_options.images=scene.")
    labels = dict(zip(rows.ids, rows.targets["fer7"].tolist(), strict=True))
    boxes: Boxes = {}
    for path in lists:
        boxes |= read_boxes(path, labels)
    if not boxes.keys() & labels.keys():
        problem = f"{rows.root}: none of {len(boxes)} face boxes is of a picture here, such as {rows.ids[0]}."
        raise BadDataError(problem, f"The lists name pictures such as {next(iter(boxes))}; both must be of one copy.")
    kept = rows.kept(np.array([name in boxes for name in rows.ids], dtype=bool))
    kept.layout, kept.official = "class folders, faces by a list of boxes", {}
    kept.boxes = widened(np.array([boxes[name] for name in kept.ids], dtype=np.float64).reshape(-1, 4), margin)
    if dropped := len(rows.ids) - len(kept.ids):
        kept.notes = [*kept.notes, f"{dropped} pictures have no face box, and are left out"]
    return kept


def read_boxes(path: Path, labels: dict[str, int]) -> Boxes:
    """Read a list of face boxes: by picture, without its suffix, left, top, right and bottom in pixels.

    Args:
        path: ``train.txt`` or ``test.txt``.
        labels: FER7's class of every picture, by its path without its suffix, as the folders say.

    Raises:
        BadDataError: a line that is none, a picture that stands twice, or a class that is not that of its folder.
    """
    to_fer7: npt.NDArray[np.int64] = class_ids(FER7, list(CODES))
    boxes: Boxes = {}
    for where, line in lines_of("caers", path):
        cells = [cell.strip() for cell in line.split(",")]
        try:
            name, code, box = cells[0], int(cells[1]), [float(cell) for cell in cells[2:]]
        except (ValueError, IndexError):
            name, code, box = "", 0, []
        name = name.replace("\\", "/")
        if not name or len(box) != 4 or not np.isfinite(box).all():
            raise not_read("caers", where, f"{line[:60]!r} is no face box, such as {EXAMPLE}")
        if not 0 <= code < len(CODES):
            raise not_read("caers", where, f"the class {code} is none of 0 to {len(CODES) - 1}")
        # Copies may be of another format than the list.
        picture = readable_name(name.rpartition(".")[0] or name)
        if labels.get(picture, to_fer7[code]) != to_fer7[code]:
            raise not_read("caers", where, f"{name} is of class {code} ({CODES[code]}), and in another's folder")
        if picture in boxes:
            raise not_read("caers", where, f"{name} stands twice")
        boxes[picture] = (box[0], box[1], box[2], box[3])
    return boxes
