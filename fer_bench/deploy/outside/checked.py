"""Outputs of a model from outside as answers: probabilities or values, or refused."""

from __future__ import annotations

import numpy as np
from scipy import special

from fer_bench.deploy.outside.model import Outputs
from fer_bench.errors import BadDataError
from fer_bench.protocols import Protocol
from fer_bench.submissions.answers import SUM_TOLERANCE, far_outside

AS_THEY_ARE = "as they are"


def as_answers(outputs: Outputs, reference: str, protocol: Protocol) -> tuple[Outputs, str]:
    """Outputs as they are, where they are probabilities or values on the protocol's scale; of the logits of a network,
    their softmax or, of several labels, their sigmoid.

    Args:
        outputs: shape (N, C), as the model gives them.
        reference: of the model; a function has no logits.
        protocol: which answers are asked for.

    Returns:
        The answers, float32, and which of these they are.

    Raises:
        BadDataError: they are none; names the first image.
    """
    if not np.isfinite(outputs).all():
        i = int((~np.isfinite(outputs).all(axis=1)).argmax())
        problem = f"{reference}: it answers image {i + 1} with {outputs[i].tolist()}."
        raise BadDataError(problem, "Check how the model is fed (--normalization, --image-size).")
    if protocol.task.kind == "values":
        return _values(outputs, reference, protocol.scale)
    if protocol.task.kind == "labels":
        return _several(outputs, reference)
    return _classes(outputs, reference)


def _values(outputs: Outputs, reference: str, scale: tuple[float, float]) -> tuple[Outputs, str]:
    if (wrong := far_outside(outputs, scale)).any():
        i = int(wrong.argmax())
        problem = f"{reference}: it answers image {i + 1} with {outputs[i].tolist()}, far outside the scale."
        raise BadDataError(problem, f"Values of this dataset are from {scale[0]:g} to {scale[1]:g}.")
    return outputs, AS_THEY_ARE


def _classes(outputs: Outputs, reference: str) -> tuple[Outputs, str]:
    total = outputs.sum(axis=1, dtype=np.float64)
    if (outputs >= 0).all() and (np.abs(total - 1) <= SUM_TOLERANCE).all():
        return outputs, AS_THEY_ARE
    # Per cent and sigmoids are no logits: a softmax of them would be another distribution.
    percent = (outputs >= 0).all() and (np.abs(total - 100) <= 100 * SUM_TOLERANCE).all()
    if reference.startswith("python:") or percent or ((outputs >= 0) & (outputs <= 1)).all():
        i = int((np.abs(total - 1) > SUM_TOLERANCE).argmax())
        what = f"{outputs[i].min():.4g} to {outputs[i].max():.4g}, which sum to {total[i]:.4g}"
        problem = f"{reference}: it answers image {i + 1} with {what}: no probabilities."
        raise BadDataError(problem, "A softmax makes probabilities of scores; it must be part of the model.")
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32), "softmax"


def _several(outputs: Outputs, reference: str) -> tuple[Outputs, str]:
    """Independent probabilities: of each category, whether an image has it."""
    off = (outputs < 0) | (outputs > 1)
    if not off.any():
        total = outputs.sum(axis=1, dtype=np.float64)
        if (np.abs(total - 1) <= SUM_TOLERANCE).all():
            problem = f"{reference}: its outputs sum to 1 on every image: one class of an image, not several labels."
            raise BadDataError(problem, "Give the probability of each category by itself (a sigmoid's outputs).")
        return outputs, AS_THEY_ARE
    # Per cent and counts are no logits, which are below 0 for what is improbable.
    if reference.startswith("python:") or (outputs >= 0).all():
        i = int(off.any(axis=1).argmax())
        what = f"{outputs[i].min():.4g} to {outputs[i].max():.4g}"
        problem = f"{reference}: it answers image {i + 1} with {what}: no probabilities."
        raise BadDataError(problem, "A sigmoid makes probabilities of scores; it must be part of the model.")
    return np.asarray(special.expit(outputs.astype(np.float64)), dtype=np.float32), "sigmoid"
