"""Recall, precision and F1 of each class, means over seeds; pure."""

from __future__ import annotations

import math

from fer_bench.scoring.rows import Row

STATISTICS = ("recall", "precision", "f1")


def per_class(row: Row, n_classes: int) -> list[dict[str, float | None]]:
    """Scores of a row by class.

    Args:
        row: of a class task.
        n_classes: C.

    Returns:
        C mappings of statistic to its mean over the seeds; None where one of them has no such value.
    """
    return [{name: _mean(row, name, c) for name in STATISTICS} for c in range(n_classes)]


def _mean(row: Row, name: str, c: int) -> float | None:
    values = []
    for record in row.records:
        found = (record.metrics.get("per_class") or {}).get(name) or []
        values.append(found[c] if c < len(found) else None)
    known = [float(value) for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
