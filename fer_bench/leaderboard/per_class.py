"""Recall, precision and F1 of each class, means over seeds; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fer_bench.leaderboard.reported import Statistic
from fer_bench.scoring.rows import Row

STATISTICS: tuple[Statistic, ...] = ("recall", "precision", "f1")


def per_class(row: Row, n_classes: int, *, on_train: bool = False) -> list[dict[Statistic, float | None]]:
    """Scores of a row by class.

    Args:
        row: of a class task.
        n_classes: C.
        on_train: of the training split, instead of the test.

    Returns:
        C mappings of statistic to its mean over the seeds; None where one of them has no such value.
    """
    each = [(record.training.get("on_train") or {}) if on_train else record.metrics for record in row.records]
    return [{name: _mean(each, name, c) for name in STATISTICS} for c in range(n_classes)]


def _mean(each: Sequence[Mapping[str, Any]], name: str, c: int) -> float | None:
    values = []
    for metrics in each:
        found = (metrics.get("per_class") or {}).get(name) or []
        values.append(found[c] if c < len(found) else None)
    known = [float(value) for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
