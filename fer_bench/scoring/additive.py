"""Scores of many resamples at once: what tests of rows, and scores of many groups or corruptions, have in common.

Most scores follow from sums over samples, so that a resample is a weighted sum. Average precision follows from the
order of all samples, and is computed of each resample's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.scoring.classification import confusion_statistic, predicted_classes
from fer_bench.scoring.moments import statistics, sums
from fer_bench.scoring.multilabel import Categories, mean_ap, resampled_ap
from fer_bench.scoring.regression import answer_missing
from fer_bench.scoring.resampling import Units
from fer_bench.scoring.undefined import Float, mean_where_defined


@dataclass(frozen=True)
class Additive:
    """A score as a function of sums over samples.

    Args:
        name: of the score.
        terms: of answers (class ids (N,), -1 for none, or values (N, D)) the terms of each sample, (N, K).
        value: of sums of terms (..., K) the score (...), NaN where it is undefined.
        answers: of stored outputs the answers.
    """

    name: str
    terms: Callable[[npt.NDArray[np.generic]], Float]
    value: Callable[[Float], Float]
    answers: Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]]

    def of(self, answers: npt.NDArray[np.generic], rows: npt.NDArray[np.int64] | None = None) -> float | None:
        """The score of all samples, or of those at some positions; None where it is undefined."""
        terms = self.terms(answers)
        return known(self.value((terms if rows is None else terms[rows]).sum(axis=0)))

    def drawn(
        self,
        answers: npt.NDArray[np.generic],
        units: Units,
        weights: npt.NDArray[np.generic],
        rows: npt.NDArray[np.int64] | None = None,
    ) -> Float:
        """The score of resamples, shape (B,).

        Args:
            answers: of all samples.
            units: what was drawn.
            weights: shape (B, n), how often each unit is in each resample.
            rows: positions of the samples that count; None: all.
        """
        terms, times = self.terms(answers), weights.astype(np.float64)
        if rows is not None and units.member is None:
            return self.value(times[:, rows] @ terms[rows])
        if rows is not None:
            kept = np.zeros_like(terms)
            kept[rows] = terms[rows]
            terms = kept
        return self.value(times @ units.total(terms))


@dataclass(frozen=True)
class Ranked:
    """The mean average precision of several labels, with the methods of :class:`Additive`.

    Args:
        name: of the score.
        targets: shape (N, K).
    """

    name: str
    targets: npt.NDArray[np.bool_]

    def answers(self, outputs: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The probabilities by which samples are ordered, (N, K); without an answer a sample is last."""
        return Categories(self.targets, outputs).ranking

    def of(self, answers: npt.NDArray[np.generic], rows: npt.NDArray[np.int64] | None = None) -> float | None:
        """As :meth:`Additive.of`."""
        at = np.arange(len(self.targets)) if rows is None else rows
        return known(mean_ap(Categories(self.targets[at], _as_outputs(answers[at]))))

    def drawn(
        self,
        answers: npt.NDArray[np.generic],
        units: Units,
        weights: npt.NDArray[np.generic],
        rows: npt.NDArray[np.int64] | None = None,
    ) -> Float:
        """As :meth:`Additive.drawn`."""
        at = np.arange(len(self.targets)) if rows is None else rows
        member = at if units.member is None else units.member[at]
        ranking = np.asarray(answers[at], dtype=np.float64)
        own = Units(units.n, member)
        return mean_where_defined(resampled_ap(self.targets[at], np.nan_to_num(ranking, nan=-1.0), weights, own))


def resampled(protocol: Protocol, targets: npt.NDArray[np.generic], name: str | None = None) -> Additive | Ranked:
    """The score by which a protocol ranks, of samples with these targets.

    Args:
        protocol: says what kind of answers these are.
        targets: shape (N,) class ids, (N, K) categories, or (N, D) values.
        name: another statistic of the confusion matrix, for classes; None: the protocol's own.
    """
    if protocol.task.kind == "labels":
        return Ranked(protocol.primary, np.asarray(targets).astype(bool))
    if protocol.task.labels is None:
        return _of_values(protocol, np.asarray(targets))
    n_classes, metric = len(protocol.task.labels), name or protocol.primary
    truth = np.asarray(targets).astype(np.int64)

    def hits(answers: npt.NDArray[np.generic]) -> Float:
        return np.stack([np.ones(len(truth)), answers == truth], axis=1)

    def cells(answers: npt.NDArray[np.generic]) -> Float:
        found = answers.astype(np.int64)
        out = np.zeros((len(truth), n_classes * (n_classes + 1)))
        out[np.arange(len(truth)), truth * (n_classes + 1) + np.where(found < 0, n_classes, found)] = 1.0
        return out

    def share(total: Float) -> Float:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(total[..., 0] > 0, total[..., 1] / total[..., 0], np.nan))

    def of_confusion(total: Float) -> Float:
        return confusion_statistic(total.reshape(*total.shape[:-1], n_classes, n_classes + 1), metric)

    # Accuracy needs two sums, every other statistic the whole matrix.
    return (
        Additive(metric, hits, share, predicted_classes)
        if metric == "accuracy"
        else Additive(metric, cells, of_confusion, predicted_classes)
    )


def of_predictions(
    protocol: Protocol, predictions: Predictions, name: str | None = None
) -> tuple[Additive | Ranked, npt.NDArray[np.generic]]:
    """The score of a protocol on the samples of predictions, and their answers."""
    score = resampled(protocol, predictions.targets, name)
    return score, score.answers(predictions.outputs)


def known(value: npt.ArrayLike) -> float | None:
    """A score as a number; None where it is undefined."""
    number = float(np.asarray(value))
    return None if np.isnan(number) else number


def _as_outputs(ranking: npt.NDArray[np.generic]) -> Float:
    """Probabilities once more from what orders samples."""
    values = np.asarray(ranking, dtype=np.float64)
    return np.where(values < 0, np.nan, values)


def _of_values(protocol: Protocol, targets: npt.NDArray[np.generic]) -> Additive:
    dimensions = len(protocol.task.dimensions)
    truth = targets.reshape(len(targets), dimensions)

    def terms(answers: npt.NDArray[np.generic]) -> Float:
        return sums(truth, answer_missing(answers.reshape(len(truth), dimensions), protocol.scale)).reshape(
            len(truth), -1
        )

    def value(total: Float) -> Float:
        return np.asarray(statistics(total.reshape(*total.shape[:-1], dimensions, 7))[protocol.primary].mean(axis=-1))

    return Additive(protocol.primary, terms, value, lambda outputs: np.asarray(outputs, dtype=np.float64))
