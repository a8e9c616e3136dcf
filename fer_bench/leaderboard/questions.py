"""One row per kind of ensemble: of ensembles built in the same way from candidates of one kind, the board shows the one
that is best on validation; pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from fer_bench.ensembles.ensemble_record import validation_score_of
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row

# Inputs and outcomes of building an ensemble, not its method.
_OUTCOMES = frozenset({"n_members", "n_candidates"})


def one_per_question(
    protocol: Protocol, rows: Sequence[Row], records: Iterable[Record]
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows to show, and ensembles of the same kind that are worse on validation.

    A pool of networks grows in the course of a study, and every pool makes an ensemble: as rows they would crowd out
    the networks, and say one thing many times. What is asked is how members are chosen and joined, and whether their
    views were averaged before.

    Args:
        protocol: names the metric that chooses.
        rows: of the board.
        records: of the protocol, members among them.
    """
    views = {record.run_id: bool(record.spec.get("tta")) for record in records}
    alike: dict[str, list[Row]] = {}
    for row in rows:
        if row.kind == "ensemble":
            alike.setdefault(_question(row.records[0], views), []).append(row)
    sign = 1 if protocol.higher_is_better else -1
    folded = {
        (row.model, row.key)
        for group in alike.values()
        for row in sorted(group, key=lambda row: (-sign * _on_validation(protocol, row), row.key))[1:]
    }
    kept = tuple(row for row in rows if (row.model, row.key) not in folded)
    return kept, tuple(row for row in rows if (row.model, row.key) in folded)


def _question(record: Record, views: dict[str, bool]) -> str:
    members: Iterable[Any] = record.training.get("members") or ()
    averaged = any(views.get(str(member.get("run_id")), False) for member in members if isinstance(member, dict))
    way = {key: value for key, value in record.spec.items() if key not in _OUTCOMES}
    # What else a record says of the way that it was built: an ensemble whose members were chosen on test answers
    # another question.
    return json.dumps([way, averaged, sorted(record.caveats), record.model], sort_keys=True, default=str)


def _on_validation(protocol: Protocol, row: Row) -> float:
    values = [validation_score_of(record, protocol.primary) for record in row.records]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("-inf" if protocol.higher_is_better else "inf")
