"""scored(): from predictions to what a record says of them; the one way for every kind of record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from fer_bench import metric_plugins, metrics
from fer_bench.metric_plugins import STATED
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results import provenance
from fer_bench.results.record import Record, pack_outcomes
from fer_bench.scoring.classification import confusion_matrix, predicted_classes, scores_from_confusion
from fer_bench.scoring.moments import mean_ccc, sums
from fer_bench.scoring.probabilities import probability_scores
from fer_bench.scoring.regression import answer_missing
from fer_bench.scoring.score import correct, score


def scored(draft: Record, protocol: Protocol, predictions: Mapping[str, Predictions], *, created: str = "") -> Record:
    """A record with everything that follows from its predictions.

    Args:
        draft: what is known besides; whatever it says of another result of its own (scores, outcomes, time) is
            replaced.
        protocol: by which it is judged.
        predictions: ``test``, and ``validation`` where there is such a split; others are left alone.
        created: UTC, ISO 8601; empty: now. The records of a grid share one time.

    Returns:
        The draft with ``metrics``, ``validation_metrics`` (empty without that split), ``metrics_version``,
        ``n_scored``, ``code`` with the plugins of its metrics, ``outcomes`` (empty for values) and ``created``.

    Raises:
        RecordError: predictions do not fit the protocol.
    """
    test, validation = predictions["test"], predictions.get("validation")
    return draft.model_copy(
        update={
            "metrics": score(protocol, test),
            "metrics_version": metrics.revision(),
            "validation_metrics": {} if validation is None else score(protocol, validation),
            "n_scored": len(test),
            "code": with_metric_plugins(draft.code, protocol.task.kind),
            "outcomes": _outcomes(protocol, test),
            "created": created or provenance.now(),
        }
    )


def with_metric_plugins(code: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a record says of its code, with the plugins that bring metrics of its kind of task (``classes``,
    ``labels`` or ``values``), and no others that do.
    """
    stated = {key: facts for key, facts in (code.get("plugins") or {}).items() if not key.startswith(STATED)}
    stated |= metric_plugins.facts(metric.takes for metric in metrics.of_kind(kind))
    return {key: value for key, value in code.items() if key != "plugins"} | ({"plugins": stated} if stated else {})


def without_scores(draft: Record, message: str, *, created: str = "") -> Record:
    """The record of a run whose loss was no longer a number: it says why, and has no scores."""
    return draft.model_copy(update={"status": "nan", "message": message, "created": created or provenance.now()})


def scored_on_train(protocol: Protocol, predictions: Predictions) -> dict[str, Any]:
    """What ``training.on_train`` of a record says of the training split.

    Args:
        protocol: by which the run is judged.
        predictions: of the training split.

    Returns:
        ``n``; of classes ``accuracy`` and ``outcomes``, one bit per sample, the ``confusion`` matrix with the scores
        that follow from it, those of each class included, and ``macro_ap``, which nothing stored recomputes; of values
        ``ccc``, the mean over dimensions, and the ``sums`` from which it follows, shape (D, 7) as in
        :mod:`fer_bench.scoring.moments`.
    """
    found: dict[str, Any] = {"n": len(predictions)}
    if protocol.task.kind == "classes":
        right = {"accuracy": float(correct(predictions).mean()), "outcomes": _outcomes(protocol, predictions)}
        classes = predicted_classes(predictions.outputs)
        confusion = confusion_matrix(predictions.targets, classes, predictions.outputs.shape[1])
        ap = probability_scores(predictions.targets, predictions.outputs)["macro_ap"]
        return found | right | {"macro_ap": ap, "confusion": confusion.tolist(), **scores_on_train(confusion)}
    total = sums(predictions.targets, answer_missing(predictions.outputs, protocol.scale)).sum(axis=0)
    return found | {"ccc": mean_ccc(total), "sums": total.tolist()}


def scores_on_train(confusion: npt.ArrayLike) -> dict[str, Any]:
    """What of ``training.on_train`` follows from its confusion matrix, shape (C, C + 1)."""
    found = scores_from_confusion(confusion)
    kept = {name: found[name] for name in ("macro_f1", "weighted_f1")}
    return kept | {"per_class": {name: found["per_class"][name] for name in ("recall", "precision", "f1")}}


def _outcomes(protocol: Protocol, predictions: Predictions) -> str:
    """Which samples were answered rightly, packed; several labels and values are neither right nor wrong."""
    return pack_outcomes(correct(predictions)) if protocol.task.kind == "classes" else ""
