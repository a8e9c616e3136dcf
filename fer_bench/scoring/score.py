"""score(): from predictions to every published number; the only way to a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics as table
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.scoring.classification import confusion_matrix, predicted_classes, scores_from_confusion
from fer_bench.scoring.intervals import bootstrap_confusion, bootstrap_grouped
from fer_bench.scoring.multilabel import score_categories
from fer_bench.scoring.probabilities import probability_scores
from fer_bench.scoring.value_scores import score_values


def score(protocol: Protocol, predictions: Predictions, *, by_sample: bool = False) -> dict[str, Any]:
    """Score one split under a protocol, in float64.

    Args:
        protocol: says what kind of outputs these are and how many samples must be scored.
        predictions: all samples of the split; nothing is dropped.
        by_sample: of classes, resample single samples where there are groups, as records did that do not say how many
            groups there are (:func:`resampled_by_sample`).

    Returns:
        Metrics ready for JSON: point values, ``intervals`` (95 %, bootstrap over whole groups where predictions have
        groups, of which there are ``n_groups``), per-class values, the confusion matrix, ``clean`` (the same without
        flagged duplicates, where the predictions have such a flag) and ``reasons`` for what is undefined.

    Raises:
        RecordError: targets or outputs do not fit the protocol.
    """
    if protocol.task.kind == "labels":
        return score_categories(protocol.task.dimensions, predictions)
    if protocol.task.labels is None:
        return score_values(protocol.task.dimensions, protocol.scale, predictions)
    n_classes = len(protocol.task.labels)
    if predictions.outputs.ndim != 2 or predictions.outputs.shape[1] != n_classes:
        problem = f"outputs of shape {predictions.outputs.shape} do not fit the {n_classes} classes of {protocol.name}."
        raise RecordError(problem)
    metrics = _classes(predictions, n_classes, intervals=True, by_sample=by_sample)
    duplicates = predictions.flags.get("duplicate")
    if duplicates is not None:
        clean = predictions.select(~duplicates)
        scores = _classes(clean, n_classes)
        metrics["clean"] = {"n": len(clean), **{name: scores[name] for name in table.names("confusion")}}
    return metrics


def resampled_by_sample(metrics: Mapping[str, Any]) -> bool:
    """Whether the intervals of stored metrics of classes are over single samples, whatever groups these are in: records
    of the first versions do not say how many groups there are.
    """
    return "n_groups" not in metrics


def correct(predictions: Predictions) -> npt.NDArray[np.bool_]:
    """Which samples were answered rightly, shape (N,)."""
    return np.asarray(predicted_classes(predictions.outputs) == predictions.targets)


def _classes(
    predictions: Predictions, n_classes: int, *, intervals: bool = False, by_sample: bool = False
) -> dict[str, Any]:
    answers = predicted_classes(predictions.outputs)
    confusion = confusion_matrix(predictions.targets, answers, n_classes)
    metrics = scores_from_confusion(confusion)
    if not intervals:
        return metrics
    probabilities = probability_scores(predictions.targets, predictions.outputs)
    reasons = {**metrics.pop("reasons"), **probabilities.pop("reasons")}
    metrics |= probabilities
    metrics["confusion"] = confusion.tolist()
    names, groups = table.names("confusion"), None if by_sample else predictions.groups
    if groups is None:
        found = bootstrap_confusion(confusion, names)
    else:
        targets = np.asarray(predictions.targets, dtype=np.int64)
        found = bootstrap_grouped(targets, answers, n_classes, groups, names)
        metrics["n_groups"] = len(np.unique(groups))
        if metrics["n_groups"] == 1:
            reasons["intervals"] = "all samples are of one group"
    metrics["intervals"] = {name: list(pair) if pair else None for name, pair in found.items()}
    metrics["reasons"] = reasons
    return metrics
