"""From records to rows: who takes part in the ranking, and what the seeds of one row say together; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fer_bench.errors import RecordError, SpecError
from fer_bench.protocols import Protocol, protocol_named
from fer_bench.results.copies import checksums_of
from fer_bench.results.naming import Named, unique_names
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


def protocol_of(record: Record) -> Protocol:
    """The protocol by which a record was judged.

    Raises:
        UnknownNameError: its task does not exist.
        RecordError: its protocol is not that of its dataset and task.
    """
    try:
        return protocol_named(record.protocol, record.dataset, record.task)
    except SpecError:
        problem = (
            f"record {record.run_id}: protocol {record.protocol!r} is not that of dataset {record.dataset!r} and task"
            f" {record.task!r}."
        )
        raise RecordError(problem, "Use the version of fer_bench that wrote it.") from None


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard: the same settings under one or more seeds.

    Args:
        key: digest of the settings without the seed.
        records: at least one, by seed.
        n_apart: records of the same settings that are listed apart; a row of survivors is shown as such.
    """

    key: str
    records: tuple[Record, ...]
    n_apart: int = 0

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
        """How its predictions came about."""
        return self.records[0].kind

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Caveats of all its records, and what is missing from it."""
        found = dict.fromkeys(caveat for record in self.records for caveat in record.caveats)
        unanswered = [int(metric(record.metrics, "n_unanswered") or 0) for record in self.records]
        if any(unanswered):
            found[f"{_range(unanswered)} unanswered, counted as wrong"] = None
        if self.n_apart:
            found[f"{self.n_apart} more {'run' if self.n_apart == 1 else 'runs'} listed apart"] = None
        return tuple(found)

    def value(self, name: str) -> float | None:
        """Mean over seeds; None where a seed has no such value."""
        values = [metric(record.metrics, name) for record in self.records]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) if len(known) == len(values) else None

    def by_own_labels(self, name: str) -> float | None:
        """Mean over seeds on the same images by the dataset's own labels, where other labels judge here; None
        elsewhere.
        """
        values = [
            (record.data.get("judged_by") or {}).get("scores_by_own_labels", {}).get(name) for record in self.records
        ]
        return None if None in values else mean_std([float(value) for value in values if value is not None])[0]

    def std(self, name: str) -> float | None:
        """Standard deviation over seeds (ddof 1); None for one seed."""
        values = [metric(record.metrics, name) for record in self.records]
        return (
            None if len(values) < 2 or None in values else mean_std([value for value in values if value is not None])[1]
        )

    def interval(self, name: str) -> Interval:
        """95 % bootstrap interval over test samples; of several seeds, the mean of their lower and of their upper
        ends.
        """
        pairs = [
            pair for record in self.records if (pair := (record.metrics.get("intervals") or {}).get(name)) is not None
        ]
        if len(pairs) < len(self.records):
            return None
        return math.fsum(pair[0] for pair in pairs) / len(pairs), math.fsum(pair[1] for pair in pairs) / len(pairs)


def row_names(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Names of rows by (model, key), unique on the board."""
    return unique_names(
        {(row.model, row.key): Named(row.model, row.recipe, row.records[0].spec, row.key) for row in rows}
    )


@dataclass(frozen=True)
class Apart:
    """A record that is not ranked, and why."""

    record: Record
    reason: str


@dataclass(frozen=True)
class Sorted:
    """Records of one protocol, sorted into rows and the rest.

    Args:
        rows: in no particular order of merit.
        apart: by model, run id.
        n_test: samples that each ranked record scored; None without any.
        n_duplicates: how many of them have a near copy in another split; None where that is not known.
    """

    rows: tuple[Row, ...]
    apart: tuple[Apart, ...]
    n_test: int | None
    n_duplicates: int | None


def sort_records(protocol: Protocol, records: Iterable[Record]) -> Sorted:
    """Decide which records are ranked, and join those that share their settings.

    Args:
        protocol: pins version, n_test and checksums, the last two where it can. Where it does not, the number of
            samples that most records scored is n_test.
        records: of this protocol and, where it pins no checksums, of one copy of the data (see
            :mod:`fer_bench.results.copies`), in any order.
    """
    ordered = sorted(
        _without_parts(record for record in records if record.ranked),
        key=lambda record: (
            record.model,
            record.recipe,
            record.row,
            -1 if record.seed is None else record.seed,
            record.run_id,
        ),
    )
    candidates = [
        record
        for record in ordered
        if record.status == "finished" and record.protocol_version == protocol.version and not record.data.get("fold")
    ]
    copy = protocol.checksums or max((checksums_of(record) for record in candidates), key=len, default={})
    on_copy = [record for record in candidates if _same_copy(record, copy)]
    n_test = protocol.n_test if protocol.n_test is not None else _most_common(record.n_scored for record in on_copy)
    apart, groups = [], dict[tuple[str, str], list[Record]]()
    for record in ordered:
        reason = _why_apart(record, protocol, copy, n_test)
        if reason:
            apart.append(Apart(record, reason))
        else:
            groups.setdefault((record.model, record.row), []).append(record)
    n_apart = Counter((entry.record.model, entry.record.row) for entry in apart)
    rows = tuple(Row(key[1], tuple(members), n_apart[key]) for key, members in groups.items())
    duplicates = _most_common(
        r.data["n_test_duplicates"]
        for row in rows
        for r in row.records
        if isinstance(r.data.get("n_test_duplicates"), int)
    )
    return Sorted(rows, tuple(apart), n_test, duplicates)


def _without_parts(records: Iterable[Record]) -> list[Record]:
    """Leave out the folds of experiments that are there: their samples are in the experiment's record."""
    found = list(records)
    parts = {str(part) for record in found for part in record.data.get("folds") or ()}
    return [record for record in found if record.run_id not in parts]


def _why_apart(record: Record, protocol: Protocol, copy: Mapping[str, str], n_test: int | None) -> str:
    """Why a record is not ranked; empty if it is."""
    if record.status != "finished":
        return "the loss became NaN" if record.status == "nan" else f"failed: {record.message}".rstrip(": ")
    if record.protocol_version != protocol.version:
        return f"protocol version {record.protocol_version}, current is {protocol.version}"
    if fold := record.data.get("fold"):
        return (
            f"fold {fold['fold'] + 1} of {fold['folds']} alone; the score of all of them needs --folds {fold['folds']}"
        )
    if not _same_copy(record, copy):
        return "another copy of the data" if record.data.get("checksums") else "does not say on which copy of the data"
    if record.n_scored != n_test:
        return f"scored {record.n_scored} samples, the protocol has {n_test}"
    if metric(record.metrics, protocol.primary) is None:
        why = (record.metrics.get("reasons") or {}).get(protocol.primary.replace("/", "."))
        return f"{protocol.primary} is undefined" + (f": {why}" if why else "")
    return ""


def _same_copy(record: Record, copy: Mapping[str, str]) -> bool:
    """Whether a record names the test split of the current copy, and no other split of another one (an ensemble has
    seen no train split).
    """
    stated = record.data.get("checksums") or {}
    return all(stated.get(split, None if split == "test" else value) == value for split, value in copy.items())


def _most_common(values: Iterable[Any]) -> Any:
    """The most frequent value, the smallest of several; None without any."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"
