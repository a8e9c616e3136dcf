"""Sharpness-aware minimisation (SAM; Foret et al. 2021): each step follows the gradient from a point uphill of the
weights, for flat minima.

The point uphill is that of the current batch, on each device and for each piece of a batch that was halved for lack of
memory ("m-sharpness" in the paper, section 4.1). The second gradient replaces the first after ``backward``, so that
scaling, clipping, accumulation, averages of weights and every optimiser work as without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fer_bench.errors import SpecError

OPTION = "sam"
# A loss and the outputs that it is of.
Attempt = Callable[[], tuple[torch.Tensor, torch.Tensor]]


def radius_of(options: Mapping[str, Any]) -> float:
    """The radius in ``optimizer_options``; 0 without one.

    Raises:
        SpecError: not a positive number.
    """
    radius = options.get(OPTION, 0.0)
    if OPTION in options and (isinstance(radius, bool) or not isinstance(radius, int | float) or radius <= 0):
        problem = f"optimizer_options.{OPTION} = {radius!r}: the radius must be a positive number."
        raise SpecError(problem, f"For example 0.05, or leave {OPTION} out.")
    return float(radius)


class Sharpness:
    """Moves the weights uphill for the forward and backward pass whose gradient counts, and back.

    Args:
        network: whose weights are trained.
        radius: length of the step uphill, in the norm of all weights together.
    """

    def __init__(self, network: nn.Module, radius: float) -> None:
        self.network, self.radius = network, radius
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def climb(
        self, attempt: Attempt, scaled: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Move the weights uphill; call :meth:`descend` after ``backward``.

        Args:
            attempt: forward pass and loss; is called twice, with the same random numbers.
            scaled: multiplies a loss so that gradients of half precision do not vanish.

        Returns:
            The loss uphill, whose gradient counts; the loss at the weights; the outputs there.
        """
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        device = weights[0].device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            loss, outputs = attempt()
        # Not backward(): that would add to what pieces of the same batch have left, and make processes wait for each
        # other.
        gradients = torch.autograd.grad(scaled(loss), weights, allow_unused=True)
        there = [
            (weight, gradient) for weight, gradient in zip(weights, gradients, strict=True) if gradient is not None
        ]
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(gradient.float()) for _, gradient in there])
        )
        # Where the scaled gradient is infinite, there is no direction: the step is that of plain descent.
        stride = torch.where(norm.isfinite() & (norm > 0), self.radius / norm, torch.zeros_like(norm))
        with torch.no_grad():
            # The second pass must leave no trace in running statistics: they are those at the weights.
            self._kept = [
                (tensor, tensor.clone()) for tensor in (*(weight for weight, _ in there), *self.network.buffers())
            ]
            for weight, gradient in there:
                weight.add_(torch.where(stride > 0, gradient * stride, torch.zeros_like(gradient)))
        # Autocast keeps the weights that it has cast for as long as its context lasts.
        torch.clear_autocast_cache()
        return attempt()[0], loss.detach(), outputs.detach()

    def descend(self) -> None:
        """Put the weights and running statistics back, bit for bit."""
        with torch.no_grad():
            for tensor, kept in self._kept:
                tensor.copy_(kept)
        self._kept = []
