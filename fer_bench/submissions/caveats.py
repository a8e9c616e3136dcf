"""What a reader must know of predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fer_bench.labels import plain
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.scoring.rows import counted_as

if TYPE_CHECKING:
    from fer_bench.submissions.questions import Questions
    from fer_bench.submissions.submit import Statement

NOT_REPEATABLE = "not repeatable from here"
SEEN = "test faces possibly seen"
NOTHING = "nothing"
_PERFECT_FROM = 100
_EXACT = 1e-9
# What rounding to float32 may add to a value, as a share of the scale.
_ROUNDING = 1e-6
# Scales that reach so far are not confused with -1 to 1.
_WIDE = 3


def of(protocol: Protocol, statement: Statement, data: Mapping[str, Any]) -> list[str]:
    """Caveats of an external row.

    Args:
        protocol: with caveats of its own.
        statement: what is said of the model.
        data: what the record says of the data.
    """
    trained_on = statement.trained_on
    found = [*protocol.caveats, *statement.caveats, *([] if statement.source else [NOT_REPEATABLE])]
    found.append(f"trained on {', '.join(trained_on)}" if trained_on else "training data not stated")
    # Of its own training split the audit knows which test faces are in it; of any other data nobody does.
    data_of = {plain(name) for name in trained_on}
    if data_of == {NOTHING}:
        pass
    elif data_of != {plain(protocol.dataset)} or (statement.source and data.get("tested")):
        # One network that was trained here has seen some of all samples; answers alone may be those of several.
        found.append(SEEN)
    elif data.get("n_test_duplicates"):
        found.append(f"{data['n_test_duplicates']} test faces seen as near-duplicates")
    return list(dict.fromkeys(found))


def outside(protocol: Protocol, outputs: npt.NDArray[np.float32]) -> list[str]:
    """A caveat where values, shape (N, D), are outside the scale; they are scored as they are."""
    if protocol.task.labels is not None:
        return []
    (low, high), slack = protocol.scale, _ROUNDING * (protocol.scale[1] - protocol.scale[0])
    n = int(((outputs < low - slack) | (outputs > high + slack)).any(axis=1).sum())
    if not n:
        return []
    return [f"{n} of {len(outputs)} predictions outside the scale of {low:g} to {high:g}"]


def narrow(protocol: Protocol, outputs: npt.NDArray[np.float32]) -> list[str]:
    """A caveat where all values, shape (N, D), are within -1 and 1, as many programs have them, and the protocol's are
    not.
    """
    if protocol.task.labels is not None or not len(outputs):
        return []
    low, high = protocol.scale
    if np.nanmax(np.abs(outputs), initial=0) > 1 or max(-low, high) < _WIDE:
        return []
    return [f"no prediction beyond -1 and 1, on a scale of {low:g} to {high:g}: perhaps not mapped to it"]


def with_perfect(record: Record, protocol: Protocol) -> list[str]:
    """The caveats of a scored record, with one more where its score is perfect on more than a hundred samples."""
    value = record.metrics.get(protocol.primary)
    best = value is not None and abs(value - 1.0) <= _EXACT
    if not best or record.n_scored <= _PERFECT_FROM:
        return record.caveats
    return [*record.caveats, f"perfect score on {record.n_scored:,} samples"]


def notes(questions: Questions, what: str, n_missing: int) -> list[str]:
    """What is said of a record besides."""
    found = [f"targets are from {questions.source}", *questions.notes]
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
