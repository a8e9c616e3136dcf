"""ExpW (Zhang et al. 2018): faces in photographs from the web, found by a detector, one of seven expressions each.

``label.lst`` holds a face a line, ``angry_actor_104.jpg 0 28 113 226 141 22.9362 0``: the photograph, the number of the
face in it, the face box as **top, left, right, bottom**, the detector's confidence, and the label, with FER2013's ids.
Photographs are in ``Images/`` (the public part) or ``image/origin/``; the list is beside them or in ``label/``. A
photograph can have several faces, so folds go by photograph; boxes can reach outside it, and are cut off at its border.

Tried on the public part; unverified on the complete set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fer_bench.cross_validation import Folding
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import Samples
from fer_bench.datasets.list_lines import lines_of, not_read
from fer_bench.datasets.pictures import Rows, picture_samples, widened
from fer_bench.labels import FER7
from fer_bench.protocols.expw import ExpwOptions

SIDE = 48
LISTS = ("label.lst", "label/label.lst")
FOLDERS = ("Images", "image/origin", "images", "image", "origin")
EXAMPLE = "'angry_actor_104.jpg 0 28 113 226 141 22.9362 0'"
_CELLS = ("the number of the face", "top", "left", "right", "bottom", "the confidence", "the label")
_SAMPLE = 50


class ExpwDataModule(AffectDataModule):
    """ExpW; its options are :class:`fer_bench.protocols.expw.ExpwOptions`."""

    dataset = "expw"
    default_folding = Folding("photo", 5, 0)

    def read(self) -> Samples:
        """Read the list; photographs are decoded when they are asked for."""
        return read_expw(self.data_dir, self.chosen(ExpwOptions), size=self.image_size or SIDE)


@dataclass(frozen=True)
class Face:
    """A line of the list; the box is left, top, right, bottom in pixels."""

    photo: str
    number: int
    box: tuple[int, int, int, int]
    confidence: float
    label: int

    @property
    def id(self) -> str:
        """``angry_actor_104/0``."""
        return f"{PurePosixPath(self.photo).with_suffix('')}/{self.number}"


def read_expw(data_dir: str | None, options: ExpwOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read ExpW, all of it or the public part.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        options: the margin around the face boxes, and whether crops are kept.
        size: side of the crops in pixels.

    Returns:
        Samples with ids ``<photograph>/<number of the face>``, the target ``fer7``, groups = photograph, and the
        columns photo and confidence. Every sample's split is ``train`` until folds are cut.

    Raises:
        MissingDataError: there is no list, or none of its photographs.
        BadDataError: a line that is none, a face that stands twice, a label out of range, or more than 1 % of the faces
            cannot be used.
    """
    options = options or ExpwOptions()
    places = cache.candidates("expw", data_dir)
    found = next((path for place in places for name in LISTS if (path := place / name).is_file()), None)
    if found is None:
        raise cache.missing("expw", LISTS, places)
    faces = read_list(found)
    root = found.parents[1] if found.parent.name == "label" else found.parent
    folder = _photographs(root, faces)
    boxes = np.array([face.box for face in faces], dtype=np.float64)
    rows = Rows(
        root,
        f"{found.relative_to(root).as_posix()}, photographs in {folder}/",
        [face.id for face in faces],
        [f"{folder}/{face.photo}" for face in faces],
        {"fer7": np.array([face.label for face in faces], dtype=np.int64)},
        boxes=widened(boxes, options.margin),
        columns={
            "photo": np.array([face.photo for face in faces]),
            "confidence": np.array([face.confidence for face in faces]),
        },
        groups="photo",
    )
    return picture_samples("expw", rows, size, keep_crops=options.cache)


def read_list(path: Path) -> list[Face]:
    """Read ``label.lst``.

    Raises:
        BadDataError: a line that is none, a face that stands twice, a label out of range, or no line at all.
    """
    faces: dict[str, Face] = {}
    for where, line in lines_of("expw", path):
        face = _face(line, where)
        if face.id in faces:
            raise not_read("expw", where, f"face {face.number} of {face.photo[:60]} stands twice")
        faces[face.id] = face
    return list(faces.values())


def _face(line: str, where: str) -> Face:
    cells = line.rsplit(maxsplit=len(_CELLS))
    if len(cells) != len(_CELLS) + 1:
        raise not_read("expw", where, f"{line[:80]!r} is no face, such as {EXAMPLE}")
    values = [_number(cell) for cell in cells[1:]]
    for name, cell, value in zip(_CELLS, cells[1:], values, strict=True):
        if value is None or (name != "the confidence" and value != int(value)):
            raise not_read("expw", where, f"{name} is {cell[:20]!r}; a line is such as {EXAMPLE}")
    number, top, left, right, bottom, confidence, label = (value or 0.0 for value in values)
    if not 0 <= label < len(FER7):
        raise not_read("expw", where, f"the label {label:g} is none of 0 to {len(FER7) - 1}")
    photo = cells[0].replace("\\", "/")
    if PurePosixPath(photo).is_absolute() or ".." in PurePosixPath(photo).parts:
        raise not_read("expw", where, f"{photo[:60]!r} is outside the folder of photographs")
    return Face(photo, int(number), (int(left), int(top), int(right), int(bottom)), confidence, int(label))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _photographs(root: Path, faces: list[Face]) -> str:
    """The folder that has most of the first photographs of the list; the first where none has any."""
    return max(FOLDERS, key=lambda name: sum((root / name / face.photo).is_file() for face in faces[:_SAMPLE]))
