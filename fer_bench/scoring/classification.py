"""Scores of expression recognition from the confusion matrix; those of probabilities are in
:mod:`fer_bench.scoring.probabilities`.

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
    unanswered = unanswered_rows("outputs", values)
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
        class_ids("target", targets, 0, n_classes),
        class_ids("predicted", predicted, NO_ANSWER, n_classes),
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
        return self.columns[..., : self.n_classes]

    @cached_property
    def right(self) -> Float:
        """Right answers, shape (...)."""
        return np.asarray(self.hits.sum(axis=-1))

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
    return divide(matrix.right, matrix.total)


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
    return divide(matrix.total * matrix.right - matrix.chance, squared - matrix.chance)


def mcc(matrix: Confusion) -> Float:
    """Matthews' correlation coefficient of several classes (Gorodkin 2004), in [-1, 1], shape (...); no answer is a
    separate category.

    Undefined, as a correlation with a constant is, where all targets or all answers are of one class.
    """
    squared = matrix.total**2
    spread = (squared - (matrix.support**2).sum(axis=-1)) * (squared - (matrix.columns**2).sum(axis=-1))
    return np.clip(divide(matrix.total * matrix.right - matrix.chance, np.sqrt(spread)), -1.0, 1.0)


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
    found = compute(metric_named(name), matrix, shape=matrix.total.shape)
    return np.asarray(found, dtype=np.float64)


def metric_named(name: str) -> Metric:
    """A metric of this package or of a plugin.

    Raises:
        UnknownNameError: there is none of this name.
    """
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
    reasons = why_undefined(scores, bool(counts.any()))
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


def why_undefined(scores: dict[str, float | None], any_samples: bool) -> dict[str, str]:
    """Why each metric that is None among the scores is."""
    return {
        name: _undefined(metric_named(name)) if any_samples else "no samples"
        for name, value in scores.items()
        if value is None
    }


def _undefined(metric: Metric) -> str:
    return metric.undefined or ("" if metric.since is not None else "the metric gives no number")


def class_ids(what: str, values: npt.ArrayLike, lowest: int, n_classes: int) -> npt.NDArray[np.int64]:
    """Class ids, shape (N,), once they are known to be whole numbers from ``lowest`` to ``n_classes`` - 1.

    Raises:
        RecordError: one of them is not; ``what`` they are is in its message.
    """
    ids = np.asarray(values)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        problem = f"{what} ids must be a list of integers, not {ids.dtype} of shape {ids.shape}."
        raise RecordError(problem)
    wrong: npt.NDArray[np.bool_] = (ids < lowest) | (ids >= n_classes)
    if wrong.any():
        problem = f"{what} id {ids[wrong][0]} at position {int(wrong.argmax())} is not a class of {n_classes}."
        raise RecordError(problem, "Check that predictions and protocol use the same label set.")
    return ids.astype(np.int64)


def unanswered_rows(what: str, values: Float) -> npt.NDArray[np.bool_]:
    """Which samples have no answer: all of their outputs are NaN.

    Args:
        what: the outputs are called in an error.
        values: shape (N, C).

    Raises:
        RecordError: not two-dimensional, or a row is NaN in some classes only.
    """
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
