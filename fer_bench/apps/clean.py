"""Remove what can be made again: trainings, reports, caches, features and what killed processes left. Records are never
touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fer_bench.apps.disk import KINDS, Entry, entries, is_part_folder
from fer_bench.atomic import is_part, sweep_parts
from fer_bench.errors import SpecError

_AGE = re.compile(r"(\d{1,6})([hdw])")
_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Removable:
    """What a call of ``clean`` is about.

    Args:
        chosen: may be removed.
        in_use: of the chosen kinds and age, but somebody is at work on it.
    """

    chosen: tuple[Entry, ...]
    in_use: tuple[Entry, ...]


@dataclass(frozen=True)
class Removed:
    """What has come of it.

    Args:
        n: entries that are gone.
        n_bytes: what they took.
        kept: entries that were taken into use meanwhile.
        failed: what the system refused, by path.
    """

    n: int
    n_bytes: int
    kept: tuple[Entry, ...]
    failed: tuple[tuple[Path, str], ...]


def seconds_of(age: str) -> int:
    """Seconds of an age such as ``30d``, ``12h`` or ``2w``.

    Raises:
        SpecError: something else.
    """
    found = _AGE.fullmatch(age)
    if found is None:
        problem = f"--older-than {age!r} is not an age."
        raise SpecError(problem, "Write hours, days or weeks as 12h, 30d or 2w.")
    return int(found[1]) * _SECONDS[found[2]]


def find(flags: Sequence[str], older_than: int = 0) -> Removable:
    """What may be removed.

    Args:
        flags: keys of :data:`~fer_bench.apps.disk.KINDS`.
        older_than: only what was last written to so many seconds ago.
    """
    kinds = {kind for flag in flags for kind in KINDS[flag]}
    everything = list(entries())
    # Crops have no lock: they are in use while anything trains.
    training = any(entry.kind == "trainings" and entry.in_use() for entry in everything)
    until = time.time() - older_than
    chosen: list[Entry] = []
    in_use: list[Entry] = []
    for entry in everything:
        if entry.kind in kinds and (not older_than or entry.changed <= until):
            (in_use if entry.in_use() or (entry.kind == "crops" and training) else chosen).append(entry)
    # What a killed process left in a training goes with it.
    folders = {path for entry in chosen for path in entry.paths}
    outermost = [entry for entry in chosen if not folders & set(entry.paths[0].parents)]
    return Removable(tuple(outermost), tuple(in_use))


def remove(chosen: Sequence[Entry]) -> Removed:
    """Remove entries, each as a whole: who comes meanwhile finds all of it or nothing."""
    n = n_bytes = 0
    kept: list[Entry] = []
    failed: list[tuple[Path, str]] = []
    for entry in chosen:
        size = entry.n_bytes
        try:
            with _held(entry.lock):
                for path in entry.paths:
                    _remove(path)
        except Timeout:
            kept.append(entry)
            continue
        except OSError as error:
            failed.append((Path(os.fsdecode(error.filename or entry.paths[0])), error.strerror or str(error)))
            continue
        if any(path.exists() for path in entry.paths if is_part(path.name)):
            # Its writer is alive.
            kept.append(entry)
            continue
        n, n_bytes = n + 1, n_bytes + size
    return Removed(n, n_bytes, tuple(kept), tuple(failed))


@contextlib.contextmanager
def _held(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    # An empty file may stay: whoever waits for it must find this one.
    with FileLock(lock, timeout=0):
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        # Under another name first: a process that is killed in the middle leaves a leftover, not half a training.
        doomed = path if is_part_folder(path.name) else path.with_name(f".{path.name}.{os.getpid()}.part")
        if doomed != path:
            path.rename(doomed)
        shutil.rmtree(doomed)
    elif is_part(path.name):
        sweep_parts(path.parent)
    else:
        path.unlink(missing_ok=True)
