"""Unbalanced cross-entropy: a confident mistake costs more, the farther the wrong class is from the right one.

Source: Mertens et al., FindingEmo (2024), equations (1), (3) and (4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fer_bench.errors import BadDataError

Reduction = Literal["mean", "sum", "none"]
# Added to a sum that may have underflowed, before it divides.
_TINY = 1e-30


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


def loss_and_slope(
    logits: Tensor, target: Tensor, class_weights: Tensor, pair_weights: Tensor | None, reduction: Reduction = "none"
) -> tuple[Tensor, Tensor]:
    """Loss and its derivative by the logits, in closed form; nothing is recorded for autograd.

    Args:
        logits: shape (N, C), single or double precision.
        target: class ids, shape (N,).
        class_weights: w_t, shape (C,), of the logits' type and device.
        pair_weights: w_th, shape (C, C), alike; None for plain weighted cross-entropy.
        reduction: of the loss.

    Returns:
        The loss, a scalar or of shape (N,), and the derivative of its sum, shape (N, C).

    Raises:
        IndexError: a target that is not a class (on devices other than a CPU, a negative one goes unnoticed).
    """
    if logits.device.type != "cpu":
        first = torch.arange(0, logits.numel(), logits.shape[1], device=logits.device)
        return _closed_form(torch, first, logits.detach(), target, class_weights, pair_weights, reduction)
    # On a CPU an operation on a batch costs its dispatch, which is a third as long in NumPy; and its exp and sum over a
    # few classes are several times as fast as the softmax of PyTorch over the last dimension.
    z, ids, pairs = logits.detach().numpy(), target.numpy(), None if pair_weights is None else pair_weights.numpy()
    if ids.size and ids.min() < 0:
        message = f"target {ids.min()} is not a class"
        raise IndexError(message)
    loss, slope = _closed_form(np, np.arange(0, z.size, z.shape[1]), z, ids, class_weights.numpy(), pairs, reduction)
    return torch.from_numpy(np.asarray(loss)), torch.from_numpy(slope)


def _closed_form(
    xp: Any, first: Any, logits: Any, target: Any, class_weights: Any, pair_weights: Any, reduction: str
) -> tuple[Any, Any]:
    """:func:`loss_and_slope` in what NumPy and PyTorch have in common; ``first`` holds the position of each sample's
    first logit, (N,).
    """
    guess = logits.argmax(1)
    at_guess, at_target = first + guess, first + target
    w_t = class_weights[target]
    scale = 1 / w_t.sum() if reduction == "mean" else None
    w_t = w_t if scale is None else w_t * scale
    below = logits - logits.take(at_guess)[:, None]
    rest = xp.exp(below)  # exp(z_j - z_h) of all classes but h
    flat = rest.reshape(-1)
    flat[at_guess] = 0
    rest_sum = rest.sum(1)
    all_sum = rest_sum + 1  # p_h = 1 / all_sum and 1 - p_h = rest_sum / all_sum
    below_t, log_all = below.take(at_target), xp.log(all_sum)
    if pair_weights is None:
        of_guess = of_rest = w_t / all_sum
        terms: list[tuple[Any, Any]] = [(w_t, log_all - below_t)]
    else:
        w_th = pair_weights.take(target * len(class_weights) + guess)
        w_th = w_th if scale is None else w_th * scale
        of_guess = (w_t + w_th) / all_sum
        of_rest = of_guess - w_th / (rest_sum + _TINY)
        # Where exp underflowed, the target's own logit is what is left of the sum.
        log_rest = xp.where(rest_sum > _TINY, xp.log(rest_sum + _TINY), below_t)
        terms = [(w_t, log_all - below_t), (w_th, log_all - log_rest)]
    rest *= of_rest[:, None]
    flat[at_guess] = of_guess
    flat[at_target] -= w_t
    return sum(weight * value if reduction == "none" else weight @ value for weight, value in terms), rest


class _UnbalancedCrossEntropy(torch.autograd.Function):
    """Hands autograd the closed-form derivative."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, class_weights: Tensor, pair_weights: Tensor, reduction: Reduction
    ) -> Tensor:
        loss, slope = loss_and_slope(logits, target, class_weights, pair_weights, reduction)
        ctx.save_for_backward(slope)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None, None]:
        # torch.autograd.function.once_differentiable says the same, but takes a quarter of the time of a small batch.
        if torch.is_grad_enabled():
            message = "the unbalanced cross-entropy has no second derivative: leave create_graph out"
            raise RuntimeError(message)
        (slope,), (grad,) = ctx.saved_tensors, grad_outputs
        return slope * (grad.unsqueeze(-1) if grad.ndim else grad), None, None, None, None


def unbalanced_cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor, pair_weights: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Unbalanced cross-entropy of equation (1), with the sign that makes it a loss.

    With h the class of the highest probability: ``-w_t log p_t - w_th log(1 - p_h)``; the second term is there only
    where h is not the target t, so that a right prediction costs its weighted cross-entropy. Of classes that share the
    highest logit, ``argmax`` chooses h. Half precision is computed in float32. There is no second derivative.

    Args:
        logits: shape (..., C), unnormalised; leading dimensions may hold many heads, as (heads, batch, C).
        target: class ids, shape (...), int64 in 0..C-1.
        class_weights: w_t, shape (C,).
        pair_weights: w_th, shape (C, C), zero on the diagonal (:func:`misclassification_weights`).
        reduction: ``mean`` divides by the sum of the targets' class weights, as ``torch.nn.functional.cross_entropy``
            does; for independent heads take ``none`` and reduce over the batch yourself.

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
    if logits.ndim == 2:
        return _apply(logits, target, class_weights, pair_weights, reduction)
    loss = _apply(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), class_weights, pair_weights, reduction)
    return loss.view(target.shape) if reduction == "none" else loss


_apply: Callable[..., Tensor] = _UnbalancedCrossEntropy.apply


class UnbalancedCrossEntropyLoss(nn.Module):
    """Unbalanced cross-entropy of FindingEmo, equations (1), (3) and (4), as a module.

    Args:
        counts: training samples per class, shape (C,); gives the class weights of equation (3).
        distances: distance between classes, shape (C, C): ``LabelSet.distances`` holds the steps on Plutchik's wheel
            for Emo8 and the steps on the scale for Arousal3 and Valence3 (appendix A.7).
        reduction: as in :func:`unbalanced_cross_entropy`.

    Raises:
        BadDataError: a class has no training sample.
        ValueError: shapes that do not fit.
    """

    class_weights: Tensor
    pair_weights: Tensor

    def __init__(
        self,
        counts: Sequence[int] | Tensor,
        distances: Sequence[Sequence[float]] | Tensor,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        weights = balanced_class_weights(counts)
        self.register_buffer("class_weights", weights)
        self.register_buffer("pair_weights", misclassification_weights(weights, distances))
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (..., C) against class ids (...)."""
        return unbalanced_cross_entropy(logits, target, self.class_weights, self.pair_weights, self.reduction)
