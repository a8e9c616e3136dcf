"""Losses of stacked heads with their derivatives in closed form, and the score that is watched beside them: of classes
weighted F1, of values the protocol's own metric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_bench import metrics
from fer_bench.ensembles.selection import metric_of
from fer_bench.errors import SpecError
from fer_bench.labels import LabelSet
from fer_bench.scoring.classification import confusion_statistic
from fer_bench.tasks.losses_unbalanced import balanced_class_weights, loss_and_slope, misclassification_weights
from fer_bench.tasks.value_losses import TINY

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Values:
    """What heads predict that predict no classes.

    Args:
        n: values of a sample, D.
        metric: that is watched on validation, ``ccc``, ``rmse``, ...
    """

    n: int
    metric: str = "ccc"

    def __len__(self) -> int:
        return self.n


Predicted = LabelSet | Values


class Losses(Protocol):
    """What training asks of losses.

    Attributes:
        score: name of the score that is watched beside the loss.
        sign: 1 where more of it is better, else -1.
    """

    score: str
    sign: float

    def __call__(self, loss: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss (H,) of each head on outputs (H, B, C), and its derivative by them, (H, B, C)."""
        ...

    def scores(self, outputs: Tensor, targets: Tensor) -> Float:
        """The score of each head, (H,), on outputs (H, N, C) and the targets of the N samples."""
        ...


def losses_of(predicted: Predicted, targets: Tensor, like: Tensor) -> Losses:
    """The losses of a training.

    Args:
        predicted: classes, or values.
        targets: of the training samples, (N,) or (N, D).
        like: gives device and type.

    Raises:
        BadDataError: a class has no training sample.
    """
    if isinstance(predicted, Values):
        return ValueLosses(predicted.metric)
    return ClassLosses(np.bincount(targets.cpu().numpy(), minlength=len(predicted)), predicted, like)


class ClassLosses:
    """Both losses of classes, with the class weights of FindingEmo's equation (3).

    Args:
        counts: training samples per class, shape (C,).
        labels: the classes; ``unbalanced_cross_entropy`` needs their distances.
        like: gives device and type.
    """

    score, sign = "weighted_f1", 1.0

    def __init__(self, counts: npt.ArrayLike, labels: LabelSet, like: Tensor) -> None:
        weights = balanced_class_weights(torch.as_tensor(np.asarray(counts)))
        self.class_weights = weights.to(like)
        self.pair_weights = misclassification_weights(weights, labels.distances).to(like) if labels.distances else None
        self.name = labels.name

    def __call__(self, loss: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`Losses`, weighted by the targets' classes.

        Args:
            loss: name.
            outputs: shape (H, B, C), logits.
            targets: shape (H, B).
        """
        if loss != "cross_entropy" and self.pair_weights is None:
            problem = f"loss 'unbalanced_cross_entropy': the classes of {self.name} have no distances."
            raise SpecError(problem, "Use cross_entropy.")
        pairs = None if loss == "cross_entropy" else self.pair_weights
        each, slope = loss_and_slope(outputs.flatten(0, 1), targets.flatten(), self.class_weights, pairs)
        total = self.class_weights[targets].sum(dim=1)
        return each.view_as(targets).sum(dim=1) / total, slope.view_as(outputs).div_(total[:, None, None])

    def scores(self, outputs: Tensor, targets: Tensor) -> Float:
        """Weighted F1 of logits (H, N, C)."""
        m, _, c = outputs.shape
        cells = (torch.arange(m, device=outputs.device)[:, None] * c + targets) * c + outputs.argmax(dim=-1)
        confusion = torch.bincount(cells.flatten(), minlength=m * c * c).view(m, c, c)
        return confusion_statistic(confusion.cpu().numpy(), "weighted_f1")


class ValueLosses:
    """Losses of values, means over the dimensions, as :mod:`fer_bench.tasks.value_losses` has them for networks.

    Args:
        metric: that is watched on validation.
    """

    def __init__(self, metric: str) -> None:
        found = metrics.find(metric)
        self.score, self.sign = metric, -1.0 if found is not None and found.lower_is_better else 1.0

    def __call__(self, loss: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`Losses`; outputs and targets of shape (H, B, D)."""
        each = [_OF_VALUES[part](outputs, targets) for part in loss.split("+")]
        value, slope = each[0]
        for other, more in each[1:]:
            value, slope = value + other, slope + more
        return value, slope

    def scores(self, outputs: Tensor, targets: Tensor) -> Float:
        """The metric, its mean over dimensions; NaN where it is undefined."""
        return metric_of(outputs.double().cpu().numpy(), targets.double().cpu().numpy(), self.score)


def _mse(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    off = outputs - targets
    return off.square().mean(dim=(1, 2)), off * (2 / off[0].numel())


def _mae(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    off = outputs - targets
    return off.abs().mean(dim=(1, 2)), off.sign() / off[0].numel()


def _ccc(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    n, d = outputs.shape[1:]
    mean_o, mean_t = outputs.mean(dim=1, keepdim=True), targets.mean(dim=1, keepdim=True)
    off_o, off_t = outputs - mean_o, targets - mean_t
    cov = (off_o * off_t).mean(dim=1, keepdim=True)
    spread = (off_o.square() + off_t.square()).mean(dim=1, keepdim=True) + (mean_o - mean_t).square() + TINY
    concordance = 2 * cov / spread
    # The spread changes by 2 (o - mean of t) / n, the covariance by (t - mean of t) / n.
    slope = (concordance * (outputs - mean_t) - off_t) * (2 / (n * d)) / spread
    return (1 - concordance).mean(dim=(1, 2)), slope


_OF_VALUES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {"mse": _mse, "mae": _mae, "ccc": _ccc}
