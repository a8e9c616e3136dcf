"""From a name to a network that takes 8-bit images."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from fer_bench.errors import FerBenchError, SpecError
from fer_bench.models.adapter import InputAdapter, default_normalization
from fer_bench.models.catalog import ModelEntry, find_model
from fer_bench.models.clip_network import over_clips
from fer_bench.models.initial import Initial, find_imagenet, from_file, require_imagenet
from fer_bench.models.network import Network as Network
from fer_bench.models.temporal_options import temporal_options
from fer_bench.spec import RunSpec

Module = TypeVar("Module", bound=nn.Module)


def build_network(
    name: str,
    num_outputs: int,
    *,
    weights: str = "none",
    image_size: int | None = None,
    native_size: int | None = None,
    normalization: str = "auto",
    options: dict[str, Any] | None = None,
    initial: Initial | None = None,
    data_dir: str | None = None,
    aspect: str = "square",
) -> Network:
    """Build a network by name.

    Args:
        name: an alias of the catalogue, ``timm:<name>``, or a plugin's.
        num_outputs: classes or values.
        weights: ``none``, ``imagenet`` or the path of a file.
        image_size: side of the input; None: the images' own size for networks that take any size, the designed size
            otherwise.
        native_size: side of the dataset's images.
        normalization: ``auto`` chooses the constants that the ImageNet weights were trained with, centred without them.
        options: settings of the model itself. Torchvision's also take ``stem``: ``imagenet`` as designed, ``small``
            with ``stem_stride`` (see :mod:`fer_bench.models.stems`), ``low_resolution`` (residual and dense networks:
            stride 1 and no pooling); ResNet and VGG also ``width``, the share of their channels.
        initial: ImageNet's weights where they have been found already.
        data_dir: data root, in which they are looked for otherwise.
        aspect: ``square`` stretches images to the side of the input; ``keep`` keeps their proportions, and that is the
            shorter side.

    Returns:
        The network; ``initial`` says where its weights are from.

    Raises:
        UnknownNameError, SpecError, WeightsError: with what to do next.
    """
    entry = find_model(name)
    given = dict(options or {})
    entry = replace(entry, smallest=entry.least_side(given.get("stem")))
    side = image_size or _side(entry, weights, native_size)
    if side < entry.smallest:
        problem = f"image_size = {side}: {name} needs at least {entry.smallest} px."
        raise SpecError(problem, f"Leave image_size out, or set it to {entry.image_size}.")
    if aspect == "keep" and (entry.fixed_size or entry.source == "own"):
        problem = f"aspect = 'keep': {name} takes square images only."
        raise SpecError(problem, "Leave aspect out; a square frame with bars keeps the proportions as well.")
    kind = default_normalization(name, weights) if normalization == "auto" else normalization
    try:
        if "num_classes" in given:
            raise TypeError("num_classes follows from the task")
        if weights == "imagenet":
            require_imagenet(entry, given)
            initial = initial or find_imagenet(name, data_dir)
        else:
            initial = None
        body = _BUILDERS[entry.source](entry, num_outputs, initial, side, dict(given))
    except (FerBenchError, ImportError):
        raise
    except Exception as error:  # libraries raise whatever they meet
        detail = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        problem = f"model {name!r} cannot be built with {given} for images of {side} px: {detail.rstrip('.')}."
        raise SpecError(problem, "Correct model_options, or image_size.") from None
    network = Network(InputAdapter(kind, side, keep=aspect == "keep"), body)
    # Without its tensors, which the network has by now.
    network.initial = initial and replace(initial, state={})
    if weights not in ("none", "imagenet"):
        network.initial = from_file(network, weights)
    return in_channels_last(network)


def in_channels_last(network: Module) -> Module:
    """Keep a network's four-dimensional weights in channels-last memory; those of five dimensions have no such
    order.
    """
    network._apply(lambda tensor: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor)
    return network


def build_specified(
    spec: RunSpec,
    num_outputs: int,
    *,
    native_size: int | None = None,
    pretrained: bool = True,
    initial: Initial | None = None,
) -> Network:
    """Build the network of a spec.

    Args:
        spec: the run.
        num_outputs: classes or values.
        native_size: side of the dataset's images.
        pretrained: False leaves the spec's weights out, where a checkpoint is loaded right after; size and constants
            stay theirs.
        initial: ImageNet's weights where they have been found already.
    """
    network = build_network(
        spec.model,
        num_outputs,
        weights=spec.execution.place_of(spec.weights) if pretrained else "none",
        image_size=spec.image_size or (find_model(spec.model).image_size if spec.weights == "imagenet" else None),
        native_size=native_size,
        normalization=normalization_of(spec),
        options=dict(spec.model_options),
        initial=initial,
        data_dir=spec.execution.data_dir,
        aspect=spec.aspect,
    )
    options = temporal_options(spec)
    if options is None:
        return network
    frozen = spec.freeze == "backbone" and not spec.unfreeze_every
    return in_channels_last(over_clips(network, num_outputs, options, frozen=frozen))


def without_temporal(spec: RunSpec) -> RunSpec:
    """The spec of the network below a temporal model."""
    return spec.model_copy(update={"temporal": "none", "temporal_options": {}})


def known_side(spec: RunSpec) -> int | None:
    """Side of a spec's input in pixels, where it is known without the data."""
    if spec.image_size:
        return spec.image_size
    entry = find_model(spec.model)
    return (
        _side(entry, spec.weights, None)
        if spec.weights == "imagenet" or entry.source == "own" or entry.fixed_size
        else None
    )


def normalization_of(spec: RunSpec) -> str:
    """Name of the constants that a run's images are normalised with."""
    return spec.normalization if spec.normalization != "auto" else default_normalization(spec.model, spec.weights)


def _side(entry: ModelEntry, weights: str, native_size: int | None) -> int:
    designed = weights == "imagenet" or entry.source == "own" or entry.fixed_size
    return entry.image_size if designed or native_size is None or native_size < entry.smallest else native_size


def _own(entry: ModelEntry, num_outputs: int, initial: Initial | None, side: int, options: dict[str, Any]) -> nn.Module:
    module, attribute = entry.builder.split(":")
    own: nn.Module = getattr(importlib.import_module(module), attribute)(num_outputs, image_size=side, **options)
    return own


def _plugin(
    entry: ModelEntry, num_outputs: int, initial: Initial | None, side: int, options: dict[str, Any]
) -> nn.Module:
    from fer_bench.models.outside import build_plugin

    return build_plugin(entry.builder, num_outputs, side, options)


def _torchvision(
    entry: ModelEntry, num_outputs: int, initial: Initial | None, side: int, options: dict[str, Any]
) -> nn.Module:
    import torchvision

    stem, stride, width = options.pop("stem", "imagenet"), options.pop("stem_stride", None), options.pop("width", None)
    if stem not in ("imagenet", "low_resolution", "small"):
        problem = f"model_options.stem = {stem!r} is unknown."
        raise SpecError(problem, "Use imagenet, small or low_resolution.")
    if stride is not None and stem != "small":
        raise ValueError("stem_stride belongs to stem = 'small'")
    if entry.builder in _WITH_SIDE_HEADS:
        # Its own initialisation draws from a truncated normal distribution for a minute.
        options.setdefault("init_weights", False)
    body = torchvision.models.get_model(entry.builder, weights=None, **options)
    if initial is not None:
        body.load_state_dict(initial.state, strict=False)
    _drop_side_heads(body, initial is not None)
    _replace_classifier(body, num_outputs)
    if width is not None or stem == "small":
        from fer_bench.models.stems import narrow, small_stem

        if width is not None:
            narrow(body, width)
        if stem == "small":
            small_stem(body, 1 if stride is None else stride, num_outputs)
    if stem == "low_resolution":
        _low_resolution_stem(body)
    return body


def _timm(
    entry: ModelEntry, num_outputs: int, initial: Initial | None, side: int, options: dict[str, Any]
) -> nn.Module:
    import timm

    if entry.fixed_size and side != entry.image_size:
        options.setdefault("img_size", side)
    if initial is not None:
        # timm adapts what depends on the side, and leaves a head of another size fresh.
        options["pretrained_cfg_overlay"] = {
            **options.get("pretrained_cfg_overlay", {}),
            "state_dict": dict(initial.state),
        }
    body = timm.create_model(entry.builder, pretrained=initial is not None, num_classes=num_outputs, **options)
    body.pretrained_cfg.pop("state_dict", None)
    if initial is None or num_outputs != body.pretrained_cfg.get("num_classes"):
        _quiet_head(body)
    return body


def _quiet_head(body: nn.Module) -> None:
    """Begin with answers that are nearly alike.

    Some of timm's networks scale a head by its number of outputs: of seven classes it would begin with logits in the
    tens, a loss three times that of chance, and gradients that undo pretrained features before the head has learned
    anything.
    """
    head = getattr(body, "get_classifier", lambda: None)()
    if isinstance(head, nn.Linear):
        nn.init.normal_(head.weight, std=0.01)
        if head.bias is not None:
            nn.init.zeros_(head.bias)


_WITH_SIDE_HEADS = ("googlenet", "inception_v3")
_BUILDERS = {"own": _own, "plugin": _plugin, "torchvision": _torchvision, "timm": _timm}


def _drop_side_heads(body: nn.Module, pretrained: bool) -> None:
    """Take away the classifiers half-way up: they help only in training for ImageNet, and return more than one
    output.
    """
    for name in ("aux1", "aux2", "AuxLogits"):
        if hasattr(body, name):
            setattr(body, name, None)
            body.aux_logits = False  # type: ignore[assignment]
            # Their ImageNet weights are of inputs in -1 to 1.
            body.transform_input = pretrained  # type: ignore[assignment]


def _replace_classifier(body: nn.Module, num_outputs: int) -> None:
    """Put a fresh layer where ImageNet's thousand outputs were."""
    for name in ("fc", "classifier"):
        head = getattr(body, name, None)
        if isinstance(head, nn.Linear):
            setattr(body, name, nn.Linear(head.in_features, num_outputs))
            return
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            head[-1] = nn.Linear(head[-1].in_features, num_outputs)
            return
        if isinstance(head, nn.Sequential) and isinstance(head[1], nn.Conv2d):
            head[1] = nn.Conv2d(head[1].in_channels, num_outputs, 1)
            return


def _low_resolution_stem(body: nn.Module) -> None:
    """Stride 1 and no pooling in the stem: a 48 px face is not shrunk to 12 px before the first block."""
    holder: Any = getattr(body, "features", body)
    for convolution, pooling, of in (("conv1", "maxpool", body), ("conv0", "pool0", holder)):
        if hasattr(of, convolution) and hasattr(of, pooling):
            setattr(
                of, convolution, nn.Conv2d(3, getattr(of, convolution).out_channels, 3, stride=1, padding=1, bias=False)
            )
            setattr(of, pooling, nn.Identity())
            return
    problem = f"{type(body).__name__} has no stem that could be replaced."
    raise SpecError(problem, "Leave model_options.stem out.")
