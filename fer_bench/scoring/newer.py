"""Metrics that are newer than a record: what may be missing from it, and how that is added."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fer_bench import metrics
from fer_bench.results.record import Record


def newer_than(record: Record) -> frozenset[str]:
    """Names of the metrics that a record need not hold: those of later revisions of the table than it states, and those
    of plugins.
    """
    return frozenset(
        metric.name for metric in metrics.table() if metric.since is None or metric.since > record.metrics_version
    )


def lacking(record: Record, kind: str) -> tuple[str, ...]:
    """Which of them a finished record does not hold, although they are of its kind of task (``classes`` or
    ``values``).
    """
    newer = newer_than(record)
    return tuple(
        metric.name for metric in metrics.of_kind(kind) if metric.name in newer and metric.name not in record.metrics
    )


def expected(recomputed: Mapping[str, Any], stored: Mapping[str, Any], newer: Collection[str]) -> dict[str, Any]:
    """What a record should say: metrics as they are computed now, without what is of newer ones and is not stored, at
    any depth.
    """
    found = {}
    for name, value in recomputed.items():
        there = stored.get(name)
        if name not in stored and _metric_in(name) in newer:
            continue
        found[name] = (
            expected(value, there, newer) if isinstance(value, Mapping) and isinstance(there, Mapping) else value
        )
    return found


def without(metrics: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Metrics without those of some names, at any depth."""
    return {
        name: without(value, names) if isinstance(value, Mapping) else value
        for name, value in metrics.items()
        if _metric_in(name) not in names
    }


def with_newer(stored: Mapping[str, Any], recomputed: Mapping[str, Any], newer: Collection[str]) -> dict[str, Any]:
    """What is stored, as it is and in its order, and after it what is of newer metrics and is not stored, at any
    depth.
    """
    found = {}
    for name, value in stored.items():
        now = recomputed.get(name)
        found[name] = (
            with_newer(value, now, newer) if isinstance(value, Mapping) and isinstance(now, Mapping) else value
        )
    return found | {
        name: value for name, value in recomputed.items() if name not in stored and _metric_in(name) in newer
    }


def _metric_in(name: str) -> str:
    """The metric in a key of metrics: of ``intervals.valence/ccc`` and of ``reasons.valence.ccc`` it is ``ccc``."""
    return name.replace("/", ".").rsplit(".", 1)[-1]
