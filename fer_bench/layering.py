"""Settings of a command, layered from ``benchmarks/*.yaml`` and its flags: the best known recipe for a dataset and a
network, unless overridden by a flag.

Later layers win::

    defaults.yaml                      for everything
    fer_bench/protocols/               what the dataset declares: its default task, whether its images are small faces
    datasets/<dataset>.yaml            settings for it; ``small_faces: true`` says it of data of your own
    models/families.yaml               one entry after the other, each for the networks that its ``models`` match
    models/<model>.yaml
    models/temporal.yaml               for temporal models, and temporal_frozen.yaml where the network below is frozen
    tasks/<task>.yaml                  ``values.yaml`` for tasks of values that users have named
    the flags

Each layer of a dataset, a family or a model may hold sections that apply in one case only, and may be nested:
``datasets: {name: {...}}``, ``small_faces: {...}``, and, by the weights that training begins with, ``from_scratch:
{...}`` and ``from_weights: {...}``.

``weights: auto`` leaves the choice between ImageNet weights and none to what is available on a machine
(:mod:`fer_bench.training.auto_weights`). Final settings never contain it: it is replaced here by the choice of the
caller.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench import paths, plugins
from fer_bench.cross_validation import KEYS as FOLDING_KEYS
from fer_bench.errors import PluginError, SpecError
from fer_bench.own_data import BROUGHT, is_of_values
from fer_bench.protocols import PROTOCOLS, DatasetInfo, info_of, is_split_otherwise
from fer_bench.spec import AUTO, RunSpec, read_yaml

_SECTIONS = ("datasets", "small_faces", "from_scratch", "from_weights")
_EXAMPLES = {
    "datasets": "datasets: {fer2013: {epochs: 24}}",
    "small_faces": "small_faces: {image_size: 48}",
    "from_scratch": "from_scratch: {epochs: 60}",
    "from_weights": "from_weights: {epochs: 15}",
}
_OF_OPTIMIZER = ("optimizer", "optimizer_options", "lr", "weight_decay")
_OF_LOSS = ("label_smoothing", "class_weights")
# Settings that change nothing without one of these.
_ONLY_WITH = {
    "tta_kind": ("tta",),
    "progressive_step": ("progressive_from",),
    "mix_probability": ("mixup", "cutmix"),
    "mix_until": ("mixup", "cutmix"),
}
_OWNERS = ("augment", "optimizer", "schedule", "loss", "model", "method", "temporal")


def layered(flags: Mapping[str, Any], auto: str = "none") -> dict[str, Any]:
    """Merge all layers that a command's dataset, model and task have.

    Args:
        flags: settings by field name; ``execution`` may be a mapping; values that are None are left out, see
            :func:`unset`.
        auto: what ``weights: auto`` becomes, ``imagenet`` or ``none``.

    Returns:
        Settings for :func:`fer_bench.spec.build`.

    Raises:
        SpecError: a file cannot be read, or a section of it is no mapping.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    layers = list(_layers(given))
    weights = _weights(layers, given)
    weights = auto if weights == AUTO else weights
    settings: dict[str, Any] = {}
    outside = "loss" in given and any(plugins.find("loss", part) for part in str(given["loss"]).split("+"))
    advised = RunSpec.model_fields["optimizer"].default
    for layer in layers:
        for part in _parts(layer, weights):
            advised = part.get("optimizer", advised)
            settings = merge(settings, for_optimizer(part, advised, given))
    if outside:
        # What is advised for the package's losses is not meant for one from outside, which may not have it.
        settings = {key: value for key, value in settings.items() if key not in _OF_LOSS}
    done = {
        **_without_folds(merge(settings, given), given),
        **({"weights": weights} if "weights" in settings or "weights" in given else {}),
    }
    if done.get("augment") == "none" and not done.get("augment_options") and "augment_on" not in given:
        # Images that nobody changes are the same images wherever that would happen.
        done.pop("augment_on", None)
    return done


def _without_folds(settings: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the folds that are usual for a dataset where its options choose a split that has none."""
    options = settings.get("dataset_options")
    if not isinstance(options, Mapping) or not is_split_otherwise(str(settings.get("dataset")), options):
        return settings
    asked = given.get("dataset_options") or {}
    kept = {key: value for key, value in options.items() if key not in FOLDING_KEYS or key in asked}
    return {**settings, "dataset_options": kept}


def unset(flags: Mapping[str, Any]) -> dict[str, None]:
    """The settings that a command sets to nothing, which it sets all the same."""
    return {key: None for key, value in flags.items() if value is None}


def without_idle(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that defaults or a recipe had for something that the command has switched off, such as
    the kind of views where there are none.

    Args:
        settings: of a run.
        given: the command's, which stay, so that what changes nothing is refused.
    """
    return {
        key: value
        for key, value in settings.items()
        if key in given or key not in _ONLY_WITH or any(settings.get(owner) for owner in _ONLY_WITH[key])
    }


def for_optimizer(part: dict[str, Any], advised: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what they advise for another optimiser than the command's: a rate for SGD would be a hundred
    times too large for Adam.

    Args:
        part: settings, which also have a name.
        advised: the optimiser that they are for.
        given: the command's settings.
    """
    if given.get("optimizer", advised) == advised:
        return part
    return {key: value for key, value in part.items() if key not in (*_OF_OPTIMIZER, "recipe")}


def wants_auto(flags: Mapping[str, Any]) -> bool:
    """Whether a command leaves the choice of weights open."""
    given = {key: value for key, value in flags.items() if value is not None}
    return _weights(list(_layers(given)), given) == AUTO


def _weights(layers: list[_Layer], given: Mapping[str, Any]) -> str:
    # No section that depends on the weights chooses them.
    values = [part["weights"] for layer in layers for part in _parts(layer, None) if "weights" in part]
    return str(given.get("weights", values[-1] if values else RunSpec.model_fields["weights"].default))


@dataclass(frozen=True)
class _Layer:
    """One file's settings, or one family's, with what decides which of its sections count."""

    where: Path
    content: dict[str, Any]
    dataset: str
    small: bool


def _layers(given: Mapping[str, Any]) -> Iterator[_Layer]:
    folder = paths.benchmarks_dir()
    defaults = read_yaml(folder / "defaults.yaml")
    dataset = str(given.get("dataset", defaults.get("dataset", RunSpec.model_fields["dataset"].default)))
    model = str(given.get("model", defaults.get("model", RunSpec.model_fields["model"].default)))
    of_dataset, info = folder / "datasets" / f"{dataset.split(':')[0]}.yaml", _declared(dataset)
    task = info.default_task or defaults.get("task", "")
    # With the names of the network and the dataset from the start: what files say of their options is meant for them.
    yield _Layer(folder / "defaults.yaml", merge(defaults, {"model": model, "dataset": dataset}), dataset, small=False)
    small = info.small_faces
    content = {"task": info.default_task} if info.default_task else {}
    if of_dataset.is_file():
        content |= read_yaml(of_dataset)
        task = content.get("task", task)
        small = content.pop("small_faces", small) is True
    yield _Layer(of_dataset, content, dataset, small)
    families = folder / "models" / "families.yaml"
    for family in _families(families):
        if any(fnmatch.fnmatchcase(model, pattern) for pattern in family.pop("models")):
            yield _Layer(families, family, dataset, small)
    of_model = folder / "models" / f"{model.replace(':', '_')}.yaml"
    if of_model.is_file():
        yield _Layer(of_model, read_yaml(of_model), dataset, small)
    if given.get("temporal", "none") != "none":
        frozen = given.get("freeze") == "backbone" and not given.get("unfreeze_every")
        for of_clips in ("temporal", "temporal_frozen") if frozen else ("temporal",):
            path = folder / "models" / f"{of_clips}.yaml"
            if path.is_file():
                yield _Layer(path, read_yaml(path), dataset, small)
    # Last: what datasets and models advise on losses is meant for classes.
    task = str(given.get("task", task))
    of_task = folder / "tasks" / f"{'values' if is_of_values(task) else task}.yaml"
    if of_task.is_file():
        yield _Layer(of_task, read_yaml(of_task), dataset, small)


def _declared(dataset: str) -> DatasetInfo:
    try:
        return info_of(dataset)
    except PluginError:
        # What is wrong with it is said where it is to be read.
        return DatasetInfo(dataset)


def _families(path: Path) -> list[dict[str, Any]]:
    entries = read_yaml(path).get("families", []) if path.is_file() else []
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("models"), list) for entry in entries
    ):
        problem = f"{path}: 'families' must be a list of settings, each with the 'models' that it is for."
        raise SpecError(problem, 'For example families: [{models: ["resnet*"], epochs: 60}].')
    return [dict(entry) for entry in entries]


def _parts(layer: _Layer, weights: str | None, section: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """The plain settings of a layer (or of a section of it) and of those of its sections that count, in this order: by
    size, by weights, by dataset.
    """
    content = layer.content if section is None else section
    yield {key: value for key, value in content.items() if key not in _SECTIONS}
    counting = {
        "small_faces": layer.small,
        "from_scratch": weights == "none",
        "from_weights": weights not in (None, "none"),
    }
    for name in (name for name, counts in counting.items() if counts and name in content):
        yield from _parts(layer, weights, _mapping(content[name], name, layer))
    if "datasets" in content:
        of_datasets = _mapping(content["datasets"], "datasets", layer)
        yield from _parts(layer, weights, _mapping(of_datasets.get(layer.dataset, {}), "datasets", layer))


def _mapping(section: Any, name: str, layer: _Layer) -> dict[str, Any]:
    if not isinstance(section, dict):
        problem = (
            f"{layer.where}: {name!r} must hold"
            f" settings{', one mapping of them per dataset' if name == 'datasets' else ''}."
        )
        raise SpecError(problem, f"For example {_EXAMPLES[name]}.")
    return section


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Overlay one mapping of settings on another.

    A dictionary of options is merged key by key, unless the layer above also chooses another name for what the options
    belong to (``augment`` and ``augment_options``): options of one optimiser mean nothing to the next.
    """
    merged = dict(base)
    for name, value in over.items():
        key = str(name)
        owner = key.removesuffix("_options")
        switched = owner != key and over.get(owner, merged.get(owner)) != base.get(owner)
        merged[key] = (
            {**merged[key], **value}
            if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and not switched
            else value
        )
    for owner in _OWNERS:
        options = f"{owner}_options"
        if options not in over and owner in over and over[owner] != base.get(owner) and options in merged:
            merged[options] = {}
    return merged


def default_task(dataset: str, source: str) -> str:
    """The task of a dataset by which a network of another task is judged.

    Args:
        dataset: its name.
        source: the network's task.

    Returns:
        The network's own where the dataset has a protocol for it, else the one that the dataset's settings name.
    """
    if (
        f"{dataset}-{source}" in PROTOCOLS
        or dataset.startswith(BROUGHT)
        or plugins.find("dataset", dataset) is not None
    ):
        return source
    return str(layered({"dataset": dataset}).get("task", source))
