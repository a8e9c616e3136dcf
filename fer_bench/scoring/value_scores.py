"""Scores of a protocol of values: valence, arousal, their mean, intervals by clip, and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer_bench import metrics as table
from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.scoring.intervals import mean_std
from fer_bench.scoring.moments import bootstrap_values
from fer_bench.scoring.regression import Range, answer_missing, va_scores

FOLD_FLAG = "fold_"


def score_values(names: Sequence[str], scale: Range, predictions: Predictions) -> dict[str, Any]:
    """Score values, in float64.

    Args:
        names: of the D dimensions.
        scale: (low, high) of the dataset.
        predictions: targets and outputs of shape (N, D), in the dataset's units. Flags ``fold_0``, ``fold_1``, ... say
            which fold tested a sample.

    Returns:
        One dict per name and ``mean``, as :func:`~fer_bench.scoring.regression.va_scores` gives them; the means once
        more at the top (``ccc``, ``rmse``, ...); ``intervals`` (95 %, bootstrap over whole groups where predictions
        have groups), ``n_groups``; ``clean`` without flagged duplicates; and, of several folds, ``folds``: the mean and
        the standard deviation over folds of each fold's own scores, while everything else is over all samples together.

    Raises:
        RecordError: shapes do not fit the dimensions.
    """
    if predictions.outputs.ndim != 2 or predictions.outputs.shape[1] != len(names):
        problem = (
            f"outputs of shape {predictions.outputs.shape} do not fit the {len(names)} dimensions {', '.join(names)}."
        )
        raise RecordError(problem)
    metrics = _point(names, scale, predictions)
    answers = answer_missing(predictions.outputs, scale)
    intervals = bootstrap_values(predictions.targets, answers, tuple(names), predictions.groups)
    metrics["intervals"] = {name: None if pair is None else list(pair) for name, pair in intervals.items()}
    metrics["n_groups"] = None if predictions.groups is None else len(np.unique(predictions.groups))
    if metrics["n_groups"] == 1:
        metrics["reasons"]["intervals"] = "all samples are of one group"
    duplicates = predictions.flags.get("duplicate")
    if duplicates is not None:
        clean = _point(names, scale, predictions.select(~duplicates))
        metrics["clean"] = {"n": clean["n"], **{metric.name: clean[metric.name] for metric in table.of_kind("values")}}
    folds = [flag for name, flag in sorted(predictions.flags.items()) if name.startswith(FOLD_FLAG)]
    if folds:
        metrics["folds"] = over_folds([_point(names, scale, predictions.select(flag)) for flag in folds], names)
    return metrics


def over_folds(scores: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Mean and standard deviation (ddof 1) over folds of each fold's own scores.

    Args:
        scores: one per fold.
        names: of the dimensions.

    Returns:
        ``n``, ``averaged`` and ``std`` by path (``ccc``, ``valence/ccc``); None where a fold's score is undefined.
    """
    keys = [metric.name for metric in table.of_kind("values")]
    paths = [*((key,) for key in keys), *((name, key) for name in names for key in keys)]
    found: dict[str, Any] = {"n": len(scores), "averaged": {}, "std": {}}
    for path in paths:
        values = [fold[path[0]] if len(path) == 1 else fold[path[0]][path[1]] for fold in scores]
        mean, std = (None, None) if None in values else mean_std(values)
        found["averaged"]["/".join(path)], found["std"]["/".join(path)] = mean, std
    return found


def _point(names: Sequence[str], scale: Range, predictions: Predictions) -> dict[str, Any]:
    metrics = va_scores(predictions.targets, predictions.outputs, names, scale)
    keys = [metric.name for metric in table.of_kind("values")]
    metrics |= {key: metrics["mean"][key] for key in keys}
    metrics["reasons"] |= {
        key: metrics["reasons"][f"mean.{key}"]
        for key in keys
        if metrics[key] is None and f"mean.{key}" in metrics["reasons"]
    }
    return metrics
