"""Which images are in a folder, and which class and split their places in it name; nothing is decoded here."""

from __future__ import annotations

import functools
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.class_sets import LEFT_OUT, Classes, same_classes, suggestion
from fer_bench.clutter import is_clutter_name
from fer_bench.counting import counted
from fer_bench.data.decoding import OTHER_SUFFIXES, SUFFIXES
from fer_bench.data.split_names import check_one_folder_each, sounds_like_split, split_of
from fer_bench.errors import BadDataError
from fer_bench.labels import LABEL_SETS, plain

MAX_BAD_SHARE = 0.01
BROKEN = "a broken link"
_SHOWN = 5


@dataclass
class Found:
    """Images of class folders, sorted by path.

    Args:
        files: of images that are in a class.
        labels: class of each.
        splits: of each; empty where no folder above or below its class names one.
        unknown: how many images are in folders that are no class, by name; the empty name is that of the images outside
            all of them.
        left_out: how many images were left out, by folder.
        unread: how many images are of a kind that is not read, by suffix.
        keys: entries of the option, or classes, that some folder is called like.
        broken: links that lead nowhere, with the reason.
    """

    files: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    broken: list[tuple[str, str]] = field(default_factory=list)


def sample_id(path: Path, root: Path) -> str:
    """What an image is called in predictions: its path below the folder, composed (NFC), and readable whatever bytes it
    is made of.
    """
    return readable_name(path.relative_to(root).as_posix())


def readable_name(name: str) -> str:
    """The name of a file, of whatever bytes it is made, as composed text that can be written anywhere."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def sample_ids(files: Iterable[Path], root: Path) -> list[str]:
    """As :func:`sample_id`, unique: two names that differ only in how they are composed keep a number."""
    seen: Counter[str] = Counter()
    ids = []
    for path in files:
        name = sample_id(path, root)
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return ids


def walk(root: Path, within: tuple[str, ...] = ()) -> Iterator[tuple[Path, bool]]:
    """Folders and image files below a folder, of the kinds that are not read too, links to folders followed.

    Args:
        root: where to begin.
        within: real paths of the folders above, so that a link to one of them is not followed for ever.

    Yields:
        Each path, and whether it is a folder.

    Raises:
        BadDataError: a folder that may not be read: leaving it out would change the dataset in silence.
    """
    real = os.path.realpath(root)
    if real in within:
        return
    for entry in _entries(root):
        if is_clutter_name(entry.name):
            continue
        path = root / entry.name
        if _is_folder(entry):
            yield path, True
            yield from walk(path, (*within, real))
        elif path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES and (entry.is_symlink() or entry.is_file()):
            yield path, False


def subfolders(root: Path) -> list[Path]:
    """Folders within a folder, by name.

    Raises:
        BadDataError: it may not be read.
    """
    return [root / entry.name for entry in _entries(root) if _is_folder(entry)]


def names_in(root: Path) -> list[str]:
    """What is called how within a folder, by name, without what file managers leave behind.

    Raises:
        BadDataError: it may not be read.
    """
    return [entry.name for entry in _entries(root) if not is_clutter_name(entry.name)]


def _entries(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        problem = f"{root}: the folder cannot be read ({error.strerror})."
        raise BadDataError(problem, "Check its permissions.") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself is one that leads nowhere.
        return False


def find_images(root: Path, classes: Classes) -> Found:
    """Sort the images below a folder into classes and splits.

    The topmost folder that is called like a class is an image's class, whatever is between it and the image (people,
    sessions); a folder that is called like a split, above or below that, is its split.

    Args:
        root: the dataset's folder.
        classes: what folders are called.

    Raises:
        BadDataError: a folder that cannot be read, a path that names two classes or two splits, two folders beside
            each other that name one split, or a folder that only sounds like a split.
    """
    found = Found()
    named = functools.cache(lambda folder: _named(folder.relative_to(root).parts, classes))
    # A folder comes before what is in it, and what is in one folder by name: that is the order of paths.
    for path, is_folder in walk(root):
        folders, keys, splits = named(path if is_folder else path.parent)
        if is_folder:
            found.keys.update(keys[:1])
            continue
        if path.suffix.lower() not in SUFFIXES:
            found.unread[path.suffix.lower()] += 1
            continue
        if not keys:
            found.unknown[next((name for name in folders if not split_of(name)), "")] += 1
            continue
        label = classes.find(keys[0])
        if len({classes.find(key) for key in keys}) > 1:
            problem = f"{root}: {_relative(path, root)!r} is in the folders of two classes, {keys[0]} and {keys[1]}."
            raise BadDataError(problem, "Rename one of the folders.")
        if len(splits) > 1:
            problem = f"{root}: {_relative(path, root)!r} is in the folders of two splits, {splits[0]} and {splits[1]}."
            raise BadDataError(problem, "Rename one of the folders, or move it.")
        above = list(takewhile(lambda name: classes.key(name) is None, folders))
        if not splits and (doubtful := next(filter(sounds_like_split, above), "")):
            problem = (
                f"{root}: the folder {doubtful!r} looks like a split but is not a known one; without it, splits"
                " would be mixed."
            )
            raise BadDataError(problem, "Rename it: splits are called train, validation and test.")
        if label == LEFT_OUT:
            found.left_out[keys[0]] += 1
        elif not path.is_file():
            found.broken.append((sample_id(path, root), BROKEN))
        else:
            found.files.append(path)
            found.labels.append(int(label if label is not None else LEFT_OUT))
            found.splits.append(splits[0] if splits else "")
    check_one_folder_each(
        root, [_relative(folder, root) for folder in dict.fromkeys(path.parent for path in found.files)]
    )
    return found


def _named(folders: tuple[str, ...], classes: Classes) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Folders on the way to an image, and what of them is called like a class and like a split."""
    keys = [key for name in folders if (key := classes.key(name)) is not None]
    return folders, keys, list(dict.fromkeys(split for name in folders if (split := split_of(name))))


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def check_found(root: Path, found: Found, classes: Classes, *, own: bool = True) -> None:
    """Refuse folders that are no class, and classes that have no folder.

    Args:
        root: the dataset's folder, for messages.
        found: what is in it.
        classes: what folders are called.
        own: whether the user may name other classes; not of a known dataset.

    Raises:
        BadDataError: says which folders, and which setting would read them.
    """
    there = [*found.keys, *(name for name in found.unknown if name)]
    if found.unknown:
        listed = ", ".join(
            f"{name!r} ({count})" if name else f"none at all ({count})"
            for name, count in found.unknown.most_common(_SHOWN)
        )
        more = len(found.unknown) - _SHOWN
        listed += f" and {more} more" if more > 0 else ""
        named = classes.labels.name if not classes.folders else "dataset_options.classes"
        problem = f"{root}: these folders are not classes of {named}: {listed}."
        raise BadDataError(problem, _hint(classes, there, own, "Rename or remove them"))
    absent = [key for key in classes.folders if key not in found.keys]
    if absent:
        problem = (
            f"{root}: there is no folder {', '.join(repr(key) for key in absent[:_SHOWN])}, which"
            " dataset_options.classes names."
        )
        raise BadDataError(
            problem,
            (
                f"Those that are there: {suggestion(sorted(there), classes.folders)}."
                if len(there) > 1
                else "Check the path."
            ),
        )


def unread_note(found: Found) -> str:
    """What to say of images of other kinds."""
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.unread.items()))
    return f"not read, since files of this kind are not: {kinds}; convert them to PNG if they belong to the data"


def check_classes(
    root: Path,
    labels: Iterable[int],
    bad: list[tuple[str, str]],
    n: int,
    classes: Classes | None,
    *,
    own: bool = True,
    unused: list[tuple[str, str]] | None = None,
) -> None:
    """Refuse a damaged copy, and a class without images.

    Args:
        root: the dataset's folder or table, for messages.
        labels: classes of the images that could be read.
        bad: those that could not, with the reason.
        n: images altogether.
        classes: the classes; None: of values, only the share of what cannot be read counts.
        own: whether the user may name other classes.
        unused: rows of a table that cannot be used, with the reason.

    Raises:
        BadDataError: more than 1 % unreadable, or an empty class.
    """
    unused = unused or []
    bad = [*unused, *bad]
    if len(bad) > MAX_BAD_SHARE * n:
        first, what = (unused or bad)[0], "used" if unused else "read"
        problem = (
            f"{root}: {len(bad)} of {n} images cannot be {what}, more than {MAX_BAD_SHARE:.0%}; the first is {first[0]}"
            f" ({first[1]})."
        )
        raise BadDataError(
            problem,
            (
                "Correct the table, or complete its images."
                if unused
                else "The copy is damaged; unpack or download it again."
            ),
        )
    if classes is None:
        return
    present = set(labels)
    names = classes.labels.names
    absent = [names[c] for c in range(len(names)) if c not in present]
    if absent:
        unreadable = f" ({len(bad)} cannot be read)" if bad else ""
        problem = f"{root}: no image of {', '.join(absent)}{unreadable}."
        there = [names[c] for c in sorted(present)] if not classes.folders else []
        hint = "An empty class cannot be learnt or scored; add images, or choose a task whose label set fits"
        raise BadDataError(problem, _hint(classes, there, own, hint))


def repeated(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> list[str]:
    """What to say of images that are there more than once, pixel for pixel.

    Args:
        pixels: shape (N, 20), digests of the pixels alone.
        labels: shape (N,).
    """
    classes: dict[bytes, set[int]] = {}
    counts: Counter[bytes] = Counter()
    for row, label in zip(pixels, labels.tolist(), strict=True):
        counts[row.tobytes()] += 1
        classes.setdefault(row.tobytes(), set()).add(label)
    several = [key for key, count in counts.items() if count > 1]
    contradictory = sum(len(classes[key]) > 1 for key in several)
    if not several:
        return []
    more = f", {contradictory} of them under more than one class" if contradictory else ""
    n = len(several)
    return [f"{counted(n, 'image')} {'is' if n == 1 else 'are'} there more than once, pixel for pixel{more}"]


def _hint(classes: Classes, there: Iterable[str], own: bool, first: str) -> str:
    names = sorted(set(map(plain, there)))
    if not own or len(names) < 2:
        return f"{first}; the classes are {', '.join(classes.labels.names)}."
    if classes.folders:
        return (
            f"{first}, or name all of them: {suggestion(names, classes.folders)}; null in place of a class leaves a"
            " folder out."
        )
    fits = next((known for known in LABEL_SETS if same_classes(LABEL_SETS[known], names)), None)
    if fits is not None:
        return f"{first}, or use --task {fits}, whose classes they are."
    return f"{first}, or name the classes: {suggestion(names)}."
