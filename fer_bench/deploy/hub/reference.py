"""What a network on the hub is called: ``hf:ORG/NAME``, or ``hf:ORG/NAME@REVISION``; imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_bench.errors import SpecError

PREFIX = "hf:"
_PLACE = re.compile(r"hf:(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Place:
    """A repository of the hub.

    Args:
        repository: ``ORG/NAME``.
        revision: a branch, a tag or a commit; None: the newest.
    """

    repository: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """The second part of its name."""
        return self.repository.partition("/")[2]

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_hub(reference: str) -> bool:
    """Whether a reference means a network on the hub."""
    return reference.startswith(PREFIX)


def read_place(reference: str) -> Place:
    """Parse a reference.

    Raises:
        SpecError: it names no repository.
    """
    found = _PLACE.fullmatch(reference)
    if found is None or ".." in reference:
        problem = f"{reference!r} names no repository of the hub."
        raise SpecError(problem, "Write hf:ORG/NAME, or hf:ORG/NAME@REVISION.")
    return Place(found["repository"], found["revision"])
