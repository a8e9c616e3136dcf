"""A file of predictions as columns of cells, whatever its format: CSV, Parquet or NPZ."""

from __future__ import annotations

import codecs
import csv
import importlib
import io
import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.errors import BadDataError
from fer_bench.escaping import csv_value
from fer_bench.labels import plain
from fer_bench.npz import MOST_BYTES
from fer_bench.packages import require
from fer_bench.untrusted import read_regular, shown

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".npz")
_DELIMITERS = (",", ";", "\t")
_MATRICES = ("probabilities", "outputs")
_SAVE = "Save it as CSV in UTF-8: one line of column names, then one line per image."


@dataclass(frozen=True)
class Table:
    """Columns of a file.

    Args:
        path: of the file.
        columns: by name, as the file spells them, all of one length; a cell is text, a number, or None where it is
            empty.
        row: what a row is called in messages: ``line`` of a text file, which counts from 2 below the header, else
            ``row``, from 1.
        lines: the number of each row: of a text file the line on which it ends; empty: they are counted from 1.
    """

    path: Path
    columns: dict[str, list[Any]]
    row: str
    lines: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def where(self, i: int) -> str:
        """The place of row ``i`` (from 0)."""
        return f"{self.path}, {self.row} {self.lines[i] if self.lines else i + 1}"

    def select(self, rows: Sequence[int]) -> Table:
        """Some of the rows, which keep their numbers."""
        columns = {name: [cells[i] for i in rows] for name, cells in self.columns.items()}
        return Table(self.path, columns, self.row, tuple(self.lines[i] if self.lines else i + 1 for i in rows))


def read_table(path: Path) -> Table:
    """Read a file.

    Args:
        path: ``.csv``, ``.tsv`` or ``.txt`` with a line of column names, separated by commas, semicolons or tabs (with
            semicolons or tabs the decimal point may be a comma); ``.parquet``; or ``.npz`` with one array per column,
            or with a matrix ``probabilities`` (N, C) beside the names of its columns in ``classes`` (C,).

    Raises:
        BadDataError: not readable, empty, a column twice, rows or columns of different lengths; names the line or row.
        MissingPackageError: Parquet needs pyarrow.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        problem = f"{path}: cannot be read ({error.strerror or error})."
        raise BadDataError(problem, "Check its name and permissions.") from None
    if not content.strip():
        problem = f"{path}: the file is empty."
        raise BadDataError(problem, "`fer-bench template` writes the ids of the images to answer.")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        table = _npz(path, content)
    elif suffix == ".parquet":
        table = _parquet(path, content)
    elif suffix in SUFFIXES:
        table = _csv(path, content)
    else:
        problem = f"{path}: no kind of file that is known."
        raise BadDataError(problem, f"It should end in {', '.join(SUFFIXES)}.")
    return _with_rows(table)


def _with_rows(table: Table) -> Table:
    if not len(table):
        problem = f"{table.path}: there are columns and no row."
        raise BadDataError(problem, "`fer-bench template` writes the ids of the images to answer.")
    return table


def table_of(columns: Any) -> Table:
    """Columns that a program holds, as those of a file.

    Args:
        columns: a mapping from names to sequences of one length, or a ``pandas.DataFrame``, whose missing values are
            empty cells.

    Raises:
        BadDataError: neither, empty, or of different lengths.
    """
    name = Path("the predictions")
    if isinstance(columns, pd.DataFrame):
        # To pandas an empty cell and NaN are the same.
        texts, names = columns.astype(object).where(columns.notna(), None), _unique(name, list(map(str, columns)))
        columns = {label: texts.iloc[:, i].tolist() for i, label in enumerate(names)}
    if not isinstance(columns, Mapping) or not columns:
        problem = f"{name}: a {type(columns).__name__}, not columns by name."
        raise BadDataError(problem, "Give a file, a pandas.DataFrame, or a mapping from column names to values.")
    table = _of_arrays(name, {str(label): np.asarray(cells) for label, cells in columns.items()})
    return _with_rows(table)


def _csv(path: Path, content: bytes) -> Table:
    text = _decoded(path, content)
    lines = text.split("\n")
    skipped = 0
    # Excel's note of the delimiter.
    if lines and plain(lines[0]).strip('"').startswith("sep="):
        skipped, text = 1, "\n".join(lines[1:])
    first = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([csv_value(cell.strip()) for cell in row])
                numbers.append(reader.line_num + skipped)
    except csv.Error as error:
        problem = f"{path}, line {reader.line_num + skipped}: not readable as CSV ({error})."
        raise BadDataError(problem, _SAVE) from None
    header = rows[0]
    names = _unique(path, header)
    for row, number in zip(rows, numbers, strict=True):
        if len(row) != len(header):
            problem = f"{path}, line {number}: {len(row)} cells where the first line has {len(header)}."
            raise BadDataError(problem, "Separate cells by one kind of delimiter, and quote those that hold it.")
    comma = delimiter != ","
    columns = {
        name: [_comma(row[i]) if comma else row[i] or None for row in rows[1:]]
        for i, name in enumerate(names)
        if name or any(row[i] for row in rows[1:])
    }
    # Programs that number their rows give that column no name.
    if "" in columns and len(columns) > 1:
        del columns[""]
    return Table(path, columns, "line", tuple(numbers[1:]))


def _decoded(path: Path, content: bytes) -> str:
    try:
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})."
        raise BadDataError(problem, _SAVE) from None
    if "\0" in text:
        problem = f"{path}: not a text file (it holds zero bytes)."
        raise BadDataError(problem, f"Name it after what it is: {', '.join(SUFFIXES)}.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _comma(cell: str) -> str | None:
    """A number with a decimal comma as one with a point; any other cell as it is."""
    if cell.count(",") == 1 and cell.replace(",", "", 1).lstrip("+-").replace("e-", "").replace("E-", "").isdigit():
        return cell.replace(",", ".")
    return cell or None


def _parquet(path: Path, content: bytes) -> Table:
    require(("pyarrow",), "study")
    # Not by pandas, to which an empty cell and NaN are the same.
    parquet = importlib.import_module("pyarrow.parquet")
    try:
        found = parquet.read_table(io.BytesIO(content))
        columns: dict[str, list[Any]] = {}
        names = _unique(path, found.column_names)
        for i, name in enumerate(names):
            columns[name] = found.column(i).to_pylist()
    except BadDataError:
        raise
    except Exception as error:  # pyarrow's errors have no common base
        problem = f"{path}: not readable as Parquet ({shown(error)})."
        raise BadDataError(problem, "Write it anew.") from None
    # What pandas adds for its index.
    return Table(path, {name: cells for name, cells in columns.items() if not name.startswith("__index_level_")}, "row")


def _npz(path: Path, content: bytes) -> Table:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                problem = f"it would unpack to more than {MOST_BYTES >> 20} MiB"
                raise ValueError(problem)
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    # Whatever bytes that somebody chose can make zipfile, zlib and NumPy raise.
    except Exception as error:
        problem = f"{path}: not readable as NPZ ({shown(error)})."
        raise BadDataError(problem, "Write it with numpy.savez, ids as text (not objects).") from None
    return _of_arrays(path, arrays)


def _of_arrays(path: Path, arrays: dict[str, Any]) -> Table:
    """Arrays by name, each a column, or one a matrix beside the names of its columns."""
    matrix = next((name for name in _MATRICES if name in arrays), None)
    if matrix is not None:
        arrays = _named_columns(path, arrays, matrix)
    for name, array in arrays.items():
        if array.ndim != 1:
            problem = f"{path}: array {shown(name, 40)!r} has shape {array.shape}, not one dimension."
            raise BadDataError(problem, f"Name the columns of a matrix in an array 'classes' beside {_MATRICES[0]!r}.")
    lengths = Counter(len(array) for array in arrays.values())
    if len(lengths) > 1:
        longest, other = (next(name for name, a in arrays.items() if len(a) == n) for n, _ in lengths.most_common(2))
        problem = f"{path}: {longest!r} has {len(arrays[longest])} rows, {other!r} has {len(arrays[other])}."
        raise BadDataError(problem, "Every array must have one entry per image.")
    _unique(path, list(arrays))
    return Table(path, {name: _plain_cells(array) for name, array in arrays.items()}, "row")


def _named_columns(path: Path, arrays: dict[str, Any], matrix: str) -> dict[str, Any]:
    """Arrays with a matrix as columns under the names that ``classes`` gives them."""
    values = arrays[matrix]
    classes = arrays.get("classes")
    if classes is None or classes.ndim != 1 or values.ndim != 2 or values.shape[1] != len(classes):
        has = "there is none" if classes is None else f"it has shape {classes.shape}"
        problem = f"{path}: {matrix!r} of shape {values.shape} needs an array 'classes' that names its columns; {has}."
        raise BadDataError(problem, "Columns are matched by name, never by position.")
    names = _unique(path, [str(name) for name in _plain_cells(classes)])
    rest = {name: array for name, array in arrays.items() if name not in (matrix, "classes")}
    if twice := rest.keys() & set(names):
        problem = f"{path}: the column {min(twice)!r} is there twice."
        raise BadDataError(problem, "Leave one of them out.")
    return rest | {name: values[:, i] for i, name in enumerate(names)}


def _plain_cells(array: Any) -> list[Any]:
    cells = array.tolist()
    return [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in cells]


def _unique(path: Path, names: Sequence[str]) -> list[str]:
    counts = Counter(plain(name) for name in names if name.strip())
    twice = next((name for name, n in counts.items() if n > 1), None)
    if twice is not None:
        problem = f"{path}: the column {shown(twice, 40)!r} is there twice."
        raise BadDataError(problem, "Leave one of them out.")
    return [name.strip() for name in names]


def number(cell: Any) -> float | None:
    """A cell as a number, also one that is not finite; None for what is no number."""
    if isinstance(cell, bool):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None


def is_empty(cell: Any) -> bool:
    """Whether a cell says nothing; NaN in text says something wrong."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def is_finite(value: float | None) -> bool:
    """Whether a cell's number is one."""
    return value is not None and math.isfinite(value)
