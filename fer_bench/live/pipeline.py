"""Capture and inference in separate threads: a slow network drops frames of a camera instead of lagging behind it,
and a file waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Generic, TypeVar

from fer_bench.live.capture import Frame, Source

T = TypeVar("T")
POLL = 0.05


class Channel(Generic[T]):
    """A queue between two threads that can be ended from either side.

    Args:
        size: how many items it holds.
        lossy: when full, the oldest item is dropped; otherwise the writer waits.
    """

    def __init__(self, size: int, *, lossy: bool) -> None:
        self._items: deque[T] = deque()
        self._size, self._lossy = size, lossy
        self._changed = threading.Condition()
        self._ended = False
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Add an item; False if nobody wants it any more."""
        with self._changed:
            while not self._ended and not self._lossy and len(self._items) >= self._size:
                self._changed.wait()
            if self._ended:
                return False
            if len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> T | None:
        """The oldest item; None after the end.

        Raises:
            TimeoutError: nothing came within ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._ended, timeout):
                raise TimeoutError
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self, *, discard: bool = False) -> None:
        """Take nothing more; what is in it can still be read, unless discarded."""
        with self._changed:
            self._ended = True
            if discard:
                self._items.clear()
            self._changed.notify_all()


class Pipeline(Generic[T]):
    """Frames of a source, looked at in a second thread, handed out in the first; use as a context manager.

    At most one frame waits before inference and one result after it: the age of what is handed out is bounded by the
    time of three steps, whatever the rate of the source.

    Args:
        source: read in the capture thread, closed on exit.
        look: what is made of a frame, in the inference thread.
        realtime: keep to the source's clock and drop what there is no time for; otherwise every frame is looked at.
    """

    def __init__(self, source: Source, look: Callable[[Frame], T], *, realtime: bool) -> None:
        self._source, self._look, self._realtime = source, look, realtime
        self._frames: Channel[Frame] = Channel(1, lossy=realtime)
        self._seen: Channel[T] = Channel(1, lossy=False)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guard, args=(body,), daemon=True) for body in (self._capture, self._infer)
        ]
        self.n_read = 0
        self.exhausted = False

    @property
    def dropped(self) -> int:
        """Frames that were read and never looked at, because a newer one had come."""
        return self._frames.dropped

    def __enter__(self) -> Pipeline[T]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for channel in (self._frames, self._seen):
            channel.end(discard=True)
        for thread in self._threads:
            thread.join(timeout=5)
        # A capture thread that hangs in its driver keeps its device: closing it under its feet crashes.
        if not self._threads[0].is_alive():
            self._source.close()

    def results(self) -> Iterator[T | None]:
        """What ``look`` has made of the frames, in order; None whenever nothing has come for a moment, so that the
        caller can attend to keys and signals.

        Raises:
            BaseException: whatever a thread has raised.
        """
        while True:
            try:
                item = self._seen.get(POLL)
            except TimeoutError:
                yield None
                continue
            if item is None:
                break
            yield item
        if self._error is not None:
            raise self._error

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:  # handed to the thread that reads the results
            if self._error is None:
                self._error = error
            for channel in (self._frames, self._seen):
                channel.end(discard=True)

    def _capture(self) -> None:
        began = time.perf_counter()
        while not self._stop.is_set():
            frame = self._source.read()
            if frame is None:
                self.exhausted = True
                break
            self.n_read += 1
            if self._realtime and not self._source.live:
                if self._stop.wait(max(0.0, began + frame.time - time.perf_counter())):
                    break
                frame = replace(frame, captured=time.perf_counter())
            if not self._frames.put(frame):
                break
        self._frames.end()

    def _infer(self) -> None:
        while (frame := self._frames.get()) is not None:
            if not self._seen.put(self._look(frame)):
                break
        self._seen.end()
