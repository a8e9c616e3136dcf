"""Recall, precision and F1 of each class, and average precision of each category, means over seeds; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fer_bench.leaderboard.reported import Statistic
from fer_bench.scoring.rows import Row, mean_at

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


def category_means(row: Row, n: int) -> list[float | None]:
    """Average precision of each of n categories, of a row of several labels."""
    return [mean_at([record.metrics.get("average_precision") or [] for record in row.records], k) for k in range(n)]


def _mean(each: Sequence[Mapping[str, Any]], name: str, c: int) -> float | None:
    return mean_at([(metrics.get("per_class") or {}).get(name) or [] for metrics in each], c)
