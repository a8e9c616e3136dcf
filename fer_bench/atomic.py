"""Files that are whole or not there, folders that one process changes at a time, and nothing left behind by those that
were killed.

Both rest on one thing: a file that its owner holds a lock on. The kernel frees the lock when the owner dies, however it
dies, so what can be locked is nobody's. Neither process ids, which come back, nor ages, which a slow disk stretches,
say as much.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import importlib.util
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

# Not on Windows.
_LOCKS = importlib.util.find_spec("fcntl") is not None
if _LOCKS:
    import fcntl

LOCK = ".lock"
# A folder is held for as long as a few files are written, or the boards rendered.
_PATIENCE_SECONDS = 600.0
# Systems that know no locks: what has not been touched for so long was left behind.
_OLD_SECONDS = 3600.0
_PART = re.compile(r"\..+\.\d+\.part", re.DOTALL)
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
# No link is followed, and no pipe waited for.
_PLAINLY = sum(getattr(os, flag, 0) for flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def write_atomically(path: Path, content: bytes, mode: int | None = None) -> None:
    """Put a file in place so that no reader ever sees part of it, also when the machine stops in the middle.

    What earlier writers of the same file left behind is removed.

    Args:
        path: where it goes; folders are made.
        content: all of it.
        mode: the file's permissions; None: what is usual for the user.

    Raises:
        OSError: it cannot be written; names the file, not the beginning of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_parts(path.parent, path.name)
    try:
        _write(path, content, mode)
    except OSError as error:
        # What is in the way of the beginning, or holds it, has the name of the beginning.
        if error.errno in (None, errno.EEXIST, errno.ETIMEDOUT):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write(path: Path, content: bytes, mode: int | None) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    file = os.fdopen(_hold(part)[0], "r+b")
    try:
        file.truncate()
        if mode is not None:
            part.chmod(mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if not _LOCKS:
            file.close()
        # Elsewhere it is renamed while it is held: nobody takes it for a leftover.
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        file.close()


def sweep_parts(folder: Path, name: str | None = None) -> None:
    """Remove the beginnings of files whose writers are dead.

    Args:
        folder: where.
        name: of the file that they were to become; None: all.
    """
    pattern = "*" if name is None else glob.escape(name)
    for part in folder.glob(f".{pattern}.*.part"):
        if _PART.fullmatch(part.name):
            with contextlib.suppress(OSError):
                _remove_if_dead(part)


def is_part(name: str) -> bool:
    """Whether a file is called like the beginning of another."""
    return _PART.fullmatch(name) is not None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Keep every other process and thread out of a folder that it would change.

    The lock is a file in the folder, so that only who may write there can hold it, and it is gone afterwards.

    Args:
        folder: exists.

    Yields:
        Whether nobody else is in; False only on a system without locks.

    Raises:
        OSError: the folder cannot be written, or was held by another for ten minutes.
    """
    # Whoever may write in the folder may lock it, under any umask; nobody else can open the file.
    descriptor, alone = _hold(folder / LOCK, 0o600, (folder.stat().st_mode & 0o022) * 3)
    try:
        yield alone
    finally:
        if alone:
            # Still held: who waits for this file sees that it is gone, and makes a new one.
            (folder / LOCK).unlink(missing_ok=True)
            # Children that were forked meanwhile hold the same lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _hold(path: Path, mode: int = 0o666, beyond_umask: int = 0) -> tuple[int, bool]:
    """Open a file, made if need be, and lock it; returns its descriptor, and whether it is locked."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _PLAINLY, mode)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EEXIST, "something that is not a file is in the way", str(path))
            if beyond_umask:
                with contextlib.suppress(PermissionError):
                    os.fchmod(descriptor, mode | beyond_umask)
            held = _lock(descriptor)
            if held is None:
                return descriptor, False
            if held and _is_at(descriptor, path):
                return descriptor, True
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > until:
            raise TimeoutError(errno.ETIMEDOUT, "another process has held it for ten minutes", str(path))
        time.sleep(0.005)


def _lock(descriptor: int) -> bool | None:
    """Whether the lock was free; None on a system without locks."""
    if not _LOCKS:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _remove_if_dead(part: Path) -> None:
    descriptor = os.open(part, os.O_RDWR | _PLAINLY)
    try:
        found = os.fstat(descriptor)
        free = _lock(descriptor)
        if free is None:
            free = time.time() - found.st_mtime > _OLD_SECONDS
        if free and stat.S_ISREG(found.st_mode) and _is_at(descriptor, part):
            part.unlink()
    finally:
        os.close(descriptor)
