"""Other people's checkpoints of known networks, and this suite's own: from whatever they are wrapped in to the names of
the network that takes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from fer_bench.errors import WeightsError

Tensors = dict[str, torch.Tensor]
# What state dicts are kept under, the averaged ones first: they are what the reported accuracies are of.
_NESTS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "backbone",
    "params",
    "weights",
)
_DEPTH = 3
_COUNTER = "num_batches_tracked"
# Names of torchvision's DenseNets before 2017, which its files still have: "denselayer1.norm.1.weight" is
# "denselayer1.norm1.weight" today.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# EfficientNet-PyTorch calls its first layer so. Its tensors are, in order and shape, those of timm's tf_efficientnet
# networks.
_EFFICIENTNET_PYTORCH = "_conv_stem.weight"


@dataclass(frozen=True)
class Fitted:
    """What a network takes of a checkpoint.

    Args:
        state: by the network's own names.
        fresh: tensors that keep the network's own values, with both shapes where the file has them in another.
        unused: names in the file that the network has no use for.
        where: what the tensors are under in the file, such as ``state_dict, module.backbone.``; empty: nothing.
        by_order: the file's names are another library's, so that tensors were matched in their order.
        total: tensors of the network.
    """

    state: Tensors
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    where: str = ""
    by_order: bool = False
    total: int = 0

    def describe(self) -> str:
        """What was taken and what was not, in one line."""
        under = f" (under {self.where})" if self.where else ""
        parts = [f"{len(self.state)} of {self.total} tensors{under}{' matched by order' if self.by_order else ''}"]
        if self.fresh:
            parts.append(f"left fresh: {', '.join(self.fresh[:4])}{', ...' if len(self.fresh) > 4 else ''}")
        if self.unused:
            parts.append(f"{len(self.unused)} in the file unused, the first is {self.unused[0]}")
        return "; ".join(parts)


def current_name(key: str) -> str:
    """The name that PyTorch's networks have today for a tensor: DataParallel may wrap a part of a network, and
    DenseNets were renamed.
    """
    return _OLD_DENSENET.sub(r"\1\2", key.removeprefix("module.").replace(".module.", "."))


def head_names(network: nn.Module) -> set[str]:
    """Names of the tensors of a network's final layer."""
    body: Any = getattr(network, "body", network)
    names = list(network.state_dict())
    if callable(getattr(body, "get_classifier", None)):
        found = body.get_classifier()
        heads = [id(module) for module in (found if isinstance(found, tuple | list) else (found,))]
        prefixes = tuple(f"{name}." for name, module in network.named_modules() if id(module) in heads and name)
        if prefixes and (own := {name for name in names if name.startswith(prefixes)}):
            return own
    return set(names[-2:])


def fitting(network: nn.Module, content: Mapping[str, Any], path: str) -> Fitted:
    """The tensors of a checkpoint that a network takes, by its own names.

    A checkpoint may be nested (``state_dict``, ``model``, ``ema``, ...), its names may have any common prefix
    (``module.``, ``model.``, ``backbone.``, ...), and its final layer may be missing or of another size, which is then
    left fresh.

    Args:
        network: may be without memory, on the device ``meta``.
        content: of the file.
        path: of the file, for the error.

    Raises:
        WeightsError: it is of another architecture; names the tensor and both shapes.
    """
    own = network.state_dict()
    bare = (
        {name.removeprefix("body."): name for name in own}
        if all(name.startswith("body.") for name in own)
        else {name: name for name in own}
    )
    best: tuple[int, Tensors, str, list[str], bool] = (-1, {}, "", [], False)
    for nest, found in nested(content):
        matched, prefix, unused, by_order = _matched(found, bare, own)
        if len(matched) > best[0]:
            best = (len(matched), matched, ", ".join(filter(None, (nest, prefix))), unused, by_order)
        if 2 * len(matched) >= len(own):
            break
    _, state, where, unused, by_order = best
    if 2 * len(state) < len(own):
        problem = (
            f"{path}: {len(state)} of {len(own)} tensors have a name that this network knows; it is of another"
            " architecture."
        )
        raise WeightsError(problem, f"Choose the model that the file was made with.{_first_names(unused, bare)}")
    return _checked(network, Fitted(state, [], unused, where, by_order, len(own)), own, path)


def _checked(network: nn.Module, found: Fitted, own: Mapping[str, torch.Tensor], path: str) -> Fitted:
    heads, fresh, state = head_names(network), [], dict(found.state)
    require_plain(state, path, own)
    others = [key for key, value in state.items() if value.shape != own[key].shape and key not in heads]
    if others:
        key = others[0]
        more = f"; {len(others) - 1} others differ too" if len(others) > 1 else ""
        problem = f"{path}: {key} has shape {tuple(state[key].shape)}, the network needs {tuple(own[key].shape)}{more}."
        raise WeightsError(problem, "Choose the model, the image size and the options that the file was made with.")
    for key in sorted(heads):
        if key not in state:
            fresh.append(f"{key} {tuple(own[key].shape)}")
        elif state[key].shape != own[key].shape:
            fresh.append(f"{key} {tuple(own[key].shape)}, {tuple(state.pop(key).shape)} in the file")
    absent = [key for key in own if key not in state and key not in heads and not key.endswith(_COUNTER)]
    if absent:
        problem = f"{path}: {len(absent)} tensors are missing, the first is {absent[0]}."
        raise WeightsError(problem, "Choose the model that the file was made with.")
    return Fitted(state, fresh, found.unused, found.where, found.by_order, found.total)


def require_plain(state: Mapping[str, torch.Tensor], path: str, own: Mapping[str, torch.Tensor] | None = None) -> None:
    """Refuse tensors that cannot be copied into a network, or that would become other numbers there.

    Args:
        state: by the names of ``own``.
        path: of the file, for the error.
        own: tensors of the network, whose numbers must be of the same kind; None: only the layout counts.

    Raises:
        WeightsError: a tensor is sparse or quantized, or holds integers or complex numbers where the network has real
            ones.
    """
    for key, value in state.items():
        kind = str(value.dtype).removeprefix("torch.")
        real = own is not None and key in own and own[key].is_floating_point()
        faults = {
            "is quantized": value.is_quantized,
            "is sparse": value.layout is not torch.strided,
            f"holds {kind}, where the network has real numbers": real and not value.is_floating_point(),
        }
        if what := next((what for what, is_so in faults.items() if is_so), ""):
            problem = f"{path}: {key} {what}."
            raise WeightsError(problem, "Save the state dict of the network as it was trained, in float32.")


def nested(content: Mapping[str, Any], name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensors]]:
    """Every mapping of names to tensors in a checkpoint, with what it is under."""
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if tensors:
        yield name, tensors
    if depth == _DEPTH:
        return
    inner = {str(key): value for key, value in content.items() if isinstance(value, Mapping)}
    for key in sorted(inner, key=lambda key: _NESTS.index(key) if key in _NESTS else len(_NESTS)):
        yield from nested(inner[key], f"{name}.{key}".removeprefix("."), depth + 1)


def _matched(
    found: Tensors, bare: Mapping[str, str], own: Mapping[str, torch.Tensor]
) -> tuple[Tensors, str, list[str], bool]:
    """Tensors by the network's names, the prefix that they had, the names that are left over, and whether they were
    matched by order.
    """
    named = (
        found
        if any(".module." in name for name in bare)
        else {current_name(key): value for key, value in found.items()}
    )
    counts: Counter[str] = Counter()
    for key in named:
        parts = key.split(".")
        counts.update(".".join((*parts[:i], "")) if i else "" for i in range(len(parts)) if ".".join(parts[i:]) in bare)
    prefix = max(counts, key=lambda start: (counts[start], -len(start)), default="")
    state = {
        bare[rest]: value
        for key, value in named.items()
        if key.startswith(prefix) and (rest := key[len(prefix) :]) in bare
    }
    stem = next((key for key in named if key.endswith(_EFFICIENTNET_PYTORCH)), None)
    if stem is not None and 2 * len(state) < len(own):
        prefix = stem.removesuffix(_EFFICIENTNET_PYTORCH)
        if ordered := _in_order({key: value for key, value in named.items() if key.startswith(prefix)}, own):
            return ordered, prefix, [], True
    return state, prefix, [key for key in named if not (key.startswith(prefix) and key[len(prefix) :] in bare)], False


def _in_order(found: Tensors, own: Mapping[str, torch.Tensor]) -> Tensors:
    """Tensors under the network's names, one after the other; nothing where one is of another kind or, but for the
    final layer's two, of another shape.
    """
    theirs = [(key, value) for key, value in found.items() if not key.endswith(_COUNTER)]
    names = [name for name in own if not name.endswith(_COUNTER)]
    if len(theirs) != len(names):
        return {}
    for i, ((key, value), name) in enumerate(zip(theirs, names, strict=True)):
        same = value.shape == own[name].shape or i >= len(names) - 2
        if key.rpartition(".")[2] != name.rpartition(".")[2] or not same:
            return {}
    counters = [(key, value) for key, value in found.items() if key.endswith(_COUNTER)]
    theirs += counters
    names += [name for name in own if name.endswith(_COUNTER)] if counters else []
    return {name: value for name, (_, value) in zip(names, theirs, strict=False)}


def _first_names(unused: list[str], bare: Mapping[str, str]) -> str:
    return f" Its names begin with {unused[0]}, the network's with {next(iter(bare), 'nothing')}." if unused else ""
