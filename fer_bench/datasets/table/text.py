"""A table's text in every dialect in which programs save it: encodings, delimiters, quotes, and lists that have no
header at all.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path, PurePosixPath

from fer_bench.data.decoding import SUFFIXES
from fer_bench.errors import BadDataError

_DELIMITERS = (",", ";", "\t", "|")
# Excel's "CSV" outside of UTF-8, and what R writes on Windows.
_ELSE = "cp1252"


def read_text(path: Path) -> tuple[list[str], list[list[str]], str]:
    """Header and rows of a text file.

    Args:
        path: of the file. Between the cells are commas, semicolons, tabs, bars or, where a first line has none of
            these, blanks.

    Returns:
        The names of the columns, rows of as many cells that are not empty, and what is unusual, in words. Where the
        first line names an image (``a.jpg 0 28 113 3``) the file has no header, and the columns are called ``1``, ``2``
        and so on.

    Raises:
        BadDataError: not readable, or a row of another length.
    """
    text, about = _decoded(path)
    if re.match(r'"?sep=.?"?\s*\n', text, re.IGNORECASE):
        text = "\n" + text.partition("\n")[2]  # keeps the numbers of lines
    first = next((line for line in text.splitlines() if line.strip()), "")
    outside = re.sub(r'"[^"]*"', "", first)
    delimiter = max(_DELIMITERS, key=outside.count)
    if delimiter not in outside:
        delimiter = " "
        text = "\n".join(line.strip() for line in text.split("\n"))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        rows = [
            (reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        problem = f"{path}: not readable as CSV ({error})."
        raise BadDataError(problem, "Save it as CSV in UTF-8.") from None
    header = rows[0][1] if rows else []
    if any(map(is_image_name, header)):
        header = [str(number) for number in range(1, len(header) + 1)]
        about = ", ".join(filter(None, [about, "without a header"]))
    else:
        rows = rows[1:]
        # R's write.table leaves the column of row names, 1 to n, out of the header.
        if rows and [row[0] for _, row in rows if len(row) == len(header) + 1 and row[-1]] in _row_names(len(rows)):
            header = ["", *header]
    return header, [_fitted(path, number, row, len(header)) for number, row in rows], about


def _row_names(n: int) -> tuple[list[str], list[str]]:
    return [str(number) for number in range(1, n + 1)], [str(number) for number in range(n)]


def is_image_name(cell: str) -> bool:
    """Whether a cell ends as the file of an image does."""
    return PurePosixPath(cell.replace("\\", "/")).suffix.lower() in SUFFIXES


def _decoded(path: Path) -> tuple[str, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"{path}: the table cannot be read ({error.strerror})."
        raise BadDataError(problem, "Check its permissions.") from None
    about = ""
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
        else:
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                text, about = content.decode(_ELSE), "read as Windows-1252"
    except UnicodeDecodeError as error:
        problem = (
            f"{path}: the text is neither UTF-8 nor UTF-16 nor Windows-1252 ({error.reason} at byte {error.start})."
        )
        raise BadDataError(problem, "Save it as CSV in UTF-8.") from None
    if "\0" in text:
        problem = f"{path}: the file holds zero bytes, as no text does."
        raise BadDataError(problem, "Download it again, or save it as CSV in UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n"), about


def _fitted(path: Path, number: int, row: list[str], width: int) -> list[str]:
    """A row of as many cells as there are columns; delimiters at the end of a line are none."""
    while len(row) > width and not row[-1]:
        row = row[:-1]
    if len(row) != width:
        problem = f"{path}, line {number}: {len(row)} cells instead of {width}."
        raise BadDataError(problem, "Put quotes around cells that hold the character that separates them.")
    return row
