"""Scores of expression recognition: from the confusion matrix, and from probabilities.

A prediction of ``NO_ANSWER`` (no face was detected) is a wrong answer, not a missing row: it has its own column in
the confusion matrix, so every total holds it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import RecordError
from fer_bench.metric_entry import METRICS, Metric
from fer_bench.metric_plugins import brought, compute
from fer_bench.scoring.undefined import Float, defined, defined_list, divide, mean_where_defined

NO_ANSWER = -1
# Probabilities may have been stored in half precision; what is further from 1 than this was never a softmax.
_SUM_TOLERANCE = 1e-2
# A stored probability of exactly 0 would make one sample's loss infinite; scikit-learn's log_loss clips at the same
# value.
_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


def predicted_classes(outputs: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Class of the highest output; a tie goes to the first class.

    Args:
        outputs: shape (N, C), probabilities or logits; a row of NaN is a sample without an answer.

    Returns:
        Shape (N,): class ids 0..C-1, or ``NO_ANSWER``.

    Raises:
        RecordError: not two-dimensional, or a row is NaN in some classes only.
    """
    values = np.asarray(outputs, dtype=np.float64)
    unanswered = _unanswered("outputs", values)
    best = np.where(unanswered[:, None], 0.0, values).argmax(axis=1)
    return np.where(unanswered, NO_ANSWER, best).astype(np.int64)


def confusion_matrix(targets: npt.ArrayLike, predicted: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.int64]:
    """Counts of target against predicted class.

    Args:
        targets: shape (N,), class ids 0..C-1.
        predicted: shape (N,), class ids 0..C-1, or ``NO_ANSWER``.
        n_classes: C.

    Returns:
        Shape (C, C + 1): rows are targets, columns predictions; the **last column counts samples without an answer**.
        ``[:, :C]`` is the usual matrix.

    Raises:
        RecordError: lengths differ, or an id is not a class.
    """
    rows, columns = (
        _class_ids("target", targets, 0, n_classes),
        _class_ids("predicted", predicted, NO_ANSWER, n_classes),
    )
    if rows.shape != columns.shape:
        problem = f"{rows.size} targets but {columns.size} predictions."
        raise RecordError(problem, "Both must list the same samples in the same order.")
    columns = np.where(columns == NO_ANSWER, n_classes, columns)
    cells = np.bincount(rows * (n_classes + 1) + columns, minlength=n_classes * (n_classes + 1))
    return cells.reshape(n_classes, n_classes + 1).astype(np.int64)


class Confusion:
    """What a confusion matrix holds, over any number of matrices at once; what metrics of confusion matrices are
    computed from.

    Args:
        confusion: shape (..., C, C) or (..., C, C + 1), the last column of the latter being samples without an answer;
            counts, or fractions of them.
    """

    def __init__(self, confusion: npt.ArrayLike) -> None:
        self.counts = np.asarray(confusion, dtype=np.float64)
        self.n_classes = self.counts.shape[-2]
        if self.counts.shape[-1] not in (self.n_classes, self.n_classes + 1):
            problem = f"a confusion matrix of shape {self.counts.shape[-2:]} is neither (C, C) nor (C, C + 1)."
            raise RecordError(problem)
        self.hits: Float = np.diagonal(self.counts, axis1=-2, axis2=-1)
        self.support: Float = self.counts.sum(axis=-1)

    @cached_property
    def columns(self) -> Float:
        """How often each class, and last no answer where that has a column, was the answer, shape (..., C) or (..., C +
        1).
        """
        return np.asarray(self.counts.sum(axis=-2))

    @cached_property
    def answered(self) -> Float:
        """How often each class was the answer, shape (..., C)."""
        return np.asarray(self.counts[..., : self.n_classes].sum(axis=-2))

    @cached_property
    def total(self) -> Float:
        """Samples, shape (...)."""
        return np.asarray(self.support.sum(axis=-1))

    @cached_property
    def precision(self) -> Float:
        """Shape (..., C); NaN for a class never predicted."""
        return divide(self.hits, self.answered)

    @cached_property
    def recall(self) -> Float:
        """Shape (..., C); NaN for a class without targets."""
        return divide(self.hits, self.support)

    @cached_property
    def f1(self) -> Float:
        """Shape (..., C); NaN for a class that is neither among the targets nor among the predictions."""
        return divide(2 * self.hits, self.support + self.answered)

    @cached_property
    def chance(self) -> Float:
        """Sum over classes of targets times answers, shape (...): N^2 times the agreement that is expected by
        chance.
        """
        return np.asarray((self.support * self.answered).sum(axis=-1))


def accuracy(matrix: Confusion) -> Float:
    """Share of right answers, shape (...)."""
    return divide(matrix.hits.sum(axis=-1), matrix.total)


def balanced_accuracy(matrix: Confusion) -> Float:
    """UAR: mean recall of the classes that occur among the targets, shape (...)."""
    return mean_where_defined(matrix.recall)


def macro_f1(matrix: Confusion) -> Float:
    """Mean F1 of the classes that occur among targets or predictions, as scikit-learn, shape (...)."""
    return mean_where_defined(matrix.f1)


def weighted_f1(matrix: Confusion) -> Float:
    """Mean F1, weighted by support, shape (...)."""
    return divide((np.where(matrix.support > 0, matrix.f1, 0.0) * matrix.support).sum(axis=-1), matrix.total)


def cohen_kappa(matrix: Confusion) -> Float:
    """Cohen's kappa (Cohen 1960): agreement beyond chance, in [-1, 1], shape (...); no answer is a separate category,
    which is never right.

    Undefined where targets and answers are all of one class, so that no other agreement was possible.
    """
    squared = matrix.total**2
    return divide(matrix.total * matrix.hits.sum(axis=-1) - matrix.chance, squared - matrix.chance)


def mcc(matrix: Confusion) -> Float:
    """Matthews' correlation coefficient of several classes (Gorodkin 2004), in [-1, 1], shape (...); no answer is a
    separate category.

    Undefined, as a correlation with a constant is, where all targets or all answers are of one class.
    """
    squared = matrix.total**2
    spread = (squared - (matrix.support**2).sum(axis=-1)) * (squared - (matrix.columns**2).sum(axis=-1))
    return np.clip(divide(matrix.total * matrix.hits.sum(axis=-1) - matrix.chance, np.sqrt(spread)), -1.0, 1.0)


def confusion_statistics(confusion: npt.ArrayLike) -> dict[str, Float]:
    """Every metric of :mod:`fer_bench.metrics` that a confusion matrix holds, over any number of matrices at once.

    Args:
        confusion: as of :class:`Confusion`.

    Returns:
        Each metric, shape (...); precision, recall, f1, support of shape (..., C). NaN where undefined.
    """
    matrix = Confusion(confusion)
    found = {name: confusion_statistic(matrix, name) for name in metrics.names("confusion")}
    return found | {"precision": matrix.precision, "recall": matrix.recall, "f1": matrix.f1, "support": matrix.support}


def confusion_statistic(confusion: Confusion | npt.ArrayLike, name: str) -> Float:
    """One metric of confusion matrices, shape (...); arguments as of :func:`confusion_statistics`."""
    matrix = confusion if isinstance(confusion, Confusion) else Confusion(confusion)
    found = compute(_metric(name), matrix, shape=matrix.total.shape)
    return np.asarray(found, dtype=np.float64)


def _metric(name: str) -> Metric:
    found = METRICS.get(name) or brought().get(name, (None,))[0]
    return METRICS[name] if found is None else found


def scores_from_confusion(confusion: npt.ArrayLike) -> dict[str, Any]:
    """Scores of one confusion matrix, ready for JSON.

    Args:
        confusion: shape (C, C) or (C, C + 1), as :func:`confusion_statistics`, which also serves batches of matrices.

    Returns:
        Each metric of a confusion matrix; per_class: lists precision, recall, f1, support; n and n_unanswered: counts;
        reasons: key ("accuracy", "per_class.precision.3") of each None to why it is undefined.
    """
    counts = np.asarray(confusion)
    statistics = confusion_statistics(counts)
    n_classes = counts.shape[0]
    per_class: dict[str, list[Any]] = {name: defined_list(statistics[name]) for name in ("precision", "recall", "f1")}
    scores: dict[str, Any] = {name: defined(statistics[name].item()) for name in metrics.names("confusion")}
    why = {
        "precision": "the class was never predicted",
        "recall": "no sample has this class",
        "f1": "no sample has this class and it was never predicted",
    }
    reasons = _why_undefined(scores, bool(counts.any()))
    reasons |= {
        f"per_class.{name}.{i}": why[name]
        for name, values in per_class.items()
        for i, value in enumerate(values)
        if value is None
    }
    per_class["support"] = counts.sum(axis=1).tolist()
    return scores | {
        "per_class": per_class,
        "n": counts.sum().item(),
        "n_unanswered": counts[:, n_classes:].sum().item(),
        "reasons": reasons,
    }


def probability_scores(targets: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 15) -> dict[str, Any]:
    """Scores of predicted class probabilities, ready for JSON.

    A sample without an answer (a row of NaN) ranks below every other for each class in the average precision, and
    counts as the uniform distribution in the negative log-likelihood, the Brier score and, always as a wrong answer,
    the calibration error.

    Args:
        targets: shape (N,), class ids 0..C-1.
        probabilities: shape (N, C), each row summing to 1 or all NaN.
        bins: number of equal-width confidence bins of the calibration error.

    Returns:
        Each metric of probabilities; average_precision: of each class; n_clipped: how many probabilities were clipped
        in the likelihood; n, n_unanswered;
        reasons: key of each None to why it is undefined.

    Raises:
        RecordError: shapes do not fit, or rows are not probabilities.
    """
    given = Probabilities(*_probabilities(targets, probabilities), bins)
    # Alongside their mean, whatever the order of the table.
    scores: dict[str, Any] = {"macro_ap": None, "average_precision": defined_list(given.average_precision)}
    for name in metrics.names("probabilities"):
        scores[name] = defined(compute(_metric(name), given)) if len(given) else None
    reasons = _why_undefined({name: scores[name] for name in metrics.names("probabilities")}, len(given) > 0)
    if len(given):
        reasons |= {
            f"average_precision.{c}": "no sample has this class" for c in np.flatnonzero(~given.occurs).tolist()
        }
    counts = {
        "n_clipped": int((given.of_target < _SMALLEST_PROBABILITY).sum()),
        "n": len(given),
        "n_unanswered": int(given.unanswered.sum()),
    }
    return scores | counts | {"reasons": reasons}


class Probabilities:
    """Class probabilities and targets: what metrics of probabilities are computed from.

    Args:
        ids: shape (N,), class ids 0..C-1.
        values: shape (N, C), each row summing to 1; a sample without an answer has the uniform distribution.
        unanswered: shape (N,).
        bins: number of equal-width confidence bins of the calibration error.
    """

    def __init__(
        self, ids: npt.NDArray[np.int64], values: Float, unanswered: npt.NDArray[np.bool_], bins: int = 15
    ) -> None:
        self.ids, self.values, self.unanswered, self.bins = ids, values, unanswered, bins

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def one_hot(self) -> Float:
        """Targets as distributions, shape (N, C)."""
        return np.eye(self.values.shape[1])[self.ids]

    @cached_property
    def occurs(self) -> npt.NDArray[np.bool_]:
        """Which classes have a target, shape (C,)."""
        return np.asarray(np.bincount(self.ids, minlength=self.values.shape[1]) > 0)

    @cached_property
    def of_target(self) -> Float:
        """Probability of each sample's target, shape (N,)."""
        return np.asarray(self.values[np.arange(len(self)), self.ids])

    @cached_property
    def average_precision(self) -> Float:
        """scikit-learn's average precision of each class against the rest, shape (C,); NaN for a class without
        targets.
        """
        from sklearn import config_context
        from sklearn.metrics import average_precision_score

        found = np.full(self.values.shape[1], np.nan)
        if self.occurs.any():
            ranking = np.where(self.unanswered[:, None], -1.0, self.values)
            # What is given is checked already; its checks of each class take as long as the scores.
            with config_context(assume_finite=True, skip_parameter_validation=True):
                found[self.occurs] = average_precision_score(
                    self.one_hot[:, self.occurs], ranking[:, self.occurs], average=None
                )
        return found


def macro_ap(given: Probabilities) -> float:
    """Unweighted mean of the average precision over the classes that have targets."""
    return float(mean_where_defined(given.average_precision))


def nll(given: Probabilities) -> float:
    """Mean negative log-likelihood in nats; probabilities are clipped below at 2.2e-16."""
    return float(-np.log(np.clip(given.of_target, _SMALLEST_PROBABILITY, 1.0)).mean())


def brier(given: Probabilities) -> float:
    """Mean over samples of the squared error summed over classes, in [0, 2] (Brier 1950)."""
    return float(np.square(given.values - given.one_hot).sum(axis=1).mean())


def ece(given: Probabilities) -> float:
    """Expected calibration error in [0, 1] (Guo et al. 2017)."""
    diagram = _diagram(given.ids, given.values, given.unanswered, given.bins)
    return float(np.nansum(diagram["count"] * np.abs(diagram["accuracy"] - diagram["confidence"])) / len(given))


def reliability(targets: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 15) -> dict[str, Float]:
    """The bars of a reliability diagram (Guo et al. 2017): accuracy against confidence of the answered class.

    Args:
        targets: shape (N,), class ids 0..C-1.
        probabilities: shape (N, C), each row summing to 1, or all NaN for a wrong answer at confidence 1/C.
        bins: number of equal-width bins over [0, 1], each open below and closed above.

    Returns:
        edges (bins + 1,); count (bins,); confidence (bins,) and accuracy (bins,): means, NaN in an empty bin.
    """
    return _diagram(*_probabilities(targets, probabilities), bins)


def _diagram(
    ids: npt.NDArray[np.int64], values: Float, unanswered: npt.NDArray[np.bool_], bins: int
) -> dict[str, Float]:
    edges = np.linspace(0.0, 1.0, bins + 1)
    confidence = values.max(axis=1, initial=0.0)
    correct = (values.argmax(axis=1) == ids) & ~unanswered
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(which, minlength=bins).astype(np.float64)
    return {
        "edges": edges,
        "count": count,
        "confidence": divide(np.bincount(which, weights=confidence, minlength=bins), count),
        "accuracy": divide(np.bincount(which, weights=correct, minlength=bins), count),
    }


def _why_undefined(scores: dict[str, float | None], any_samples: bool) -> dict[str, str]:
    return {
        name: _undefined(_metric(name)) if any_samples else "no samples"
        for name, value in scores.items()
        if value is None
    }


def _undefined(metric: Metric) -> str:
    return metric.undefined or ("" if metric.since is not None else "the metric gives no number")


def _class_ids(what: str, values: npt.ArrayLike, lowest: int, n_classes: int) -> npt.NDArray[np.int64]:
    ids = np.asarray(values)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        problem = f"{what} ids must be a list of integers, not {ids.dtype} of shape {ids.shape}."
        raise RecordError(problem)
    wrong: npt.NDArray[np.bool_] = (ids < lowest) | (ids >= n_classes)
    if wrong.any():
        problem = f"{what} id {ids[wrong][0]} at position {int(wrong.argmax())} is not a class of {n_classes}."
        raise RecordError(problem, "Check that predictions and protocol use the same label set.")
    return ids.astype(np.int64)


def _unanswered(what: str, values: Float) -> npt.NDArray[np.bool_]:
    if values.ndim != 2:
        problem = f"{what} must have the shape (samples, classes), not {values.shape}."
        raise RecordError(problem)
    missing: npt.NDArray[np.bool_] = np.isnan(values)
    none_there: npt.NDArray[np.bool_] = np.asarray(missing.all(axis=1))
    partly = missing.any(axis=1) & ~none_there
    if partly.any():
        problem = f"row {int(partly.argmax())} of the {what} is NaN in some classes only."
        raise RecordError(problem, "A sample without an answer is NaN in all of them.")
    return none_there


def _probabilities(
    targets: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], Float, npt.NDArray[np.bool_]]:
    values = np.array(probabilities, dtype=np.float64)
    unanswered = _unanswered("probabilities", values)
    ids = _class_ids("target", targets, 0, values.shape[1])
    if len(ids) != len(values):
        problem = f"{len(ids)} targets but {len(values)} rows of probabilities."
        raise RecordError(problem, "Both must list the same samples in the same order.")
    values[unanswered] = 1.0 / values.shape[1]
    sums = values.sum(axis=1)
    fits = (values >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM_TOLERANCE)
    if not fits.all():
        row = int((~fits).argmax())
        problem = f"row {row} of the probabilities sums to {sums[row]:.4g} or holds a negative value."
        raise RecordError(problem, "Store the softmax's output, not logits.")
    return ids, values / sums[:, None], unanswered
