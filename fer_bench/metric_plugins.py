"""Metrics of plugins: those that can be used here, and those that records state.

All that are installed, or registered, count; a record states which of them it holds, with what brings each, and how it
is shown: boards are the same where the plugin is not installed.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fer_bench import plugins
from fer_bench.errors import PluginError, PluginWarning
from fer_bench.metric_entry import MARK, METRICS, NAME, RESERVED, Metric, stated_metric
from fer_bench.plugins import Plugin

# Begins the key of a metric among the plugins of a record.
STATED = "metric "
# Tries a metric of a plugin on small cases.
_TRIAL = "fer_bench.scoring.outside:try_metric"
# What became of each plugin: its metric with the digest of its files, or why it cannot be used.
_BROUGHT: dict[Plugin, tuple[Metric, str] | PluginError] = {}
# How metrics of plugins are shown that records state.
_STATED: dict[str, Metric] = {}


def brought() -> dict[str, tuple[Metric, str]]:
    """By name, the metrics of plugins that can be used here, and the SHA-256 over the files of each.

    One that cannot be used is left out, with a warning: whoever only reads records needs none.
    """
    found: dict[str, tuple[Metric, str]] = {}
    for name in plugins.names("metric"):
        if name in METRICS:
            continue
        try:
            found[name] = _bring(name)
        except PluginError as error:
            warnings.warn(f"left out: {error}", PluginWarning, stacklevel=2)
    return found


def require_plugins() -> None:
    """Load the metrics of plugins anew, and try them, before anything long begins.

    Raises:
        PluginError: one cannot be used.
    """
    _BROUGHT.clear()
    function.cache_clear()
    for name in plugins.names("metric"):
        if name not in METRICS:
            _bring(name)


def _bring(name: str) -> tuple[Metric, str]:
    plugin = plugins.find("metric", name)
    assert plugin is not None
    if plugin not in _BROUGHT:
        try:
            _BROUGHT[plugin] = (_of_plugin(plugin), plugin.digest)
        except PluginError as error:
            _BROUGHT[plugin] = error
    found = _BROUGHT[plugin]
    if isinstance(found, PluginError):
        raise PluginError(found.problem, found.hint)
    return found


def _of_plugin(plugin: Plugin) -> Metric:
    made = plugin.load()
    entry = getattr(made, MARK, None)
    if not callable(made) or not isinstance(entry, Metric):
        problem = (
            f"{plugin.described}: {plugin.reference} is no function with @fer_bench.metric(title, takes) above it."
        )
        raise PluginError(problem, "See docs/plugins.md for what a metric must be.")
    if not NAME.fullmatch(plugin.name) or plugin.name in RESERVED:
        problem = f"{plugin.described}: a metric cannot have this name."
        raise PluginError(problem, "Use small letters, digits and underscores, and no name of a part of a record.")
    named: Metric = replace(entry, name=plugin.name, compute=plugin.reference)
    function(_TRIAL)(named, plugin.described)
    return named


def find(name: str) -> Metric | None:
    """A metric of a plugin by name: as a record states it, else as it can be used here; None where there is none."""
    return _STATED.get(name) or next((entry for entry, _ in brought().values() if entry.name == name), None)


def stated_in(codes: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    """The metrics of plugins that records state, by name."""
    return tuple(
        _STATED[name] for name in sorted({name for code in codes for name in stated_plugins(code)} & _STATED.keys())
    )


def facts(takes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What a record says of the metrics of plugins that it holds: where each is from, and how it is shown.

    Args:
        takes: what those of the kind of task take.
    """
    wanted = set(takes)
    found: dict[str, dict[str, Any]] = {}
    for name, (entry, digest) in brought().items():
        plugin = plugins.find("metric", name)
        if entry.takes in wanted and plugin is not None:
            shown = {"title": entry.title, "takes": entry.takes, "unit": entry.unit, "decimals": entry.decimals}
            found[f"{STATED}{name}"] = {
                **plugin.facts(),
                "sha256": digest,
                **shown,
                "lower_is_better": entry.lower_is_better,
            }
    return found


def stated_plugins(code: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a record's ``code`` says of the metrics of plugins, by name."""
    stated = code.get("plugins")
    return {
        str(key).removeprefix(STATED): content
        for key, content in (stated.items() if isinstance(stated, Mapping) else ())
        if str(key).startswith(STATED) and isinstance(content, Mapping)
    }


def learn(code: Mapping[str, Any]) -> None:
    """Take in how the metrics of plugins are shown that a record states; what is no such statement is passed over."""
    for name, content in stated_plugins(code).items():
        if name not in METRICS and name not in RESERVED and NAME.fullmatch(name):
            found = stated_metric(name, content)
            if found is not None:
                _STATED.setdefault(name, found)


@functools.cache
def function(reference: str) -> Callable[..., Any]:
    """What ``module:function`` of an entry names."""
    module, _, attribute = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    made: Callable[..., Any] = found
    return made


def compute(entry: Metric, *given: Any, shape: tuple[int, ...] = ()) -> Any:
    """What the function of a metric gives; NaN for a plugin's that fails: hours of training are not lost for it.

    Args:
        entry: the metric.
        given: what it takes.
        shape: of the result; () for a number.
    """
    if entry.since is not None:
        return function(entry.compute)(*given)
    try:
        found = np.asarray(function(entry.compute)(*given), dtype=np.float64)
    except Exception:  # plugins raise whatever they are made to
        return np.full(shape, np.nan)
    return found if found.shape == shape else np.full(shape, np.nan)
