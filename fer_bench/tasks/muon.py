"""Muon (Jordan et al. 2024): momentum whose update is made orthogonal, so that every direction of a layer learns at the
same rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

# The quintic that brings all singular values near 1 in few multiplications (Jordan et al. 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Muon for weights of two dimensions or more (a convolution's are a matrix of its filters), AdamW for biases and
    norms.

    An update is scaled to the root mean square that AdamW's usually has (Liu et al. 2025, "Muon is scalable for LLM
    training"), so that one rate suits both.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        weight_decay: decoupled.
        momentum: of Nesterov's kind, for the weights.
        steps: multiplications that make an update orthogonal; on a CPU they should be few.
        bias_lr: rate of biases and norms, as a multiple of ``lr``.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        steps: int = 4,
        bias_lr: float = 1.0,
    ) -> None:
        for name, value, right in (
            ("momentum", momentum, 0 <= momentum < 1),
            ("steps", steps, steps >= 1),
            ("bias_lr", bias_lr, bias_lr > 0),
        ):
            if not right:
                message = f"{name} = {value} is out of range"
                raise ValueError(message)
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "steps": steps, "bias_lr": bias_lr}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; the loss where a closure computes it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    (self._matrix if parameter.ndim > 1 else self._vector)(parameter, group)
        return loss

    def _matrix(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        mean = state["mean"]
        mean.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(mean, group["momentum"]).reshape(len(parameter), -1)
        update = orthogonal(ahead, group["steps"]).reshape(parameter.shape)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update.to(parameter.dtype), alpha=-0.2 * group["lr"] * max(ahead.shape) ** 0.5)

    def _vector(
        self, parameter: torch.Tensor, group: dict[str, Any], betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state.update(mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter), count=0)
        mean, square = state["mean"], state["square"]
        count = state["count"] = state["count"] + 1
        mean.lerp_(gradient, 1 - betas[0])
        square.lerp_(gradient.square(), 1 - betas[1])
        size, rate = (square / (1 - betas[1] ** count)).sqrt_().add_(1e-8), group["lr"] * group["bias_lr"]
        parameter.mul_(1 - rate * group["weight_decay"])
        parameter.addcdiv_(mean, size, value=-rate / (1 - betas[0] ** count))


def orthogonal(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """The nearest matrix (M, N) whose singular values are all about 1, by a Newton-Schulz iteration in bfloat16, which
    bears the rounding.
    """
    a, b, c = _QUINTIC
    x = matrix.bfloat16()
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
