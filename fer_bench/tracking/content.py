"""What a tracker is told of a run, as plain types: its settings before it begins, its scores after its test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from fer_bench.results.record import Record

# Facts of a record that say how its result came about; where files are on this machine is in none of them.
_FACTS = ("run_id", "row", "kind", "protocol", "protocol_version", "dataset", "task", "model", "recipe", "seed")
_OF_TRAINING = ("epochs", "best_epoch", "selected_by", "selected_value", "seconds", "images_per_second", "micro_batch")


def config_of(record: Record) -> dict[str, Any]:
    """The whole resolved configuration: all settings, and what they met: data, hardware, code, parameters."""
    return {
        **{name: getattr(record, name) for name in _FACTS},
        "settings": record.spec,
        "hardware": record.hardware,
        "parameters": record.parameters,
        "code": record.code,
        "data": {name: record.data[name] for name in ("n", "checksums", "known_copy", "folds") if name in record.data},
        "caveats": record.caveats,
        "notes": record.notes,
    }


def tags_of(record: Record) -> list[str]:
    """Dataset, task and kind: by what runs are looked for; a suite adds its name."""
    return [record.dataset, record.task, record.kind]


def summary_of(record: Record) -> dict[str, Any]:
    """Status and scores of a finished run; every number of test and of validation by its path (``test/clean/f1``)."""
    facts = {f"training/{name}": record.training.get(name) for name in _OF_TRAINING if name in record.training}
    scores = {**flat_scores(record.validation_metrics, "validation"), **flat_scores(record.metrics, "test")}
    return {"status": record.status, "n_scored": record.n_scored, **facts, **scores}


def flat_scores(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Numbers of nested scores, each by its path; lists (matrices, scores by class) and undefined ones are left out."""
    return dict(_numbers(metrics, prefix))


def _numbers(metrics: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}/{name}")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}/{name}", value
