"""Losses of valence and arousal by name. Each takes outputs and targets (B, D), both on the scale -1 to 1, and returns
a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from fer_bench import plugins
from fer_bench.errors import SpecError
from fer_bench.registry import Registry, unknown_name
from fer_bench.tasks.losses import LOSSES
from fer_bench.tasks.outside import build_plugin_loss, value_targets

VALUE_LOSSES: Registry[Callable[..., nn.Module]] = Registry("loss of values")
_SUGGESTION = "mse, mae, huber, ccc, or a sum such as mse+ccc"
TINY = 1e-8


class CCCLoss(nn.Module):
    """One minus the concordance correlation coefficient over the batch, averaged over dimensions (Lin 1989; population
    moments).
    """

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of a batch, 0 to 2; in a batch whose targets are all equal it rewards answering just those."""
        mean_o, mean_t = outputs.mean(dim=0), targets.mean(dim=0)
        cov = ((outputs - mean_o) * (targets - mean_t)).mean(dim=0)
        spread = outputs.var(dim=0, unbiased=False) + targets.var(dim=0, unbiased=False) + (mean_o - mean_t).square()
        return (1 - 2 * cov / (spread + TINY)).mean()


VALUE_LOSSES.add("mse", nn.MSELoss)
VALUE_LOSSES.add("mae", nn.L1Loss)
VALUE_LOSSES.add("huber", nn.HuberLoss)
VALUE_LOSSES.add("ccc", CCCLoss)


class SumLoss(nn.Module):
    """A weighted sum of losses.

    Args:
        parts: the losses.
        weights: one factor each.
    """

    def __init__(self, parts: list[nn.Module], weights: list[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.weights = weights

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of a batch."""
        total: torch.Tensor = sum(
            weight * part(outputs, targets) for weight, part in zip(self.weights, self.parts, strict=True)
        )
        return total


def build_value_loss(name: str, options: Mapping[str, Any] | None = None, n_outputs: int = 2) -> nn.Module:
    """Build a loss of values by name.

    Args:
        name: a registered loss, or several joined by ``+``.
        n_outputs: values of a prediction; plugins are tested with this number.
        options: ``delta`` of ``huber`` (on the scale -1 to 1), and ``weights``, one factor per loss of a sum.

    Raises:
        UnknownNameError: no such loss.
        SpecError: a loss of classes, or an option that the losses do not have.
    """
    names = name.split("+")
    for part in names:
        if part not in VALUE_LOSSES and part in LOSSES:
            problem = f"loss {part!r} is for classes; valence and arousal are values."
            raise SpecError(problem, f"Use {_SUGGESTION}.")
    given = dict(options or {})
    outside = {
        part: plugin
        for part in names
        if part not in VALUE_LOSSES and (plugin := plugins.find("loss", part)) is not None
    }
    if len(names) == 1 and name in outside:
        return build_plugin_loss(outside[name], given, {}, value_targets(n_outputs), n_outputs)
    for part in names:
        _require_known(part, outside)
    weights = given.pop("weights", [1.0] * len(names))
    delta = {"delta": given.pop("delta")} if "delta" in given and "huber" in names else {}
    if given:
        problem = f"loss_options.{sorted(given)[0]}: loss {name!r} has no such option."
        raise SpecError(problem, "Sums have weights, huber has delta.")
    if (
        not isinstance(weights, list)
        or len(weights) != len(names)
        or not all(isinstance(w, int | float) and w >= 0 for w in weights)
    ):
        problem = f"loss_options.weights = {weights!r}: loss {name!r} needs {len(names)} numbers that are not negative."
        raise SpecError(problem, "For example [1, 0.5] for mse+ccc.")
    parts = []
    for part in names:
        if part in outside:
            parts.append(build_plugin_loss(outside[part], {}, {}, value_targets(n_outputs), n_outputs))
        else:
            parts.append(VALUE_LOSSES[part](**(delta if part == "huber" else {})))
    return parts[0] if weights == [1.0] else SumLoss(parts, [float(w) for w in weights])


def _require_known(name: str, others: Iterable[str] = ()) -> None:
    if name not in VALUE_LOSSES and name not in others:
        raise unknown_name(VALUE_LOSSES.kind, name, plugins.known("loss", VALUE_LOSSES))


def check_class_loss(name: str) -> None:
    """Refuse a loss of values, or none at all, where classes are trained.

    Raises:
        UnknownNameError: no such loss.
        SpecError: a loss of values.
    """
    if name not in LOSSES and any(part in VALUE_LOSSES for part in name.split("+")):
        problem = f"loss {name!r} is for values; this task has classes."
        raise SpecError(problem, f"Use one of {', '.join(LOSSES)}, or a task such as va.")
    if name not in LOSSES and plugins.find("loss", name) is None:
        raise unknown_name(LOSSES.kind, name, plugins.known("loss", LOSSES))
