"""Durations as people say them."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """A time to two digits in the unit that suits it."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or (unit == "min" and seconds >= 60):
            return f"{seconds / length:.2g} {unit}" if seconds / length < 100 else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2g} s"
