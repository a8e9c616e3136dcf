"""Plugins of a run: which settings name them, what its record states about them, and their part of its fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fer_bench import plugins
from fer_bench.data.augmentation import AUGMENTATIONS
from fer_bench.errors import PluginError, WeightsError
from fer_bench.metric_plugins import STATED
from fer_bench.models.catalog import MODELS
from fer_bench.plugins import CODE, Plugin
from fer_bench.protocols import DATASETS
from fer_bench.results.inputs import Inputs
from fer_bench.results.record import Record
from fer_bench.spec import RunSpec
from fer_bench.tasks.losses import LOSSES
from fer_bench.tasks.value_losses import VALUE_LOSSES


def plugins_of(spec: RunSpec) -> dict[str, Plugin]:
    """The plugins that a run names, by setting; none of them is imported."""
    return {
        key: plugin
        for key, kind, name, own in _named(spec)
        if name not in own and (plugin := plugins.find(kind, name)) is not None
    }


def _named(spec: RunSpec) -> Iterator[tuple[str, str, str, Any]]:
    yield "model", "model", spec.model, MODELS
    yield "dataset", "dataset", spec.dataset, DATASETS
    yield "augment", "augment", spec.augment, AUGMENTATIONS
    parts = spec.loss.split("+")
    for part in parts:
        yield "loss" if len(parts) == 1 else f"loss {part}", "loss", part, {*LOSSES, *VALUE_LOSSES}


def plugin_inputs(spec: RunSpec) -> Inputs:
    """The plugins' part of a fingerprint; that of the dataset comes with the data."""
    return {CODE + key: plugin.digest[:16] for key, plugin in plugins_of(spec).items() if key != "dataset"}


def plugin_facts(spec: RunSpec) -> dict[str, Any]:
    """Facts about plugins for a record; empty without any."""
    found = {key: plugin.facts() for key, plugin in plugins_of(spec).items()}
    return {"plugins": found} if found else {}


def recall(record: Record) -> None:
    """Register the plugins that a record names, so that its network can be built.

    Raises:
        WeightsError: the network's code is not here, or is not what the run was trained with.
    """
    stated = record.code.get("plugins") or {}
    for key, facts in stated.items():
        # What a metric is computed by is a matter of who runs it, never of what a record says.
        if key.startswith(STATED):
            continue
        kind, name = key.partition(" ")[0], str(facts.get("name", ""))
        # `module:attribute` is found by itself.
        if ":" not in name and plugins.find(kind, name) is None:
            plugins.register(kind, name, str(facts.get("object", "")))
    facts = stated.get("model")
    if facts is None:
        return
    plugin = plugins.find("model", record.model)
    source = (
        " ".join(str(facts[part]) for part in ("package", "version") if facts.get(part))
        or str(facts.get("object", "")).partition(":")[0]
    )
    try:
        found = plugin.digest if plugin is not None else ""
    except PluginError as error:
        raise WeightsError(
            error.problem,
            f"Run {record.run_id} was trained with it: install {source}, or go to the folder that it is in.",
        ) from None
    if found != facts.get("sha256"):
        digests = f"sha256 {found[:12]}, not {str(facts.get('sha256'))[:12]}"
        problem = (
            f"run {record.run_id}: the code of its network, {facts.get('object')}, is not what it was trained with"
            f" ({digests})."
        )
        raise WeightsError(problem, f"Restore {source} as it was, or train again.")
