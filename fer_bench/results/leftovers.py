"""What killed processes leave next to records: beginnings of files, predictions that no record names, figures of
records that are not there.

A record's predictions are written before it, and those that it no longer names are removed after it. Whoever does
either holds the folder's lock, so what a holder of the lock finds there unnamed is nobody's.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic_core import from_json

from fer_bench.atomic import LOCK, is_part, locked, sweep_parts
from fer_bench.results.newer import is_newer
from fer_bench.untrusted import read_regular

# Files that are named after a record and that no record names.
FIGURES = ("curve.png",)
# `<run_id>.<split>.npz` or `<run_id>.<digest>.<split>.npz`; what is called otherwise was not written by the store.
_PREDICTIONS = re.compile(r"[^.].*\.[A-Za-z0-9_-]+\.npz", re.DOTALL)
_MOST_BYTES = 64 * 2**20

# SHA-256 by name of the files that a file of records names; None where it cannot be read, and may name any.
Names = Mapping[str, str] | None


def names_in(path: Path) -> Names:
    """The predictions files that a record, or a grid, names."""
    try:
        content = from_json(read_regular(path, _MOST_BYTES))
        sections = [content, content.get("shared", {}), *content.get("records", [])]
        if any(is_newer(section) for section in sections):
            # Where a newer schema names its files, this version cannot know.
            return None
        entries = [entry for section in sections for entry in section.get("predictions", {}).values()]
        return {entry["file"]: entry["sha256"] for entry in entries if "file" in entry}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def names_in_folder(folder: Path) -> dict[str, Names]:
    """What each file of records in a folder names, by its own name."""
    return {path.name: names_in(path) for path in folder.glob("*.json")}


def leftovers(folder: Path, names: Iterable[Names], records: Iterable[str]) -> list[Path]:
    """Files that belong to no record.

    Args:
        folder: of records.
        names: what its files of records name; where one of them cannot be read, no predictions are taken for leftovers.
        records: names of the files of records themselves.
    """
    named: set[str] | None = set()
    for one in names:
        named = None if one is None or named is None else named | one.keys()
    stems = {record.removesuffix(".json") for record in records}
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            figure = next((name.removesuffix(f".{figure}") for figure in FIGURES if name.endswith(f".{figure}")), None)
            if (
                (is_part(name) or name == LOCK)
                or (named is not None and name not in named and _PREDICTIONS.fullmatch(name))
                or (figure is not None and figure not in stems)
            ):
                found.append(folder / name)
    return sorted(found)


def sweep(folder: Path, names: Mapping[str, Names]) -> None:
    """Remove what belongs to no record; the caller holds the folder's lock."""
    sweep_parts(folder)
    for path in leftovers(folder, names.values(), names):
        if path.name != LOCK and not is_part(path.name):
            with contextlib.suppress(OSError):
                path.unlink()


def sweep_folder(folder: Path) -> None:
    """Remove what belongs to no record, if nobody is at work there; a folder that cannot be written stays as it is."""
    with contextlib.suppress(OSError), locked(folder) as alone:
        if alone:
            sweep(folder, names_in_folder(folder))
