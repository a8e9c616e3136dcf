"""Which rows of a grid are ranked, and the grid at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.protocols import SELECTED_ON_TEST, Protocol
from fer_bench.results.record import Record

ON_VALIDATION, ON_TEST = "chosen on validation", "chosen on test"


def choose(records: Sequence[Record], protocol: Protocol, recipe: str) -> list[Record]:
    """Say which rows of a grid are ranked.

    Args:
        records: one per head.
        protocol: names the metric.
        recipe: what the rows are, in words.

    Returns:
        The records, in their order, with recipe, caveats and ``ranked`` filled in. A row with a head whose loss became
        NaN is never chosen; if there is no other, all are ranked, so that the failure is seen.
    """
    means = {split: _means(records, protocol.primary, split) for split in ("validation", "test")}
    sign = 1.0 if protocol.higher_is_better else -1.0
    best = {
        split: max(values, key=lambda row: (sign * values[row], row)) if (values := means[split]) else None
        for split in ("validation", "test")
    }
    done = []
    for record in records:
        updates: dict[str, Any] = {"recipe": recipe, "ranked": best["validation"] is None}
        if record.row == best["validation"] and SELECTED_ON_TEST in protocol.caveats:
            updates |= {"ranked": True, "recipe": f"{recipe}, {ON_TEST}"}
        elif record.row == best["validation"]:
            also = ", also best on test" if record.row == best["test"] else ""
            updates |= {"ranked": True, "recipe": f"{recipe}, {ON_VALIDATION}{also}"}
        elif record.row == best["test"]:
            updates |= {
                "ranked": True,
                "recipe": f"{recipe}, {ON_TEST}",
                "caveats": [*record.caveats, SELECTED_ON_TEST],
            }
        done.append(record.model_copy(update=updates))
    return done


def _means(records: Sequence[Record], primary: str, split: str) -> dict[str, float]:
    """Mean over seeds of the primary metric, of the rows all of whose heads have one."""
    values: dict[str, list[float | None]] = {}
    for record in records:
        metrics = record.metrics if split == "test" else record.validation_metrics
        values.setdefault(record.row, []).append(metrics.get(primary))
    return {
        row: float(np.mean([v for v in found if v is not None])) for row, found in values.items() if None not in found
    }


@dataclass(frozen=True)
class Line:
    """A row of a grid at a glance.

    Args:
        knob: what is turned: ``lr`` or ``penalty``.
        value: of it.
        loss: of the heads.
        validation: mean over the seeds of the score on validation; None where one is undefined.
        test: likewise on test.
        std: standard deviation over the seeds on test (ddof 1).
        n: seeds.
    """

    knob: str
    value: float
    loss: str
    validation: float | None
    test: float | None
    std: float | None
    n: int


def table(records: Sequence[Record], primary: str) -> list[Line]:
    """The rows of a grid, in its order, by one metric."""
    rows: dict[str, list[Record]] = {}
    for record in records:
        rows.setdefault(record.row, []).append(record)
    validation, test = (_means(records, primary, split) for split in ("validation", "test"))
    out = []
    for row, members in rows.items():
        values = [value for member in members if (value := member.metrics.get(primary)) is not None]
        std = float(np.std(values, ddof=1)) if len(values) == len(members) > 1 else None
        spec = members[0].spec
        knob = "lr" if "lr" in spec else "penalty"
        found = validation.get(row), test.get(row)
        out.append(Line(knob, float(spec[knob]), str(spec["loss"]), *found, std, len(members)))
    return out
