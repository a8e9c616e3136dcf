"""Scores of expression recognition that need probabilities: average precision, likelihood and calibration."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import RecordError
from fer_bench.metric_plugins import compute
from fer_bench.scoring.average_precision import average_precision
from fer_bench.scoring.classification import class_ids, metric_named, unanswered_rows, why_undefined
from fer_bench.scoring.undefined import Float, defined, defined_list, divide, mean_where_defined

# Probabilities may have been stored in half precision; what is further from 1 than this was never a softmax.
_SUM_TOLERANCE = 1e-2
# A stored probability of exactly 0 would make one sample's loss infinite; scikit-learn's log_loss clips at the same
# value.
_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


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
        scores[name] = defined(compute(metric_named(name), given)) if len(given) else None
    reasons = why_undefined({name: scores[name] for name in metrics.names("probabilities")}, len(given) > 0)
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
        """Average precision of each class against the rest, shape (C,); NaN for a class without targets."""
        return average_precision(self.one_hot == 1, np.where(self.unanswered[:, None], -1.0, self.values))


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


def _probabilities(
    targets: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], Float, npt.NDArray[np.bool_]]:
    values = np.array(probabilities, dtype=np.float64)
    unanswered = unanswered_rows("probabilities", values)
    ids = class_ids("target", targets, 0, values.shape[1])
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
