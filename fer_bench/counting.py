"""Counted things as people say them."""

from __future__ import annotations


def counted(n: int, one: str, many: str = "") -> str:
    """``1 grid``, ``2 grids``.

    Args:
        n: how many.
        one: what one is called.
        many: what several are called; empty: that with an s.
    """
    return f"{n} {one if n == 1 else many or one + 's'}"
