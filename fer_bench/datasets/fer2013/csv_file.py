"""FER2013's table in every spelling in which programs save it again: quotes, delimiters, encodings, labels as ``0.0``,
columns that hold an index.

Pandas writes an unnamed column in front, R quotes every text (``write.csv``) or leaves its row names out of the header
(``write.table``), Excel writes ``;`` and a decimal comma in half of Europe, a first line ``sep=;``, UTF-16 for "Unicode
text". None of them changes the data.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fer_bench.data.samples import SPLITS
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7, letters

SIDE = 48
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_BY_KEY = {name.lower(): split for name, split in USAGES.items()}
_COLUMNS = ("emotion", "pixels", "usage")
_DELIMITERS = (",", ";", "\t", "|")
_GZIP = b"\x1f\x8b"
_ZIP = b"PK"
# Of a header: enough to see that it is a row of data, and no more of a file that has no lines.
_LONGEST = 100_000
_HINT = "Download or unpack it again."
_PAIR_HINT = (
    "A table without Usage is the challenge's train.csv, or was saved without its splits: icml_face_data.csv and"
    " fer2013.csv (in fer2013.tar.gz), of the same download, hold all images, labels and splits."
)


@dataclass(frozen=True)
class Table:
    """A table as read.

    Args:
        images: shape (N, 48, 48).
        label: shape (N,), FER2013's ids.
        split: shape (N,), positions in ``SPLITS``.
        spelling: what is unlike the plain file, such as ``quoted``; empty where nothing is.
    """

    images: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int8]
    split: npt.NDArray[np.int8]
    spelling: str = ""


@dataclass(frozen=True)
class _Header:
    names: list[str]
    delimiter: str
    line: int
    quoted: bool


class _Row(NamedTuple):
    emotion: str
    pixels: str
    usage: str
    where: str
    quoted: bool


def split_of(usage: str) -> str | None:
    """The split of a ``Usage`` in any case, with or without blanks and underscores (``Public Test``, ``private_test``);
    None for anything else.
    """
    return _BY_KEY.get(letters(usage))


def read_header(path: Path) -> list[str]:
    """The names of a table's columns, in lower case; for looking at a file that may be anything."""
    try:
        with _open(path) as file:
            return _header(file).names
    except (OSError, EOFError, csv.Error, BadDataError):
        return []


def parse(path: Path) -> Table:
    """Read the table; plain lines are split at their commas, and only what needs it goes through the csv module.

    Args:
        path: a text file, or one compressed by gzip.

    Returns:
        The rows in the order of the file.

    Raises:
        BadDataError: columns are missing, or a row is malformed, with its line number.
    """
    with _explained(path), _open(path) as file:
        return _parse(file, path)


def parse_labels(path: Path) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.str_]]:
    """Labels (N,), FER2013's ids, and splits (N,) of the table, whose pixels are not looked at; errors as of
    :func:`parse`.
    """
    with _explained(path), _open(path) as file:
        rows = [
            (_label(row.emotion, row.where), _split(row.usage, row.where)) for row in _read(file, _header(file), path)
        ]
    labels, split = zip(*rows, strict=True)
    return np.array(labels, dtype=np.int8), np.array(SPLITS)[list(split)]


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile) as error:
        problem = f"{path}: the compressed file is truncated or damaged ({error})."
        raise BadDataError(problem, _HINT) from None
    except csv.Error as error:
        problem = f"{path}, line 1: this is not a header ({error})."
        raise BadDataError(problem, _HINT) from None


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        magic = file.read(2)
    if magic == _ZIP:
        problem = f"{path}: this is a zip archive under another name."
        raise BadDataError(problem, "Unpack it, and put the CSV that is inside in its place.")
    packed = magic == _GZIP
    if packed:
        with gzip.open(path) as inside:
            magic = inside.read(2)
    encoding = "utf-16" if magic in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return (
        cast(IO[str], gzip.open(path, "rt", encoding=encoding, errors="replace"))
        if packed
        else path.open(encoding=encoding, errors="replace")
    )


def _header(file: IO[str]) -> _Header:
    line, number = file.readline(_LONGEST), 1
    if line.lower().lstrip('"').startswith("sep="):
        line, number = file.readline(_LONGEST), 2
    delimiter = max(_DELIMITERS, key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return _Header([cell.strip().lower() for cell in cells], delimiter, number, '"' in line)


def _parse(file: IO[str], path: Path) -> Table:
    header = _header(file)
    quoted = header.quoted
    pixels: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    split: list[int] = []
    for row in _read(file, header, path):
        quoted = quoted or (row.quoted and not labels)
        labels.append(_label(row.emotion, row.where))
        pixels.append(_pixels(row.pixels, row.where))
        split.append(_split(row.usage, row.where))
    spelling = [
        *(["quoted"] if quoted else []),
        *([f"columns separated by {header.delimiter!r}"] if header.delimiter != "," else []),
    ]
    return Table(np.stack(pixels), np.array(labels, dtype=np.int8), np.array(split, dtype=np.int8), ", ".join(spelling))


def _read(file: IO[str], header: _Header, path: Path) -> Iterator[_Row]:
    """Rows that have as many cells as the first, at least one."""
    _check_header(header, path)
    at = [header.names.index(name) for name in _COLUMNS]
    width, first = 0, 0
    for number, cells, quoted in _rows(file, header, path):
        where = f"{path}, line {number}"
        if not width:
            width, first = _shape(cells, header)
        if len(cells) != width:
            problem = f"{where}: {len(cells)} columns instead of {width}; the file is truncated or malformed."
            raise BadDataError(problem, _HINT)
        emotion, pixels, usage = (cells[first + i] for i in at)
        yield _Row(emotion, pixels, usage, where, quoted)
    if not width:
        problem = f"{path}: the file has a header and no rows."
        raise BadDataError(problem, _HINT)


def _check_header(header: _Header, path: Path) -> None:
    if set(_COLUMNS) <= set(header.names):
        return
    if any(len(cell.split()) == SIDE * SIDE for cell in header.names):
        problem = f"{path}, line {header.line}: this is a row of data; the header is missing."
        raise BadDataError(problem, "Put the line emotion,pixels,Usage at the top, in the order that the columns have.")
    problem = (
        f"{path}, line {header.line}: expected the columns emotion, pixels and Usage, found"
        f" {', '.join(header.names)[:80]!r}."
    )
    raise BadDataError(problem, _PAIR_HINT if {"emotion", "pixels"} <= set(header.names) else _HINT)


def _rows(file: IO[str], header: _Header, path: Path) -> Iterator[tuple[int, list[str], bool]]:
    """Line number, cells and whether they were quoted, of every row that is not blank."""
    number = header.line
    blank = f'{header.delimiter}" \t\r\n'
    for line in file:
        number += 1
        if not line.strip(blank):
            continue
        if '"' not in line:
            yield number, line.rstrip("\r\n").split(header.delimiter), False
            continue
        # A quoted cell may hold line breaks: then the row takes as many lines as it needs.
        reader = csv.reader(chain([line], file), delimiter=header.delimiter, skipinitialspace=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            problem = f"{path}, line {number}: a quotation mark is not closed ({error})."
            raise BadDataError(problem, _HINT) from None
        yield number, cells, True
        number += reader.line_num - 1


def _shape(first: list[str], header: _Header) -> tuple[int, int]:
    """How many cells a row has, and how many of them come before those that the header names."""
    if len(first) != len(header.names) + 1:
        return len(header.names), 0
    # One more than names: either row names, which R's write.table leaves out of the header, or a delimiter at the end
    # of every line.
    return len(first), int(bool(first[-1].strip()))


def _label(cell: str, where: str) -> int:
    try:
        label = float(cell.replace(",", "."))
    except ValueError:
        named = FER7.find(cell)
        label = -1.0 if named is None else float(named)
    if not (label.is_integer() and 0 <= label < len(FER7)):
        problem = f"{where}: the label {cell.strip()!r} is outside 0 to {len(FER7) - 1}."
        raise BadDataError(problem, _HINT)
    return int(label)


def _pixels(cell: str, where: str) -> npt.NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            values = np.fromstring(cell, dtype=np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            values = _pixels_in_other_words(cell, where)
    if values.size != SIDE * SIDE:
        problem = f"{where}: {values.size} pixels instead of {SIDE} x {SIDE} = {SIDE * SIDE}."
        raise BadDataError(problem, _HINT)
    if values.min() < 0 or values.max() > 255:
        problem = f"{where}: a pixel value is outside 0 to 255."
        raise BadDataError(problem, _HINT)
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _pixels_in_other_words(cell: str, where: str) -> npt.NDArray[np.int64]:
    """Pixels that a program saved as a list (``[70, 80, ...]``) or as floats (``70.0 80.0``)."""
    if "..." in cell:
        problem = f"{where}: the pixels were abbreviated with '...' when the file was saved, and are lost."
        raise BadDataError(problem, "Use the original file.")
    try:
        values = np.array([float(value) for value in re.sub(r"[\[\](),;]", " ", cell).split()])
    except ValueError:
        values = np.array([np.nan])
    if not (np.isfinite(values) & (values == np.floor(values))).all():
        problem = f"{where}: the pixels hold something that is not an integer."
        raise BadDataError(problem, _HINT)
    return values.astype(np.int64)


def _split(cell: str, where: str) -> int:
    split = USAGES.get(cell) or split_of(cell)
    if split is None:
        problem = f"{where}: Usage {cell.strip()!r} is none of {', '.join(USAGES)}."
        raise BadDataError(problem, _HINT)
    return SPLITS.index(split)
