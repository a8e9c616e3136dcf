"""What a file that is not what its name says does to a reader: one error, whatever it was."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from fer_bench.errors import BadDataError


@contextlib.contextmanager
def readable(path: Path, hint: str) -> Iterator[None]:
    """Turn what goes wrong while a CSV, or another text, is opened and read into an error that names it.

    Args:
        path: of the file.
        hint: what the user should do.

    Raises:
        BadDataError: it cannot be opened, is in another encoding, or has a cell that no table has.
    """
    try:
        yield
    except UnicodeError:
        problem = f"{path}: not UTF-8 text."
        raise BadDataError(problem, hint) from None
    except csv.Error as error:
        problem = f"{path}: not readable as CSV ({error})."
        raise BadDataError(problem, hint) from None
    except OSError as error:
        problem = f"{path}: cannot be read ({error.strerror or error})."
        raise BadDataError(problem, "Check the disk and the permissions.") from None
