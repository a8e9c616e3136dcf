"""score(): from predictions to every published number; the only way to a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics as table
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.scoring.classification import confusion_matrix, predicted_classes, scores_from_confusion
from fer_bench.scoring.intervals import bootstrap_confusion
from fer_bench.scoring.multilabel import score_categories
from fer_bench.scoring.probabilities import probability_scores
from fer_bench.scoring.value_scores import score_values


def score(protocol: Protocol, predictions: Predictions) -> dict[str, Any]:
    """Score one split under a protocol, in float64.

    Args:
        protocol: says what kind of outputs these are and how many samples must be scored.
        predictions: all samples of the split; nothing is dropped.

    Returns:
        Metrics ready for JSON: point values, ``intervals`` (95 %, bootstrap), per-class values, the confusion matrix,
        ``clean`` (the same without flagged duplicates, where the predictions have such a flag) and ``reasons`` for what
        is undefined.

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
    metrics = _classes(predictions, n_classes, intervals=True)
    duplicates = predictions.flags.get("duplicate")
    if duplicates is not None:
        clean = predictions.select(~duplicates)
        scores = _classes(clean, n_classes)
        metrics["clean"] = {"n": len(clean), **{name: scores[name] for name in table.names("confusion")}}
    return metrics


def correct(predictions: Predictions) -> npt.NDArray[np.bool_]:
    """Which samples were answered rightly, shape (N,)."""
    return np.asarray(predicted_classes(predictions.outputs) == predictions.targets)


def _classes(predictions: Predictions, n_classes: int, *, intervals: bool = False) -> dict[str, Any]:
    confusion = confusion_matrix(predictions.targets, predicted_classes(predictions.outputs), n_classes)
    metrics = scores_from_confusion(confusion)
    if not intervals:
        return metrics
    probabilities = probability_scores(predictions.targets, predictions.outputs)
    reasons = {**metrics.pop("reasons"), **probabilities.pop("reasons")}
    metrics |= probabilities
    metrics["confusion"] = confusion.tolist()
    metrics["intervals"] = {
        name: list(pair) if pair else None
        for name, pair in bootstrap_confusion(confusion, table.names("confusion")).items()
    }
    metrics["reasons"] = reasons
    return metrics
