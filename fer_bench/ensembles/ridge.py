"""A learned way to join values: ridge regression of the targets on all members' values (stacked regressions, Breiman
1996), fitted on validation, in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.ensembles.selection import ValidationSet
from fer_bench.ensembles.validation_folds import FOLDS, validation_folds
from fer_bench.errors import RecordError, SpecError
from fer_bench.scoring.ridge import ridge

Float = npt.NDArray[np.float64]
# Relative to the mean variance of the features, so that the units of the dataset do not matter.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class RidgeStacker:
    """A fitted stacker of values.

    Args:
        coefficients: shape (D, M * D): of each dimension for each member's values, member by member.
        intercept: shape (D,), in the dataset's units.
        penalty: one of ``PENALTIES``, chosen by cross-validation inside validation.
    """

    coefficients: Float
    intercept: Float
    penalty: float

    def apply(self, outputs: Float) -> Float:
        """Join outputs (M, N, D) of members, in their order of the fit, to (N, D); NaN where no member answered."""
        unanswered: npt.NDArray[np.bool_] = np.asarray(np.isnan(outputs).any(axis=2).all(axis=0))
        joint = features(outputs) @ self.coefficients.T + self.intercept
        return np.where(unanswered[:, None], np.nan, joint)

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept.tolist(),
            "penalty": self.penalty,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> RidgeStacker:
        """The inverse of :meth:`to_json`.

        Raises:
            RecordError: something is missing or of the wrong shape.
        """
        try:
            coefficients = np.array(content["coefficients"], dtype=np.float64)
            stacker = cls(coefficients, np.array(content["intercept"], dtype=np.float64), float(content["penalty"]))
        except (KeyError, TypeError, ValueError) as error:
            problem = f"the record's stacker cannot be read ({error})."
            raise RecordError(problem) from None
        if coefficients.ndim != 2 or stacker.intercept.shape != coefficients.shape[:1]:
            problem = (
                f"the record's stacker has coefficients of shape {coefficients.shape} and {stacker.intercept.size}"
                " intercepts."
            )
            raise RecordError(problem)
        return stacker


def features(outputs: Float) -> Float:
    """Values of all members side by side: (M, N, D) to (N, M * D); in place of a member without an answer, the mean of
    those that have one, and 0 where none has.
    """
    n_members, n_samples, n_dimensions = outputs.shape
    missing: npt.NDArray[np.bool_] = np.asarray(np.isnan(outputs).any(axis=2, keepdims=True))
    answered = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0.0, outputs).sum(axis=0) / answered
    known = np.where(missing, mean, outputs)
    return np.asarray(known.transpose(1, 0, 2).reshape(n_samples, n_members * n_dimensions))


def fit_ridge_stacker(validation: ValidationSet, metric: str = "", seed: int = 0) -> RidgeStacker:
    """Fit a stacker on validation.

    Args:
        validation: members' validation predictions of values; samples that no member answers are not learned from.
        metric: by which the penalty is chosen, on samples held out from the fit; empty: CCC.
        seed: of the folds of that cross-validation, which keep clips and people together.

    Raises:
        SpecError: validation has too few samples, or too few clips, to hold some out.
    """
    answered: npt.NDArray[np.bool_] = np.asarray(~np.isnan(validation.outputs).any(axis=2).all(axis=0))
    validation = validation.rows(answered)
    x, y = features(validation.outputs), np.asarray(validation.targets, dtype=np.float64)
    if len(y) < 2 * FOLDS:
        problem = f"a stacker cannot be learned from {len(y)} validation samples."
        raise SpecError(problem, "Use the rule mean or weighted_mean.")
    folds = validation_folds(validation, seed)
    held_out = np.empty((len(PENALTIES), *y.shape))
    for fold in range(FOLDS):
        out = folds == fold
        weights, offsets = ridge(x[~out], y[~out], PENALTIES)
        held_out[:, out] = x[out] @ weights + offsets[:, None, :]
    # Of equal ones the strongest, which is the simplest.
    gains = validation.gains(metric, held_out)
    best = len(PENALTIES) - 1 - int(np.argmax(gains[::-1]))
    weights, offsets = ridge(x, y, PENALTIES[best : best + 1])
    return RidgeStacker(weights[0].T.copy(), offsets[0], PENALTIES[best])
