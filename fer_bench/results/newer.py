"""Records that a newer version has written: what is kept and passed over with a notice, and what is refused.

The policy is in CONTRIBUTING.md, "Records": a field that changes no number, no rank and no way of reading may be added
to a schema, and versions without it pass over it. Whatever else changes raises ``schema_version``, which versions
before it refuse.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fer_bench
from fer_bench.errors import NewerRecordError, UnknownFieldsWarning
from fer_bench.untrusted import shown

SCHEMA = 1
_MOST_NAMES = 5
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){1,3}([.+a-z][0-9a-z.+]{0,40})?")


def refuse_newer(path: Path, content: Any) -> None:
    """Refuse what is of a newer schema, whatever else is in it.

    Args:
        path: of the record, or of its grid.
        content: parsed JSON; what is no object, or states no version, is left to the validation.

    Raises:
        NewerRecordError: says which version of fer_bench wrote it.
    """
    if not isinstance(content, dict) or not is_newer(content):
        return
    code = content.get("code")
    wrote = code.get("version") if isinstance(code, dict) else None
    reader = (
        f"fer_bench {wrote}, which wrote it, or newer"
        if is_newer_version(wrote)
        else "the version of fer_bench that wrote it, or newer"
    )
    stated = shown(content["schema_version"], 20)
    problem = (
        f"{path}: the record is of schema {stated}, and fer_bench {fer_bench.__version__} reads schema {SCHEMA} only:"
        f" read it with {reader}."
    )
    raise NewerRecordError(problem, "Nothing of it was changed.")


def is_newer(content: dict[str, Any]) -> bool:
    """Whether the content of a file of records states a schema that this version does not know."""
    version = content.get("schema_version", SCHEMA)
    return isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA


def is_newer_version(version: Any) -> bool:
    """Whether something names a version of fer_bench that is later than this one."""
    return (
        isinstance(version, str)
        and _VERSION.fullmatch(version) is not None
        and _numbers(version) > _numbers(fer_bench.__version__)
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.split(r"[^\d.]", version)[0].strip(".").split("."))


class Notice:
    """Says once for a whole folder of results which fields of its records this version does not know.

    Args:
        place: the folder.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._names: set[str] = set()
        self._given = False

    def see(self, names: Iterable[str]) -> None:
        """Remember the unknown fields of one record."""
        self._names.update(names)

    def give(self) -> None:
        """Say it, unless it has been said or there is nothing to say."""
        if self._names and not self._given:
            self._given = True
            warnings.warn(f"{self._place}: {self._text()}", UnknownFieldsWarning, stacklevel=3)

    def _text(self) -> str:
        listed = [shown(name, 40) for name in sorted(self._names)[:_MOST_NAMES]]
        more = f" and {len(self._names) - len(listed)} more" if len(self._names) > len(listed) else ""
        return (
            f"records hold fields that fer_bench {fer_bench.__version__} does not know ({', '.join(listed)}{more});"
            " they are kept and not shown."
        )
