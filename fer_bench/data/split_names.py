"""What folders, and cells of a table, are called that name a split; one vocabulary for every reader."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fer_bench.errors import BadDataError

_NAMES = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "validate": "validation",
    "validating": "validation",
    "dev": "validation",
    "development": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "tests": "test",
    "tst": "test",
    "privatetest": "test",
}
# What may surround it without meaning: train_set, "test images", ValidationData.
_BESIDE = frozenset(
    {
        "set",
        "data",
        "dataset",
        "split",
        "part",
        "folder",
        "dir",
        "image",
        "images",
        "img",
        "imgs",
        "face",
        "faces",
        "photo",
        "photos",
        "pictures",
        "samples",
    }
)
_JOINED = re.compile(r"(.+?)(?:set|data|split)")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def split_of(name: str) -> str:
    """The split that a folder, or a cell of a table, names; empty for none.

    Args:
        name: in any case, with or without words that mean nothing (``train_set``, ``ValidationData``, ``test
            images``, ``Public Test``).
    """
    words = [word for word in _words(name) if word not in _BESIDE]
    joined = "".join(words)
    inner = _JOINED.fullmatch(joined)
    return _NAMES.get(joined, "") or (_NAMES.get(inner[1], "") if inner else "")


def sounds_like_split(name: str) -> bool:
    """Whether a name that is no split has a word that is (``train_aug``, ``FER2013Test``): reading past it would mix
    splits in silence.
    """
    return not split_of(name) and any(split_of(word) for word in _words(name))


def check_one_folder_each(root: Path, folders: Iterable[str]) -> None:
    """Refuse two folders beside each other that name one split, such as ``train`` and ``training``: joined in silence,
    images that are in both would count twice.

    Args:
        root: the dataset's folder, for the message.
        folders: paths below it of folders that hold images.

    Raises:
        BadDataError: names the two.
    """
    first: dict[tuple[str, str], str] = {}
    for folder in folders:
        parts = folder.split("/")
        for depth, name in enumerate(parts):
            above = "/".join(parts[:depth])
            if (split := split_of(name)) and (other := first.setdefault((above, split), name)) != name:
                where = f"{root}/{above}" if above else str(root)
                problem = f"{where}: the folders {other!r} and {name!r} are both of the {split} split."
                raise BadDataError(problem, "Move one of them away, or its images into the other.")


def _words(name: str) -> list[str]:
    composed = unicodedata.normalize("NFC", name)
    return [word.lower() for part in _WORDS.findall(composed) for word in _HUMP.split(part)]
