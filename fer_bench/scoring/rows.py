"""Rows: runs of the same settings under different seeds, and their scores over the seeds; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fer_bench.results.record import Kind, Record
from fer_bench.scoring.intervals import mean_std
from fer_bench.scoring.resampling import Interval


def metric(metrics: Mapping[str, Any], name: str) -> float | None:
    """A number among metrics, by name or by path (``clean/accuracy``); None where it is undefined or not there."""
    value: Any = metrics.get(name)
    if value is None and "/" in name:
        value = metrics
        for part in name.split("/"):
            value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def mean(each: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Mean over runs of a number among their metrics; None where one lacks it."""
    known = _of_all(each, name)
    return math.fsum(known) / len(known) if known else None


def std(each: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Standard deviation over runs (ddof 1); None for one run, or where one lacks it."""
    return mean_std(_of_all(each, name))[1]


def mean_at(lists: Sequence[Sequence[float | None]], at: int) -> float | None:
    """Mean over runs of one entry of a list among their metrics, such as those by class; None where one lacks it."""
    values = [found[at] if at < len(found) else None for found in lists]
    known = [float(value) for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def mean_interval(each: Sequence[Mapping[str, Any]], name: str) -> Interval:
    """Mean over runs of the lower and of the upper ends of their intervals; None where one lacks it."""
    pairs = [pair for metrics in each if (pair := (metrics.get("intervals") or {}).get(name)) is not None]
    if len(pairs) < len(each):
        return None
    return math.fsum(pair[0] for pair in pairs) / len(pairs), math.fsum(pair[1] for pair in pairs) / len(pairs)


def counted_as(kind: str) -> str:
    """As what a sample without an answer counts, in a task of a kind."""
    return {"values": "the middle of the scale", "labels": "last in the order of every category"}.get(kind, "wrong")


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard: the same settings under one or more seeds.

    Args:
        key: digest of the settings without the seed.
        records: at least one, by seed.
        n_unranked: records of the same settings that are not ranked; the row is marked as incomplete.
    """

    key: str
    records: tuple[Record, ...]
    n_unranked: int = 0

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.records[0].model

    @property
    def recipe(self) -> str:
        """Short name of the settings; may be empty."""
        return self.records[0].recipe

    @property
    def kind(self) -> Kind:
        """How its predictions were made."""
        return self.records[0].kind

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Caveats of all its records, and of incomplete rows."""
        found = dict.fromkeys(caveat for record in self.records for caveat in record.caveats)
        unanswered = [int(metric(record.metrics, "n_unanswered") or 0) for record in self.records]
        if any(unanswered):
            found_in = self.records[0].metrics
            counted = counted_as("values" if "ccc" in found_in else "labels" if "map" in found_in else "classes")
            found[f"{_range(unanswered)} unanswered, counted as {counted}"] = None
        if self.n_unranked:
            found[f"{self.n_unranked} more {'run' if self.n_unranked == 1 else 'runs'} not ranked"] = None
        return tuple(found)

    def value(self, name: str) -> float | None:
        """Mean over seeds; None where a seed has no such value."""
        return mean([record.metrics for record in self.records], name)

    def by_own_labels(self, name: str) -> float | None:
        """Mean over seeds on the same images by the dataset's own labels, where other labels are used for scoring; None
        elsewhere.
        """
        values = [
            (record.data.get("judged_by") or {}).get("scores_by_own_labels", {}).get(name) for record in self.records
        ]
        return None if None in values else mean_std([float(value) for value in values if value is not None])[0]

    def std(self, name: str) -> float | None:
        """Standard deviation over seeds (ddof 1); None for one seed."""
        return std([record.metrics for record in self.records], name)

    def interval(self, name: str) -> Interval:
        """95 % bootstrap interval over test samples; of several seeds, the mean of their lower and of their upper
        ends.
        """
        return mean_interval([record.metrics for record in self.records], name)


def by_seed(record: Record) -> tuple[int, str]:
    """Sorts the records of a row."""
    return -1 if record.seed is None else record.seed, record.run_id


def rows_of(records: Iterable[Record]) -> list[Row]:
    """Records by row; rows, and the records of each, in the order given."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.model, record.row), []).append(record)
    return [Row(key, tuple(members)) for (_, key), members in found.items()]


def _of_all(each: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    values = [metric(metrics, name) for metrics in each]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"
