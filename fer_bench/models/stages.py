"""The stages of a network, from its input to its head: what fine-tuning freezes, or trains at a rate of its own.

A network of timm says itself how it is divided. Of others, a block is a stage; consecutive single layers are one, up to
the pooling that ends it (a ResNet's stem; each part of a VGG between two poolings).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

# What only holds the blocks of a network, in torchvision and timm.
_CONTAINERS = frozenset(("features", "layers", "blocks", "stages", "encoder", "trunk_output", "trunk", "body"))
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True)
class Stages:
    """Names of a network's parameters.

    Args:
        backbone: of each stage, from the input on.
        head: of the last layer, which gives the outputs.
    """

    backbone: tuple[tuple[str, ...], ...]
    head: tuple[str, ...]


def stages_of(network: nn.Module) -> Stages:
    """Divide a network into stages.

    Args:
        network: the body of a :class:`~fer_bench.models.zoo.Network`, or any other module.

    Returns:
        All of its parameters, each in one place.
    """
    names = [name for name, _ in network.named_parameters()]
    head = _head(network)
    groups = _stated(network) or list(_found(network, ""))
    stages: list[list[str]] = []
    matrices = {name for name, parameter in network.named_parameters() if parameter.ndim > 1}
    for group in groups:
        stage = [name for name in group if name not in head]
        # A last norm belongs to what it normalises.
        if stages and not matrices & set(stage):
            stages[-1] += stage
        elif stage:
            stages.append(stage)
    placed = {name for stage in stages for name in stage} | set(head)
    # Tokens and positions that are no layer's are added to the input.
    rest = [name for name in names if name not in placed]
    if rest:
        stages = [[*rest, *stages[0]], *stages[1:]] if stages else [rest]
    return Stages(tuple(map(tuple, stages)), tuple(head))


def _head(network: nn.Module) -> list[str]:
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    stated = getattr(network, "get_classifier", None)
    classifier = stated() if callable(stated) else None
    if isinstance(classifier, nn.Module) and any(True for _ in classifier.parameters()):
        layers = [name for name, layer in network.named_modules() if layer is classifier]
    return [name for name, _ in network.named_parameters() if layers and name.startswith(f"{layers[-1]}.")]


def _stated(network: nn.Module) -> list[list[str]]:
    """As a network of timm says; empty for others."""
    matcher = getattr(network, "group_matcher", None)
    if not callable(matcher):
        return []
    from timm.models import group_parameters

    groups: dict[int, list[str]] = group_parameters(network, matcher(coarse=True))
    return [list(groups[key]) for key in sorted(groups)]


def _found(module: nn.Module, prefix: str) -> Iterator[list[str]]:
    run: list[str] = []
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        own = [f"{path}.{inner}" for inner, _ in child.named_parameters()]
        if isinstance(child, _POOLS):
            if run:
                yield run
            run = []
        elif own and name in _CONTAINERS and any(True for _ in child.children()):
            if run:
                yield run
            run = []
            yield from _found(child, f"{path}.")
        elif own and any(True for _ in child.children()):
            if run:
                yield run
            run = []
            yield own
        else:
            run += own
    if run:
        yield run
