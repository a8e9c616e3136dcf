"""Plugins of a run: which settings name them, what its record states about them, and their part of its fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from fer_bench import plugins
from fer_bench.data.augmentation import AUGMENTATIONS
from fer_bench.models.catalog import MODELS
from fer_bench.plugins import CODE, Plugin
from fer_bench.protocols import DATASETS
from fer_bench.results.inputs import Inputs
from fer_bench.spec import RunSpec
from fer_bench.tasks.label_losses import LABEL_LOSSES
from fer_bench.tasks.losses import LOSSES
from fer_bench.tasks.value_losses import VALUE_LOSSES

# A name is the package's own where it is one of the kind of the task: another kind's is free for a plugin.
_LOSSES: dict[str, Collection[str]] = {"classes": LOSSES, "labels": LABEL_LOSSES, "values": VALUE_LOSSES}


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
        yield "loss" if len(parts) == 1 else f"loss {part}", "loss", part, _LOSSES[spec.judge.task.kind]


def plugin_inputs(spec: RunSpec) -> Inputs:
    """The plugins' part of a fingerprint; that of the dataset comes with the data."""
    return {CODE + key: plugin.digest[:16] for key, plugin in plugins_of(spec).items() if key != "dataset"}


def plugin_facts(spec: RunSpec) -> dict[str, Any]:
    """Facts about plugins for a record; empty without any."""
    found = {key: plugin.facts() for key, plugin in plugins_of(spec).items()}
    return {"plugins": found} if found else {}
