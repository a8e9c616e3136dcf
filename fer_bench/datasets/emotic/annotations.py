"""EMOTIC's annotations: one row a person, from the authors' ``Annotations.mat`` or from CSVs that were made of it.

``Annotations.mat`` (classic MATLAB format) holds ``train``, ``val`` and ``test``, an entry each photograph:
``filename``, ``folder`` (such as ``emodb_small/images``) and one ``person`` or several, with ``body_bbox`` (left, top,
right, bottom). In train a person has ``annotations_categories.categories`` and ``annotations_continuous`` of one
annotator; in the others these are of several, and ``combined_categories`` and ``combined_continuous`` are what counts.
The CSVs have the columns of :data:`COLUMNS`, with lists as Python writes them.

Unverified: written from the authors' description and from public programs, not tried on a real file.
"""

from __future__ import annotations

import ast
import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.data.readable import readable
from fer_bench.errors import BadDataError
from fer_bench.labels import plain
from fer_bench.protocols.emotic import EMOTIC, SCALE
from fer_bench.protocols.tasks import EMOTIC26

SPLITS = {"train": "train", "val": "validation", "test": "test"}
COLUMNS = ("Folder", "Filename", "BBox", "Categorical_Labels", "Continuous_Labels")
VAD = ("valence", "arousal", "dominance")
# Other spellings: the authors' own, and what a slash becomes where names must be names of files.
_SPELLINGS = {
    "disquitement": "disquietment",
    "doubt confusion": "doubt/confusion",
    "doubt_confusion": "doubt/confusion",
}
# How lists of NumPy's numbers are written from its version 2 on.
_NUMPY = re.compile(r"\bnp\.\w+\(([^()]*)\)")
_AGAIN = "Take the file from the authors' archive again."


@dataclass(frozen=True)
class Person:
    """One person in a photograph.

    Args:
        photograph: path below the folder of pictures.
        split: ``train``, ``validation`` or ``test``.
        number: of the person within the photograph, from 0.
        box: left, top, right and bottom of the body in pixels.
        categories: positions among EMOTIC26; empty: none was given.
        values: valence, arousal and dominance, 1 to 10; NaN: none was given.
        gender: as it is given; empty: not known.
        age: likewise.
    """

    photograph: str
    split: str
    number: int
    box: tuple[float, float, float, float]
    categories: frozenset[int]
    values: tuple[float, float, float]
    gender: str = ""
    age: str = ""

    @property
    def name(self) -> str:
        """Id of the sample."""
        return f"{self.photograph}#{self.number}"


def read_mat(path: Path) -> list[Person]:
    """Read ``Annotations.mat``.

    Raises:
        BadDataError: no such file of MATLAB's, or an entry that is none; names it.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, simplify_cells=True, variable_names=list(SPLITS))
    except NotImplementedError:
        problem = f"{path}: saved in MATLAB's format 7.3, which is not the authors'."
        raise BadDataError(problem, _AGAIN) from None
    except (MatReadError, ValueError, TypeError, OSError, EOFError, KeyError, IndexError) as error:
        problem = f"{path}: not readable as a MATLAB file ({str(error)[:100] or type(error).__name__})."
        raise BadDataError(problem, _AGAIN) from None
    missing = [name for name in SPLITS if name not in content]
    if len(missing) == len(SPLITS):
        problem = f"{path}: holds none of {', '.join(SPLITS)}."
        raise BadDataError(problem, _AGAIN)
    found: list[Person] = []
    for name, split in SPLITS.items():
        for at, entry in enumerate(_each(content.get(name, ())), start=1):
            found += _photograph(entry, split, f"{path}, {name}({at})")
    return found


def read_csv(path: Path, split: str) -> list[Person]:
    """Read a CSV that was made of one split.

    Args:
        path: ``train.csv``, ``val.csv`` or ``test.csv``.
        split: which.

    Raises:
        BadDataError: a column is missing, or a cell holds something else; names the line.
    """
    with readable(path, EMOTIC.how_to_get), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        header = [name.strip() for name in reader.fieldnames or ()]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            problem = f"{path}: there is no column {missing[0]!r}; the columns are {', '.join(header) or 'none'}."
            raise BadDataError(problem, f"A CSV of EMOTIC has {', '.join(COLUMNS)}.")
        reader.fieldnames = header
        # Blank lines, as programs on Windows write them after every row, are no rows, and are counted.
        rows = [(reader.line_num, row) for row in reader]
    found, seen = [], dict[str, int]()
    for at, row in rows:
        where = f"{path}, line {at}"
        photograph = _path(row["Folder"], row["Filename"], where)
        number = seen[photograph] = seen.get(photograph, -1) + 1
        box, categories, values = (_listed(row[name], name, where) for name in COLUMNS[2:])
        more = str(row.get("Gender") or "").strip(), str(row.get("Age") or "").strip()
        found.append(
            Person(
                photograph, split, number, _box(box, where), _categories(categories, where), _vad(values, where), *more
            )
        )
    return found


def _photograph(entry: Any, split: str, where: str) -> Iterator[Person]:
    fields = _mapping(entry, "a photograph", where)
    photograph = _path(fields.get("folder"), fields.get("filename"), where)
    for number, found in enumerate(_each(fields.get("person", ()))):
        at = f"{where}.person({number + 1})"
        person = _mapping(found, "a person", at)
        categories = person.get("combined_categories")
        if categories is None:
            given = [_mapping(one, "an annotation", at) for one in _each(person.get("annotations_categories", ()))]
            categories = [name for one in given for name in _each(one.get("categories", ()))]
        values = person.get("combined_continuous", person.get("annotations_continuous", ()))
        vad = [_mapping(one, "an annotation", at) for one in _each(values)]
        if len(vad) > 1:
            problem = f"{at}: {len(vad)} annotations of valence, and nothing that combines them."
            raise BadDataError(problem, _AGAIN)
        yield Person(
            photograph,
            split,
            number,
            _box(_each(person.get("body_bbox", ())), at),
            _categories(_each(categories), at),
            _vad([vad[0].get(name, math.nan) for name in VAD] if vad else [math.nan] * 3, at),
            _said(person.get("gender", person.get("annotations_gender")), "gender"),
            _said(person.get("age", person.get("annotations_age")), "age"),
        )


def _each(found: Any) -> list[Any]:
    """The entries of what MATLAB saves: one is not a list of one, and nothing is an empty array."""
    if isinstance(found, str | Mapping) or found is None or np.ndim(found) == 0:
        return [] if found is None or (isinstance(found, str) and not found) else [found]
    return list(np.asarray(found, dtype=object).ravel()) if isinstance(found, np.ndarray) else list(found)


def _mapping(found: Any, what: str, where: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        problem = f"{where}: a {type(found).__name__} instead of {what} with named fields."
        raise BadDataError(problem, _AGAIN)
    return found


def _path(folder: Any, name: Any, where: str) -> str:
    parts = [str(part).replace("\\", "/").strip("/ ") for part in (folder, name) if part is not None]
    path = "/".join(parts)
    if len(parts) != 2 or not all(parts) or ".." in path.split("/") or not path.isprintable():
        problem = f"{where}: {folder!r:.60} and {name!r:.60} name no picture."
        raise BadDataError(problem, _AGAIN)
    return path


def _box(found: Iterable[Any], where: str) -> tuple[float, float, float, float]:
    values = [_number(value) for value in found]
    if len(values) != 4 or not all(map(math.isfinite, values)):
        problem = f"{where}: the box of the body is not four numbers."
        raise BadDataError(problem, _AGAIN)
    left, top, right, bottom = values
    return left, top, right, bottom


def _categories(found: Iterable[Any], where: str) -> frozenset[int]:
    places = set()
    for name in found:
        key = plain(str(name))
        key = _SPELLINGS.get(key, key)
        if key not in EMOTIC26:
            problem = f"{where}: {str(name)[:40]!r} is none of the 26 categories."
            raise BadDataError(problem, f"They are {', '.join(EMOTIC26)}.")
        places.add(EMOTIC26.index(key))
    return frozenset(places)


def _vad(found: Iterable[Any], where: str) -> tuple[float, float, float]:
    values = [_number(value) for value in found] or [math.nan] * 3
    low, high = SCALE
    if len(values) != 3 or any(not math.isnan(value) and not low <= value <= high for value in values):
        problem = f"{where}: valence, arousal and dominance are not three numbers from {low:g} to {high:g}: {values}."
        raise BadDataError(problem, _AGAIN)
    valence, arousal, dominance = values
    return valence, arousal, dominance


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _listed(text: str | None, name: str, where: str) -> list[Any]:
    # NaN is no literal of Python, though its lists are written so.
    try:
        found = ast.literal_eval(_NUMPY.sub(r"\1", text or "[]").replace("nan", "None"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list | tuple):
        problem = f"{where}: {name} = {(text or '')[:60]!r} is no list."
        raise BadDataError(problem, f"A CSV of EMOTIC has lists in {', '.join(COLUMNS[2:])}.")
    return list(found)


def _said(found: Any, key: str) -> str:
    """Gender or age of a person: a text, or the field of an annotation; of several annotators, the first."""
    first = next(iter(_each(found)), "")
    return str(first.get(key, "")) if isinstance(first, Mapping) else str(first)
