"""Image folders with one folder per class, in any split layout: ``train/ validation/ test/``, ``train/ test/``, or no split folders at all."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data import files
from fer_bench.data.base import AffectDataModule
from fer_bench.data.decoding import SUFFIXES, load_image, resize
from fer_bench.data.image_files import UnreadableImageError
from fer_bench.data.samples import SPLITS, Samples, sample_digests, split_checksum
from fer_bench.data.splits import carve
from fer_bench.errors import BadDataError, SpecError
from fer_bench.labels import LABEL_SETS, LabelSet

READER_VERSION = "1"
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "publictest": "validation", "dev": "validation",
    "test": "test", "testing": "test", "privatetest": "test",
}  # fmt: skip
MAX_BAD_SHARE = 0.01


class FolderDataModule(AffectDataModule):
    """Class folders of your own: ``--dataset folder:NAME`` reads ``<data root>/NAME`` (or the data root itself).

    Options: ``identity`` is a regular expression whose first group in the relative path names the person; people then never cross splits that
    the suite makes. ``validation`` and ``test`` are the shares to carve where the folders do not say (0.1 and 0.2).
    """

    dataset = "folder"

    def read(self) -> Samples:
        """Read the class folders."""
        if self.task not in LABEL_SETS:
            problem = f"dataset 'folder' has classes only: it cannot serve the task {self.task!r}."
            raise SpecError(problem, f"Choose one of {', '.join(LABEL_SETS)}.")
        label_set = LABEL_SETS[self.task]
        options = dict(self.options)
        identity, validation, test = (options.pop(key, default) for key, default in (("identity", ""), ("validation", 0.1), ("test", 0.2)))
        if options:
            problem = f"dataset 'folder' has no option {sorted(options)[0]!r}."
            raise SpecError(problem, "It has identity, validation and test.")
        shares = (_share("validation", validation), _share("test", test))
        folders = files.candidates(self.name, self.data_dir)
        for place in folders:
            if has_class_folders(place, label_set):
                return read_folder(self.name, place, label_set, identity=str(identity), shares=shares, gray=self.channels == 1, side=self.image_size)
        names = ", ".join(label_set.names)
        raise files.missing(self.name, ("class folders",), folders, f"Make one folder per class ({names}), inside train/ and test/ if you have splits.")


def _share(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        problem = f"dataset_options.{key} = {value!r}: a share must lie between 0 and 1."
        raise SpecError(problem, "For example 0.1.")
    return float(value)


def has_class_folders(root: Path, label_set: LabelSet) -> bool:
    """Whether some folder here, or inside a split folder here, is named like a class."""
    if not root.is_dir():
        return False
    inner = [child for child in root.iterdir() if child.is_dir()]
    deeper = [c for child in inner if child.name.lower() in SPLIT_NAMES for c in child.iterdir() if c.is_dir()]
    return any(label_set.find(child.name) is not None for child in [*inner, *deeper])


def read_folder(
    name: str,
    root: Path,
    label_set: LabelSet,
    *,
    side: int | None = None,
    official: dict[str, int] | None = None,
    identity: str = "",
    shares: tuple[float, float] = (0.1, 0.2),
    gray: bool = True,
) -> Samples:
    """Read class folders into memory-mapped arrays of one size.

    Args:
        name: the dataset's name, for messages and the cache.
        root: folder that holds split folders or class folders.
        label_set: the classes; folder names are mapped by name, never by position.
        side: side in pixels that every image is resized to; with ``official`` a demand, not a resize.
        official: sizes of the official splits; then image size is checked, and what is lost of the splits is said.
        identity: regular expression for the person in a relative path.
        shares: validation and test shares to carve where there are no such folders.
        gray: decode to one channel.

    Returns:
        Samples whose ids are relative paths.

    Raises:
        BadDataError: a folder that is no class, an empty class, more than 1 % unreadable images, an image of the wrong size.
    """
    found = [p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not _is_clutter(p.relative_to(root))]
    key = f"{READER_VERSION}-{files.listing_sha256(root, found)}-{label_set.name}-{side}-{gray}-{bool(official)}"
    arrays, facts = files.cached(name, files.text_sha256(key), lambda: _decode(root, found, label_set, side, gray, official))
    ids = arrays["ids"]
    split = np.array(facts["split_names"])[arrays["split"]]
    labels = np.asarray(arrays["label"], dtype=np.int64)
    groups = _groups(ids, identity)
    split, notes = _complete_splits(split, ids, labels, groups, shares, official)
    samples = Samples(
        ids=ids,
        images=arrays["images"],
        split=split,
        targets={label_set.name: labels},
        layout="class folders",
        groups=groups,
        notes=notes,
        quarantined=[(str(p), str(reason)) for p, reason in facts["quarantined"]],
        key=f"{name}-{key}-{identity}-{shares}",
    )
    samples.checksums = {s: split_checksum(arrays["digests"][samples.where(s)]) for s in SPLITS if len(samples.where(s))}
    return samples


def _is_clutter(path: Path) -> bool:
    # What macOS and file managers leave behind looks like images by its name.
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _decode(
    root: Path, found: list[Path], label_set: LabelSet, side: int | None, gray: bool, official: dict[str, int] | None
) -> tuple[files.Arrays, dict[str, Any]]:
    images, ids, labels, split, bad = [], [], [], [], []
    unknown: Counter[str] = Counter()
    names = ["", *SPLITS]
    target = side or 48
    for path in sorted(found):
        parts = path.relative_to(root).parts
        where = SPLIT_NAMES.get(parts[0].lower(), "") if len(parts) > 2 or parts[0].lower() in SPLIT_NAMES else ""
        label = label_set.find(path.parent.name)
        if label is None:
            unknown[path.parent.name] += 1
            continue
        try:
            image = load_image(path, gray=gray)
        except UnreadableImageError as error:
            bad.append((str(path.relative_to(root)), error.reason))
            continue
        if official and image.shape[:2] != (target, target):
            problem = f"{path}: the image is {image.shape[1]} x {image.shape[0]} px, not {target} x {target}."
            raise BadDataError(problem, "This is another dataset or a rescaled copy; use it as --dataset folder:NAME.")
        images.append(resize(image, target))
        ids.append(path.relative_to(root).as_posix())
        labels.append(label)
        split.append(names.index(where))
    _refuse(root, label_set, np.array(labels, dtype=np.int64), unknown, bad, len(found))
    stacked = np.stack(images)
    arrays: files.Arrays = {
        "images": stacked,
        "ids": np.array(ids),
        "label": np.array(labels, dtype=np.int8),
        "split": np.array(split, dtype=np.int8),
        "digests": sample_digests(stacked, np.array(labels, dtype=np.int8)),
    }
    return arrays, {"quarantined": bad, "split_names": names}


def _refuse(root: Path, label_set: LabelSet, labels: npt.NDArray[np.int64], unknown: Counter[str], bad: list[tuple[str, str]], n: int) -> None:
    if unknown:
        listed = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(5))
        problem = f"{root}: these folders are no class of {label_set.name}: {listed}."
        raise BadDataError(problem, f"Rename or remove them; the classes are {', '.join(label_set.names)}.")
    if len(bad) > MAX_BAD_SHARE * n:
        problem = f"{root}: {len(bad)} of {n} images cannot be read, more than {MAX_BAD_SHARE:.0%}; the first is {bad[0][0]}."
        raise BadDataError(problem, "The copy is damaged; unpack or download it again.")
    absent = [label_set.names[c] for c in range(len(label_set)) if not (labels == c).any()]
    if absent:
        problem = f"{root}: no image of {', '.join(absent)}."
        raise BadDataError(problem, "An empty class cannot be learnt or scored; add images, or choose a task whose label set fits.")


def _groups(ids: npt.NDArray[np.str_], identity: str) -> npt.NDArray[np.str_] | None:
    if not identity:
        return None
    try:
        pattern = re.compile(identity)
    except re.error as error:
        problem = f"dataset_options.identity = {identity!r} is no regular expression: {error}."
        raise SpecError(problem, r"For example 'S(\d+)_'.") from None
    found = [pattern.search(str(i)) for i in ids]
    if not all(found):
        first = next(str(i) for i, match in zip(ids, found, strict=True) if not match)
        problem = f"dataset_options.identity = {identity!r} matches nothing in {first!r}."
        raise SpecError(problem, "The pattern must find the person in every relative path.")
    return np.array([match.group(1) if match.groups() else match.group(0) for match in found if match])


def _complete_splits(
    split: npt.NDArray[np.str_],
    ids: npt.NDArray[np.str_],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_] | None,
    shares: tuple[float, float],
    official: dict[str, int] | None,
) -> tuple[npt.NDArray[np.str_], list[str]]:
    notes = []
    split = split.astype("<U10")
    if (split == "").any() and (split != "").any():
        problem = "some class folders lie inside split folders and some do not."
        raise BadDataError(problem, "Move all of them into train/, validation/ and test/, or none.")
    if (split == "").all():
        split[:] = "train"
        split[carve(ids, labels, shares[1], groups=groups, salt="test")] = "test"
        notes.append(f"no split folders: {shares[1]:.0%} were carved as test by a hash of the ids")
    if not (split == "test").any():
        split[split == "validation"] = "test"
        notes.append("no test folder: the validation folder is the test set")
    if not (split == "validation").any():
        train = np.flatnonzero(split == "train")
        own = None if groups is None else groups[train]
        split[train[carve(ids[train], labels[train], shares[0], groups=own, salt="validation")]] = "validation"
        notes.append(f"no validation folder: {shares[0]:.0%} of train were carved by a hash of the ids")
    if official:
        counts = {name: int((split == name).sum()) for name in SPLITS}
        if counts != official:
            notes.append(f"this copy holds {counts}, not the official {official}; the official validation split cannot be recovered from it")
    return split, notes
