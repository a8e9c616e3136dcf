"""FER2013 as image folders: one folder per class, inside split folders or not; the file names say the split where they
can.

The copy that circulates most has ``test/<class>/{PublicTest,PrivateTest}_<n>.jpg``: validation and test in one folder.
So a name that holds a Usage decides, whatever folder it is in; the folder decides for other names; and what neither
says is split by a hash of the ids.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter
from fer_bench.data import cache
from fer_bench.data.decoding import SUFFIXES
from fer_bench.data.native import decode_grey
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.data.split_names import check_one_folder_each, split_of
from fer_bench.data.splits import hold_out
from fer_bench.datasets.fer2013.csv_file import SIDE
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7

READER_VERSION = "2"
VALIDATION_SHARE, TEST_SHARE = 0.1, 0.2
MAX_BAD_SHARE = 0.01
# Of numbered folders: how many images tell their order, and how many fewer the smallest of three has.
_ENOUGH, _FEWER = 300, 0.8
_IDS = {str(label) for label in range(len(FER7))}
_USAGE = re.compile(r"(?<![a-z])(training|public[ _-]?test|private[ _-]?test)(?![a-z])", re.IGNORECASE)
_NUMBERED = re.compile(r"^\d+[\W_]+(?=\D)")


@dataclass(frozen=True)
class _Found:
    """One image, before it is decoded."""

    path: Path
    label: int
    folder_split: str
    numbered: bool = False


def find_folders(place: Path) -> Path | None:
    """The folder that holds split folders or class folders: this one, or one below where nothing else is in it
    (``archive/``, ``images/``).
    """
    for _ in range(3):
        if not place.is_dir():
            return None
        inner = _folders(place)
        if any(
            _has_classes({child.name for child in _folders(folder)}) for folder in (place, *filter(_is_split, inner))
        ):
            return place
        if len(inner) != 1:
            return None
        place = inner[0]
    return None


def read_class_folders(root: Path) -> Samples:
    """Read class folders.

    Args:
        root: as :func:`find_folders` gives it. Classes are found by name, in any case and spelling of the label set,
            with a number in front or not (``0_angry``), or by FER2013's ids (``0`` to ``6``).

    Returns:
        Samples whose ids are paths relative to ``root``, with the target ``fer7``.

    Raises:
        BadDataError: a folder that is not a class, a class without images, more than 1 % unreadable images, an image
            that is not 48 x 48 px, folders that are numbered by the alphabet.
    """
    found = _find(root)
    numbers = _numbers(root, found)
    key = f"folders-{READER_VERSION}-{cache.listing_sha256(root, [image.path for image in found])}"
    arrays, facts = cache.cached("fer2013", cache.text_sha256(key), lambda: _decode(root, found))
    ids, labels = arrays["ids"], np.asarray(arrays["label"], dtype=np.int64)
    split, notes = _splits(ids, np.array(["", *SPLITS])[arrays["folder_split"]], labels)
    return Samples(
        ids=ids,
        images=arrays["images"],
        split=split,
        targets={"fer7": labels},
        layout="class folders",
        notes=[*numbers, *_unread(root), *notes],
        checksums={name: split_checksum(arrays["digests"][split == name]) for name in SPLITS if (split == name).any()},
        quarantined=[(str(path), str(reason)) for path, reason in facts["quarantined"]],
        key=f"fer2013-{key}",
    )


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not is_clutter(path.relative_to(place)))


def _is_split(folder: Path) -> bool:
    return split_of(folder.name) != ""


def _has_classes(names: set[str]) -> bool:
    # Single numbers name the folders of much else.
    return names >= _IDS or any(_class_of(name) is not None for name in names - _IDS)


def _class_of(name: str) -> int | None:
    """FER2013's id of a folder's name."""
    if name in _IDS:
        return int(name)
    return FER7.find(_NUMBERED.sub("", name))


def _find(root: Path) -> list[_Found]:
    found: list[_Found] = []
    unknown: Counter[str] = Counter()
    inner = _folders(root)
    parts = [(folder, split_of(folder.name)) for folder in inner if _is_split(folder)]
    for part, split in parts or [(root, "")]:
        for folder in _folders(part):
            images = _images(folder)
            label = _class_of(folder.name)
            if label is None and images:
                unknown[folder.name] += len(images)
            elif label is not None:
                found += [_Found(path, label, split, folder.name in _IDS) for path in images]
    folders = dict.fromkeys(one.path.parent for one in found)
    check_one_folder_each(root, [folder.relative_to(root).as_posix() for folder in folders])
    if unknown:
        listed = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(5))
        problem = f"{root}: these folders are not a class of {FER7.name}: {listed}."
        raise BadDataError(
            problem,
            f"Rename or remove them; the classes are {', '.join(FER7.names)}, or FER2013's ids 0 to {len(FER7) - 1}.",
        )
    loose = [folder.name for folder in inner if parts and _class_of(folder.name) is not None and _images(folder)]
    if loose:
        problem = f"{root}: some class folders are inside split folders and some ({', '.join(loose[:3])}) are not."
        raise BadDataError(problem, "Move all of them into train/, validation/ and test/, or none.")
    return sorted(found, key=lambda image: image.path)


def _numbers(root: Path, found: list[_Found]) -> list[str]:
    """What to say of class folders that are called by numbers: they may be FER2013's ids, or the places of the classes
    in the alphabet, in which 4, 5 and 6 are others.

    Raises:
        BadDataError: by their sizes they are the latter. Surprise has 4,002 images, sad 6,077 and neutral 6,198: of the
            three folders the smallest is 5 by the ids, and 6 by the alphabet.
    """
    counts = Counter(one.label for one in found if one.numbered)
    if not counts:
        return []
    sad, surprise, neutral = (counts[FER7.index(name)] for name in ("sad", "surprise", "neutral"))
    if sad + surprise + neutral >= _ENOUGH and neutral < _FEWER * min(sad, surprise):
        problem = (
            f"{root}: of the folders 4, 5 and 6, 6 has the fewest images ({sad:,}, {surprise:,} and {neutral:,}), as"
            " surprise has in FER2013: they seem to be numbered by the alphabet, not by FER2013's ids, of which 5 is"
            " surprise."
        )
        raise BadDataError(problem, f"Call the folders by the names of the classes: {', '.join(FER7.names)}.")
    ids = ", ".join(f"{label} {name}" for label, name in enumerate(FER7.names))
    return [f"folders that are called by numbers are read as FER2013's ids ({ids})"]


def _images(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not is_clutter(path.relative_to(folder)) and path.is_file()
    ]


def _unread(root: Path) -> list[str]:
    """Which folders next to the split folders were left alone."""
    inner = _folders(root)
    others = (
        [folder.name for folder in inner if not _is_split(folder) and _class_of(folder.name) is None]
        if any(map(_is_split, inner))
        else []
    )
    return [f"not read, since it is neither a split nor a class: {', '.join(others[:3])}"] if others else []


def _decode(root: Path, found: list[_Found]) -> tuple[cache.Arrays, dict[str, Any]]:
    at, images, unread = decode_grey(
        [one.path for one in found],
        SIDE,
        "This is another dataset or a rescaled copy; use it as --dataset folder:NAME.",
    )
    kept = [found[i] for i in at]
    bad = [(found[i].path.relative_to(root).as_posix(), reason) for i, reason in unread]
    if len(bad) > MAX_BAD_SHARE * len(found):
        problem = (
            f"{root}: {len(bad)} of {len(found)} images cannot be read, more than {MAX_BAD_SHARE:.0%}; the first is"
            f" {bad[0][0]}."
        )
        raise BadDataError(problem, "The copy is damaged; unpack or download it again.")
    absent = sorted(set(range(len(FER7))) - {one.label for one in kept})
    if absent:
        problem = f"{root}: no image of {', '.join(FER7.names[label] for label in absent)}."
        raise BadDataError(problem, "A class without images cannot be learnt or scored; use a complete copy.")
    stacked = np.stack(images)
    labels = np.array([one.label for one in kept], dtype=np.int8)
    arrays: cache.Arrays = {
        "images": stacked,
        "ids": np.array([one.path.relative_to(root).as_posix() for one in kept]),
        "label": labels,
        "digests": sample_digests(stacked, labels),
        "folder_split": np.array([["", *SPLITS].index(one.folder_split) for one in kept], dtype=np.int8),
    }
    return arrays, {"quarantined": bad}


def usage_split(sample_id: str) -> str:
    """The split whose Usage a file's name holds (``PublicTest_123.jpg``, ``fer_PublicTest_123.jpg``: validation); empty
    where it holds none, or several.
    """
    named = {split_of(usage) for usage in _USAGE.findall(sample_id.rpartition("/")[2])}
    return named.pop() if len(named) == 1 else ""


def _splits(
    ids: npt.NDArray[np.str_], folder: npt.NDArray[np.str_], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.str_], list[str]]:
    named = np.array([usage_split(str(sample_id)) for sample_id in ids], dtype="<U10")
    split = np.where(named != "", named, folder).astype("<U10")
    notes = []
    if moved := int(((named != "") & (folder != "") & (named != folder)).sum()):
        notes.append(
            f"split by the Usage in the file names (Training, PublicTest, PrivateTest): {moved} images are in a folder"
            " of another split"
        )
    elif (named != "").any() and (folder == "").any():
        notes.append("split by the Usage in the file names (Training, PublicTest, PrivateTest)")
    if (split == "").all():
        split[:] = "train"
        split[hold_out(ids, labels, TEST_SHARE, salt="test")] = "test"
        notes.append(
            f"neither folders nor file names say the split: {TEST_SHARE:.0%} are held out as test by a hash of the ids;"
            " the official splits are lost"
        )
    if (split == "").any():
        unsaid = np.flatnonzero(split == "")
        problem = f"{len(unsaid)} images have no split, neither by folder nor by name; the first is {ids[unsaid[0]]}."
        raise BadDataError(
            problem,
            "Move them into train/, validation/ or test/, or put Training_, PublicTest_ or PrivateTest_ before their"
            " names.",
        )
    if not (split == "test").any() and (split == "validation").any():
        split[split == "validation"] = "test"
        notes.append("no test images: those of validation are the test set")
    train = np.flatnonzero(split == "train")
    if not (split == "validation").any() and len(train):
        split[train[hold_out(ids[train], labels[train], VALIDATION_SHARE, salt="validation")]] = "validation"
        notes.append(
            f"neither a folder nor file names say what is validation: {VALIDATION_SHARE:.0%} of train are held out by a"
            " hash of the ids; the official validation split cannot be recovered from this copy"
        )
    return split, notes
