"""A network without its last layer, whose inputs are the features of an image."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from fer_bench.errors import SpecError


def penultimate(network: nn.Module) -> nn.Module:
    """The network without its last layer: it returns what that layer would have been given, flattened to (B, D).

    Args:
        network: torchvision's, timm's, this suite's own, or a
            :class:`~fer_bench.models.zoo.Network` around one of them. It is left as it is;
            the result shares its weights, but for timm's, which are copied.

    Raises:
        SpecError: no last linear layer was found.
    """
    if isinstance(getattr(network, "adapter", None), nn.Module) and isinstance(body := network.body, nn.Module):
        return _with(network, "body", penultimate(body))
    if hasattr(network, "reset_classifier"):
        body = copy.deepcopy(network)
        reset: Any = body.reset_classifier
        reset(0)
        return body
    for name in ("fc", "classifier"):
        head = getattr(network, name, None)
        if isinstance(head, nn.Linear):
            return _with(network, name, nn.Identity())
        if isinstance(head, nn.Sequential) and len(head) and isinstance(head[-1], nn.Linear):
            return _with(network, name, nn.Sequential(*list(head)[:-1]))
    problem = f"{type(network).__name__} has no last linear layer that could be left out."
    raise SpecError(problem, "Use its predictions, or another backbone.")


def _with(module: nn.Module, name: str, child: nn.Module) -> nn.Module:
    """A shallow copy of a module with one child replaced."""
    copied = copy.copy(module)
    copied.__dict__["_modules"] = {**module._modules, name: child}
    return copied
