"""Read a table's file: CSV in any of its dialects, or Parquet; and find out which column is which."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.errors import BadDataError, MissingPackageError, SpecError
from fer_bench.labels import plain
from fer_bench.registry import unknown_name

# What a column is, and what it is called where nobody says; the first that is there is taken.
COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "path", "file", "filename", "file_name", "image_path", "img", "img_path", "filepath", "image_name", "name", "pth"),
    "label": ("label", "emotion", "expression", "class", "category", "labels", "emotion_label", "target"),
    "split": ("split", "usage", "set", "partition", "subset"),
    "identity": ("identity", "subject", "person", "subject_id", "person_id", "actor"),
    "valence": ("valence", "val"),
    "arousal": ("arousal", "aro"),
}
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Table:
    """Rows of a table, all cells as text.

    Args:
        path: the file.
        header: its columns.
        columns: cells by what they are (``image``, ``label``, ...), of the columns that were found.
        names: what those columns are called in the file.
    """

    path: Path
    header: list[str]
    columns: dict[str, list[str]]
    names: dict[str, str]

    def __len__(self) -> int:
        return len(self.columns["image"])

    @property
    def about(self) -> str:
        """Which column was taken for what."""
        return ", ".join(what if what == name else f"{what} from {name!r}" for what, name in self.names.items())


def read_table(path: Path, options: Mapping[str, Any]) -> Table:
    """Read a table.

    Args:
        path: ``.parquet``, or text with a header and commas, semicolons, tabs or bars between the cells.
        options: may name columns by what they are; ``identity`` may be a regular expression, which is none of the columns.

    Returns:
        The columns that were named or are called as :data:`COLUMNS` says, in rows that are not empty.

    Raises:
        SpecError: an option names a column that is not there.
        BadDataError: not readable, no header, no rows, a row of another length, no column of images.
        MissingPackageError: Parquet needs pyarrow.
    """
    header, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    names = _names(path, header, options)
    if "image" not in names:
        problem = f"{path}: there is no column of images; the columns are {', '.join(header)[:200]}."
        raise BadDataError(problem, "Name it, for example --set dataset_options.image=photo; the first line must name the columns.")
    if not rows:
        problem = f"{path}: the table has a header and no rows."
        raise BadDataError(problem, "Use a complete copy.")
    at = {what: header.index(name) for what, name in names.items()}
    columns = {what: [row[i].strip() for row in rows] for what, i in at.items()}
    empty = next((number for number, cell in enumerate(columns["image"], start=1) if not cell), None)
    if empty is not None:
        problem = f"{path}, row {empty}: it names no image."
        raise BadDataError(problem, "Fill it in, or leave the row out.")
    return Table(path, header, columns, names)


def _names(path: Path, header: list[str], options: Mapping[str, Any]) -> dict[str, str]:
    by_plain = {plain(name): name for name in reversed(header)}
    names = {}
    for what, usual in COLUMNS.items():
        given = options.get(what)
        if given is None:
            found = next((by_plain[name] for name in usual if name in by_plain), None)
        else:
            found = str(given) if str(given) in header else by_plain.get(plain(str(given)))
            if found is None and what != "identity":
                unknown = unknown_name("column", str(given), header)
                problem = f"dataset_options.{what} = {given!r}: {path.name} has no such column."
                raise SpecError(problem, unknown.hint)
        if found is not None:
            names[what] = found
    return names


def _text(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            delimiter = max(_DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            rows = []
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    problem = f"{path}, line {reader.line_num}: {len(row)} cells instead of {len(header)}."
                    raise BadDataError(problem, "Put quotes around cells that hold the character that separates them.")
                rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        problem = f"{path}: not readable as CSV in UTF-8 ({error})."
        raise BadDataError(problem, "Save it as CSV in UTF-8.") from None
    except OSError as error:
        problem = f"{path}: the table cannot be read ({error.strerror})."
        raise BadDataError(problem, "Check its permissions.") from None
    return header, rows


def _parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError:
        problem = "a Parquet table needs the package pyarrow."
        raise MissingPackageError(problem, "Install it (pip install 'fer_bench[study]'), or save the table as CSV.") from None
    except Exception as error:  # pyarrow's errors have no common base
        problem = f"{path}: not readable as Parquet ({str(error).splitlines()[0][:120]})."
        raise BadDataError(problem, "Save it again, or as CSV.") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    cells = [["" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return [str(name).strip() for name in frame.columns], cells
