"""Scores of tasks of several labels: a sample has any number of categories, and average precision ranks.

Average precision and the area under the ROC curve are those of scikit-learn; resamples are scored by
:func:`weighted_average_precision`, which is equal to it and handles thousands of resamples at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics as table
from fer_bench.errors import RecordError
from fer_bench.metric_plugins import compute
from fer_bench.predictions import Predictions
from fer_bench.scoring.average_precision import average_precision
from fer_bench.scoring.resampling import Units, percentiles_of
from fer_bench.scoring.undefined import Float, defined, defined_list, divide, mean_where_defined

# Below every probability: a sample without an answer is last in the order of each category.
_LAST = -1.0
# As for classes: a probability of exactly 0 or 1 would make one sample's loss infinite.
_SMALLEST = float(np.finfo(np.float64).eps)


class Categories:
    """Targets and probabilities of K categories: what metrics of several labels are computed from.

    Args:
        targets: shape (N, K), 0 or 1.
        outputs: shape (N, K), probabilities; a row of NaN is a sample without an answer, which ranks last in every
            category and counts as a probability of a half in the likelihood.

    Raises:
        RecordError: shapes do not fit, or there are other values.
    """

    def __init__(self, targets: npt.ArrayLike, outputs: npt.ArrayLike) -> None:
        truth, values = np.asarray(targets), np.array(outputs, dtype=np.float64)
        if truth.ndim != 2 or truth.shape != values.shape:
            problem = (
                f"targets of shape {truth.shape} and outputs of shape {values.shape} must be (samples, categories)."
            )
            raise RecordError(problem)
        wrong = ~np.isin(truth, (0, 1))
        if wrong.any():
            problem = f"target {truth[wrong][0]} of row {int(wrong.any(axis=1).argmax())} is neither 0 nor 1."
            raise RecordError(problem, "A target says whether a sample has a category.")
        missing = np.isnan(values)
        self.unanswered: npt.NDArray[np.bool_] = np.asarray(missing.all(axis=1))
        bad = (missing.any(axis=1) & ~self.unanswered) | (values < 0).any(axis=1) | (values > 1).any(axis=1)
        if bad.any():
            problem = f"row {int(bad.argmax())} of the outputs holds something that is no probability."
            raise RecordError(problem, "Store the sigmoid's output; a sample without an answer is NaN in all of it.")
        self.targets: npt.NDArray[np.bool_] = truth.astype(bool)
        self.values = values

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def support(self) -> npt.NDArray[np.int64]:
        """How many samples have each category, shape (K,)."""
        return np.asarray(self.targets.sum(axis=0), dtype=np.int64)

    @cached_property
    def ranking(self) -> Float:
        """Probabilities by which samples are ordered, shape (N, K)."""
        return np.where(self.unanswered[:, None], _LAST, self.values)

    @cached_property
    def average_precision(self) -> Float:
        """Average precision of each category, shape (K,); NaN for one that no sample has."""
        return average_precision(self.targets, self.ranking)


def mean_ap(given: Categories) -> float:
    """mAP: unweighted mean of the average precision over the categories that some sample has."""
    return float(mean_where_defined(given.average_precision))


def mean_auc(given: Categories) -> float:
    """Unweighted mean of the area under the ROC curve over the categories that some samples have and some have not."""
    from sklearn.metrics import roc_auc_score

    both = np.flatnonzero((given.support > 0) & (given.support < len(given)))
    return (
        float(np.mean([roc_auc_score(given.targets[:, k], given.ranking[:, k]) for k in both])) if len(both) else np.nan
    )


def binary_nll(given: Categories) -> float:
    """Mean binary cross-entropy over samples and categories, in nats; probabilities are clipped at 2.2e-16."""
    values = np.where(given.unanswered[:, None], 0.5, given.values).clip(_SMALLEST, 1 - _SMALLEST)
    return float(-np.log(np.where(given.targets, values, 1 - values)).mean()) if values.size else np.nan


def score_categories(names: tuple[str, ...], predictions: Predictions) -> dict[str, Any]:
    """Score several labels, in float64.

    Args:
        names: of the K categories.
        predictions: targets (N, K), 0 or 1, and probabilities (N, K).

    Returns:
        Each metric of several labels; ``average_precision`` and ``per_class`` (``support``) by category; ``intervals``
        (95 %, bootstrap over whole groups where predictions have groups) of ``map`` and of each category's average
        precision; ``n``, ``n_unanswered``, ``n_groups``; ``clean`` without flagged duplicates; ``reasons`` for what is
        undefined.

    Raises:
        RecordError: targets or outputs do not fit.
    """
    if predictions.outputs.ndim != 2 or predictions.outputs.shape[1] != len(names):
        problem = f"outputs of shape {predictions.outputs.shape} do not fit {len(names)} categories."
        raise RecordError(problem)
    given = Categories(predictions.targets, predictions.outputs)
    metrics = _point(given)
    metrics["average_precision"] = defined_list(given.average_precision)
    metrics["per_class"] = {"support": given.support.tolist()}
    metrics["intervals"] = _intervals(given, predictions.groups)
    metrics["n_groups"] = None if predictions.groups is None else len(np.unique(predictions.groups))
    without = "no samples" if not len(given) else "no sample has this category"
    metrics["reasons"] |= {f"average_precision.{k}": without for k in np.flatnonzero(given.support == 0).tolist()}
    duplicates = predictions.flags.get("duplicate")
    if duplicates is not None:
        clean = predictions.select(~duplicates)
        scores = _point(Categories(clean.targets, clean.outputs))
        metrics["clean"] = {"n": len(clean), **{metric.name: scores[metric.name] for metric in table.of_kind("labels")}}
    return metrics


def weighted_average_precision(targets: npt.NDArray[np.bool_], ranking: Float, weights: Float) -> Float:
    """Average precision of resamples.

    Args:
        targets: shape (N,).
        ranking: shape (N,); samples of the same value are one step of the curve.
        weights: shape (N, B): how often each sample is in each resample.

    Returns:
        Shape (B,); NaN where a resample has no positive sample.
    """
    from scipy.sparse import csr_array

    # Precision counts where a step gains positive samples: all others are summed up to the next such step.
    steps = np.unique(-ranking[targets])
    if not len(steps):
        return np.full(weights.shape[1], np.nan)
    step_of = np.searchsorted(steps, -ranking)
    counted = np.flatnonzero(step_of < len(steps))

    def up_to(rows: npt.NDArray[np.int64]) -> Float:
        shape = (len(steps), len(targets))
        member = csr_array((np.ones(len(rows)), (step_of[rows], rows)), shape=shape)
        return np.asarray(np.cumsum(member @ weights, axis=0))

    positive, total = up_to(np.flatnonzero(targets)), up_to(counted)
    gained = np.diff(positive, axis=0, prepend=0.0)
    precision = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    return divide((gained * precision).sum(axis=0), positive[-1])


def resampled_ap(
    targets: npt.NDArray[np.bool_], ranking: Float, weights: npt.NDArray[np.generic], units: Units
) -> Float:
    """Average precision of each category on resamples.

    Args:
        targets: shape (N, K).
        ranking: shape (N, K), probabilities, ``-1`` for no answer.
        weights: shape (B, n): how often each unit was drawn.
        units: samples, or groups of them.

    Returns:
        Shape (B, K).
    """
    each = np.ascontiguousarray(weights.T, dtype=np.float64)
    each = each if units.member is None else each[units.member]
    columns = range(targets.shape[1])
    return np.stack([weighted_average_precision(targets[:, k], ranking[:, k], each) for k in columns], axis=1)


def _point(given: Categories) -> dict[str, Any]:
    """Each metric, the counts, and why some are undefined."""
    scores: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for metric in table.of_kind("labels"):
        scores[metric.name] = defined(compute(metric, given)) if len(given) else None
        if scores[metric.name] is None:
            reasons[metric.name] = (metric.undefined or "the metric gives no number") if len(given) else "no samples"
    return scores | {"n": len(given), "n_unanswered": int(given.unanswered.sum()), "reasons": reasons}


def _intervals(given: Categories, groups: npt.NDArray[np.str_] | None) -> dict[str, list[float] | None]:
    names = ["map", *(f"average_precision.{k}" for k in range(given.targets.shape[1]))]
    units = Units.of(len(given), groups)
    if not len(given) or (groups is not None and units.n < 2):
        return dict.fromkeys(names)
    drawn = np.concatenate(list(_blocks(given, units)))
    columns = [mean_where_defined(drawn), *drawn.T]
    found = zip(names, percentiles_of(np.stack(columns)), strict=True)
    return {name: None if pair is None else list(pair) for name, pair in found}


def _blocks(given: Categories, units: Units) -> Iterator[Float]:
    for block in units.blocks():
        yield resampled_ap(given.targets, given.ranking, block, units)
