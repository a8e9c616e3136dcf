"""CK+ (Lucey et al. 2010): sequences from the neutral face to the peak of a posed expression; 327 of 593 have a label.

The official tree: ``cohn-kanade-images/S005/001/S005_001_00000011.png``, and for each labelled sequence one file with
one number, ``Emotion/S005/001/S005_001_00000011_emotion.txt`` (0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5
happy, 6 sadness, 7 surprise). The last frames show the expression, the first one the neutral face. Where the 68
landmarks are there, ``Landmarks/S005/001/S005_001_00000011_landmarks.txt``, faces are cut out by them.

CK+48 is a copy that circulates: class folders with the last three frames as faces of 48 px, and no neutral ones. A
table of pixels, ``ckextended.csv``, circulates too; it names no people, and is refused.

There are no official splits: folds go by person (``S005``).

Unverified: the official tree follows the authors' description; CK+48 was tried on the names of a real copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import Classes
from fer_bench.clutter import is_clutter
from fer_bench.cross_validation import Folding
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.decoding import images_below
from fer_bench.data.images import face_box
from fer_bench.data.samples import Samples
from fer_bench.datasets.class_folders import check_found, find_images, subfolders
from fer_bench.datasets.list_lines import not_read, text_of
from fer_bench.datasets.pictures import Rows, class_ids, picture_samples
from fer_bench.errors import BadDataError
from fer_bench.labels import CK7, FER7, FER8
from fer_bench.protocols.ckplus import CKPLUS, CkPlusOptions

SIDE = 96
CODES = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
SEQUENCES = 327
COPY = {"all": 981}
IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
EMOTIONS = ("Emotion", "Emotion_labels/Emotion", "Emotion_labels")
LANDMARKS = ("Landmarks/Landmarks", "Landmarks")
COPIES = ("CK+48", "ck/CK+48", "")
TABLE = "ckextended.csv"
_FRAME = re.compile(r"(?P<clip>(?P<person>S\d{3})_\d{3})_(?P<frame>\d{8})")
_LABEL = re.compile(rf"{_FRAME.pattern}_emotion\.txt")


class CkPlusDataModule(AffectDataModule):
    """CK+; its options are :class:`fer_bench.protocols.ckplus.CkPlusOptions`."""

    dataset = "ckplus"
    default_folding = Folding("identity", 10, 0)

    def read(self) -> Samples:
        """Read whichever layout is there; pictures are decoded when they are asked for."""
        return read_ckplus(self.data_dir, self.chosen(CkPlusOptions), size=self.image_size or SIDE)


@dataclass(frozen=True)
class _Picture:
    """A frame, its file, and the expression that it shows."""

    name: str
    file: Path
    label: str


def read_ckplus(data_dir: str | None, options: CkPlusOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read CK+.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        options: how many of the last frames count, and the margin around the landmarks.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``S005_001_00000011``, the targets ``ck7`` and, of the official tree, ``fer8`` and ``fer7``,
        groups = the column identity, and the columns clip and frame. Every sample's split is ``train`` until folds are
        cut.

    Raises:
        MissingDataError: neither layout is there.
        BadDataError: a label that is none, a name that says no person, a picture that is there twice, or more than 1 %
            of the pictures cannot be read.
    """
    options = options or CkPlusOptions()
    places = cache.candidates("ckplus", data_dir)
    for root in places:
        emotions = next((root / name for name in EMOTIONS if _files(root / name, "emotion")), None)
        if emotions is not None:
            return picture_samples("ckplus", _official(root, emotions, options), size)
        for name in COPIES:
            inner = subfolders(root / name) if (root / name).is_dir() else []
            if any(CK7.find(child.name) is not None for child in inner):
                return picture_samples("ckplus", _copy(root / name), size)
    for root in places:
        if (root / TABLE).is_file():
            problem = f"{root / TABLE}: this table names no people, so its faces cannot be split by person."
            raise BadDataError(problem, CKPLUS.how_to_get)
    looked_for = (f"{IMAGES[0]}/ with {EMOTIONS[0]}/", "CK+48/ with its class folders")
    raise cache.missing("ckplus", looked_for, places)


def _official(root: Path, emotions: Path, options: CkPlusOptions) -> Rows:
    images = next((root / name for name in IMAGES if (root / name).is_dir()), None)
    if images is None:
        raise cache.missing("ckplus", [f"{name}/" for name in IMAGES], [root])
    found: list[_Picture] = []
    notes: list[str] = []
    labels = _files(emotions, "emotion")
    for path in labels:
        named, code = _LABEL.fullmatch(path.name), read_emotion(path)
        folder = images / path.parent.relative_to(emotions)
        frames = [frame for frame in images_below(folder) if _FRAME.fullmatch(frame.stem)] if folder.is_dir() else []
        if named is None:
            raise not_read("ckplus", str(path), "the name is none such as S005_001_00000011_emotion.txt")
        if not frames:
            notes.append(f"sequence {named['clip']} has a label and no pictures")
            continue
        shown = [frame for frame in frames if frame.stem <= path.stem.removesuffix("_emotion")][-options.last :]
        found += [_Picture(frame.stem, frame, CODES[code]) for frame in shown if frame != frames[0]]
        found.append(_Picture(frames[0].stem, frames[0], "neutral"))
    if not found:
        raise cache.missing("ckplus", [f"{images.name}/S005/001/*.png"], [images])
    if len(labels) != SEQUENCES:
        notes.append(f"this copy has labels of {len(labels)} sequences, the complete one of {SEQUENCES}")
    marked = next((root / name for name in LANDMARKS if _files(root / name, "landmarks")), None)
    rows = _rows(root, found, f"official tree, {'faces by landmarks' if marked else 'whole pictures'}")
    rows.targets |= {
        "fer8": class_ids(FER8, [p.label for p in found]),
        "fer7": class_ids(FER7, [p.label for p in found]),
    }
    if marked is not None:
        rows.boxes = _boxes(marked, images, found, options.margin)
    else:
        notes.append("no landmarks: pictures are shown whole, and the face is about a third of them")
    rows.notes += notes
    return rows


def _files(folder: Path, kind: str) -> list[Path]:
    """Files of one kind of all sequences, without what systems leave beside them (``._S005_001_..._emotion.txt``)."""
    found = folder.glob(f"S*/*/*_{kind}.txt")
    return sorted(path for path in found if not is_clutter(path.relative_to(folder)))


def _copy(root: Path) -> Rows:
    classes = Classes(CK7)
    images = find_images(root, classes)
    check_found(root, images, classes, own=False)
    for path in images.files:
        if not _FRAME.fullmatch(path.stem):
            raise not_read("ckplus", str(path), "the name says no person; it is such as S010_004_00000017.png")
    pictures = [
        _Picture(path.stem, path, CK7.names[label]) for path, label in zip(images.files, images.labels, strict=True)
    ]
    rows = _rows(root, pictures, "CK+48, class folders")
    rows.official, rows.quarantined = COPY, list(images.broken)
    return rows


def _rows(root: Path, pictures: list[_Picture], layout: str) -> Rows:
    matches = [match for picture in pictures if (match := _FRAME.fullmatch(picture.name))]
    return Rows(
        root,
        layout,
        [picture.name for picture in pictures],
        [picture.file.relative_to(root).as_posix() for picture in pictures],
        {"ck7": class_ids(CK7, [picture.label for picture in pictures])},
        columns={
            "identity": np.array([match["person"] for match in matches]),
            "clip": np.array([match["clip"] for match in matches]),
            "frame": np.array([int(match["frame"]) for match in matches], dtype=np.int64),
        },
        groups="identity",
    )


def read_emotion(path: Path) -> int:
    """The code in an emotion file, 0 to 7.

    Raises:
        BadDataError: it holds no number, several, or one out of range.
    """
    cells = text_of("ckplus", path).split()
    if len(cells) != 1:
        raise not_read("ckplus", str(path), f"{len(cells)} values, where one code is expected")
    try:
        code = float(cells[0])
    except ValueError:
        code = -1.0
    if code not in range(len(CODES)):
        raise not_read("ckplus", str(path), f"the code {cells[0][:20]} is none of 0 to {len(CODES) - 1}")
    return int(code)


def _boxes(marked: Path, images: Path, pictures: list[_Picture], margin: float) -> npt.NDArray[np.float64]:
    boxes = np.zeros((len(pictures), 4))
    for i, picture in enumerate(pictures):
        path = marked / picture.file.parent.relative_to(images) / f"{picture.name}_landmarks.txt"
        try:
            points = np.array(path.read_text(encoding="utf-8-sig").split(), dtype=np.float64)
        except (OSError, ValueError):
            points = np.zeros(0)
        if points.size != 136 or not np.isfinite(points).all():
            raise not_read("ckplus", str(path), "there are no 68 landmarks", "Unpack the archive of landmarks again.")
        boxes[i] = face_box(points.reshape(68, 2), margin)
    return boxes
