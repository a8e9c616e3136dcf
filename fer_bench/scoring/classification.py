"""Scores of expression recognition: from the confusion matrix, and from probabilities.

A prediction of ``NO_ANSWER`` (no face was detected) is a wrong answer, not a missing row: it has a column of its own in the
confusion matrix, so every total holds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.errors import RecordError
from fer_bench.scoring.undefined import Float, defined, defined_list, divide, mean_where_defined

NO_ANSWER = -1
CONFUSION_STATISTICS = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")
# Probabilities may have been stored in half precision; what is further from 1 than this was never a softmax.
_SUM_TOLERANCE = 1e-2
# A stored probability of exactly 0 would make one sample's loss infinite; scikit-learn's log_loss clips at the same value.
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
    rows, columns = _class_ids("target", targets, 0, n_classes), _class_ids("predicted", predicted, NO_ANSWER, n_classes)
    if rows.shape != columns.shape:
        problem = f"{rows.size} targets but {columns.size} predictions."
        raise RecordError(problem, "Both must list the same samples in the same order.")
    columns = np.where(columns == NO_ANSWER, n_classes, columns)
    cells = np.bincount(rows * (n_classes + 1) + columns, minlength=n_classes * (n_classes + 1))
    return cells.reshape(n_classes, n_classes + 1).astype(np.int64)


def confusion_statistics(confusion: npt.ArrayLike) -> dict[str, Float]:
    """Every statistic that a confusion matrix holds, over any number of matrices at once.

    Args:
        confusion: shape (..., C, C) or (..., C, C + 1), the last column of the latter being samples without an answer; counts, or
            fractions of them.

    Returns:
        accuracy, balanced_accuracy (UAR: mean recall of the classes that occur among the targets), macro_f1 (mean F1 of the
        classes that occur among targets or predictions, as scikit-learn), weighted_f1 (by support), each of shape (...);
        precision, recall, f1, support of shape (..., C). NaN where undefined: recall of a class without targets, precision of a
        class never predicted, F1 of a class that is neither.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    n_classes = counts.shape[-2]
    if counts.shape[-1] not in (n_classes, n_classes + 1):
        problem = f"a confusion matrix of shape {counts.shape[-2:]} is neither (C, C) nor (C, C + 1)."
        raise RecordError(problem)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support = counts.sum(axis=-1)
    answered = counts[..., :n_classes].sum(axis=-2)
    total = support.sum(axis=-1)
    recall = divide(hits, support)
    f1 = divide(2 * hits, support + answered)
    return {
        "accuracy": divide(hits.sum(axis=-1), total),
        "balanced_accuracy": mean_where_defined(recall),
        "macro_f1": mean_where_defined(f1),
        "weighted_f1": divide((np.where(support > 0, f1, 0.0) * support).sum(axis=-1), total),
        "precision": divide(hits, answered),
        "recall": recall,
        "f1": f1,
        "support": support,
    }


def scores_from_confusion(confusion: npt.ArrayLike) -> dict[str, Any]:
    """Scores of one confusion matrix, ready for JSON.

    Args:
        confusion: shape (C, C) or (C, C + 1), as :func:`confusion_statistics`, which also serves batches of matrices.

    Returns:
        accuracy, balanced_accuracy, macro_f1, weighted_f1: floats in [0, 1]; per_class: lists precision, recall, f1, support;
        n and n_unanswered: counts; reasons: key ("accuracy", "per_class.precision.3") of each None to why it is undefined.
    """
    counts = np.asarray(confusion)
    statistics = confusion_statistics(counts)
    n_classes = counts.shape[0]
    per_class: dict[str, list[Any]] = {name: defined_list(statistics[name]) for name in ("precision", "recall", "f1")}
    scores: dict[str, Any] = {name: defined(statistics[name].item()) for name in CONFUSION_STATISTICS}
    why = {"precision": "the class was never predicted", "recall": "no sample has this class", "f1": "no sample has this class and it was never predicted"}
    reasons = {name: "no samples" for name in CONFUSION_STATISTICS if scores[name] is None}
    reasons |= {f"per_class.{name}.{i}": why[name] for name, values in per_class.items() for i, value in enumerate(values) if value is None}
    per_class["support"] = counts.sum(axis=1).tolist()
    return scores | {"per_class": per_class, "n": counts.sum().item(), "n_unanswered": counts[:, n_classes:].sum().item(), "reasons": reasons}


def probability_scores(targets: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 15) -> dict[str, Any]:
    """Scores of predicted class probabilities, ready for JSON.

    A sample without an answer (a row of NaN) ranks below every other for each class in the average precision, and counts as the
    uniform distribution in the negative log-likelihood, the Brier score and, always as a wrong answer, the calibration error.

    Args:
        targets: shape (N,), class ids 0..C-1.
        probabilities: shape (N, C), each row summing to 1 or all NaN.
        bins: number of equal-width confidence bins of the calibration error.

    Returns:
        macro_ap: scikit-learn's average precision, one-vs-rest, unweighted mean over the classes that have targets; average_precision:
        its list per class; nll: mean negative log-likelihood in nats (probabilities clipped below at 2.2e-16; n_clipped says how many);
        brier: mean over samples of the squared error summed over classes, in [0, 2]; ece: expected calibration error in [0, 1]
        (Guo et al. 2017); n, n_unanswered; reasons: key of each None to why it is undefined.

    Raises:
        RecordError: shapes do not fit, or rows are not probabilities.
    """
    from sklearn.metrics import average_precision_score

    ids, values, unanswered = _probabilities(targets, probabilities)
    n_samples, n_classes = values.shape
    names = ("macro_ap", "nll", "brier", "ece")
    if n_samples == 0:
        empty: dict[str, Any] = dict.fromkeys(names)
        reasons = dict.fromkeys(names, "no samples")
        return empty | {"average_precision": [None] * n_classes, "n_clipped": 0, "n": 0, "n_unanswered": 0, "reasons": reasons}
    one_hot = np.eye(n_classes)[ids]
    ranking = np.where(unanswered[:, None], -1.0, values)
    occurs = np.bincount(ids, minlength=n_classes) > 0
    precision = np.array([average_precision_score(one_hot[:, c], ranking[:, c]) if occurs[c] else np.nan for c in range(n_classes)])
    of_target = values[np.arange(n_samples), ids]
    diagram = reliability(ids, probabilities, bins)
    return {
        "macro_ap": defined(mean_where_defined(precision).item()),
        "average_precision": defined_list(precision),
        "nll": float(-np.log(np.clip(of_target, _SMALLEST_PROBABILITY, 1.0)).mean()),
        "brier": float(np.square(values - one_hot).sum(axis=1).mean()),
        "ece": float(np.nansum(diagram["count"] * np.abs(diagram["accuracy"] - diagram["confidence"])) / n_samples),
        "n_clipped": int((of_target < _SMALLEST_PROBABILITY).sum()),
        "n": n_samples,
        "n_unanswered": int(unanswered.sum()),
        "reasons": {f"average_precision.{c}": "no sample has this class" for c in range(n_classes) if not occurs[c]},
    }


def reliability(targets: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 15) -> dict[str, Float]:
    """The bars of a reliability diagram (Guo et al. 2017): accuracy against confidence of the answered class.

    Args:
        targets: shape (N,), class ids 0..C-1.
        probabilities: shape (N, C), each row summing to 1, or all NaN for a wrong answer at confidence 1/C.
        bins: number of equal-width bins over [0, 1], each open below and closed above.

    Returns:
        edges (bins + 1,); count (bins,); confidence (bins,) and accuracy (bins,): means, NaN in an empty bin.
    """
    ids, values, unanswered = _probabilities(targets, probabilities)
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


def _class_ids(what: str, values: npt.ArrayLike, lowest: int, n_classes: int) -> npt.NDArray[np.int64]:
    ids = np.asarray(values)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        problem = f"{what} ids must be a list of whole numbers, not {ids.dtype} of shape {ids.shape}."
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


def _probabilities(targets: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Float, npt.NDArray[np.bool_]]:
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
