"""The weights that a network begins with, where they are not random: found on this machine or at a hub, by the
network's own names, with their digest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from fer_bench.errors import SpecError, WeightsError
from fer_bench.models.adapter import NORMALIZATIONS, default_normalization
from fer_bench.models.catalog import ModelEntry, find_model
from fer_bench.models.converting import Fitted, fitting, head_names
from fer_bench.models.hub import hub_or_explain
from fer_bench.models.pretrained import at_hand
from fer_bench.models.weights import FOLDED, read_file, tensors_digest
from fer_bench.results.inputs import WEIGHTS, Inputs
from fer_bench.spec import RunSpec


@dataclass(frozen=True)
class Initial:
    """Weights that a network begins with.

    Args:
        source: where they were found, in words, without any path.
        digest: sha256 (hexadecimal) over the tensors below the final layer, by the network's own names; the same
            wherever they are found.
        taken: what was taken of the file.
        state: tensors by the body's own names, of ImageNet's weights the final layer too; empty once a file is loaded.
        folded: the norms have no statistics, so that training has to begin by taking them.
    """

    source: str
    digest: str
    taken: str
    state: dict[str, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)
    folded: bool = False

    def facts(self) -> dict[str, str]:
        """What a record says of them."""
        return {"source": self.source, "sha256": self.digest, "taken": self.taken}

    def describe(self) -> str:
        """One line for who starts a run."""
        return f"{self.source}, sha256 {self.digest[:12]}: {self.taken}"


def require_imagenet(entry: ModelEntry, options: Mapping[str, Any]) -> None:
    """Refuse what nobody has ImageNet's weights of.

    Raises:
        SpecError: a network of this suite, or one of another width.
    """
    if entry.source in ("own", "plugin"):
        problem = f"there are no ImageNet weights for {entry.builder.partition(':')[2]}."
        raise SpecError(problem, "Use weights=none, or the path of a file.")
    if options.get("width") is not None:
        problem = f"model_options.width = {options['width']}: there are no ImageNet weights of another width."
        raise SpecError(problem, "Leave width out, or use weights=none.")


def find_imagenet(name: str, data_dir: str | None = None) -> Initial:
    """ImageNet's weights of a network: from a folder, a package, a cache, or else a hub.

    The random number generators stay as they were, so that a run's random numbers do not depend on where its weights
    were found.

    Args:
        name: an alias of the catalogue or ``timm:<name>``.
        data_dir: data root; a folder ``weights`` in it is looked into.

    Raises:
        WeightsError: they are nowhere, or what is there does not fit; with what to do next.
    """
    with torch.random.fork_rng(devices=[]):
        return imagenet_at_hand(name, data_dir) or _from_hub(find_model(name))


def imagenet_at_hand(name: str, data_dir: str | None = None) -> Initial | None:
    """As :func:`find_imagenet`, without a hub: None where they are not on this machine."""
    entry = find_model(name)
    place = at_hand(entry, data_dir) if entry.source not in ("own", "plugin") else None
    if place is None:
        return None
    body = _skeleton(entry)
    return _initial(body, fitting(body, read_file(str(place.path)), str(place.path)), place.source)


def initial_weights(spec: RunSpec, *, hub: bool = True) -> Initial | None:
    """ImageNet's weights of a spec; None where it asks for none.

    Args:
        spec: the run.
        hub: False leaves the network alone: None where they are not on this machine.

    Raises:
        WeightsError: as :func:`find_imagenet`.
    """
    if spec.weights != "imagenet":
        return None
    return (find_imagenet if hub else imagenet_at_hand)(spec.model, spec.execution.data_dir)


def weights_inputs(initial: Initial | None) -> Inputs:
    """The part of a fingerprint that is the weights'. A file of the user's has its digest in the settings."""
    return {} if initial is None else {WEIGHTS: initial.digest[:16]}


def from_file(network: nn.Module, path: str) -> Initial:
    """Load a file into a network, and say what was taken of it."""
    content = read_file(path)
    taken = fitting(network, content, path)
    network.load_state_dict(taken.state, strict=False)
    return Initial(
        "a file of the user's",
        _digest(network, taken),
        taken.describe() + _fed_otherwise(network, content, path),
        folded=path.endswith(FOLDED),
    )


def _fed_otherwise(network: nn.Module, content: Mapping[str, Any], path: str) -> str:
    """A warning where the file says that its network saw images with other constants than this one will."""
    kind = "centred" if path.endswith(FOLDED) else _constants_in(content)
    adapter: Any = getattr(network, "adapter", None)
    if kind is None or adapter is None:
        return ""
    own = [tensor.flatten().cpu() / 255 for tensor in (adapter.mean, adapter.std)]
    if all(torch.allclose(a, torch.tensor(b[: len(a)])) for a, b in zip(own, NORMALIZATIONS[kind], strict=True)):
        return ""
    return f"; trained with normalization = {kind}, which this run does not use (--set normalization={kind})"


def _constants_in(content: Mapping[str, Any]) -> str | None:
    """Name of the constants of a checkpoint of this suite, which says what it is; None of any other."""
    try:
        spec = RunSpec.model_validate_json(content["spec"])
    except (KeyError, TypeError, ValueError):
        return None
    return spec.normalization if spec.normalization != "auto" else default_normalization(spec.model, spec.weights)


def _from_hub(entry: ModelEntry) -> Initial:
    if entry.source == "torchvision":
        import torchvision

        chosen = torchvision.models.get_model_weights(entry.builder)[entry.weights]
        state = hub_or_explain(lambda: chosen.get_state_dict(progress=False, check_hash=True), entry.builder)
    else:
        import timm

        designed = timm.get_pretrained_cfg(entry.builder, allow_unregistered=True)
        if designed is None or not (designed.has_weights or designed.file):
            problem = f"timm has no weights for {entry.builder}."
            raise WeightsError(problem, "Choose another model, or use weights=none.")
        state = hub_or_explain(lambda: timm.create_model(entry.builder, pretrained=True), entry.builder).state_dict()
    body = _skeleton(entry)
    where = (
        "download.pytorch.org" if entry.source == "torchvision" else f"the hub ({designed.hf_hub_id or designed.url})"
    )
    return _initial(body, fitting(body, dict(state), f"the hub's file for {entry.builder}"), where)


def _initial(body: nn.Module, taken: Fitted, source: str) -> Initial:
    return Initial(source, _digest(body, taken), taken.describe(), taken.state)


def _digest(network: nn.Module, taken: Fitted) -> str:
    own, heads = network.state_dict(), head_names(network)
    known = {
        name: value
        for name, value in taken.state.items()
        if name not in heads and not name.endswith("num_batches_tracked")
    }
    return tensors_digest((name.removeprefix("body."), value.to(own[name].dtype)) for name, value in known.items())


def _skeleton(entry: ModelEntry) -> nn.Module:
    """A network as it was trained on ImageNet, without memory for its weights where it can be built so."""

    def build() -> nn.Module:
        if entry.source == "torchvision":
            import torchvision

            sides = {"init_weights": False} if entry.builder in ("googlenet", "inception_v3") else {}
            return torchvision.models.get_model(entry.builder, weights=None, **sides)
        import timm

        return timm.create_model(entry.builder, pretrained=False)

    try:
        with torch.device("meta"):
            return build()
    except Exception as error:  # whatever cannot be done without memory
        logging.getLogger(__name__).debug("%s cannot be built without memory: %s", entry.builder, error)
        return build()
