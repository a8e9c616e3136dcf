"""A mapping from names to things that refuses duplicates and answers unknown names with suggestions."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from fer_bench.errors import UnknownNameError

T = TypeVar("T")
# What `fer-bench list` can list.
LISTED = {
    "dataset": "datasets",
    "model": "models",
    "task": "tasks",
    "loss": "losses",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "augmentation": "augmentations",
    "protocol": "protocols",
    "suite": "suites",
    "recipe": "recipes",
}


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Compose the error for a name that is not known.

    Args:
        kind: what was looked up, in the singular ("model").
        name: what the user wrote.
        known: every name that would have been right.

    Returns:
        The error, with up to three near matches, or the known names where they are few.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    if near:
        hint = "Did you mean " + " or ".join(repr(n) for n in near) + "?"
    elif len(names) <= 12 or kind not in LISTED:
        hint = "Known: " + ", ".join(names) + "."
    else:
        hint = f"`fer-bench list {LISTED[kind]}` shows the {len(names)} known ones."
    return UnknownNameError(f"unknown {kind} {name!r}.", hint, kind)


def unmatched(flag: str, text: str, where: str, kind: str, known: Iterable[str]) -> UnknownNameError:
    """Compose the error for a filter that leaves nothing.

    Args:
        flag: of the filter (``--only``).
        text: what the user wrote.
        where: what was filtered.
        kind: what it holds, in the singular.
        known: names that the filter could have matched.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(text.lower(), names, n=3, cutoff=0.5) or names[:12]
    shown = ", ".join(repr(name) for name in near) + (", ..." if len(near) < len(names) else "")
    return UnknownNameError(
        f"{flag} {text!r} matches no {kind} of {where}.",
        f"There {'is' if len(names) == 1 else 'are'} {shown}." if names else "It is empty.",
    )


class Registry(Generic[T]):
    """Names to things of one kind.

    Args:
        kind: what the things are, in the singular ("loss"); used in errors.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register an item under a name.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._items:
            message = f"{self.kind} {name!r} is registered twice"
            raise ValueError(message)
        self._items[name] = item
        return item

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of :meth:`add`."""

        def decorate(item: T) -> T:
            return self.add(name, item)

        return decorate

    def __getitem__(self, name: str) -> T:
        """Look a name up.

        Raises:
            UnknownNameError: with suggestions.
        """
        try:
            return self._items[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._items) from None

    def get(self, name: str) -> T | None:
        """Look a name up; None where it is unknown."""
        return self._items.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def in_order(self) -> tuple[T, ...]:
        """All items, in the order in which they were added."""
        return tuple(self._items.values())

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)
