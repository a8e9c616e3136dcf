"""Tasks of values that users name for data of their own: their dimensions, the scale that they are on, and the score
that ranks.

Like a set of classes (:mod:`fer_bench.class_sets`), such a task has a name that holds a digest of it: a record states
what the name stands for, and is understood anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from fer_bench.errors import SpecError
from fer_bench.metric_entry import RESERVED

NAMED_VALUES = re.compile(r"values\d+_[0-9a-f]{6}")
# What training logs on validation, so that it can choose the epoch too.
PRIMARIES = ("ccc", "rmse")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST = 50
_LARGEST = 1e6


@dataclass(frozen=True)
class ValueSet:
    """Values that are predicted together.

    Args:
        names: of the D dimensions, in the order of the columns of targets and outputs.
        scale: (low, high) of all of them, in the dataset's units.
        primary: the metric that ranks, ``ccc`` or ``rmse``.
    """

    names: tuple[str, ...]
    scale: tuple[float, float] = (-1.0, 1.0)
    primary: str = "ccc"

    @property
    def name(self) -> str:
        """Name of their task, with a digest of what it is: the key of their column among a dataset's targets."""
        text = json.dumps([list(self.names), list(self.scale), self.primary], separators=(",", ":"))
        return f"values{len(self.names)}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"

    def stated(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"dimensions": list(self.names), "scale": list(self.scale), "primary": self.primary}


def read_values(names: Any, scale: Any = (-1.0, 1.0), primary: Any = "ccc") -> ValueSet:
    """Values as users write them, checked.

    Args:
        names: of the dimensions; one may be given as a text.
        scale: (low, high) of all of them.
        primary: the metric that ranks.

    Raises:
        SpecError: no dimension, one that is named twice or like a part of every record, a scale that is no pair of
            numbers, an unknown metric.
    """
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Sequence) or not 1 <= len(listed) <= _MOST:
        _refuse(f"{_short(names)} is neither the name of a dimension nor a list of such names")
    for name in listed:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
            why = "means something else in every record" if name in RESERVED else "is no name of a dimension"
            _refuse(f"{_short(name)} {why}; use small letters, digits and underscores, such as 'dominance'")
    if len(set(listed)) < len(listed):
        _refuse(f"a dimension is named twice ({', '.join(listed)})")
    if primary not in PRIMARIES:
        _refuse(f"primary = {_short(primary)} is none of {', '.join(PRIMARIES)}")
    return ValueSet(tuple(listed), _scale(scale), primary)


def stated_values(name: str, content: Any) -> ValueSet | None:
    """What a record states of a task of values; None where it is not what the name stands for."""
    try:
        found = read_values(content["dimensions"], content["scale"], content["primary"])
    except (SpecError, KeyError, TypeError):
        return None
    return found if found.name == name else None


def scale_text(scale: tuple[float, float]) -> str:
    """A scale as tables say it, (-10.0, 10.0) as ``from -10 to 10``: no sign first, which tables would escape."""
    return f"from {scale[0]:g} to {scale[1]:g}"


def scale_from_text(text: str) -> tuple[float, float] | None:
    """What :func:`scale_text` wrote, or None."""
    try:
        low, high = (float(part) for part in text.strip().removeprefix("from ").split(" to "))
    except ValueError:
        return None
    return (low, high) if low < high else None


def _scale(scale: Any) -> tuple[float, float]:
    if (
        isinstance(scale, str | Mapping)
        or not isinstance(scale, Sequence)
        or len(scale) != 2
        or not all(
            isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) and abs(end) <= _LARGEST
            for end in scale
        )
        or not scale[0] < scale[1]
    ):
        _refuse(f"scale = {_short(scale)} is no pair of numbers (low, high), low < high, that all dimensions share")
    return float(scale[0]), float(scale[1])


def _refuse(what: str) -> NoReturn:
    problem = f"values of a task: {what}."
    raise SpecError(problem, "For example fer_bench.value_set(['pain'], scale=(0, 16)).")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
