"""Where FER2013's table is, and what to say of a folder that holds something else of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_bench.clutter import is_clutter
from fer_bench.data import cache
from fer_bench.datasets.fer2013.csv_file import read_header
from fer_bench.errors import MissingDataError

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
_ARCHIVE = re.compile(
    r"^(fer[-_ ]?2013|icml_face_data|challenges-in-representation-learning).*\.(zip|tar|tar\.gz|tgz|tar\.bz2|7z|rar)$",
    re.IGNORECASE,
)


def find_csv(data_dir: str | None) -> Path | None:
    """The first of the known CSV files (or of their gzipped copies), in any case, in the first folder that has one."""
    for place in _places(cache.candidates("fer2013", data_dir)):
        there = {path.name.lower(): path for path in _files_in(place)}
        for name in CSV_NAMES:
            for spelt in (name, f"{name}.gz"):
                if spelt in there:
                    return there[spelt]
    return None


def explain(folders: Sequence[Path]) -> MissingDataError | None:
    """What is wrong where no known layout was found but something of FER2013 is there; None where nothing is.

    Args:
        folders: where was looked.
    """
    for place in _places(folders):
        if error := _pair(place) or _renamed(place) or _packed(place):
            return error
    return None


def _places(folders: Sequence[Path]) -> Iterator[Path]:
    # fer2013.tar.gz holds a top-level folder: unpacked in <data root>/fer2013, the table is one level deeper.
    return iter(dict.fromkeys(inner for place in folders for inner in (place, place / "fer2013") if inner.is_dir()))


def _files_in(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_file() and not is_clutter(path.relative_to(place)))


def _pair(place: Path) -> MissingDataError | None:
    """The challenge's own train.csv and test.csv."""
    there = {path.name.lower(): path for path in _files_in(place)}
    train, test = (set(read_header(there[name])) if name in there else set() for name in ("train.csv", "test.csv"))
    has_train, has_test = (
        {"emotion", "pixels"} <= train and "usage" not in train,
        "pixels" in test and "usage" not in test,
    )
    if not (has_train or has_test):
        return None
    labelled = has_test and "emotion" in test
    found = [
        *(["train.csv (emotion, pixels)"] if has_train else []),
        *([f"test.csv ({'emotion, ' if labelled else ''}pixels)"] if has_test else []),
    ]
    lacking = (
        "Usage, which says what is PublicTest and what PrivateTest"
        if labelled
        else "the labels of the 7,178 test images, and which of them is PublicTest"
    )
    problem = f"dataset 'fer2013': {place} holds the challenge's {' and '.join(found)} without {lacking}."
    return MissingDataError(
        problem,
        "Both are in icml_face_data.csv, and in fer2013.csv (inside fer2013.tar.gz), of the same download: put one of"
        " them there.",
    )


def _renamed(place: Path) -> MissingDataError | None:
    for path in _files_in(place):
        if path.suffix.lower() in (".csv", ".txt", ".tsv") and {"emotion", "pixels", "usage"} <= set(read_header(path)):
            problem = f"dataset 'fer2013': {path} has FER2013's columns, but not its name."
            return MissingDataError(problem, f"Rename it to {CSV_NAMES[0]}.")
    return None


def _packed(place: Path) -> MissingDataError | None:
    for path in _files_in(place):
        if _ARCHIVE.match(path.name):
            problem = f"dataset 'fer2013': {path} is still packed."
            return MissingDataError(problem, "Unpack it there.")
    return None
