"""A bound on what the server's log can be made to hold."""

from __future__ import annotations

import logging
import time
import traceback
from asyncio import CancelledError

from starlette.requests import ClientDisconnect

LOGGERS = ("uvicorn.error", "asyncio")
_MOST, _SECONDS = 5, 60.0
_LONGEST = 2_000


class BoundedLog(logging.Filter):
    """Lets each place in the code speak a few times a minute, and not at length; requests that their sender broke off
    are no faults.
    """

    def __init__(self) -> None:
        super().__init__()
        # By place, of which there are few, not by message, which an attacker may vary.
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; shortens it."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, CancelledError | ClientDisconnect):
            return False
        place, now = (record.pathname, record.lineno), time.monotonic()
        began, count = self._seen.get(place, (now, 0))
        left_out = count - _MOST if now - began >= _SECONDS else 0
        began, count = (now, 0) if now - began >= _SECONDS else (began, count)
        self._seen[place] = began, count + 1
        if count >= _MOST:
            return False
        message = record.getMessage()
        record.msg, record.args = message[:_LONGEST] + (f" ({left_out} more like it)" if left_out > 0 else ""), ()
        if error is not None:
            # What happened, and where in the end.
            where = "".join(traceback.format_tb(error.__traceback__))[-_LONGEST:]
            record.exc_text = f"Traceback:\n{where}{''.join(traceback.format_exception_only(error))[:_LONGEST]}"
        return True


def bound_logs() -> None:
    """Put the bound on the server's loggers."""
    bound = BoundedLog()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(bound)
