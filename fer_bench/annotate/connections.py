"""Connections that nobody can hold for ever: time limits on headers, idling and answers, and a bound on how many there
are.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the connection, or the last answer, to the last byte of a request's headers; bodies have their own limit where
# they are read.
HEADER_SECONDS = 15.0
# From the headers to the last byte of the answer: a large picture over a slow line.
ANSWER_SECONDS = 300.0
# Below the usual limit of 1,024 open files.
MAX_CONNECTIONS = 512


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, ended where the other side takes too long; where there are too many, the one that has idled
    longest is closed.
    """

    _alarm: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        self._idle()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._alarm is not None:
            self._alarm.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what has come; a request that has begun is given its time."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._end_in(ANSWER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; a request whose body turns out to be none is over, whatever its answer would have
        been.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            # Its answer has begun.
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there already."""
        before = self.cycle
        super().on_response_complete()
        if self.cycle is before:
            self._idle()

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for a request, on the loop's clock; None while one is answered."""
        return self._idle_since if self.cycle is None or self.cycle.response_complete else None

    def _idle(self) -> None:
        self._idle_since = self.loop.time()
        self._end_in(HEADER_SECONDS)

    def _end_in(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        # Not close(): that waits until the other side has read everything.
        self._alarm = self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        others = (
            other
            for other in self.connections
            if isinstance(other, PatientProtocol) and not other.transport.is_closing()
        )
        longest = min(
            (other for other in others if other.idle_since is not None),
            key=lambda other: other.idle_since or 0.0,
            default=self,
        )
        longest.transport.abort()
