"""Weights of a mean of probabilities by likelihood: the mixture of members under which validation's labels are most
probable.

That is the stacking of predictive distributions (Yao, Vehtari, Simpson and Gelman 2018, "Using Stacking to Average
Bayesian Predictive Distributions", section 3), solved by expectation and maximisation. The problem is convex and has
one number per member, so it overfits far less than a choice by accuracy, and a member that answers always alike gets no
weight.
"""

from __future__ import annotations

import numpy as np

from fer_bench.ensembles.selection import Float, ValidationSet

_STEPS = 1000
# Where no weight moves more than this in a step, the mean log-likelihood changes by less than its square.
_STILL = 1e-6
# Members below this share are left out, and the rest shares their part.
_LEAST = 1e-3
_SMALLEST = 1e-12


def mixture_weights(validation: ValidationSet) -> Float:
    """Fit the weights.

    Args:
        validation: the candidates. A sample that a member does not answer counts as its uniform distribution.

    Returns:
        Shape (M,), non-negative, sum 1; 0 for members that the mixture does without.
    """
    n_members, n_samples, n_classes = validation.outputs.shape
    own = validation.outputs[:, np.arange(n_samples), validation.targets]
    likelihood = np.maximum(np.where(np.isnan(own), 1.0 / n_classes, own), _SMALLEST)
    weights = np.full(n_members, 1.0 / n_members)
    for _ in range(_STEPS):
        before = weights
        shares = weights[:, None] * likelihood
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
        if np.abs(weights - before).max() < _STILL:
            break
    weights = np.where(weights < _LEAST, 0.0, weights)
    return np.asarray(weights / weights.sum())
