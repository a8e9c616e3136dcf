"""Files that another may have made, or altered: read within bounds, and shown without harm."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from pydantic_core import from_json

_LONGEST = 160
# No count, seed or size of a record needs more; what is larger overflows the floats that it is compared with.
_LARGEST_INT = 2**63


def read_regular(path: Path, most: int) -> bytes:
    """Content of a regular file of at most ``most`` bytes; pipes, devices and folders are not waited for.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(most + 1) if found.st_size <= most else None
    if content is None or len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB", str(path))
    return content


def strict_json(content: bytes) -> Any:
    """Parse JSON that means one thing only, to every reader.

    Raises:
        ValueError: not UTF-8, nested more than 200 deep, a key twice in one object, NaN or a number that no float or 64-bit integer holds.
    """
    # Of its own: the bound on depth, half a surrogate pair, and what is not UTF-8.
    from_json(content, allow_inf_nan=False)
    return json.loads(content, object_pairs_hook=_object, parse_float=_float, parse_int=_int)


def shown(text: object, longest: int = _LONGEST) -> str:
    """Text of unknown origin for one line of a terminal: what cannot be printed is escaped, and what is long is cut."""
    if isinstance(text, int) and abs(text) > 10**longest:
        return f"an integer of {text.bit_length()} bits"
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)[: longest + 1])
    return plain if len(plain) <= longest else plain[:longest] + "…"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        problem = f"the key {shown(twice, 40)!r} is there twice"
        raise ValueError(problem)
    return found


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        problem = f"the number {shown(text, 40)} is too large"
        raise ValueError(problem)
    return value


def _int(text: str) -> int:
    value = int(text) if len(text) < 20 else _LARGEST_INT
    if abs(value) >= _LARGEST_INT:
        problem = f"the number {shown(text, 40)} is too large"
        raise ValueError(problem)
    return value
