"""Unbalanced cross-entropy: a confident mistake costs more, the farther the wrong class lies from the right one.

Source: Mertens et al., FindingEmo (2024), equations (1), (3) and (4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fer_bench.errors import BadDataError

Reduction = Literal["mean", "sum", "none"]


def balanced_class_weights(counts: Sequence[int] | Tensor) -> Tensor:
    """Class weights of equation (3), ``w_i = N / (C * N_i)``.

    Args:
        counts: training samples per class, shape (C,), all positive.

    Returns:
        Shape (C,), float32; 1 everywhere for balanced classes.

    Raises:
        BadDataError: a class has no sample, so that its weight would be infinite.
    """
    per_class = torch.as_tensor(counts, dtype=torch.float64)
    empty = [i for i, n in enumerate(per_class.tolist()) if not n > 0]
    if empty:
        problem = f"class {empty[0]} of {len(per_class)} has no training sample: its weight N / (C * N_i) is infinite."
        raise BadDataError(problem, "Train on more data, or use an unweighted loss.")
    return (per_class.sum() / (len(per_class) * per_class)).float()


def misclassification_weights(class_weights: Tensor, distances: Sequence[Sequence[float]] | Tensor) -> Tensor:
    """Weights of taking class i for class j, equation (4): ``w_ij = d_ij / (1 + w_j) * w_i``.

    Args:
        class_weights: shape (C,), positive.
        distances: distance between classes, shape (C, C), zero on the diagonal (``LabelSet.distances``).

    Returns:
        Shape (C, C), dtype of ``class_weights``; rows are the target, columns the prediction.

    Raises:
        ValueError: the shapes do not fit, or the diagonal is not zero.
    """
    d = torch.as_tensor(distances, dtype=class_weights.dtype, device=class_weights.device)
    if d.shape != (len(class_weights), len(class_weights)):
        message = f"distances have shape {tuple(d.shape)}, but there are {len(class_weights)} class weights"
        raise ValueError(message)
    if d.diagonal().any():
        message = "the distance of a class to itself must be 0"
        raise ValueError(message)
    return d / (1 + class_weights) * class_weights[:, None]


def _value_and_gradient(logits: Tensor, target: Tensor, class_weights: Tensor, pair_weights: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Reduced loss and its derivative by the logits, in closed form."""
    top, guess = logits.max(-1, keepdim=True)
    t = target.unsqueeze(-1)
    below = logits - top
    below_t = below.gather(-1, t)
    w_t = class_weights[t]
    w_th = pair_weights[t, guess]
    w_both = w_t + w_th
    rest = below.exp().scatter(-1, guess, 0.0)  # exp(z_j - z_h) of all classes but h
    rest_sum = rest.sum(-1, keepdim=True)
    # p_h = 1 / all_sum and 1 - p_h = rest_sum / all_sum. Where exp underflowed, the target's own logit is what is left of rest_sum.
    all_sum = rest_sum + 1
    loss = all_sum.log() * w_both - w_t * below_t - w_th * torch.maximum(rest_sum.log(), below_t)
    of_guess = w_both / all_sum
    of_rest = of_guess - w_th / rest_sum.clamp_min(torch.finfo(logits.dtype).tiny)
    grad = (rest * of_rest).scatter(-1, guess, of_guess).scatter_add(-1, t, -w_t)
    if reduction == "none":
        return loss.squeeze(-1), grad
    if reduction == "sum":
        return loss.sum(), grad
    scale = w_t.sum()
    return loss.sum() / scale, grad / scale


@cache
def _fused() -> Callable[..., tuple[Tensor, Tensor]]:
    """The same as one kernel."""
    return torch.compile(_value_and_gradient, fullgraph=True)


class _UnbalancedCrossEntropy(torch.autograd.Function):
    """Hands autograd the closed-form gradient: composed of differentiable operations the loss takes twice as long."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, class_weights: Tensor, pair_weights: Tensor, reduction: str, fused: bool) -> Tensor:
        value_and_gradient = _fused() if fused else _value_and_gradient
        loss, grad = value_and_gradient(logits, target, class_weights, pair_weights, reduction)
        ctx.save_for_backward(grad)
        ctx.per_sample = reduction == "none"
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * (grad_output.unsqueeze(-1) if ctx.per_sample else grad_output), None, None, None, None, None


def unbalanced_cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor, pair_weights: Tensor, reduction: Reduction = "mean", fused: bool = False
) -> Tensor:
    """Unbalanced cross-entropy of equation (1), with the sign that makes it a loss.

    With h the class of the highest probability: ``-w_t log p_t - w_th log(1 - p_h)``; the second term is there only where
    h is not the target t, so that a right prediction costs its weighted cross-entropy. Of classes that share the highest
    logit, ``Tensor.max`` chooses h. Half precision is computed in float32. There is no second derivative.

    Args:
        logits: shape (..., C), unnormalised; leading dimensions may hold many heads, as (heads, batch, C).
        target: class ids, shape (...), int64 in 0..C-1.
        class_weights: w_t, shape (C,).
        pair_weights: w_th, shape (C, C), zero on the diagonal (:func:`misclassification_weights`).
        reduction: ``mean`` divides by the sum of the targets' class weights, as ``torch.nn.functional.cross_entropy`` does;
            for independent heads take ``none`` and reduce over the batch yourself.
        fused: compile to one kernel: the time of small batches is all overhead of single operations. Costs seconds at the
            first call and needs a C++ compiler (on CUDA, Triton).

    Returns:
        A scalar, or shape (...) for ``none``; never negative.

    Raises:
        ValueError: an unknown reduction.
    """
    if reduction not in ("mean", "sum", "none"):
        message = f"reduction must be mean, sum or none, not {reduction!r}"
        raise ValueError(message)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    loss: Tensor = _UnbalancedCrossEntropy.apply(logits, target, class_weights, pair_weights, reduction, fused)
    return loss


class UnbalancedCrossEntropyLoss(nn.Module):
    """Unbalanced cross-entropy of FindingEmo, equations (1), (3) and (4), as a module.

    Args:
        counts: training samples per class, shape (C,); gives the class weights of equation (3).
        distances: distance between classes, shape (C, C): ``LabelSet.distances`` holds the steps on Plutchik's wheel for
            Emo8 and the steps on the scale for Arousal3 and Valence3 (appendix A.7).
        reduction: as in :func:`unbalanced_cross_entropy`.
        fused: as in :func:`unbalanced_cross_entropy`.

    Raises:
        BadDataError: a class has no training sample.
        ValueError: shapes that do not fit.
    """

    class_weights: Tensor
    pair_weights: Tensor

    def __init__(
        self, counts: Sequence[int] | Tensor, distances: Sequence[Sequence[float]] | Tensor, reduction: Reduction = "mean", fused: bool = False
    ) -> None:
        super().__init__()
        weights = balanced_class_weights(counts)
        self.register_buffer("class_weights", weights)
        self.register_buffer("pair_weights", misclassification_weights(weights, distances))
        self.reduction = reduction
        self.fused = fused

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (..., C) against class ids (...)."""
        return unbalanced_cross_entropy(logits, target, self.class_weights, self.pair_weights, self.reduction, self.fused)
