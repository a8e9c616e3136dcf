"""Results of a verification: differences between stored and recomputed values, and the report of all of them; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench import __version__
from fer_bench.counting import counted
from fer_bench.errors import RecordError, VerificationError
from fer_bench.untrusted import shown

TOLERANCE = 1e-9
# Of what is shown of a value without spaces, of any other, and of a path.
_LONGEST = 60
_LONGEST_TEXT = 400
_LONGEST_PATH = 1000
_MOST_NAMES = 5
NO_RECORD_HINT = "`fer-bench run` makes a first record; FER_BENCH_LEADERBOARDS names another folder."


@dataclass(frozen=True)
class Difference:
    """One value of a record that does not follow from its predictions.

    Args:
        file: the record.
        key: of the value, as a path of keys.
        stored: value in the record; None where there is none.
        recomputed: the correct value, or what is wrong.
    """

    file: Path
    key: str
    stored: Any
    recomputed: Any

    def __str__(self) -> str:
        return (
            f"{shown(self.file, _LONGEST_PATH)}: {shown(self.key)}: stored {_short(self.stored)}, recomputed"
            f" {_short(self.recomputed)}"
        )


@dataclass(frozen=True)
class VerificationReport:
    """Outcome of a verification.

    Args:
        n_verified: records whose every number was recomputed.
        n_without: records of runs that failed or became NaN: nothing to recompute.
        differences: in the order of the files.
        looked_in: the folder of records.
        unknown_metrics: by name, in how many records of newer versions there is a metric that this one does not
            compute.
        n_lacking: verified records that lack metrics which are newer than they are.
        needs_plugins: by metric and plugin, in how many records there is a metric of a plugin that is not here.
        n_unchanged: verified records that were passed over, because their files have not changed since they were
            verified.
    """

    n_verified: int
    n_without: int
    differences: tuple[Difference, ...]
    looked_in: Path = Path()
    unknown_metrics: Mapping[str, int] = field(default_factory=dict)
    n_lacking: int = 0
    needs_plugins: Mapping[str, int] = field(default_factory=dict)
    n_unchanged: int = 0

    @property
    def found_none(self) -> bool:
        """Whether there was no record at all, readable or not."""
        return not (self.n_verified or self.n_without or self.differences)

    @property
    def ok(self) -> bool:
        """Whether there are records, and all their numbers follow from their predictions."""
        return not self.differences and not self.found_none

    def summary(self) -> str:
        """What was found, and what could not be recomputed, on one line."""
        if self.found_none:
            return f"No record was found in {self.looked_in}: nothing was verified."
        files = len({difference.file for difference in self.differences})
        found = (
            f"{counted(len(self.differences), 'difference')} in {counted(files, 'record')}"
            if self.differences
            else "no difference"
        )
        lacking = (
            f" {counted(self.n_lacking, 'record lacks', 'records lack')} newer metrics; `fer-bench rescore` adds them."
            if self.n_lacking
            else ""
        )
        return (
            f"{counted(self.n_verified - self.n_unchanged, 'record')} recomputed from their predictions,"
            f" {self.n_without} without any{self._unchanged()}: {found}.{lacking}{self._unknown()}"
        )

    def _unchanged(self) -> str:
        n = self.n_unchanged
        return f", {n} unchanged since they were (--all recomputes them)" if n else ""

    def _unknown(self) -> str:
        text = ""
        if self.unknown_metrics:
            unknown = _counted(self.unknown_metrics)
            text = f" Not recomputed, because fer_bench {__version__} does not know them: {unknown}."
        if self.needs_plugins:
            text += f" Not recomputed here: {_counted(self.needs_plugins)}."
        return text

    def require_any(self) -> None:
        """Raise if there was nothing to verify.

        Raises:
            RecordError: names the folder.
        """
        if self.found_none:
            raise RecordError(self.summary(), NO_RECORD_HINT)

    def require_ok(self) -> None:
        """Raise if anything differs, or if there was nothing to verify.

        Raises:
            VerificationError: names the first difference.
            RecordError: no record was found.
        """
        self.require_any()
        if self.differences:
            problem = f"{self.summary()} The first: {self.differences[0]}."
            raise VerificationError(problem, "Restore the files from version control, or repeat the runs.")


def _counted(names: Mapping[str, int]) -> str:
    listed = [f"{shown(name, 120)} in {n}" for name, n in sorted(names.items())]
    listed[_MOST_NAMES:] = [f"{len(listed) - _MOST_NAMES} more"] if len(listed) > _MOST_NAMES else []
    return ", ".join(listed)


def compare_values(stored: Any, recomputed: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Leaves in which two JSON values differ: (path of keys, stored, recomputed); floats may differ by 1e-9."""
    if isinstance(stored, Mapping) and isinstance(recomputed, Mapping):
        for name in sorted(stored.keys() | recomputed.keys()):
            inner = f"{key}.{name}"
            if name not in stored:
                yield inner, None, recomputed[name]
            elif name not in recomputed:
                yield inner, stored[name], None
            else:
                yield from compare_values(stored[name], recomputed[name], inner)
    elif isinstance(stored, list) and isinstance(recomputed, list) and len(stored) == len(recomputed):
        for i, pair in enumerate(zip(stored, recomputed, strict=True)):
            yield from compare_values(*pair, f"{key}.{i}")
    elif not equal_values(stored, recomputed):
        yield key, stored, recomputed


def equal_values(stored: Any, recomputed: Any) -> bool:
    """Whether two JSON leaves are equal: numbers within 1e-9, integers and truth values exactly."""
    if isinstance(stored, bool) or isinstance(recomputed, bool):
        return stored is recomputed
    if isinstance(stored, int | float) and isinstance(recomputed, int | float):
        # Integers of any length are compared as they are; as floats they may overflow.
        return stored == recomputed or (
            _is_small(stored)
            and _is_small(recomputed)
            and math.isclose(stored, recomputed, rel_tol=0.0, abs_tol=TOLERANCE)
        )
    return bool(stored == recomputed)


def _is_small(value: float) -> bool:
    return abs(value) < 2**63


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = shown(value, _LONGEST_TEXT)
    return text if isinstance(value, float) or len(text) <= _LONGEST or " " in text else text[:_LONGEST] + "…"
