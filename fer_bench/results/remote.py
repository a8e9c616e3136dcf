"""Trainings at an address beyond this machine (``FER_BENCH_RUNS=s3://...``, whatever fsspec reads), so that a run that
dies with its machine resumes on another.

Below the address each training has a folder of its own, named as it is in ``runs/``. In it are files named by their
content, which are never overwritten, and states: small JSON files that name them. A state is written when all of its
files are there, and has a number of its own, so that no file system has to replace one atomically; the one with the
highest number counts. Whoever is killed leaves the state before.

Between machines there is no lock: two that train the same run at once do not disturb each other. The one that began
last owns the address, and the other trains on without it. What is lost at worst is the work since the last state.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
import re
import socket
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.errors import FerBenchError, HardwareError, MissingPackageError
from fer_bench.packages import explain, require
from fer_bench.results.inputs import FILE

LOCK, TRAINED = "run.lock", "trained.json"
# What a run needs to be resumed, or tested.
_KEPT = (FILE, TRAINED, "*.ckpt")
# In a local folder: the state that its files were last equal to, or on the way from.
_SEEN = "remote.json"
_STATE = re.compile(r"state-(\d+)-\w+\.json")
# Of this process, for as long as it lives.
_WRITER = uuid.uuid4().hex[:12]
_TRIES = 3
_HINT = (
    "Check the address and its credentials (of s3: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or name"
    " a folder with FER_BENCH_RUNS. Nothing is lost."
)


@dataclass(frozen=True)
class _State:
    """What the address holds of a training: digests of its files by name, and who wrote that."""

    number: int
    writer: str
    host: str
    files: dict[str, str]

    def text(self) -> str:
        return json.dumps(vars(self), indent=1, sort_keys=True)


class RemoteRun:
    """One training's folder here, and what the address holds of it.

    Args:
        folder: of the training, in :func:`fer_bench.paths.runs_dir`.
        address: of all trainings.

    Raises:
        HardwareError: the address is none.
        MissingPackageError: what reads such addresses is not installed.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, f"{address}/{folder.name}"
        self._fs, self._root = _opened(self.address)
        self._told = False

    def bring_mark(self) -> None:
        """Let a folder that is not there yet say what the training at the address is of."""
        if (self.folder / FILE).is_file():
            return
        with self._reached():
            state = self._latest()
            if state is not None and FILE in state.files:
                self._get(state, FILE)

    def bring(self) -> bool:
        """Make the folder, which the caller has locked, what the address holds, unless it is that or what came of that.

        Returns:
            Whether anything was fetched.

        Raises:
            HardwareError: the address cannot be reached, or a file cannot be written.
        """
        for _ in range(_TRIES):
            with self._reached():
                state = self._latest()
                if state is None or state.text() == self._seen():
                    return False
                if self._get_all(state):
                    return True
        # A state without its files is of two owners at once; this one will put its own.
        return False

    def bring_file(self, name: str) -> None:
        """Fetch a file of a finished training, where the address has another one than the folder; a folder in which a
        training is in progress is left alone.
        """
        if (self.folder / name).is_file() and (self.folder / TRAINED).is_file():
            return
        with self._reached():
            state = self._latest()
            if state is None or name not in state.files or state.text() == self._seen():
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(Timeout), FileLock(self.folder / LOCK, timeout=0):
                self._get(state, name)

    def claim(self) -> None:
        """Own the address from here on, with what the folder holds now.

        Raises:
            HardwareError: it cannot be written.
        """
        with self._reached():
            self._put(self._latest())

    def push(self) -> None:
        """Put what the folder holds there. A training continues without the address where it has a new owner, or cannot
        be reached: that is said, and tried again with the next epoch.
        """
        try:
            state = self._latest()
            if state is None or state.writer == _WRITER:
                self._put(state)
                return
            problem = f"{state.host} trains this run, too, and began later: {self.address} is left to it"
        except Exception as error:
            problem = f"{self.address} cannot be written, so this epoch is on this machine alone: {_reason(error)}"
        if not self._told:
            print(f"runs: {problem}", file=sys.stderr, flush=True)
        self._told = True

    def _put(self, before: _State | None) -> None:
        kept = {path.name: _sha256(path) for path in _kept_files(self.folder)}
        there = set(self._names())
        for name, digest in kept.items():
            if _blob(name, digest) not in there:
                self._fs.put_file(str(self.folder / name), self._at(_blob(name, digest)))
        state = _State(before.number + 1 if before else 1, _WRITER, socket.gethostname(), kept)
        name = f"state-{state.number:06d}-{_WRITER}.json"
        self._fs.pipe_file(self._at(name), state.text().encode())
        self._see(state)
        for old in there - {name, *(_blob(*item) for item in kept.items())}:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._at(old))

    def _get_all(self, state: _State) -> bool:
        """Whether the files of a state were still there."""
        # Whoever is killed from here on holds nothing that could be taken for the state of before.
        (self.folder / _SEEN).unlink(missing_ok=True)
        try:
            for name in state.files:
                self._get(state, name)
        except FileNotFoundError:
            # Its owner has meanwhile written the next one.
            return False
        for path in _kept_files(self.folder):
            if path.name not in state.files:
                path.unlink()
        self._see(state)
        return True

    def _get(self, state: _State, name: str) -> None:
        """Fetch a file, whole and unchanged or not at all."""
        path, digest = self.folder / Path(name).name, state.files[name]
        if path.is_file() and _sha256(path) == digest:
            return
        content = self._fs.cat_file(self._at(_blob(name, digest)))
        if hashlib.sha256(content).hexdigest() != digest:
            problem = f"{self.address}: {_blob(name, digest)} is damaged there."
            raise HardwareError(problem, "Delete that folder at the address: the run starts from its first epoch.")
        write_atomically(path, content)

    def _latest(self) -> _State | None:
        found = sorted((int(match[1]), name) for name in self._names() if (match := _STATE.fullmatch(name)))
        for _, name in reversed(found):
            # One that is only half there is not there yet.
            with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
                return _State(**json.loads(self._fs.cat_file(self._at(name))))
        return None

    def _names(self) -> list[str]:
        self._fs.invalidate_cache()
        try:
            return [posixpath.basename(path) for path in self._fs.ls(self._root, detail=False)]
        except FileNotFoundError:
            return []

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _seen(self) -> str | None:
        try:
            return (self.folder / _SEEN).read_text(encoding="utf-8")
        except OSError:
            return None

    def _see(self, state: _State) -> None:
        write_atomically(self.folder / _SEEN, state.text().encode())

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except FerBenchError:
            raise
        except Exception as error:
            # Each kind of address has errors of its own.
            problem = f"the trainings at {self.address} cannot be read or written: {_reason(error)}."
            raise HardwareError(problem, _HINT) from None


def remote_run(folder: Path) -> RemoteRun | None:
    """What is kept of a training's folder beyond this machine; None where nothing is.

    Args:
        folder: of the training.

    Raises:
        HardwareError: ``FER_BENCH_RUNS`` is no address that can be read.
    """
    with paths.scratch(on=False):
        address = paths.runs_address()
        return RemoteRun(folder, address) if address and folder.parent == paths.runs_dir() else None


def _opened(address: str) -> tuple[Any, str]:
    """A file system, and the path in it."""
    require(["fsspec"])
    from fsspec.core import url_to_fs

    local = address.startswith(("file:", "local:"))
    try:
        return url_to_fs(address, **({"auto_mkdir": True} if local else {}))  # type: ignore[no-any-return]
    except ImportError as error:
        raise explain(error) or MissingPackageError(f"{address}: {_reason(error)}.", "Install it.") from None
    except Exception as error:
        problem = f"FER_BENCH_RUNS={address}: {_reason(error)}."
        raise HardwareError(problem, _HINT) from None


def _kept_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in _KEPT for path in folder.glob(pattern) if path.is_file())


def _blob(name: str, digest: str) -> str:
    return f"{digest[:16]}.{name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return f"{str(error) or type(error).__name__}".partition("\n")[0].rstrip(".")[:200]
