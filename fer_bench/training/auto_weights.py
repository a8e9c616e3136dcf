"""How ``weights: auto`` is resolved here: ImageNet weights if available, else none; and the same when the command is
repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.errors import SpecError, WeightsError
from fer_bench.layering import layered, unset
from fer_bench.models.catalog import find_model
from fer_bench.models.initial import find_imagenet, imagenet_at_hand, require_imagenet
from fer_bench.spec import RunSpec, build

CHOICES = ("imagenet", "none")
Settle = Callable[[Mapping[str, Any], str], dict[str, Any]]


def _settle(given: Mapping[str, Any], weights: str) -> dict[str, Any]:
    return layered(given, auto=weights) | unset(given)


@dataclass(frozen=True)
class Choice:
    """What ``weights: auto`` has become.

    Args:
        spec: the run, its weights named.
        said: one line that says which they are and why.
        file: where the choice is kept.
        content: of the file; None where it is there already.
    """

    spec: RunSpec
    said: str
    file: Path
    content: bytes | None = None

    def keep(self) -> None:
        """Write the choice down, once the run begins: until then another may turn out to be better."""
        if self.content is not None:
            write_atomically(self.file, self.content)


def resolve_auto(given: Mapping[str, Any], settle: Settle = _settle) -> Choice:
    """Settle the weights of a command that leaves them open.

    A hub is waited for no longer than :func:`fer_bench.models.hub.hub_or_explain` waits for an answer. What is chosen
    is kept in ``runs/auto`` (:meth:`Choice.keep`), for all seeds of the command together: whatever can be had later,
    the command given again resumes its run, and another seed is of the same row.

    Args:
        given: the command's settings.
        settle: makes the settings of a run from the command's and the weights.

    Raises:
        UnknownNameError: no such model.
        SpecError: a setting is unknown or out of range.
    """
    specs = {choice: build(settle(given, choice), "the command line") for choice in CHOICES}
    find_model(specs["none"].model)
    file = _file(specs)
    before = _read(file)
    if before is not None:
        said = f"weights: auto is {before}, as when this command was first given here ({file})."
        return Choice(specs[before], said, file)
    found, why = _imagenet(specs["imagenet"])
    chosen = "imagenet" if found else "none"
    said = f"weights: auto is {'imagenet' if found else 'none, so it trains from scratch'} ({why})."
    return Choice(specs[chosen], said, file, json.dumps({"weights": chosen, "why": why}).encode())


def _imagenet(spec: RunSpec) -> tuple[bool, str]:
    """Whether ImageNet weights are available, and where or why not. A damaged file is an error, not a reason to train
    without.
    """
    try:
        require_imagenet(find_model(spec.model), spec.model_options)
    except SpecError as error:
        return False, error.problem.removesuffix(".")
    initial = imagenet_at_hand(spec.model, spec.execution.data_dir)
    if initial is None:
        try:
            initial = find_imagenet(spec.model, spec.execution.data_dir)
        except WeightsError as error:
            return False, error.problem.removesuffix(".")
    return True, initial.source


def _file(specs: Mapping[str, RunSpec]) -> Path:
    name = hashlib.sha256("-".join(specs[choice].digest() for choice in CHOICES).encode()).hexdigest()[:10]
    return paths.runs_dir() / "auto" / f"{name}.json"


def _read(file: Path) -> str | None:
    try:
        chosen = json.loads(file.read_text())["weights"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return chosen if chosen in CHOICES else None
