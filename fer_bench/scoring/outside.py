"""Metrics from outside the package: tried on small cases before they count, and, of a record, those that cannot be
recomputed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fer_bench.errors import PluginError
from fer_bench.metric_entry import METRICS, RESERVED, Metric
from fer_bench.metric_plugins import brought, function, stated_plugins
from fer_bench.protocols import own_dimensions
from fer_bench.results.record import Record
from fer_bench.scoring.classification import Confusion
from fer_bench.scoring.multilabel import Categories
from fer_bench.scoring.probabilities import Probabilities

_MATRICES = np.array([[[3, 1, 0, 0], [0, 2, 1, 1], [1, 0, 4, 0]], [[0, 0, 0, 0], [0, 5, 2, 0], [0, 1, 3, 0]]])
_CALLS = {
    "confusion": "It is called with a Confusion of any number of matrices, and returns one number of each.",
    "probabilities": "It is called with Probabilities, and returns a number.",
    "labels": "It is called with Categories, and returns a number.",
    "values": "It is called with targets and outputs of one dimension, each of shape (N,), and returns a number.",
    "signs": "It is called with targets and outputs less the middle of the scale, both (N,), and returns a number.",
}


def try_metric(metric: Metric, what: str) -> None:
    """Compute a plugin's metric of small cases.

    Args:
        metric: of a plugin.
        what: the plugin, for the error.

    Raises:
        PluginError: it fails, or does not give numbers.
    """
    compute, hint = function(metric.compute), _CALLS[metric.takes]
    if metric.takes == "confusion":
        both = _number(compute, what, hint, (2,), Confusion(_MATRICES))
        alone = [float(_number(compute, what, hint, (), Confusion(matrix))) for matrix in _MATRICES]
        if not np.allclose(both, alone, equal_nan=True):
            problem = f"{what} gives {both.tolist()} for two confusion matrices at once, and {alone} one by one."
            raise PluginError(problem, f"{hint} Sum over the last axes (axis=-1), not over everything.")
    elif metric.takes == "probabilities":
        ids = np.array([0, 1, 2, 0, 1, 2, 0])
        values = np.full((7, 3), 0.1)
        values[np.arange(7), [0, 1, 2, 0, 2, 2, 1]] = 0.8
        _number(compute, what, hint, (), Probabilities(ids, values, np.zeros(7, dtype=bool)))
    elif metric.takes == "labels":
        targets = np.arange(21).reshape(7, 3) % 4 == 0
        _number(compute, what, hint, (), Categories(targets, 0.6 * targets + 0.2))
    else:
        targets = np.linspace(-0.9, 0.8, 9)
        _number(compute, what, hint, (), targets, 0.5 * targets + 0.1 * np.cos(np.arange(9)))


def _number(compute: Callable[..., Any], what: str, hint: str, shape: tuple[int, ...], *given: Any) -> Any:
    try:
        found = compute(*given)
    except Exception as error:  # functions raise whatever they are made to
        detail = (next(iter(str(error).strip().splitlines()), "") or "no detail")[:160].rstrip(". ")
        problem = f"{what} fails on a small case ({type(error).__name__}: {detail})."
        raise PluginError(problem, hint) from None
    try:
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        values = None
    if values is None or values.shape != shape:
        given_back = f"a {type(found).__name__}" if values is None else f"shape {values.shape}"
        problem = f"{what} gives {given_back}, not {'a number' if shape == () else f'shape {shape}'}."
        raise PluginError(problem, hint)
    return values


def not_here(record: Record) -> dict[str, str]:
    """Metrics of plugins that a record states and that cannot be recomputed here, each with the plugin that it needs:
    one that is not installed, or that is other code here.
    """
    stated = stated_plugins(record.code)
    if not stated:
        return {}
    kept, here = METRICS.in_order(), brought()
    own = {metric.name for metric in kept} | RESERVED | own_dimensions()
    return {
        name: _needed(content)
        for name, content in stated.items()
        if name not in own and (name not in here or here[name][1] != content.get("sha256"))
    }


def _needed(content: Any) -> str:
    package = " ".join(str(content[key]) for key in ("package", "version") if content.get(key))
    return package or f"{content.get('object', '')} (sha256 {str(content.get('sha256', ''))[:12]})"
