"""What can be named in settings beside datasets: networks, tasks, metrics, losses, optimisers, schedules,
augmentations.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from fer_bench.data.augmentation import AUGMENTATIONS
from fer_bench.metrics import METRICS, Metric
from fer_bench.models.catalog import MODELS
from fer_bench.protocols import TASKS
from fer_bench.tasks.label_losses import LABEL_LOSSES
from fer_bench.tasks.losses import LOSSES
from fer_bench.tasks.schedules import OPTIMIZERS, SCHEDULES
from fer_bench.tasks.value_losses import VALUE_LOSSES

from .markdown import code, first_paragraph, page, plain, prose, sentence, table

_INTRODUCTION = """
`fer-bench list models` (`tasks`, `metrics`, `losses`, ...) shows these names, and those of installed
[plugins](../plugins.md). A class or function of your own is named `module:attribute`.
"""
# What the suite itself gives, which is no option.
_GIVEN = {
    "label_set", "weight", "label_smoothing", "counts", "smoothing",
    "optimizer", "lr", "epochs", "steps", "params", "weight_decay",
}  # fmt: skip
# How PyTorch computes, which changes nothing but speed, or what it keeps for older versions.
_OF_TORCH = {
    "foreach", "capturable", "fused", "differentiable", "maximize",
    "size_average", "reduce", "reduction", "args", "kwargs",
}  # fmt: skip
_TAKES = {
    "confusion": "classes",
    "probabilities": "classes",
    "labels": "several labels",
    "values": "values",
    "signs": "values",
}


def names_page() -> str:
    """The page."""
    named = ("Name", "", "Options and their defaults")
    return page(
        "Networks, tasks, metrics and other names",
        _INTRODUCTION,
        "## Networks",
        "Also every network of timm, as `timm:NAME` (`timm:convnext_tiny`).",
        table(("Name", "", "Designed for"), _models()),
        "## Tasks",
        table(("Name", "Predicts", "Ranks by"), _tasks()),
        "## Metrics",
        "All metrics of a kind of task are in every record; how they are computed is said in [Scores](../scores.md).",
        table(("Name", "Title", "Of", "Definition", "Better"), _metrics()),
        "## Losses of classes",
        table(named, _callables(LOSSES)),
        "## Losses of several labels",
        table(named, _callables(LABEL_LOSSES)),
        "## Losses of values",
        "Also weighted sums, such as `mse+ccc`.",
        table(named, _callables(VALUE_LOSSES)),
        "## Optimizers",
        "Each also takes `sam` (the radius of sharpness-aware minimization) and `decay_all` (weight decay of biases and"
        " norms too).",
        table(named, _callables(OPTIMIZERS)),
        "## Schedules",
        table(named, _callables(SCHEDULES)),
        "## Augmentations",
        "A named set of options; `augment_options` replace single ones. Angles in degrees, shifts as shares of the"
        " side.",
        table(("Name", "Options"), ((code(name), code(AUGMENTATIONS[name])) for name in AUGMENTATIONS)),
    )


def _models() -> Iterator[tuple[str, str, str]]:
    for name in MODELS:
        yield code(name), sentence(MODELS[name].about), f"{MODELS[name].image_size} px"


def _tasks() -> Iterator[tuple[str, str, str]]:
    for name in TASKS:
        task = TASKS[name]
        yield code(name), ", ".join(task.labels.names if task.labels else task.dimensions), code(task.primary)


def _metrics() -> Iterator[tuple[str, str, str, str, str]]:
    for metric in METRICS.in_order():
        if metric.takes in _TAKES:
            better = "lower" if metric.lower_is_better else "higher"
            yield code(metric.name), metric.title, _TAKES[metric.takes], _definition(metric), better


def _definition(metric: Metric) -> str:
    module, _, attribute = metric.compute.partition(":")
    text = (
        prose(inspect.getdoc(getattr(importlib.import_module(module), attribute)) or "")
        .split("\n\n")[0]
        .replace(", shape (...)", "")
    )
    return f"{sentence(text)} On values mapped to −1 to 1." if metric.scaled else sentence(text)


def _callables(registry: Any) -> Iterator[tuple[str, str, str]]:
    for name in registry:
        thing = registry[name]
        ours = str(getattr(thing, "__module__", "")).startswith("fer_bench")
        about = first_paragraph(thing) if ours else f"PyTorch's `{thing.__name__}`." if thing else "Constant."
        yield code(name), about, ", ".join(_options(thing)) if thing else ""


def _options(thing: Any) -> Iterator[str]:
    for name, parameter in inspect.signature(thing).parameters.items():
        taken = name in _GIVEN and not (name == "steps" and inspect.isclass(thing))
        if not taken and name not in _OF_TORCH and parameter.default is not parameter.empty:
            yield f"`{name}={plain(parameter.default)}`"
