"""What readers of single pictures have in common: from rows (an id, a file, labels, perhaps a face box) to samples,
with one line for whatever is wrong with them.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.decoding import load_image
from fer_bench.data.images import FileImages, pixels_of
from fer_bench.data.samples import SPLITS, Samples, split_checksum
from fer_bench.datasets.class_folders import MAX_BAD_SHARE, repeated
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.image_files import UnreadableImageError
from fer_bench.labels import LABEL_SETS, LabelSet

_VERSION = "1"
_THREADS = 4
_WHOLE = (-1.0, -1.0, -1.0, -1.0)
ABSENT = "listed, and not there"


@dataclass
class Rows:
    """Pictures as a reader has found them, N of them, in columns.

    Args:
        root: the folder that files are relative to.
        layout: which of the known layouts it is.
        ids: N names that can be written; must be unique.
        files: N paths, relative, with slashes.
        targets: per task, shape (N,) class ids with -1 for "has none", or (N, D) values.
        split: shape (N,); None: all of them are ``train`` until folds are cut.
        boxes: shape (N, 4), left, top, right, bottom in pixels; None: whole pictures.
        columns: shape (N, ...) each.
        groups: which of the columns holds what must not be split.
        official: how many pictures each split has where the copy is complete; ``all`` without splits.
        notes: remarks about this copy.
        quarantined: what was left out already, with the reason.
    """

    root: Path
    layout: str
    ids: list[str]
    files: list[str]
    targets: dict[str, npt.NDArray[Any]]
    split: npt.NDArray[np.str_] | None = None
    boxes: npt.NDArray[np.float64] | None = None
    columns: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    groups: str = ""
    official: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    quarantined: list[tuple[str, str]] = field(default_factory=list)

    def kept(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """The rows of a mask."""
        at = np.flatnonzero(keep)
        return Rows(
            self.root,
            self.layout,
            [self.ids[i] for i in at],
            [self.files[i] for i in at],
            {name: column[at] for name, column in self.targets.items()},
            None if self.split is None else self.split[at],
            None if self.boxes is None else self.boxes[at],
            {name: column[at] for name, column in self.columns.items()},
            self.groups,
            self.official,
            self.notes,
            self.quarantined,
        )


def picture_samples(
    dataset: str,
    rows: Rows,
    size: int,
    *,
    square: bool = False,
    video: bool = False,
    keep_crops: bool = True,
    hint: str = "Unpack the pictures next to their labels.",
) -> Samples:
    """Samples of pictures that are decoded when they are asked for.

    Args:
        dataset: its name, for the cache and for messages.
        rows: what the reader has found.
        size: side of the images in pixels.
        square: cut each picture to its central square.
        video: frames of videos: too many to be decoded once before, and alike from one to the next, so that they are
            not compared with each other.
        keep_crops: keep what was cut on disk.
        hint: what to do where none of the files is there.

    Returns:
        Samples; checksums are over ids, labels, face boxes and the content of the files.

    Raises:
        MissingDataError: none of the files is there.
        BadDataError: an id stands for two files, or more than 1 % of the pictures cannot be used.
    """
    _unique(rows)
    n, counts = len(rows.ids), _counts(rows)
    there = np.array([(rows.root / name).is_file() for name in rows.files], dtype=bool)
    if not there.any():
        problem = f"{rows.root}: {n} pictures are listed, and none is there (the first is {_first(rows)})."
        raise MissingDataError(problem, hint)
    quarantined = [(rows.files[i], ABSENT) for i in np.flatnonzero(~there)]
    rows = rows.kept(there)
    if not video:
        sizes, unread = _looked_at(dataset, rows)
        if square:
            rows.boxes = _central(sizes)
        reasons = [unread.get(name) or _misplaced(rows, i, sizes[i]) for i, name in enumerate(rows.files)]
        quarantined += [(rows.ids[i], reason) for i, reason in enumerate(reasons) if reason]
        rows = rows.kept(np.array([not reason for reason in reasons], dtype=bool))
    rows.quarantined = rows.quarantined + quarantined
    if len(quarantined) > MAX_BAD_SHARE * n:
        problem = (
            f"{rows.root}: {len(quarantined)} of {n} pictures cannot be used, more than {MAX_BAD_SHARE:.0%}; the first"
            f" is {quarantined[0][0]} ({quarantined[0][1]})."
        )
        raise BadDataError(problem, "The copy is damaged or not complete; unpack it again.")
    return _samples(dataset, rows, size, counts, video=video, keep_crops=keep_crops)


def _samples(dataset: str, rows: Rows, size: int, counts: dict[str, int], *, video: bool, keep_crops: bool) -> Samples:
    contents = cache.file_digests(rows.root, [rows.root / name for name in rows.files])
    boxes = np.tile(_WHOLE, (len(rows.ids), 1)) if rows.boxes is None else rows.boxes
    digests = row_digests(rows.ids, rows.targets, boxes, contents)
    split = np.full(len(rows.ids), "train", dtype="<U10") if rows.split is None else rows.split.astype("<U10")
    checksums = (
        {"all": split_checksum(digests)}
        if rows.split is None
        else {name: split_checksum(digests[split == name]) for name in SPLITS if (split == name).any()}
    )
    identity = hashlib.sha256(digests.tobytes() + "".join(split.tolist()).encode()).hexdigest()[:24]
    store = hashlib.sha256(contents.tobytes() + np.ascontiguousarray(boxes).tobytes()).hexdigest()[:16]
    main = next(iter(rows.targets))
    notes = list(rows.notes)
    if rows.official and counts != rows.official:
        notes.append(f"this copy has {_listed(counts)}, the complete one {_listed(rows.official)}")
    labels = LABEL_SETS.get(main)
    if labels is not None and not video:
        notes += _classes_absent(labels, rows.targets[main])
        shown = np.concatenate([contents, np.ascontiguousarray(boxes).view(np.uint8).reshape(len(boxes), -1)], axis=1)
        notes += repeated(shown, rows.targets[main])
    return Samples(
        ids=np.array(rows.ids),
        images=FileImages(
            rows.root,
            rows.files,
            size,
            boxes,
            cache=f"{dataset}-{store}" if keep_crops else "",
            contents=contents,
        ),
        split=split,
        targets=rows.targets,
        layout=rows.layout,
        groups=rows.columns[rows.groups].astype(str) if rows.groups else None,
        columns=rows.columns,
        notes=notes,
        quarantined=rows.quarantined,
        checksums=checksums,
        key="" if video else f"{dataset}-{identity}-{size}",
    )


def row_digests(
    ids: list[str],
    targets: dict[str, npt.NDArray[Any]],
    boxes: npt.NDArray[np.float64],
    contents: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint8]:
    """SHA-1 over id, labels, face box and content of every picture.

    Args:
        ids: N names.
        targets: per task, in the order of their names.
        boxes: shape (N, 4), -1 for whole pictures.
        contents: shape (N, 32), digests of the files.

    Returns:
        Shape (N, 20), uint8.
    """
    columns = [targets[name].tolist() for name in sorted(targets)]
    out = np.empty((len(ids), 20), dtype=np.uint8)
    for i, (name, box, content) in enumerate(zip(ids, boxes.tolist(), contents, strict=True)):
        labels = " ".join(str(column[i]) for column in columns)
        text = f"{name} {labels} {box} ".encode() + content.tobytes()
        out[i] = np.frombuffer(hashlib.sha1(text, usedforsecurity=False).digest(), dtype=np.uint8)
    return out


def class_ids(labels: LabelSet, names: list[str]) -> npt.NDArray[np.int64]:
    """Class ids of names, -1 for those that are not of the set; shape (N,)."""
    ids = {name: labels.find(name) for name in set(names)}
    return np.array([-1 if ids[name] is None else ids[name] for name in names], dtype=np.int64)


def widened(boxes: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.float64]:
    """Boxes with a share of their width and height added on each side; shape (N, 4), left, top, right, bottom."""
    added = np.maximum(boxes[:, 2:] - boxes[:, :2], 0) * margin
    return np.concatenate([boxes[:, :2] - added, boxes[:, 2:] + added], axis=1)


def _looked_at(dataset: str, rows: Rows) -> tuple[npt.NDArray[np.int64], dict[str, str]]:
    """Width and height of every picture, (N, 2), and why some cannot be decoded; once per content."""
    names = sorted(set(rows.files))
    paths = [rows.root / name for name in names]
    key = cache.text_sha256(f"{_VERSION}|{cache.listing_sha256(rows.root, paths)}")

    def build() -> tuple[cache.Arrays, dict[str, Any]]:
        with ThreadPoolExecutor(_THREADS) as pool:
            seen = list(pool.map(_size_of, paths))
        sizes = [(0, 0) if isinstance(found, str) else found for found in seen]
        bad = {name: found for name, found in zip(names, seen, strict=True) if isinstance(found, str)}
        return {"sizes": np.array(sizes, dtype=np.int64)}, {"unread": bad}

    arrays, facts = cache.cached(dataset, key, build)
    place = {name: i for i, name in enumerate(names)}
    return np.asarray(arrays["sizes"])[[place[name] for name in rows.files]], facts["unread"]


def _size_of(path: Path) -> tuple[int, int] | str:
    try:
        height, width = load_image(path, gray=True).shape[:2]
    except UnreadableImageError as error:
        return error.reason
    return width, height


def _misplaced(rows: Rows, i: int, size: npt.NDArray[np.int64]) -> str:
    if rows.boxes is None or (rows.boxes[i] == _WHOLE).all() or pixels_of(rows.boxes[i], *size.tolist()) is not None:
        return ""
    return f"the face box is outside the picture of {size[0]} x {size[1]} px, or empty"


def _central(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    side = sizes.min(axis=1, keepdims=True)
    corner = (sizes - side) // 2
    return np.concatenate([corner, corner + side], axis=1).astype(np.float64)


def _unique(rows: Rows) -> None:
    seen: dict[str, str] = {}
    for name, file in zip(rows.ids, rows.files, strict=True):
        if name in seen:
            problem = f"{rows.root}: {name} is there twice, in {seen[name]} and in {file}."
            raise BadDataError(problem, "Keep one of the two.")
        seen[name] = file


def _counts(rows: Rows) -> dict[str, int]:
    if rows.split is None:
        return {"all": len(rows.ids)}
    # Validation is held out from train, and counts as train in what owners print.
    parts = np.where(rows.split == "test", "test", "train")
    return {name: int((parts == name).sum()) for name in ("train", "test")}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,}" if name == "all" else f"{n:,} to {name}" for name, n in counts.items())


def _first(rows: Rows) -> Path:
    return rows.root / rows.files[0] if rows.files else rows.root


def _classes_absent(labels: LabelSet, values: npt.NDArray[np.int64]) -> list[str]:
    present = set(values.tolist())
    absent = [name for i, name in enumerate(labels.names) if i not in present]
    return [f"no picture of {', '.join(absent)}"] if absent else []
