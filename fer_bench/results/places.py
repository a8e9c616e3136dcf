"""Where a record belongs: names of folders and files."""

from __future__ import annotations

from pathlib import Path

from fer_bench.errors import NewerRecordError, RecordError
from fer_bench.results.grids import SUFFIX
from fer_bench.results.record import Record, plain_name
from fer_bench.untrusted import shown


def folder_name(model: str) -> str:
    """A model's name as a folder name (``timm:x`` becomes ``timm_x``)."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in model)
    return f"_{name[1:]}" if name.startswith(".") or not name else name


def is_misplaced(record: Record, path: Path) -> bool:
    """Whether a record is in the file of another protocol, model or run."""
    place = (path.parent.parent.name, path.parent.name)
    return (record.protocol, folder_name(record.model)) != place or (
        not path.name.endswith(SUFFIX) and record.run_id != path.stem
    )


def in_place(path: Path) -> Record | None:
    """The record of a file; None where there is none, or it is damaged or of another file.

    Raises:
        NewerRecordError: it is of a schema that only newer versions read: it may be the very record that is looked for,
            and is never overwritten.
    """
    try:
        record = Record.load(path)
    except NewerRecordError:
        raise
    except RecordError:
        return None
    return None if is_misplaced(record, path) else record


def require_place(record: Record, path: Path) -> None:
    """Refuse a record that is not where it says it belongs.

    Raises:
        RecordError: it is of another protocol, model or run than its path.
    """
    if is_misplaced(record, path):
        problem = f"{path}: the record says it is {record.protocol}/{folder_name(record.model)}/{record.run_id}."
        raise RecordError(problem, "Move it back to where it belongs.")


def checked(name: str) -> str:
    """The name of a record or a protocol, if it stays inside of its folder.

    Raises:
        RecordError: it leads out of it.
    """
    try:
        return plain_name(name)
    except ValueError as error:
        problem = f"{shown(repr(name))} cannot be the name of a record or a protocol: it {error}."
        raise RecordError(problem) from None
