"""Reading the small JSON files that are kept beside records: scores on corrupted images, reproductions, costs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fer_bench.errors import RecordError
from fer_bench.results.places import folder_name
from fer_bench.results.record import first_finding
from fer_bench.untrusted import read_regular, shown, strict_json

Content = TypeVar("Content", bound=BaseModel)


def read_beside(kind: type[Content], path: Path, most: int, what: str, verb: str, *, strict: bool = False) -> Content:
    """Read a file.

    Args:
        kind: what it holds.
        path: of the file.
        most: bytes that it may have.
        what: it is called in an error, such as "the cost".
        verb: of ``fer-bench`` that writes it, with what it needs.
        strict: as of :meth:`fer_bench.results.record.Record.load`.

    Raises:
        RecordError: unreadable or damaged.
    """
    hint = hint_of(verb)
    try:
        content = read_regular(path, most)
        if strict:
            strict_json(content)
        return kind.model_validate_json(content)
    except OSError as error:
        problem = f"{path}: {what} cannot be read ({error.strerror})."
        raise RecordError(problem, hint) from None
    except (ValueError, RecursionError) as error:
        found = first_finding(error) if isinstance(error, ValidationError) else f"the file: {shown(error)}"
        problem = f"{path}: damaged {what.removeprefix('the ')}: {found}."
        raise RecordError(problem, hint) from None


def hint_of(verb: str) -> str:
    """What to do about a file that cannot be used."""
    return f"Restore it from version control, or delete it and give `fer-bench {verb}` again."


def require_run(path: Path, protocol: str, model: str, run_id: str, told: str) -> None:
    """Refuse a file that is not where it says it belongs.

    Args:
        path: of the file, ``<protocol>/<model>/...``.
        protocol: that it says.
        model: that it says.
        run_id: that it says.
        told: the run that the file's name says.

    Raises:
        RecordError: it is elsewhere.
    """
    if (protocol, folder_name(model), run_id) != (path.parent.parent.name, path.parent.name, told):
        problem = f"{path}: the file says it is of {protocol}/{folder_name(model)}/{run_id}."
        raise RecordError(problem, "Move it back to where it belongs.")
