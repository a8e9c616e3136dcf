"""Networks from outside the package: a class or a function that is called with the number of outputs and gives an
``nn.Module``.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from fer_bench.errors import FerBenchError, PluginError
from fer_bench.models.catalog import ModelEntry
from fer_bench.plugins import Plugin

# Side of the images of a trial where a network says nothing of its input.
_SIDE = 48


def entry_of(plugin: Plugin) -> ModelEntry:
    """What is known of a plugin's network before it is built.

    Its attribute ``image_size`` is the one side, in pixels, that it takes; without it, the network takes any.

    Raises:
        PluginError: it cannot be imported, or is no class of networks and no function.
    """
    made = plugin.load()
    if isinstance(made, nn.Module) or not callable(made) or (inspect.isclass(made) and not issubclass(made, nn.Module)):
        what = (
            f"a class that is not an nn.Module ({made.__name__})"
            if inspect.isclass(made)
            else f"a {type(made).__name__}"
        )
        problem = f"{plugin.described}: {plugin.reference} is {what}."
        raise PluginError(
            problem,
            "Name an nn.Module class, or a function that returns one, called as Net(num_outputs, **model_options).",
        )
    side = getattr(made, "image_size", None)
    if isinstance(side, int) and not isinstance(side, bool) and side > 0:
        return ModelEntry("plugin", plugin.reference, side, about=plugin.reference, fixed_size=True)
    return ModelEntry("plugin", plugin.reference, _SIDE, about=plugin.reference)


def build_plugin(reference: str, num_outputs: int, side: int, options: dict[str, Any]) -> nn.Module:
    """Build a network, ``Net(num_outputs, **options)``; ``image_size`` is given where it is among its parameters.

    Raises:
        PluginError: it does not give an ``nn.Module``, or has no such option.
    """
    made = Plugin("model", reference, reference).load()
    sized = {"image_size": side} if "image_size" in parameters_of(made) else {}
    try:
        body = made(num_outputs, **sized, **options)
    except FerBenchError:
        raise
    except ImportError as error:
        problem = f"model {reference!r} needs a package that cannot be imported ({error})."
        raise PluginError(problem, "Install it.") from None
    if not isinstance(body, nn.Module):
        problem = f"model {reference!r} gives a {type(body).__name__}, not an nn.Module."
        raise PluginError(problem, "It is called as Net(num_outputs, **model_options).")
    return body


def parameters_of(made: Any) -> set[str]:
    """Names of the parameters of a class or a function; none where Python cannot tell."""
    try:
        return set(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return set()
