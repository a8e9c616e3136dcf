"""The pages as they are."""

from __future__ import annotations

from pathlib import Path

from fer_bench.errors import RecordError

INDEX = "README.md"


def page_text(path: Path) -> str | None:
    """A page's content; None where there is none."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path}: the page cannot be read ({error})."
        raise RecordError(problem, "Restore it from version control, or delete it; it is rendered again.") from None
