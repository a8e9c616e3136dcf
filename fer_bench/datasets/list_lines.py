"""Lists that datasets come with, line by line: what is said of a line that does not follow the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fer_bench.data.readable import readable
from fer_bench.errors import BadDataError
from fer_bench.protocols import info_of


def text_of(dataset: str, path: Path) -> str:
    """The text of a file of a dataset.

    Raises:
        BadDataError: it cannot be read, or is not UTF-8.
    """
    with readable(path, info_of(dataset).how_to_get):
        return path.read_text(encoding="utf-8-sig")


def lines_of(dataset: str, path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a list that are not blank, each after what an error calls it: the file, and the line's number.

    Raises:
        BadDataError: it cannot be read, is not UTF-8, or has no such line.
    """
    lines = [(f"{path}, line {n}", line) for n, line in enumerate(text_of(dataset, path).splitlines(), start=1)]
    lines = [(where, line) for where, line in lines if line.strip()]
    if not lines:
        raise not_read(dataset, str(path), "the list is empty")
    yield from lines


def not_read(dataset: str, where: str, found: str, hint: str = "") -> BadDataError:
    """Compose the error for a line, or a name, that does not follow the dataset's format.

    Args:
        dataset: its name.
        where: file, and line.
        found: what is there, and what should be.
        hint: what to do; empty: how the dataset is got.
    """
    return BadDataError(f"{where}: {found}.", hint or info_of(dataset).how_to_get)
