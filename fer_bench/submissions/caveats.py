"""What a reader must know of predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fer_bench.labels import plain
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.scoring.rows import counted_as

if TYPE_CHECKING:
    from fer_bench.submissions.questions import Questions

NOT_REPEATABLE = "not repeatable from here"
SEEN = "test faces possibly seen"
_PERFECT_FROM = 100
_EXACT = 1e-9


def of(protocol: Protocol, trained_on: Sequence[str], data: Mapping[str, Any]) -> list[str]:
    """Caveats of an external row.

    Args:
        protocol: with caveats of its own.
        trained_on: what its training data are said to be; empty where nothing is said.
        data: what the record says of the data.
    """
    found = [*protocol.caveats, NOT_REPEATABLE]
    found.append(f"trained on {', '.join(trained_on)}" if trained_on else "training data not stated")
    # Of its own training split the audit knows which test faces are in it; of any other data nobody does.
    if {plain(name) for name in trained_on} != {plain(protocol.dataset)}:
        found.append(SEEN)
    elif data.get("n_test_duplicates"):
        found.append(f"{data['n_test_duplicates']} test faces seen as near-duplicates")
    return list(dict.fromkeys(found))


def with_perfect(record: Record, protocol: Protocol) -> list[str]:
    """The caveats of a scored record, with one more where its score is perfect on more than a hundred samples."""
    value = record.metrics.get(protocol.primary)
    best = value is not None and abs(value - 1.0) <= _EXACT
    if not best or record.n_scored <= _PERFECT_FROM:
        return record.caveats
    return [*record.caveats, f"perfect score on {record.n_scored:,} samples"]


def notes(questions: Questions, what: str, n_missing: int) -> list[str]:
    """What is said of a record besides."""
    found = [f"targets are from {questions.source}"]
    if n_missing:
        counted = counted_as(questions.protocol.task.kind)
        found.append(f"{n_missing} of {len(questions.ids)} samples are not answered and count as {counted}")
    if what == "classes":
        found.append("classes without probabilities: NLL, Brier score, ECE and average precision say little")
    if (n := questions.data.get("n_test_duplicates")) is not None:
        found.append(
            f"{n} of {len(questions.ids)} test samples have a near-duplicate in another split:"
            f" `fer-bench audit {questions.dataset}` lists them, and `clean` scores leave them out"
        )
    if questions.data.get("known_copy") is False:
        found.append("another copy of the data than the one that the protocol ranks")
    return found
