"""Losses by name. Each takes logits (B, C) and targets, and returns a scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fer_bench import plugins
from fer_bench.errors import SpecError
from fer_bench.labels import LabelSet
from fer_bench.registry import Registry
from fer_bench.tasks.losses_unbalanced import UnbalancedCrossEntropyLoss
from fer_bench.tasks.outside import build_plugin_loss, class_targets

LossFactory = Callable[..., nn.Module]
LOSSES: Registry[LossFactory] = Registry("loss")


class SoftCrossEntropy(nn.Module):
    """Cross-entropy against class ids (B,) or distributions (B, C).

    Args:
        weight: shape (C,), one factor per class, or None.
        label_smoothing: share of the target that is spread over all classes.
        counts: shape (C,), training samples per class; every loss is given them, some need them.
    """

    def __init__(
        self, label_set: LabelSet, weight: torch.Tensor | None = None, label_smoothing: float = 0.0, counts: Any = None
    ) -> None:
        super().__init__()
        self.inner = nn.CrossEntropyLoss(weight=weight, label_smoothing=label_smoothing)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch."""
        return self.inner(logits, targets)


class MultiTargetLoss(nn.Module):
    """FER+'s multi-target loss: any of an image's accepted emotions is correct (Barsoum et al. 2016, equation 5).

    Targets are binary (B, C), smoothed; the loss is the negative log of the largest product of target and probability.
    """

    def __init__(
        self, label_set: LabelSet, weight: torch.Tensor | None = None, label_smoothing: float = 0.0, counts: Any = None
    ) -> None:
        super().__init__()
        if weight is not None or label_smoothing:
            problem = "loss 'multi_target' takes neither class weights nor label smoothing."
            raise SpecError(problem, "Leave them out.")

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch."""
        if targets.ndim == 1:
            targets = nn.functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
        return -(targets.clamp_min(1e-12).log() + logits.log_softmax(dim=1)).amax(dim=1).mean()


class SigmoidCrossEntropy(nn.Module):
    """One binary cross-entropy per class after a sigmoid, summed over classes: the autoencoder paper's equation (2),
    its sign corrected.

    The classes exclude each other, so softmax cross-entropy is the right loss; this one is for comparison.
    """

    def __init__(
        self, label_set: LabelSet, weight: torch.Tensor | None = None, label_smoothing: float = 0.0, counts: Any = None
    ) -> None:
        super().__init__()
        self.smoothing = label_smoothing
        self.weight: torch.Tensor | None
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch."""
        if targets.ndim == 1:
            targets = nn.functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
        targets = targets * (1 - self.smoothing) + self.smoothing / logits.shape[1]
        return (
            nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=self.weight, reduction="none")
            .sum(dim=1)
            .mean()
        )


LOSSES.add("cross_entropy", SoftCrossEntropy)
LOSSES.add("multi_target", MultiTargetLoss)
LOSSES.add("sigmoid_cross_entropy", SigmoidCrossEntropy)


@LOSSES.register("unbalanced_cross_entropy")
def unbalanced(
    label_set: LabelSet, weight: torch.Tensor | None = None, label_smoothing: float = 0.0, counts: Any = None
) -> nn.Module:
    """FindingEmo's loss, which weighs a mistake by its distance; it has its own class weights.

    Raises:
        SpecError: the label set has no distances, or other weights or smoothing are set too.
    """
    if label_set.distances is None:
        problem = f"loss 'unbalanced_cross_entropy' needs distances between classes; {label_set.name} has none."
        raise SpecError(problem, "Use cross_entropy.")
    if weight is not None or label_smoothing:
        problem = "loss 'unbalanced_cross_entropy' has its own class weights and no label smoothing."
        raise SpecError(problem, "Leave class_weights and label_smoothing out.")
    return UnbalancedCrossEntropyLoss(counts, label_set.distances)


def build_loss(
    name: str,
    label_set: LabelSet,
    weight: torch.Tensor | None,
    label_smoothing: float,
    options: dict[str, Any],
    counts: Any = None,
    *,
    soft: bool = False,
) -> nn.Module:
    """Build a loss by name.

    Args:
        name: a registered loss, or a plugin's.
        label_set: the classes.
        weight: shape (C,), or None.
        label_smoothing: share of the target that is spread over all classes.
        options: of the loss.
        counts: shape (C,), training samples per class.
        soft: whether it is trained on distributions; a plugin is tested on these.

    Raises:
        SpecError: an option that the loss does not have.
        PluginError: a plugin cannot be imported, or is not a loss.
    """
    if name not in LOSSES and (plugin := plugins.find("loss", name)) is not None:
        offered = {"label_set": label_set, "weight": weight, "label_smoothing": label_smoothing, "counts": counts}
        return build_plugin_loss(plugin, options, offered, class_targets(len(label_set), soft=soft), len(label_set))
    try:
        return LOSSES[name](label_set, weight=weight, label_smoothing=label_smoothing, counts=counts, **options)
    except TypeError as error:
        problem = f"loss {name!r}: {str(error).split(') ')[-1]}."
        raise SpecError(problem, "Correct loss_options.") from None


def balanced_weights(counts: Any) -> torch.Tensor:
    """Class weights n / (C n_c), scikit-learn's ``balanced``.

    Args:
        counts: shape (C,), training samples per class.

    Returns:
        Shape (C,), float32; a class without samples gets 0.
    """
    n = torch.as_tensor(counts, dtype=torch.float32)
    return torch.where(n > 0, n.sum() / (len(n) * n.clamp_min(1)), torch.zeros(()))
