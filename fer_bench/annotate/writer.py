"""One thread writes to SQLite; all that waits is committed together, and nothing is acknowledged before its commit."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from fer_bench.annotate.database import connect

T = TypeVar("T")
_Job = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]
_MOST_PER_COMMIT = 256


class Writer:
    """Group commit: a hundred answers that arrive together cost one sync of the disk, not a hundred.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="annotate-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run a function on the writing connection; the result is there once it is committed.

        A job that raises is undone alone; the error goes to its future.
        """
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Commit what waits, then close."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            first = self._jobs.get()
            if first is None:
                return
            batch = [first]
            while len(batch) < _MOST_PER_COMMIT:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    open_for_more = False
                    break
                batch.append(job)
            self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job, future in batch:
                if not future.set_running_or_notify_cancel():
                    continue
                self._connection.execute("SAVEPOINT job")
                try:
                    done.append((future, job(self._connection)))
                except Exception as error:
                    self._connection.execute("ROLLBACK TO job")
                    future.set_exception(error)
                self._connection.execute("RELEASE job")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # a full disk, a lock held too long: nobody in this batch is told "saved"
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in done:
            future.set_result(result)
