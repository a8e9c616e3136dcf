"""The same settings under other splits, side by side: the effect of leakage between train and test; pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fer_bench.cross_validation import KEYS
from fer_bench.protocols import Protocol
from fer_bench.scoring.rows import Row
from fer_bench.spec import NO_SETTINGS


@dataclass(frozen=True)
class Sibling:
    """Another protocol of the same dataset and task, and its ranked rows."""

    protocol: Protocol
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class SideBySide:
    """One row's primary metric here and under each sibling; None where those settings were not run."""

    row: Row
    here: float | None
    there: tuple[float | None, ...]


def side_by_side(protocol: Protocol, rows: Sequence[Row], siblings: Sequence[Sibling]) -> list[SideBySide]:
    """Rows that have a counterpart under at least one sibling, in the order given."""
    of_splits = {*KEYS, *protocol.options, *(key for sibling in siblings for key in sibling.protocol.options)}
    known = [{_settings(row, of_splits): row for row in sibling.rows} for sibling in siblings]
    found = []
    for row in rows:
        partners = [rows_there.get(_settings(row, of_splits)) for rows_there in known]
        if any(partners):
            there = tuple(None if partner is None else partner.value(protocol.primary) for partner in partners)
            found.append(SideBySide(row, row.value(protocol.primary), there))
    return found


def _settings(row: Row, of_splits: Collection[str]) -> str:
    """All settings but those of the splits."""
    spec = {key: value for key, value in row.records[0].spec.items() if key not in NO_SETTINGS}
    options = spec.get("dataset_options") or {}
    spec["dataset_options"] = {key: value for key, value in options.items() if key not in of_splits}
    return json.dumps([row.kind, row.model, spec], sort_keys=True)
