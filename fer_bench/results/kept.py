"""What a command keeps of its last look at the results, so that the next one passes over what has not changed.

It is in the user's own cache, sealed with a key of the user's own (HMAC-SHA256, RFC 2104) over the content, the
store, and all code that made it. What was edited, cut short, copied from elsewhere or made by another version does not
fit its seal, and is as if it were not there. What is kept of a file counts as long as the file's device, inode, size
and times of change are the same; docs/scale.md says what these cannot tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sys
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import fer_bench
from fer_bench import metric_plugins, paths
from fer_bench.atomic import write_atomically
from fer_bench.untrusted import read_regular

FOLDER = "results"
# Of a file, what tells it from another (device, inode, size, modified, changed); of a pattern, names; None: not there.
Stamp = list[int] | list[str] | None
_MOST_BYTES = 2**28
_KEY_BYTES = 32
# A file that was changed within so long before it was read may change again at the same time of its clock.
_RECENT_NS = 2_000_000_000


class Kept:
    """What is kept of one store.

    Args:
        results: the folder of records.
    """

    def __init__(self, results: Path) -> None:
        self._of = str(results.resolve())
        self._root = paths.cache_dir() / FOLDER
        self._folder = self._root / hashlib.sha256(self._of.encode()).hexdigest()[:16]
        self.began = time.time_ns()

    @classmethod
    def of(cls, results: Path) -> Kept | None:
        """What is kept of a store; None where files have no inodes by which they could be told from each other."""
        return None if os.name == "nt" else cls(results)

    def read(self, name: str) -> dict[str, Any]:
        """What was kept under a name; empty where there is nothing, or nothing that fits its seal."""
        try:
            seal, _, content = read_regular(self._folder / f"{name}.json", _MOST_BYTES).partition(b"\n")
            if not hmac.compare_digest(seal, self._seal(name, content)):
                return {}
            found: dict[str, Any] = json.loads(content)
        except (OSError, ValueError):
            return {}
        return found

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Keep something that JSON can hold; where that cannot be written, nothing is kept."""
        text = json.dumps(content, separators=(",", ":")).encode()
        with contextlib.suppress(OSError):
            write_atomically(self._folder / f"{name}.json", self._seal(name, text) + b"\n" + text, mode=0o600)

    def settled(self, stamps: Iterable[Stamp]) -> bool:
        """Whether files were last changed so long ago that another change would show in their times."""
        last = ((stamp or [0])[-1] for stamp in stamps)
        return all(isinstance(changed, str) or self.settled_at(changed) for changed in last)

    def settled_at(self, changed: int) -> bool:
        """Whether a time of change, in nanoseconds, is so long ago."""
        return changed < self.began - _RECENT_NS

    @cached_property
    def _key(self) -> bytes:
        path = self._root / "key"
        with contextlib.suppress(OSError):
            if len(key := read_regular(path, _KEY_BYTES)) == _KEY_BYTES:
                return key
        key = secrets.token_bytes(_KEY_BYTES)
        write_atomically(path, key, mode=0o600)
        return key

    def _seal(self, name: str, content: bytes) -> bytes:
        parts = (self._of.encode(), name.encode(), self._code, content)
        return hmac.new(self._key, b"\0".join(map(_digest, parts)), hashlib.sha256).hexdigest().encode()

    @cached_property
    def _code(self) -> bytes:
        return "\n".join(
            [
                fer_bench.__version__,
                sys.version,
                np.__version__,
                *(f"{name} {digest}" for name, (_, digest) in sorted(metric_plugins.brought().items())),
                *_sources(),
            ]
        ).encode()


def stamp(path: Path) -> Stamp:
    """What tells a file, links followed, from another; of a pattern in a folder the names that fit."""
    if "*" in path.name:
        return sorted(found.name for found in path.parent.glob(path.name))
    try:
        return stamp_of(path.stat())
    except OSError:
        return None


def stamp_of(found: os.stat_result) -> list[int]:
    """The stamp of a file's state."""
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _sources() -> list[str]:
    """Digests of the package's own code, which changes without a new version where it is worked on."""
    package = Path(fer_bench.__file__).parent
    return [f"{path} {_digest(path.read_bytes()).hex()}" for path in sorted(package.rglob("*.py"))]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
