"""A learned way to join members: multinomial logistic regression on their log-probabilities (stacked generalisation,
Wolpert 1992), fitted on validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.ensembles.selection import ValidationSet
from fer_bench.ensembles.validation_folds import FOLDS, validation_folds
from fer_bench.errors import RecordError, SpecError

Float = npt.NDArray[np.float64]
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
# A probability of 0 has no logarithm; what is smaller than this counts as this.
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Stacker:
    """A fitted stacker.

    Args:
        coefficients: shape (C, M * C): of each class for each member's log-probabilities, member by member.
        intercept: shape (C,); minus infinity, written as None, for a class that validation does not have.
        penalty: scikit-learn's ``C``, chosen by cross-validation inside validation.
    """

    coefficients: Float
    intercept: Float
    penalty: float

    def apply(self, outputs: Float) -> Float:
        """Join outputs of members.

        Args:
            outputs: shape (M, N, C), in the members' order of the fit.

        Returns:
            Shape (N, C), probabilities; NaN where no member answered.
        """
        logits: Float = features(outputs) @ self.coefficients.T + self.intercept
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        unanswered: npt.NDArray[np.bool_] = np.asarray(np.isnan(outputs).any(axis=2).all(axis=0))
        return np.asarray(np.where(unanswered[:, None], np.nan, exponentials / exponentials.sum(axis=1, keepdims=True)))

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        intercept = [float(value) if np.isfinite(value) else None for value in self.intercept]
        return {"coefficients": self.coefficients.tolist(), "intercept": intercept, "penalty": self.penalty}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Stacker:
        """The inverse of :meth:`to_json`.

        Raises:
            RecordError: something is missing or of the wrong shape.
        """
        try:
            coefficients = np.array(content["coefficients"], dtype=np.float64)
            intercept = np.array(
                [-np.inf if value is None else value for value in content["intercept"]], dtype=np.float64
            )
            stacker = cls(coefficients, intercept, float(content["penalty"]))
        except (KeyError, TypeError, ValueError) as error:
            problem = f"the record's stacker cannot be read ({error})."
            raise RecordError(problem) from None
        if coefficients.ndim != 2 or intercept.shape != coefficients.shape[:1]:
            problem = (
                f"the record's stacker has coefficients of shape {coefficients.shape} and {intercept.size} intercepts."
            )
            raise RecordError(problem)
        return stacker


def features(outputs: Float) -> Float:
    """Log-probabilities of all members side by side: (M, N, C) to (N, M * C); a member without an answer counts as the
    uniform distribution.
    """
    n_members, n_samples, n_classes = outputs.shape
    known = np.where(np.isnan(outputs), 1.0 / n_classes, outputs)
    return np.asarray(
        np.log(np.clip(known, _SMALLEST, 1.0)).transpose(1, 0, 2).reshape(n_samples, n_members * n_classes)
    )


def fit_stacker(validation: ValidationSet, seed: int = 0) -> Stacker:
    """Fit a stacker on validation.

    Args:
        validation: members' validation predictions, at least as many samples of the rarest class as make sense to learn
            from.
        seed: of the folds of the cross-validation, which chooses the penalty with the lowest mean negative
            log-likelihood.

    Raises:
        SpecError: validation holds fewer than two classes, or fewer samples than folds.
    """
    n_classes = validation.outputs.shape[2]
    x, y = features(validation.outputs), validation.targets
    if len(np.unique(y)) < 2 or len(y) < 2 * FOLDS:
        problem = f"a stacker cannot be learned from {len(y)} validation samples of {len(np.unique(y))} classes."
        raise SpecError(problem, "Use a vote.")
    folds = validation_folds(validation, seed)
    losses = [
        np.mean([_held_out_loss(x, y, folds == fold, n_classes, penalty) for fold in range(FOLDS)])
        for penalty in PENALTIES
    ]
    penalty = PENALTIES[int(np.argmin(losses))]
    coefficients, intercept = _fit(x, y, n_classes, penalty)
    return Stacker(coefficients, intercept, penalty)


def _held_out_loss(
    x: Float, y: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], n_classes: int, penalty: float
) -> float:
    coefficients, intercept = _fit(x[~held_out], y[~held_out], n_classes, penalty)
    logits = x[held_out] @ coefficients.T + intercept
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    chosen = logits[np.arange(held_out.sum()), y[held_out]]
    # A class that only the held-out fold has costs as much as the smallest probability.
    return float(np.minimum(log_sum - chosen, -np.log(_SMALLEST)).mean())


def _fit(x: Float, y: npt.NDArray[np.int64], n_classes: int, penalty: float) -> tuple[Float, Float]:
    from sklearn.linear_model import LogisticRegression

    # The members agree so much that L-BFGS does not arrive in 2,000 steps; Newton does in ten.
    model = LogisticRegression(C=penalty, solver="newton-cholesky", tol=1e-8).fit(x, y)
    rows, offsets = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        # Two classes are fitted as one logit; as a softmax that is half of it to either side.
        rows, offsets = np.concatenate([-rows, rows]) / 2, np.concatenate([-offsets, offsets]) / 2
    coefficients, intercept = np.zeros((n_classes, x.shape[1])), np.full(n_classes, -np.inf)
    coefficients[model.classes_], intercept[model.classes_] = rows, offsets
    return coefficients, intercept
