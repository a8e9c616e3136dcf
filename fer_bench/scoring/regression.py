"""Scores of valence and arousal: each function takes two arrays of shape (N,) and gives NaN where it is undefined.

Moments are population moments (ddof 0). :func:`va_scores` puts the scores of all dimensions together, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import RecordError
from fer_bench.metric_plugins import compute
from fer_bench.scoring.undefined import Float, defined

Range = tuple[float, float]
# What rounding leaves of the deviations of equal numbers, relative to their size; SciPy calls an input constant at the
# same value.
_CONSTANT = 1e-13


def ccc(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> float:
    """Concordance correlation coefficient, 2 cov / (var_t + var_o + (mean_t - mean_o)^2), in [-1, 1] (Lin 1989).

    Blind to nothing: a bias or a wrong spread lowers it. A constant output has 0 against targets that vary.
    """
    _, _, cov, var_t, var_o, gap = _moments(targets, outputs)
    return _ratio(2 * cov, var_t + var_o + gap * gap)


def pcc(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> float:
    """Pearson's correlation coefficient, in [-1, 1]; undefined where either array is constant."""
    _, _, cov, var_t, var_o, _ = _moments(targets, outputs)
    return float(np.clip(_ratio(cov, float(np.sqrt(var_t) * np.sqrt(var_o))), -1.0, 1.0))


def icc31(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> float:
    """Intraclass correlation ICC(3,1) of two raters, 2 cov / (var_t + var_o), in [-1, 1] (Shrout and Fleiss 1979, k =
    2).

    Blind to a bias, which :func:`ccc` is not. For more raters see :func:`fer_bench.scoring.agreement.icc31`.
    """
    _, _, cov, var_t, var_o, _ = _moments(targets, outputs)
    return _ratio(2 * cov, var_t + var_o)


def rmse(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> float:
    """Root mean squared error, in the units of the targets."""
    t, o, *_ = _moments(targets, outputs)
    return float(np.sqrt(np.mean((t - o) ** 2))) if t.size else float("nan")


def mae(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> float:
    """Mean absolute error, in the units of the targets."""
    t, o, *_ = _moments(targets, outputs)
    return float(np.mean(np.abs(t - o))) if t.size else float("nan")


def sagr(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> float:
    """Sign agreement, the share of samples with sign(t) == sign(o), in [0, 1]; an exact zero agrees only with an exact
    zero.
    """
    t, o, *_ = _moments(targets, outputs)
    return float(np.mean(np.sign(t) == np.sign(o))) if t.size else float("nan")


def answer_missing(outputs: npt.ArrayLike, scale: Range | Sequence[Range] = (-1.0, 1.0)) -> Float:
    """Put the middle of the scale, the only answer that needs no face, where a sample has none.

    Args:
        outputs: shape (N, D), in the dataset's units; a row with NaN is a sample without an answer.
        scale: (low, high) of the dataset, or one such pair per dimension.

    Returns:
        Shape (N, D), without NaN.
    """
    answers = np.asarray(outputs, dtype=np.float64)
    middles = np.array([(low + high) / 2 for low, high in _ranges(scale, answers.shape[1])])
    return np.where(np.isnan(answers).any(axis=1, keepdims=True), middles, answers)


def va_scores(
    targets: npt.ArrayLike,
    outputs: npt.ArrayLike,
    names: Sequence[str] = ("valence", "arousal"),
    scale: Range | Sequence[Range] = (-1.0, 1.0),
) -> dict[str, Any]:
    """All scores of each dimension and their means, ready for JSON.

    A sample without an answer (its outputs NaN: no face was detected) is answered by :func:`answer_missing`, and never
    counts as agreeing in sign.

    Args:
        targets: shape (N, D), in the dataset's units.
        outputs: shape (N, D), in the dataset's units; a row of NaN is a sample without an answer.
        names: of the D dimensions.
        scale: (low, high) of the dataset, or one such pair per dimension.

    Returns:
        One dict per name, and "mean" over the dimensions, with each metric of values in :mod:`fer_bench.metrics`;
        errors are in the dataset's units or, as ``..._scaled``, after mapping the scale to [-1, 1]; signs are taken
        about the middle of the scale. Alongside them n, n_unanswered and
        reasons: key ("valence.pcc") of each None to why it is undefined.

    Raises:
        RecordError: shapes do not fit, or a target is not a number.
    """
    truth, answers = np.asarray(targets, dtype=np.float64), np.asarray(outputs, dtype=np.float64)
    ranges = _ranges(scale, len(names))
    missing = _missing(truth, answers, len(names))
    answers = answer_missing(answers, scale)
    scores: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for d, (name, (low, high)) in enumerate(zip(names, ranges, strict=True)):
        scores[name], why = _dimension(truth[:, d], answers[:, d], missing, low, high)
        reasons |= {f"{name}.{key}": reason for key, reason in why.items()}
    scores["mean"] = {
        metric.name: _mean([scores[name][metric.name] for name in names]) for metric in metrics.of_kind("values")
    }
    reasons |= {
        f"mean.{key}": "undefined for at least one dimension" for key, value in scores["mean"].items() if value is None
    }
    if len({high - low for low, high in ranges}) > 1:
        in_units = [metric.name for metric in metrics.of_kind("values") if metric.unit == "dataset"]
        scores["mean"] |= dict.fromkeys(in_units)
        reasons |= dict.fromkeys((f"mean.{name}" for name in in_units), "the dimensions have different units")
    return scores | {"n": len(truth), "n_unanswered": int(missing.sum()), "reasons": reasons}


def _dimension(
    t: Float, o: Float, missing: npt.NDArray[np.bool_], low: float, high: float
) -> tuple[dict[str, float | None], dict[str, str]]:
    middle, to_unit = (low + high) / 2, 2 / (high - low)
    # NaN has no sign: it agrees with nothing.
    pairs = {"values": (t, o), "signs": (t - middle, np.where(missing, np.nan, o - middle))}
    values = {}
    for metric in metrics.of_kind("values"):
        value = compute(metric, *pairs[metric.takes])
        values[metric.name] = defined(value * to_unit if metric.scaled else value)
    without = {
        metric.name: metric.undefined or "the metric gives no number"
        for metric in metrics.of_kind("values")
        if metric.since is None
    }
    return values, {key: without.get(key) or _why_undefined(t, o) for key, value in values.items() if value is None}


def _why_undefined(t: Float, o: Float) -> str:
    if not t.size:
        return "no samples"
    _, _, _, var_t, var_o, _ = _moments(t, o)
    if var_t == 0 and var_o == 0:
        return "targets and predictions are constant"
    return "the predictions are constant" if var_o == 0 else "the targets are constant"


def _moments(targets: npt.ArrayLike, outputs: npt.ArrayLike) -> tuple[Float, Float, float, float, float, float]:
    """Both arrays in float64, covariance, both variances (exactly 0 for a constant) and the difference of the means."""
    t, o = np.asarray(targets, dtype=np.float64), np.asarray(outputs, dtype=np.float64)
    if t.ndim != 1 or t.shape != o.shape:
        problem = f"targets of shape {t.shape} and outputs of shape {o.shape} must both be of one shape (samples,)."
        raise RecordError(problem)
    if not t.size:
        return t, o, 0.0, 0.0, 0.0, 0.0
    dt, do = _deviations(t), _deviations(o)
    return t, o, float(np.mean(dt * do)), float(np.mean(dt * dt)), float(np.mean(do * do)), float(t.mean() - o.mean())


def _deviations(values: Float) -> Float:
    mean = values.mean()
    deviations = values - mean
    return (
        np.zeros_like(values)
        if np.linalg.norm(deviations) <= _CONSTANT * abs(mean) * np.sqrt(values.size)
        else deviations
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator != 0 else float("nan")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _ranges(scale: Range | Sequence[Range], dimensions: int) -> list[Range]:
    pairs = np.asarray(scale, dtype=np.float64)
    pairs = np.broadcast_to(pairs, (dimensions, 2)) if pairs.ndim == 1 else pairs
    if pairs.shape != (dimensions, 2) or not (pairs[:, 0] < pairs[:, 1]).all():
        problem = (
            f"scale {scale!r} is not a (low, high) pair, low < high, nor one such pair for each of {dimensions}"
            " dimensions."
        )
        raise RecordError(problem)
    return [(float(low), float(high)) for low, high in pairs]


def _missing(truth: Float, answers: Float, dimensions: int) -> npt.NDArray[np.bool_]:
    if truth.shape != answers.shape or truth.ndim != 2 or truth.shape[1] != dimensions:
        problem = (
            f"targets of shape {truth.shape} and outputs of shape {answers.shape} must both be (samples, {dimensions})."
        )
        raise RecordError(problem)
    if not np.isfinite(truth).all():
        problem = f"the target of row {int((~np.isfinite(truth)).any(axis=1).argmax())} is not a number."
        raise RecordError(problem, "Leave samples without a target out of the split.")
    if np.isinf(answers).any():
        problem = f"the output of row {int(np.isinf(answers).any(axis=1).argmax())} is infinite."
        raise RecordError(problem, "Only NaN may mark a missing answer.")
    return np.asarray(np.isnan(answers).any(axis=1))
