"""Read a table's file: CSV in any of its dialects, or Parquet; and find out which column is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench.datasets.table.text import is_image_name, read_text
from fer_bench.errors import BadDataError, MissingPackageError, SpecError
from fer_bench.labels import letters, plain
from fer_bench.registry import unknown_name

# What a column is, and what it is called where nobody says; the first that is there is taken.
COLUMNS: dict[str, tuple[str, ...]] = {
    "image": (
        "image",
        "path",
        "file",
        "filename",
        "file_name",
        "image_path",
        "img",
        "img_path",
        "filepath",
        "image_name",
        "image_file",
        "name",
        "pth",
    ),
    "label": (
        "label",
        "emotion",
        "expression",
        "class",
        "category",
        "labels",
        "emotion_label",
        "class_name",
        "label_name",
        "facial_expression",
        "target",
    ),
    "split": ("split", "usage", "set", "partition", "subset"),
    "identity": ("identity", "subject", "person", "subject_id", "person_id", "participant", "participant_id", "actor"),
    "valence": ("valence", "val"),
    "arousal": ("arousal", "aro"),
}
# Of what a column says of an image in a word or a number; pixels written out, and descriptions, are longer.
_LONGEST = 80


@dataclass(frozen=True)
class Table:
    """Rows of a table, all cells as text.

    Args:
        path: the file.
        header: its columns.
        columns: cells by what they are (``image``, ``label``, ...), of the columns that were found.
        names: what those columns are called in the file.
        unusual: how the file is written, in words, where it is not as most are.
        others: cells of the remaining columns by their names in the file, but for those of long texts: attributes, by
            which scores can be grouped.
    """

    path: Path
    header: list[str]
    columns: dict[str, list[str]]
    names: dict[str, str]
    unusual: str = ""
    others: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns["image"])

    @property
    def about(self) -> str:
        """Which column was taken for what."""
        columns = ", ".join(what if what == name else f"{what} from {name!r}" for what, name in self.names.items())
        return f"{columns} ({self.unusual})" if self.unusual else columns


def read_table(path: Path, options: Mapping[str, Any]) -> Table:
    """Read a table.

    Args:
        path: ``.parquet``, or text, see :func:`fer_bench.datasets.table.text.read_text`.
        options: may name columns by what they are; ``identity`` and ``split`` may be regular expressions, which are
            none of the columns.

    Returns:
        The columns that were named or are called as :data:`COLUMNS` says, in rows that are not empty.

    Raises:
        SpecError: an option names a column that is not there.
        BadDataError: not readable, no header, no rows, a row of another length, no column of images.
        MissingPackageError: Parquet needs pyarrow.
    """
    header, rows, unusual = (*_parquet(path), "") if path.suffix.lower() == ".parquet" else read_text(path)
    names = _names(path, header, rows, options)
    if "image" not in names:
        problem = f"{path}: there is no column of images; the columns are {', '.join(header)[:200]}."
        raise BadDataError(
            problem, "Name it, for example --set dataset_options.image=photo; the first line must name the columns."
        )
    if not rows:
        problem = f"{path}: the table has a header and no rows."
        raise BadDataError(problem, "Use a complete copy.")
    at = {what: header.index(name) for what, name in names.items()}
    columns = {what: [row[i].strip() for row in rows] for what, i in at.items()}
    empty = next((number for number, cell in enumerate(columns["image"], start=1) if not cell), None)
    if empty is not None:
        problem = f"{path}, row {empty}: it names no image."
        raise BadDataError(problem, "Fill it in, or leave the row out.")
    others = {
        name: [row[i].strip() for row in rows]
        for i, name in enumerate(header)
        if name and name not in names.values() and header.count(name) == 1
    }
    short = {name: cells for name, cells in others.items() if max(map(len, cells)) <= _LONGEST}
    return Table(path, header, columns, names, unusual, short)


def _names(path: Path, header: list[str], rows: list[list[str]], options: Mapping[str, Any]) -> dict[str, str]:
    by_key = {_key(name): name for name in reversed(header)}
    names = {}
    for what, usual in COLUMNS.items():
        given = options.get(what)
        if given is None:
            found = next((by_key[key] for name in usual if (key := _key(name)) in by_key), None)
        else:
            found = str(given) if str(given) in header else by_key.get(_key(str(given)))
            if found is None and what != "identity" and not (what == "split" and "(" in str(given)):
                unknown = unknown_name("column", str(given), header)
                problem = f"dataset_options.{what} = {given!r}: {path.name} has no such column."
                raise SpecError(problem, unknown.hint)
        if found is not None:
            names[what] = found
    if "image" not in names and header[:1] == ["1"] and rows:
        # Without a header: the column of images is seen by what is in it, and of two the other one is that of labels.
        names["image"] = next(header[i] for i, cell in enumerate(rows[0]) if is_image_name(cell))
        if len(header) == 2:
            names.setdefault("label", next(name for name in header if name != names["image"]))
    twice = next((name for name in names.values() if header.count(name) > 1), None)
    if twice is not None:
        problem = f"{path}: two columns are called {twice!r}, and nothing says which of them is meant."
        raise BadDataError(problem, "Rename one of them.")
    return {what: names[what] for what in COLUMNS if what in names}


def _key(name: str) -> str:
    """A column's name as it is compared: ``Subject ID``, ``subject_id`` and ``subjectId`` are one."""
    return letters(name) or plain(name)


def _parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError:
        problem = "a Parquet table needs the package pyarrow."
        raise MissingPackageError(
            problem, "Install it (pip install 'fer_bench[study]'), or save the table as CSV."
        ) from None
    except Exception as error:  # pyarrow's errors have no common base
        problem = f"{path}: not readable as Parquet ({str(error).splitlines()[0][:120]})."
        raise BadDataError(problem, "Save it again, or as CSV.") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    cells = [
        ["" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False, name=None)
    ]
    return [str(name).strip() for name in frame.columns], cells
