"""Where the images are that a table names: which folder its paths are relative to, and which file each of them
means.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from fer_bench import paths
from fer_bench.data.decoding import SUFFIXES
from fer_bench.errors import MissingDataError
from fer_bench.image_files import kind_of

_IMAGES = frozenset({"images", "image", "imgs", "img", "faces", "photos", "pictures"})
_TRIED = 50


def roots(file: Path, data_dir: str | None, images: Any) -> list[Path]:
    """Folders that paths in a table may be relative to, the likeliest first.

    Args:
        file: the table.
        data_dir: the data root, where one was named.
        images: the option of this name.

    Raises:
        MissingDataError: there is no such folder as the option says.
    """
    beside = [file.parent, *([paths.data_root(data_dir)] if data_dir else [])]
    if images is not None:
        named = [paths.expanded(str(images)), *(folder / str(images) for folder in (*beside, file.parent.parent))]
        found = [folder for folder in named if folder.is_dir()]
        if not found:
            problem = (
                f"dataset_options.images = {images!r}: there is no such folder here, in {file.parent} or next to it."
            )
            raise MissingDataError(problem, "Name the folder that the table's paths are relative to.")
        return found[:1]
    around = [*beside, file.parent.parent]
    return list(
        dict.fromkeys([*beside, *(inner for folder in around for inner in _image_folders(folder)), file.parent.parent])
    )


def _image_folders(folder: Path) -> list[Path]:
    inner = _listing(folder)
    return sorted(
        (folder / name for names in inner.values() for name in names if name.lower() in _IMAGES),
        key=lambda path: (path.name != "images", path.name),
    )


class Places:
    """The files below one folder, found by the paths of a table.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str) -> Path | None:
        """The file that a path means: its ending may be missing, accents composed otherwise, and letters in another
        case where only one file fits.

        Of an absolute path that leads nowhere here, since it was written on another machine, the end counts.
        """
        forms = dict.fromkeys(
            form
            for known in _forms(name)
            for form in (known, unicodedata.normalize("NFC", known), unicodedata.normalize("NFD", known))
        )
        found = next((path for form in forms if kind_of(path := self.root / form) == "file"), None)
        return found or next(filter(None, map(self._in_any_case, forms)), None)

    def _in_any_case(self, name: str) -> Path | None:
        here = self.root
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            return None
        for part in parts:
            if here not in self._folders:
                self._folders[here] = _listing(here)
            fitting = self._folders[here].get(part.casefold(), [])
            if len(fitting) != 1:
                return None
            here = here / fitting[0]
        return here if kind_of(here) == "file" else None


def _forms(name: str) -> Iterator[str]:
    """Paths that a table's path may stand for, itself first."""
    path = PurePosixPath(name)
    whole = (
        [path, *(PurePosixPath(*path.parts[i:]) for i in range(1, len(path.parts)))] if path.is_absolute() else [path]
    )
    for one in whole:
        yield one.as_posix()
        if one.suffix.lower() in SUFFIXES:
            # RAF-DB's list says train_00001.jpg of what is train_00001_aligned.jpg among its aligned faces.
            yield one.with_name(f"{one.stem}_aligned{one.suffix}").as_posix()
        else:
            yield from (f"{one.as_posix()}{suffix}" for suffix in sorted(SUFFIXES))


def _listing(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.setdefault(entry.name.casefold(), []).append(entry.name)
    except OSError:
        return {}
    return found


def likeliest(folders: Sequence[Path], names: Sequence[str]) -> Places:
    """Of the folders that paths may be relative to, the first of those that have most of the images."""
    tried = names[:: max(len(names) // _TRIED, 1)]
    return max(map(Places, folders), key=lambda places: sum(places.find(name) is not None for name in tried))


def sample_names(names: Sequence[str], root: Path) -> list[str]:
    """Names of images for predictions: the table's own paths; where one of them is absolute or leads upwards, all are
    relative to what they share.
    """
    ids = [unicodedata.normalize("NFC", Path(name).as_posix()) for name in names]
    if not any(Path(name).is_absolute() or ".." in Path(name).parts for name in ids):
        return ids
    whole = [Path(os.path.normpath(root.absolute() / name)) for name in ids]
    base = common_folder(whole)
    return [path.relative_to(base).as_posix() for path in whole]


def common_folder(found: Sequence[Path]) -> Path:
    """The folder that holds all of some files."""
    parents = [path.parent.parts for path in found]
    shared = 0
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return Path(*parents[0][:shared]) if shared else Path()
