"""A tracker is never worth a training: what it raises becomes one notice, and it is left alone from then on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

from fer_bench.errors import LoggerWarning

_LONGEST = 200
T = TypeVar("T")


def reason(error: BaseException) -> str:
    """What an exception says, in one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class Guard:
    """Calls a tracker until it fails for the first time.

    Args:
        name: of the tracker, for the notice.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed = False

    def __call__(self, call: Callable[[], T], otherwise: T) -> T:
        """The answer of a call; ``otherwise`` where the tracker fails now or has failed before."""
        if self.failed:
            return otherwise
        try:
            return call()
        # Whatever it is: a full disk, no network, a bug of the tracker's.
        except Exception as error:
            self.fail(error)
            return otherwise

    def fail(self, error: BaseException) -> None:
        """Say once that the tracker has failed, and leave it alone."""
        self.failed = True
        warnings.warn(
            f"{self.name} has failed and is left out from here on; the run continues without it, and its result is the"
            f" same: {reason(error)}",
            LoggerWarning,
            stacklevel=2,
        )
