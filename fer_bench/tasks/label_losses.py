"""Losses of several labels by name. Each takes logits and targets (B, K), 0 or 1, and returns a scalar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fer_bench import plugins
from fer_bench.errors import SpecError
from fer_bench.registry import Registry, unknown_name
from fer_bench.tasks.losses import LOSSES
from fer_bench.tasks.outside import build_plugin_loss, label_targets
from fer_bench.tasks.value_losses import VALUE_LOSSES

LABEL_LOSSES: Registry[Callable[..., nn.Module]] = Registry("loss of several labels")
# Of Kosti et al. 2019, section 5.2: keeps the weight of a category that hardly any sample has finite.
_RARE = 1.2


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy, averaged over samples and categories.

    Args:
        counts: shape (2, K), training samples without and with each category; None: unweighted. Otherwise positive
            samples of a category count as much as its negative ones (``pos_weight``), at most ``most`` times.
        smoothing: targets are moved this far towards a half.
        most: the largest such weight.
    """

    def __init__(self, counts: torch.Tensor | None = None, smoothing: float = 0.0, *, most: float = 100.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        weight = None if counts is None else (counts[0] / counts[1].clamp_min(1)).clamp(max=most)
        self.inner = nn.BCEWithLogitsLoss(pos_weight=weight)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch."""
        loss: torch.Tensor = self.inner(logits, targets * (1 - self.smoothing) + self.smoothing / 2)
        return loss


class FocalLoss(nn.Module):
    """Focal loss (Lin et al. 2017), averaged over samples and categories, as torchvision computes it.

    Args:
        counts: None; it has a weight of its own.
        smoothing: 0.
        alpha: weight of positive against negative samples, in [0, 1]; below 0: none.
        gamma: how much less easy samples count.
    """

    def __init__(
        self, counts: torch.Tensor | None = None, smoothing: float = 0.0, *, alpha: float = 0.25, gamma: float = 2.0
    ) -> None:
        super().__init__()
        _without("focal", counts, smoothing)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch."""
        from torchvision.ops import sigmoid_focal_loss

        loss: torch.Tensor = sigmoid_focal_loss(logits, targets, self.alpha, self.gamma, reduction="mean")
        return loss


class WeightedSquaredError(nn.Module):
    """EMOTIC's loss: squared error of the probabilities, summed over categories, each weighted by 1 / ln(1.2 + p),
    where p is the share of a batch's samples that have it (Kosti et al. 2019, section 5.2).

    Args:
        counts: None; its weights are those of each batch.
        smoothing: 0.
    """

    def __init__(self, counts: torch.Tensor | None = None, smoothing: float = 0.0) -> None:
        super().__init__()
        _without("weighted_l2", counts, smoothing)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch."""
        weights = 1 / torch.log(_RARE + targets.mean(dim=0))
        return (weights * (logits.sigmoid() - targets).square()).sum(dim=1).mean()


LABEL_LOSSES.add("bce", BinaryCrossEntropy)
LABEL_LOSSES.add("focal", FocalLoss)
LABEL_LOSSES.add("weighted_l2", WeightedSquaredError)


def build_label_loss(
    name: str, counts: Any, smoothing: float, options: Mapping[str, Any] | None = None, n_labels: int = 2
) -> nn.Module:
    """Build a loss of several labels by name.

    Args:
        name: a registered loss, or a plugin's.
        counts: shape (2, K), training samples without and with each category; None: categories count alike.
        smoothing: of the targets.
        options: of the loss.
        n_labels: K; plugins are tested with this number.

    Raises:
        UnknownNameError: no such loss.
        SpecError: a loss of classes or values, or an option that the loss does not have.
        PluginError: a plugin cannot be imported, or is not a loss.
    """
    given = dict(options or {})
    if name not in LABEL_LOSSES:
        if name in LOSSES or any(part in VALUE_LOSSES for part in name.split("+")):
            kind = "classes" if name in LOSSES else "values"
            problem = f"loss {name!r} is for {kind}; this task has several labels a sample."
            raise SpecError(problem, f"Use one of {', '.join(LABEL_LOSSES)}.")
        if (plugin := plugins.find("loss", name)) is None:
            raise unknown_name(LABEL_LOSSES.kind, name, plugins.known("loss", LABEL_LOSSES))
        return build_plugin_loss(plugin, given, {}, label_targets(n_labels), n_labels)
    found = None if counts is None else torch.as_tensor(counts, dtype=torch.float32)
    try:
        return LABEL_LOSSES[name](found, smoothing, **given)
    except TypeError as error:
        problem = f"loss {name!r}: {str(error).split(') ')[-1]}."
        raise SpecError(problem, "Correct loss_options.") from None


def _without(name: str, counts: Any, smoothing: float) -> None:
    if counts is not None or smoothing:
        problem = f"loss {name!r} takes neither class weights nor label smoothing."
        raise SpecError(problem, "Leave them out, or use loss=bce.")
