"""Which records are ranked, as which rows, and which are not; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fer_bench.protocols import Protocol
from fer_bench.results.copies import checksums_of
from fer_bench.results.naming import Named, unique_names
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row, by_seed, metric, rows_of


def row_names(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Names of rows by (model, key), unique on the board."""
    return unique_names(
        {(row.model, row.key): Named(row.model, row.recipe, row.records[0].spec, row.key) for row in rows}
    )


@dataclass(frozen=True)
class Unranked:
    """A record that is not ranked, and why."""

    record: Record
    reason: str


@dataclass(frozen=True)
class Sorted:
    """Records of one protocol, sorted into rows and the rest.

    Args:
        rows: unordered.
        unranked: unranked records, by model, run id.
        n_test: samples that each ranked record scored; None without any.
        n_duplicates: how many of them have a near-duplicate in another split; None where that is not known.
    """

    rows: tuple[Row, ...]
    unranked: tuple[Unranked, ...]
    n_test: int | None
    n_duplicates: int | None


def sort_records(protocol: Protocol, records: Iterable[Record]) -> Sorted:
    """Decide which records are ranked, and group those that share their settings.

    Args:
        protocol: pins version, n_test and checksums, the last two where it can. Where it does not, the number of
            samples that most records scored is n_test.
        records: of this protocol and, where it pins no checksums, of one copy of the data (see
            :mod:`fer_bench.results.copies`), in any order.
    """
    ordered = sorted(
        _without_parts(record for record in records if record.ranked),
        key=lambda record: (record.model, record.recipe, record.row, by_seed(record)),
    )
    candidates = [record for record in ordered if is_candidate(record, protocol.version)]
    copy = protocol.checksums or max((checksums_of(record) for record in candidates), key=len, default={})
    on_copy = [record for record in candidates if _same_copy(record, copy)]
    n_test = protocol.n_test if protocol.n_test is not None else _most_common(record.n_scored for record in on_copy)
    unranked, ranked = list[Unranked](), list[Record]()
    for record in ordered:
        reason = _why_apart(record, protocol, copy, n_test)
        if reason:
            unranked.append(Unranked(record, reason))
        else:
            ranked.append(record)
    n_unranked = Counter((entry.record.model, entry.record.row) for entry in unranked)
    rows = tuple(replace(row, n_unranked=n_unranked[row.model, row.key]) for row in rows_of(ranked))
    duplicates = _most_common(
        r.data["n_test_duplicates"]
        for row in rows
        for r in row.records
        if isinstance(r.data.get("n_test_duplicates"), int)
    )
    return Sorted(rows, tuple(unranked), n_test, duplicates)


def is_candidate(record: Record, version: int) -> bool:
    """Whether a record may be ranked by this version of its protocol, if it was scored on the right data."""
    return (
        record.ranked
        and record.status == "finished"
        and record.protocol_version == version
        and not record.data.get("fold")
    )


def _without_parts(records: Iterable[Record]) -> list[Record]:
    """Leave out folds whose cross-validation has a record: their samples are in that record."""
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
