"""Files that another may have made, or altered: read within bounds, and shown without harm."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections import Counter
from dataclasses import dataclass
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
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(most + 1) if found.st_size <= most else None
    if content is None or len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB", str(path))
    return content


@dataclass(frozen=True)
class Fault:
    """Stands in parsed JSON where a value was that not every reader would understand alike."""

    what: str


def parse_json(content: bytes) -> Any:
    """Parse JSON; a key twice in one object, NaN and numbers that no float or 64-bit integer holds become a
    :class:`Fault` in their place.

    Raises:
        ValueError: not UTF-8, nested more than 200 deep, half a surrogate pair, no JSON at all.
    """
    # Of its own: the bound on depth, surrogates and UTF-8.
    from_json(content)
    return json.loads(content, object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_too_large)


def require_faultless(value: Any) -> None:
    """Refuse parsed JSON with a fault anywhere in it.

    Raises:
        ValueError: the first one.
    """
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Fault):
            raise ValueError(found.what)
        if isinstance(found, dict | list):
            waiting.extend(found.values() if isinstance(found, dict) else found)


def strict_json(content: bytes) -> Any:
    """Parse JSON that means one thing only, to every reader.

    Raises:
        ValueError: as :func:`parse_json` and :func:`require_faultless`.
    """
    value = parse_json(content)
    require_faultless(value)
    return value


def shown(text: object, longest: int = _LONGEST) -> str:
    """Text of unknown origin for one line of a terminal: what cannot be printed is escaped, and what is long is cut."""
    if isinstance(text, int) and abs(text) > 10**longest:
        return f"an integer of {text.bit_length()} bits"
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)[: longest + 1])
    return plain if len(plain) <= longest else plain[:longest] + "…"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Fault:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(key for key, _ in pairs)
    return Fault(f"the key {shown(max(counts, key=counts.__getitem__), 40)!r} is there twice")


def _float(text: str) -> float | Fault:
    value = float(text)
    return value if math.isfinite(value) else _too_large(text)


def _int(text: str) -> int | Fault:
    return value if len(text) <= 20 and abs(value := int(text)) < _LARGEST_INT else _too_large(text)


def _too_large(text: str) -> Fault:
    return Fault(f"the number {shown(text, 40)} is too large, or none")
