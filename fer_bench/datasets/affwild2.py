"""Aff-Wild2 (Kollias and Zafeiriou 2019): videos from the web, every frame with an expression, or valence and arousal.

One text file a video, in folders of the two tasks and their splits:
``annotations/EXPR_Classification_Challenge/Train_Set/8-30-1280x720.txt`` begins with the names of its seven or, since
2022, eight classes, and line n after that is the code of frame n, -1 where there is none;
``VA_Estimation_Challenge/Validation_Set/...`` begins with ``valence,arousal`` and has two values a line, -5 where there
are none. Older releases call the folders ``EXPR_Set/Training_Set``. Faces are ``cropped_aligned/<video>/00001.jpg``,
those of later videos ``cropped_aligned_new_50_vids/<video>/00001.jpg``, frame by frame, with gaps where no face was
found. The second person of a video has files of his own, ``<video>_left``
and ``<video>_right``; both are in the same split.

A video can be in train for one task and in validation for the other, so each task reads its own lists. The labels of
the test set are not given out: the validation set is tested. The columns clip and frame say which frame of which video
a sample is.

Unverified: written from what the challenges describe, and not yet tried on real files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter_name
from fer_bench.data import cache
from fer_bench.data.datamodule import VA, AffectDataModule
from fer_bench.data.decoding import SUFFIXES
from fer_bench.data.samples import Samples
from fer_bench.data.splits import hold_out
from fer_bench.datasets.class_folders import names_in, readable_name, subfolders
from fer_bench.datasets.list_lines import not_read, text_of
from fer_bench.datasets.pictures import Rows, class_ids, picture_samples
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import EXPR8, FER7
from fer_bench.protocols.affwild2 import AffWild2Options

SIDE = 112
KINDS = {"EXPR": "expressions", "VA": "valence and arousal"}
SPLITS = {"train_set": "train", "training_set": "train", "validation_set": "test"}
CROPS = (
    "cropped_aligned",
    "cropped_aligned_images",
    # An archive of its own, of videos that came later.
    "cropped_aligned_new_50_vids",
    "cropped",
    "cropped_images",
    "cropped_new_50_vids",
)
# A hub's archive of a folder adds one around it: annotations-20200917T112933Z-001/annotations/EXPR_Set/Training_Set.
DEPTH = 4
NO_CODE, NO_VALUE = -1, -5.0
_CLASSES = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
_PERSON = re.compile(r"_(left|right)$", re.IGNORECASE)


class AffWild2DataModule(AffectDataModule):
    """Aff-Wild2; its options are :class:`fer_bench.protocols.affwild2.AffWild2Options`."""

    dataset = "affwild2"

    def read(self) -> Samples:
        """Read the lists of the task; frames are decoded when they are asked for."""
        kind = "VA" if self.task in ("va", *VA) else "EXPR"
        return read_affwild2(self.data_dir, kind, self.chosen(AffWild2Options), size=self.image_size or SIDE)


@dataclass
class _Frames:
    """Frames of all videos, in columns."""

    files: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


def read_affwild2(
    data_dir: str | None, kind: str = "EXPR", options: AffWild2Options | None = None, *, size: int = SIDE
) -> Samples:
    """Read the frames of one of Aff-Wild2's tasks.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        kind: ``EXPR`` or ``VA``.
        options: which frames are kept, and the share of train that becomes validation.
        size: side of the images in pixels.

    Returns:
        Samples with ids ``<video>/00001``, the targets ``expr8`` (lists with the class other) and ``fer7``, or ``va``;
        groups = video, and the columns clip and frame (from 1).

    Raises:
        MissingDataError: there are no lists of both splits, or no faces.
        BadDataError: a list of another task, a value out of range, lists of seven and of eight classes together, or a
            video in both splits.
    """
    options = options or AffWild2Options()
    places = cache.candidates("affwild2", data_dir)
    for root in places:
        lists = find_lists(root, kind)
        if {split for split, _ in lists.values()} == set(SPLITS.values()):
            break
    else:
        looked_for = f"{kind}_*/ with Train_Set/ and Validation_Set/ ({KINDS[kind]})"
        raise cache.missing("affwild2", (looked_for,), places)
    faces = _face_folders(root, lists)
    frames, notes, widths = _Frames(), list[str](), set[int]()
    absent: Counter[str] = Counter()
    for video, (split, path) in sorted(lists.items()):
        width, values = read_labels(path, kind)
        widths.add(width)
        pictures = _pictures(faces.get(video))
        rows = [n for n in range(0, len(values), options.every) if not _is_invalid(values[n])]
        absent[split] += sum(n + 1 not in pictures for n in rows)
        if not pictures:
            notes.append(f"video {video}: there are no faces of it")
            continue
        rows = [n for n in rows if n + 1 in pictures]
        folder = faces[video].relative_to(root).as_posix()
        frames.files += [f"{folder}/{pictures[n + 1]}" for n in rows]
        frames.clips += [readable_name(video)] * len(rows)
        frames.numbers += [n + 1 for n in rows]
        frames.split += [split] * len(rows)
        frames.values += [values[n] for n in rows]
    if len(widths) > 1:
        problem = f"{root}: some lists have seven classes and some have eight; they are of two releases."
        raise BadDataError(problem, "Keep the annotations of one release.")
    if not frames.files and any(_pictures(faces.get(video)) for video in lists):
        problem = f"{root}: no frame has both a label and a face, of those that are read (every={options.every})."
        raise BadDataError(problem, "Read more of them: --set dataset_options.every=1.")
    if not frames.files:
        problem = f"{root}: {len(lists)} videos are annotated, and there are no faces of any."
        raise MissingDataError(problem, f"Unpack them as {CROPS[0]}/<video>/00001.jpg.")
    notes += [
        f"{n:,} labelled frames of {split} have no face, and are left out" for split, n in sorted(absent.items()) if n
    ]
    targets = _targets(kind, frames.values, max(widths))
    return picture_samples(
        "affwild2", _rows(root, kind, frames, targets, notes, options), size, video=True, keep_crops=False
    )


def find_lists(root: Path, kind: str) -> dict[str, tuple[str, Path]]:
    """The lists of a task: by video, its split and its file.

    Raises:
        BadDataError: a video stands twice.
    """
    found: dict[str, tuple[str, Path]] = {}
    for folder in _below(root, DEPTH):
        split = SPLITS.get(folder.name.lower(), "")
        if not split or not folder.parent.name.upper().startswith(f"{kind}_"):
            continue
        for path in sorted(folder.glob("*.txt")):
            if is_clutter_name(path.name):
                continue
            if path.stem in found:
                problem = f"video {path.stem} is in {found[path.stem][1].parent} and in {folder}."
                raise BadDataError(problem, "Keep the annotations of one release.")
            found[path.stem] = split, path
    return found


def read_labels(path: Path, kind: str) -> tuple[int, list[Any]]:
    """Read the list of a video.

    Args:
        path: of the list.
        kind: ``EXPR`` or ``VA``.

    Returns:
        How many names its first line has, and the labels of frames 1, 2, ...: codes with -1 for none, or pairs of
        valence and arousal with -5 for none.

    Raises:
        BadDataError: the first line is that of another task or of none, or a label is none or out of range.
    """
    lines = text_of("affwild2", path).splitlines()
    header = [cell.strip().lower() for cell in lines[0].split(",")] if lines else []
    expected = (VA,) if kind == "VA" else (_CLASSES[:-1], _CLASSES)
    if tuple(header) not in expected:
        shown = ",".join(header)[:60] or "nothing"
        raise not_read("affwild2", f"{path}, line 1", f"{shown!r} is not the first line of a list of {KINDS[kind]}")
    while lines and not lines[-1].strip():
        lines.pop()
    read = _values if kind == "VA" else _code
    return len(header), [read(line, len(header), f"{path}, line {n}") for n, line in enumerate(lines[1:], start=2)]


def _code(line: str, n_classes: int, where: str) -> int:
    text = line.strip()
    try:
        code = int(text)
    except ValueError:
        raise not_read("affwild2", where, f"{text[:30]!r} is no code") from None
    if not NO_CODE <= code < n_classes:
        raise not_read("affwild2", where, f"the code {code} is none of {NO_CODE} to {n_classes - 1}")
    return code


def _values(line: str, _width: int, where: str) -> tuple[float, float]:
    try:
        valence, arousal = (float(cell) for cell in line.split(","))
    except ValueError:
        raise not_read("affwild2", where, f"{line[:40]!r} is no pair of valence and arousal") from None
    if NO_VALUE in (valence, arousal):
        return NO_VALUE, NO_VALUE
    if not (abs(valence) <= 1 and abs(arousal) <= 1):
        raise not_read("affwild2", where, f"valence or arousal is outside -1 to 1: {line[:40]}")
    return valence, arousal


def _is_invalid(value: Any) -> bool:
    return value in (NO_CODE, (NO_VALUE, NO_VALUE))


def _targets(kind: str, values: list[Any], n_classes: int) -> dict[str, npt.NDArray[Any]]:
    if kind == "VA":
        return {"va": np.array(values, dtype=np.float32).reshape(-1, 2)}
    codes = np.array(values, dtype=np.int64)
    seven = {"fer7": class_ids(FER7, list(_CLASSES))[codes]}
    return {"expr8": class_ids(EXPR8, list(_CLASSES))[codes], **seven} if n_classes == len(_CLASSES) else seven


def _rows(
    root: Path,
    kind: str,
    frames: _Frames,
    targets: dict[str, npt.NDArray[Any]],
    notes: list[str],
    options: AffWild2Options,
) -> Rows:
    ids = [f"{clip}/{number:05d}" for clip, number in zip(frames.clips, frames.numbers, strict=True)]
    split = np.array(frames.split, dtype="<U10")
    video = np.array([_PERSON.sub("", clip) for clip in frames.clips])
    shared = sorted(set(video[split == "train"]) & set(video[split == "test"]))
    if shared:
        problem = f"{root}: video {shared[0]} is in train and in validation, one person each."
        raise BadDataError(problem, "Use the annotations as the authors give them out.")
    train = np.flatnonzero(split == "train")
    held_out = hold_out(np.array(ids)[train], np.zeros(len(train), dtype=np.int64), options.validation, video[train])
    split[train[held_out]] = "validation"
    every = "every frame" if options.every == 1 else f"one of {options.every} frames"
    return Rows(
        root,
        f"lists of {KINDS[kind]}, {every}",
        ids,
        frames.files,
        targets,
        split=split,
        columns={
            "clip": np.array(frames.clips),
            "frame": np.array(frames.numbers, dtype=np.int64),
            "video": video,
        },
        groups="video",
        notes=notes,
    )


def _face_folders(root: Path, videos: Container[str]) -> dict[str, Path]:
    """The folder of each video's faces; those of aligned faces first."""
    found: dict[str, Path] = {}

    def look(folder: Path, depth: int) -> None:
        for child in subfolders(folder):
            if child.name in videos:
                found.setdefault(child.name, child)
            elif depth > 1:
                # Archives come in batches, each with folders of its own.
                look(child, depth - 1)

    for name in CROPS:
        for folder in (f for f in _below(root, DEPTH) if f.name.lower() == name):
            look(folder, DEPTH)
    return found


def _pictures(folder: Path | None) -> dict[int, str]:
    """Names of the frames of a video, by number."""
    if folder is None:
        return {}
    stems = ((name, name.rpartition(".")[0]) for name in names_in(folder) if Path(name).suffix.lower() in SUFFIXES)
    return {int(stem): name for name, stem in stems if stem.isascii() and stem.isdigit() and len(stem) <= 9}


def _below(root: Path, depth: int) -> list[Path]:
    """Folders down to a depth; those that hold the frames of a video are not entered."""
    if not root.is_dir() or depth == 0:
        return []
    found: list[Path] = []
    for child in subfolders(root):
        if is_clutter_name(child.name):
            continue
        found.append(child)
        if child.name.lower() not in CROPS:
            found += _below(child, depth - 1)
    return found
