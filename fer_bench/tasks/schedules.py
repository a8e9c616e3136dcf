"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.registry import Registry
from fer_bench.tasks.muon import Muon
from fer_bench.tasks.rules_findingemo import learning_rate_factor
from fer_bench.tasks.sharpness import OPTION as SAM
from fer_bench.tasks.sharpness import radius_of

OPTIMIZERS: Registry[Callable[..., torch.optim.Optimizer]] = Registry("optimizer")
OPTIMIZERS.add("sgd", torch.optim.SGD)
OPTIMIZERS.add("adam", torch.optim.Adam)
OPTIMIZERS.add("adamw", torch.optim.AdamW)
OPTIMIZERS.add("nadam", torch.optim.NAdam)
OPTIMIZERS.add("rmsprop", torch.optim.RMSprop)
OPTIMIZERS.add("muon", Muon)

# A schedule gets the optimizer, the peak learning rate, epochs, steps per epoch and its options; it returns what
# Lightning wants to know.
ScheduleFactory = Callable[..., dict[str, Any]]
SCHEDULES: Registry[ScheduleFactory | None] = Registry("schedule")
SCHEDULES.add("none", None)


def build_optimizer(
    name: str,
    module: nn.Module,
    lr: float,
    weight_decay: float,
    options: dict[str, Any],
    rates: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """Build an optimiser; biases and norm parameters decay only with ``decay_all: true``, as in most papers' code.

    Args:
        name: a registered optimiser.
        module: whose parameters it gets.
        lr: learning rate.
        weight_decay: of weights.
        options: of the optimiser; also ``decay_all``, and ``sam``, the radius of sharpness-aware minimisation
            (:mod:`fer_bench.tasks.sharpness`).
        rates: factors on the learning rate by the names of parameters; None: all learn at ``lr``.

    Raises:
        SpecError: an option that the optimiser does not have.
    """
    given = dict(options)
    decay_all = bool(given.pop("decay_all", False))
    # Is not the optimiser's: whichever it is, it gets the gradients.
    if radius_of(given):
        del given[SAM]
    parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for factor in sorted({(rates or {}).get(name, 1.0) for name, _ in parameters}, reverse=True):
        chosen = [p for name, p in parameters if (rates or {}).get(name, 1.0) == factor]
        rate = {"lr": lr * factor} if rates is not None else {}
        groups += [
            {"params": [p for p in chosen if p.ndim > 1 or decay_all], "weight_decay": weight_decay, **rate},
            {"params": [p for p in chosen if not (p.ndim > 1 or decay_all)], "weight_decay": 0.0, **rate},
        ]
    try:
        return OPTIMIZERS[name]([group for group in groups if group["params"]], lr=lr, **given)
    except (TypeError, ValueError) as error:
        problem = f"optimizer {name!r}: {str(error).split(') ')[-1]}."
        raise SpecError(problem, "Correct optimizer_options.") from None


@SCHEDULES.register("one_cycle")
def one_cycle(
    optimizer: torch.optim.Optimizer,
    lr: float,
    epochs: int,
    steps: int,
    warmup: float = 0.3,
    start: float = 25.0,
    end: float = 1e4,
) -> dict[str, Any]:
    """One cycle (Smith 2018): up over the share ``warmup`` of all steps, then down to lr / (start x end), by
    cosines.
    """
    total = max(epochs * steps, 2)
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    inner = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        peaks,
        total_steps=total,
        pct_start=warmup,
        div_factor=start,
        final_div_factor=end,
        cycle_momentum=False,
    )
    return {"scheduler": inner, "interval": "step"}


@SCHEDULES.register("cosine")
def cosine(
    optimizer: torch.optim.Optimizer, lr: float, epochs: int, steps: int, warmup_epochs: float = 1.0, floor: float = 0.0
) -> dict[str, Any]:
    """Linear warm-up, then half a cosine down to ``floor`` x lr, step by step."""
    total, warm = epochs * steps, max(int(warmup_epochs * steps), 1)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        progress = min((step - warm) / max(total - warm, 1), 1.0)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}


@SCHEDULES.register("step")
def step(
    optimizer: torch.optim.Optimizer, lr: float, epochs: int, steps: int, every: int = 10, factor: float = 0.1
) -> dict[str, Any]:
    """Multiply by ``factor`` after every ``every`` epochs."""
    return {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, every, gamma=factor), "interval": "epoch"}


@SCHEDULES.register("findingemo")
def findingemo(optimizer: torch.optim.Optimizer, lr: float, epochs: int, steps: int) -> dict[str, Any]:
    """Equation (2) of FindingEmo (Mertens et al. 2024): lr / sqrt(floor(epoch / 3) + 1), a new rate every third
    epoch.
    """
    return {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor), "interval": "epoch"}


@SCHEDULES.register("plateau")
def plateau(
    optimizer: torch.optim.Optimizer,
    lr: float,
    epochs: int,
    steps: int,
    factor: float = 0.5,
    patience: int = 0,
    threshold: float = 1e-4,
) -> dict[str, Any]:
    """Multiply by ``factor`` when the validation loss has not improved for more than ``patience`` epochs."""
    inner = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, threshold=threshold)
    return {"scheduler": inner, "interval": "epoch", "monitor": "validation/loss"}


def build_schedule(
    name: str, optimizer: torch.optim.Optimizer, lr: float, epochs: int, steps: int, options: dict[str, Any]
) -> dict[str, Any] | None:
    """Build a schedule by name.

    Raises:
        SpecError: an option that the schedule does not have.
    """
    factory = SCHEDULES[name]
    if factory is None:
        return None
    try:
        return factory(optimizer, lr, epochs, steps, **options)
    except (TypeError, ValueError) as error:
        problem = f"schedule {name!r}: {str(error).split(') ')[-1]}."
        raise SpecError(problem, "Correct schedule_options.") from None
