"""What is in files, by SHA-256, without reading again what has not changed.

A digest is remembered together with the file's size, times of change (of content and of inode, in nanoseconds) and
inode number, and is trusted only where all of them are as they were: size and modification time alone can be the same
for other content (a copy that keeps times, an editor that puts them back).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.errors import BadDataError

_BLOCK = 1 << 20
# Digests are computed on several threads: hashing and reading release the interpreter.
_THREADS = min(8, os.cpu_count() or 1)
_SETTLED_NS = 2_000_000_000
_distrusted = False


@contextlib.contextmanager
def distrust(everything: bool = True) -> Iterator[None]:
    """Read every file again, whatever is remembered of it, for as long as a ``with`` block lasts."""
    global _distrusted
    before, _distrusted = _distrusted, everything or _distrusted
    try:
        yield
    finally:
        _distrusted = before


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits; read again only where the file is not as it was.

    Raises:
        BadDataError: it cannot be read.
    """
    path = path.absolute()
    return bytes(file_digests(path.parent, [path], strict=True)[0]).hex()


def listing_sha256(root: Path, files: Iterable[Path]) -> str:
    """Identity of some files below a folder: their relative names and what is in them.

    Args:
        root: the folder; where it is makes no difference.
        files: below it, in any order.

    Raises:
        BadDataError: one of them is not there.
    """
    there = list(files)
    return listing_of(root, there, file_digests(root, there))


def listing_of(root: Path, files: Sequence[Path], contents: npt.NDArray[np.uint8]) -> str:
    """As :func:`listing_sha256`, where the digests are known.

    Args:
        root: the folder.
        files: N files below it.
        contents: shape (N, 32), as :func:`file_digests` returns them.
    """
    digest = hashlib.sha256()
    for at in sorted(range(len(files)), key=files.__getitem__):
        digest.update(os.fsencode(files[at].relative_to(root)) + b"\0" + contents[at].tobytes())
    return digest.hexdigest()


def tree_state(root: Path) -> str:
    """State of all files below a folder, without reading them: it changes when one is added, removed, renamed,
    rewritten or replaced.

    For what is kept under it no file has to be read again, and nothing says that another copy with another state has
    other content.
    """
    digest = hashlib.sha256()
    for here, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(here) / name
            with contextlib.suppress(BadDataError):
                digest.update(os.fsencode(path.relative_to(root)) + repr(_signature(path)).encode())
    return digest.hexdigest()


def text_sha256(text: str) -> str:
    """SHA-256 of a text, as a cache key of fixed length."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def file_digests(root: Path, files: Sequence[Path], *, strict: bool = False) -> npt.NDArray[np.uint8]:
    """SHA-256 of each file.

    Args:
        root: folder under which they are remembered together.
        files: N files below it.
        strict: an unreadable file is an error; otherwise its digest is 0, for a reader that leaves such files out.

    Returns:
        Shape (N, 32), uint8.

    Raises:
        BadDataError: one of them is not there or, if strict, cannot be read.
    """
    signatures = np.array([_signature(path) for path in files], dtype=np.int64).reshape(len(files), 4)
    memo = _memo_file(root, files)
    known = {} if _distrusted else _read_memo(memo)
    names = [str(path) if path.is_absolute() else str(path.absolute()) for path in files]
    digests = np.zeros((len(files), 32), dtype=np.uint8)
    todo = []
    for i, name in enumerate(names):
        found = known.get(name)
        if found is not None and (found[0] == signatures[i]).all():
            digests[i] = found[1]
        else:
            todo.append(i)
    if not todo:
        return digests
    with ThreadPoolExecutor(_THREADS) as pool:
        for i, content in zip(todo, pool.map(lambda i: _sha256(files[i], strict), todo), strict=True):
            digests[i] = np.frombuffer(content, dtype=np.uint8)
    # A file that changed while it was read, or so shortly before that the clock may not tell one change from the next,
    # is read again next time.
    settled = time.time_ns() - _SETTLED_NS
    unchanged = np.array(
        [
            i
            for i in range(len(files))
            if signatures[i, 2] < settled and digests[i].any() and _signature(files[i]) == tuple(signatures[i])
        ],
        dtype=np.int64,
    )
    _write_memo(memo, [names[i] for i in unchanged], signatures[unchanged], digests[unchanged])
    return digests


def _signature(path: Path) -> tuple[int, int, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _sha256(path: Path, strict: bool) -> bytes:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        if not strict:
            return bytes(32)
        raise _unreadable(path, error) from None
    return digest.digest()


def _unreadable(path: Path, error: OSError) -> BadDataError:
    problem = f"{path} cannot be read: {error.strerror or error}."
    return BadDataError(problem, "Check the disk and the permissions.")


def _memo_file(root: Path, files: Sequence[Path]) -> Path:
    """One memo per folder; single files have one each, so that they do not push each other out."""
    place = files[0] if len(files) == 1 else root
    return paths.cache_dir() / "digests" / f"{text_sha256(os.fsdecode(place.absolute()))[:24]}.npz"


def _read_memo(memo: Path) -> dict[str, tuple[Any, Any]]:
    try:
        with np.load(io.BytesIO(memo.read_bytes()), allow_pickle=False) as arrays:
            names = bytes(arrays["names"]).decode("utf-8", "surrogateescape").split("\0")
            return dict(zip(names, zip(arrays["signatures"], arrays["digests"], strict=True), strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _write_memo(
    memo: Path, names: Sequence[str], signatures: npt.NDArray[np.int64], digests: npt.NDArray[np.uint8]
) -> None:
    if not names:
        return
    buffer = io.BytesIO()
    joined = np.frombuffer("\0".join(names).encode("utf-8", "surrogateescape"), dtype=np.uint8)
    np.savez(buffer, names=joined, signatures=signatures, digests=digests)
    # A memo saves time; a machine without space for it can still work.
    with contextlib.suppress(OSError):
        write_atomically(memo, buffer.getvalue())
