"""Ctrl-C while Lightning trains."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Around Lightning's ``fit``: Ctrl-C leaves it as it leaves everything else, and the next one is heard too.

    Lightning makes it a ``SystemExit`` of code 1, and lets the process ignore SIGINT from then on: a notebook could not
    be interrupted a second time.

    Raises:
        KeyboardInterrupt: on Ctrl-C.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None
