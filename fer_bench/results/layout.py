"""How the JSON of a record is laid out: arrays of numbers on one line, so that a record is a page, and a change of it a
few lines.
"""

from __future__ import annotations

import json
from typing import Any

_WIDTH = 160


def lay_out(content: dict[str, Any]) -> str:
    """JSON with one field of the outermost object a line.

    What is longer than a line is broken: an object into one entry a line, an array of objects or arrays into one
    element a line. An array of plain values is never broken. Keys keep their order.

    Args:
        content: what JSON can hold; no NaN.
    """
    return _broken([f"{_text(key)}: {_value(value, 1)}" for key, value in content.items()], "{}", 0)


def _value(value: Any, depth: int) -> str:
    line = _text(value)
    if len(line) <= _WIDTH or not value:
        return line
    if isinstance(value, dict):
        return _broken([f"{_text(key)}: {_value(inner, depth + 1)}" for key, inner in value.items()], "{}", depth)
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        return _broken([_value(inner, depth + 1) for inner in value], "[]", depth)
    return line


def _broken(parts: list[str], brackets: str, depth: int) -> str:
    inner = ",\n".join(" " * (depth + 1) + part for part in parts)
    return f"{brackets[0]}\n{inner}\n{' ' * depth}{brackets[1]}" if parts else brackets


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
