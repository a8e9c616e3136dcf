"""The order of requests to many hosts, of which some are slow: one at a time to each, and none waits for another."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class HostQueues(Generic[T]):
    """A queue for each host. A host is ready when it has work, no request under way, and its interval has passed.

    So a host that hangs occupies one worker, a host that may not be asked yet occupies none, and one that leaves
    several requests in a row unanswered is given up instead of prolonging the download by its timeout for each link.

    Args:
        interval: seconds between the starts of two requests to one host.
        failures: unanswered requests in a row after which a host is given up.
    """

    def __init__(self, interval: float, failures: int) -> None:
        self._interval, self._most = interval, failures
        self._waiting: dict[str, deque[T]] = {}
        self._ready: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._busy: set[str] = set()
        self._next_start: dict[str, float] = {}
        self._unanswered: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def put(self, host: str, item: T, *, first: bool = False) -> None:
        """Add work for a host; ``first``: before what waits there already."""
        queue = self._waiting.setdefault(host, deque())
        (queue.appendleft if first else queue.append)(item)
        if len(queue) == 1 and host not in self._busy:
            self._push(host)

    async def take(self) -> tuple[str, T] | None:
        """Wait for a host that is ready; None when nothing waits and nothing is under way that could add more.

        Who takes must call :meth:`release` with the host, after having put what follows from it.
        """
        now = asyncio.get_running_loop().time
        while not (self._ready and self._ready[0][0] <= now()):
            if not self._ready and not self._busy:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, self._ready[0][0] - now()) if self._ready else None):
                    await self._changed.wait()
            except TimeoutError:
                continue
        host = heapq.heappop(self._ready)[2]
        self._busy.add(host)
        if not self.given_up(host):
            self._next_start[host] = now() + self._interval
        return host, self._waiting[host].popleft()

    def release(self, host: str, *, answered: bool = True, pause: float = 0.0) -> None:
        """The request to a host has ended.

        Args:
            host: as taken.
            answered: whether it said anything at all.
            pause: seconds for which it asks to be left alone.
        """
        self._busy.discard(host)
        self._unanswered[host] = 0 if answered else self._unanswered[host] + 1
        if pause:
            self._next_start[host] = asyncio.get_running_loop().time() + pause
        if self._waiting[host]:
            self._push(host)
        else:
            del self._waiting[host]
        self._changed.set()

    def given_up(self, host: str) -> bool:
        """Whether a host has left too many requests in a row unanswered."""
        return self._unanswered[host] >= self._most

    def _push(self, host: str) -> None:
        at = 0.0 if self.given_up(host) else self._next_start.get(host, 0.0)
        heapq.heappush(self._ready, (at, next(self._order), host))
        self._changed.set()
