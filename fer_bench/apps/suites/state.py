"""What is known of a suite that is being carried out, in a file of its folder: for its table, for ``--status`` from
another terminal, and for a picture of what ran where.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.errors import FerBenchError, RecordError
from fer_bench.sweeps.suite import find_suite

State = Literal["waiting", "queued", "running", "done", "failed", "left out"]
LOCK, FILE, EVENTS = "driver.lock", "state.json", "events.jsonl"
_EVERY_SECONDS = 1.0


class Row(BaseModel):
    """One piece of work.

    Args:
        state: ``waiting``: for others, or for room; ``queued``: in a scheduler's queue.
        where: the node.
        began: seconds since 1970 of the present or last try; 0: it has not begun.
        seconds: of the last try, once it has ended.
        tries: how often it has begun.
        text: what it scored, or why it failed.
        log: path of its output.
    """

    key: str
    name: str
    state: State = "waiting"
    where: str = ""
    began: float = 0.0
    seconds: float = 0.0
    tries: int = 0
    text: str = ""
    log: str = ""


class SuiteState(BaseModel):
    """All of it.

    Args:
        suite: the file.
        on: the engine.
        host: where the driver runs, ``pid`` as which process.
        began: of the driver; ``updated``: when this was written; seconds since 1970.
        left: seconds that the rest will take; None: not known yet.
        ended: whether the driver has come to its end.
    """

    suite: str
    on: str
    host: str = ""
    pid: int = 0
    began: float = 0.0
    updated: float = 0.0
    left: float | None = None
    ended: bool = False
    rows: list[Row] = []

    def counts(self) -> Counter[str]:
        """How many pieces are in which state."""
        return Counter(row.state for row in self.rows)


class Ledger:
    """Keeps the state of a suite in its folder.

    Args:
        folder: of the suite.
        state: to begin with.
    """

    def __init__(self, folder: Path, state: SuiteState) -> None:
        self.folder, self.state = folder, state
        state.host, state.pid, state.began = socket.gethostname(), os.getpid(), time.time()
        self._rows = {row.key: row for row in state.rows}
        self._written = 0.0
        self.save()

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def event(self, key: str, what: str, where: str = "", text: str = "") -> None:
        """Write down what has happened to a piece of work."""
        line = {"at": round(time.time(), 3), "key": key, "event": what, "where": where, "text": text}
        with (self.folder / EVENTS).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self, *, now: bool = True) -> None:
        """Write the state; not at once: only if a second has passed."""
        if now or time.monotonic() - self._written > _EVERY_SECONDS:
            self._written, self.state.updated = time.monotonic(), time.time()
            write_atomically(self.folder / FILE, self.state.model_dump_json(indent=1).encode())


def suite_folder(file: Path) -> Path:
    """Where the tasks of a suite, their logs and its state are."""
    path = find_suite(file).resolve()
    return paths.runs_dir() / "suites" / f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"


def driving(folder: Path) -> FileLock:
    """The right to drive a suite, held by its driver while it lives.

    Raises:
        FerBenchError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = read_state(folder)
        who = f" (process {found.pid} on {found.host})" if found is not None else ""
        problem = f"this is being carried out already{who}."
        raise FerBenchError(problem, "`--status` shows how far it is; stop that process to go on here.") from None
    return lock


def read_state(folder: Path) -> SuiteState | None:
    """The state of a suite; None where it was never carried out by an engine."""
    try:
        return SuiteState.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None


def status_of(folder: Path, what: str) -> tuple[SuiteState, bool]:
    """The state of a suite, and whether its driver lives.

    Args:
        folder: of its tasks.
        what: it is called.

    Raises:
        RecordError: it was never carried out by an engine, or begins just now.
    """
    lives = _is_locked(folder)
    state = read_state(folder)
    if state is None and lives:
        problem = f"{what} is about to be carried out: another process looks at what there is to do."
        raise RecordError(problem, "Ask again in a minute.")
    if state is None:
        problem = f"{what} has not been carried out with --on here."
        raise RecordError(problem, "`--dry-run` shows what of it is done.")
    if lives:
        return state, True
    # On another machine locks may not be seen: a state that is written anew belongs to somebody.
    return state, not state.ended and time.time() - state.updated < 10 * _EVERY_SECONDS


def _is_locked(folder: Path) -> bool:
    """Whether a driver of this machine holds a suite."""
    if not (folder / LOCK).is_file():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def failures(rows: Iterable[Row]) -> list[Row]:
    """What has failed."""
    return [row for row in rows if row.state == "failed"]
