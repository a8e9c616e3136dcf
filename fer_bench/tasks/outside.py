"""Losses from outside the package: a function of outputs and targets, or an ``nn.Module`` class whose instances are
one.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from fer_bench.errors import FerBenchError, PluginError, SpecError
from fer_bench.plugins import Plugin

_BATCH = 4


class FunctionLoss(nn.Module):
    """A function as a module.

    Args:
        function: called with outputs and targets.
        options: its further arguments.
    """

    def __init__(self, function: Any, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.function, self.options = function, dict(options)

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of a batch, a scalar."""
        loss: torch.Tensor = self.function(outputs, targets, **self.options)
        return loss


def build_plugin_loss(
    plugin: Plugin, options: Mapping[str, Any], offered: Mapping[str, Any], targets: torch.Tensor, n_outputs: int
) -> nn.Module:
    """Build a loss, and try it on a small batch.

    Args:
        plugin: of the loss.
        options: ``loss_options``.
        offered: what else a loss may take, by name (``weight``, ``label_smoothing``, ``counts``, ``label_set``); what
            it does not take and is set is refused.
        targets: of the trial.
        n_outputs: C.

    Raises:
        PluginError: it is not a loss, or fails.
        SpecError: an option that it does not have.
    """
    made: Any = plugin.load()
    is_function = not inspect.isclass(made)
    if isinstance(made, nn.Module) or not callable(made) or (inspect.isclass(made) and not issubclass(made, nn.Module)):
        problem = f"{plugin.described}: {plugin.reference} is neither a function nor an nn.Module class."
        raise PluginError(
            problem,
            "It is called as loss(outputs, targets, **loss_options), or as Loss(**loss_options)(outputs, targets).",
        )
    taken = _parameters(made)
    for name, setting in (("weight", "class_weights"), ("label_smoothing", "label_smoothing")):
        if name not in taken and offered.get(name) not in (None, 0.0):
            problem = f"{plugin.described} does not take {name}, which {setting} needs."
            raise SpecError(problem, f"Leave {setting} out, or give the loss a parameter {name}.")
    given = {name: value for name, value in offered.items() if name in taken} | dict(options)
    try:
        loss: nn.Module = FunctionLoss(made, given) if is_function else made(**given)
    except FerBenchError:
        raise
    except Exception as error:  # a class may raise anything
        problem = (
            f"{plugin.described} cannot be built with {dict(options)} ({type(error).__name__}: {_first_line(error)})."
        )
        raise SpecError(problem, "Correct loss_options.") from None
    _try(loss, plugin.described, targets, n_outputs)
    return loss


def class_targets(n_outputs: int, *, soft: bool) -> torch.Tensor:
    """Targets of a trial: class numbers (B,), or distributions (B, C)."""
    ids = torch.arange(_BATCH) % n_outputs
    return nn.functional.one_hot(ids, n_outputs).float() * 0.9 + 0.1 / n_outputs if soft else ids


def value_targets(n_outputs: int) -> torch.Tensor:
    """Targets of a trial: values (B, D) from -1 to 1."""
    return torch.linspace(-0.9, 0.8, _BATCH * n_outputs).reshape(_BATCH, n_outputs)


def label_targets(n_outputs: int) -> torch.Tensor:
    """Targets of a trial: whether each sample has each category, (B, K)."""
    return (torch.arange(_BATCH * n_outputs).reshape(_BATCH, n_outputs) % 3 == 0).float()


def _try(loss: nn.Module, what: str, targets: torch.Tensor, n_outputs: int) -> None:
    outputs = torch.linspace(-1, 1, _BATCH * n_outputs).reshape(_BATCH, n_outputs).sin().requires_grad_()
    example = f"It is called with outputs {(_BATCH, n_outputs)} and targets {tuple(targets.shape)} of a batch."
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            found = loss(outputs, targets)
    except FerBenchError:
        raise
    except Exception as error:  # a loss may raise anything
        problem = f"{what} fails on a small batch ({type(error).__name__}: {_first_line(error)})."
        raise PluginError(problem, f"{example} Correct it, or loss_options.") from None
    if not isinstance(found, torch.Tensor) or found.ndim != 0:
        shape = (
            f"a tensor of shape {tuple(found.shape)}"
            if isinstance(found, torch.Tensor)
            else f"a {type(found).__name__}"
        )
        problem = f"{what} gives {shape}, not a scalar tensor."
        raise PluginError(problem, f"{example} Return the mean over the batch.")
    if not bool(torch.isfinite(found)):
        problem = f"{what} gives {float(found)} on a small batch."
        raise PluginError(problem, example)
    if not found.requires_grad:
        problem = f"{what} does not depend on the outputs in a way that PyTorch can differentiate."
        raise PluginError(problem, "Compute it with PyTorch's functions, without detach() or item().")


def _parameters(made: Any) -> set[str]:
    try:
        return set(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return set()


def _first_line(error: BaseException) -> str:
    return (next(iter(str(error).strip().splitlines()), "") or "no detail")[:160].rstrip(". ")
