"""A suite: from one YAML file to the list of its runs. Pure but for reading files.

::

    about: what this is
    defaults: {dataset: fer2013, task: fer7, model: five_layer_cnn}
    seeds: [0, 1, 2]
    runs:
      - {recipe: plain}
      - {recipe: weighted, class_weights: balanced, seeds: [0]}
      - {recipe: grid, grid: {lr: [0.001, 0.0005], batch_size: [32, 64]}}
      - {recipe: abroad, test_on: [ferplus]}    # also tested on another dataset
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_bench import paths
from fer_bench import spec as specs
from fer_bench.errors import SpecError
from fer_bench.layering import layered, merge
from fer_bench.registry import unknown_name
from fer_bench.results.naming import Named, unique_names
from fer_bench.spec import RunSpec

_TOP = ("about", "defaults", "seeds", "runs", "layered")


def find_suite(file: Path) -> Path:
    """A path as it is, or the name of a suite in ``benchmarks/suites``.

    Raises:
        UnknownNameError: neither exists.
    """
    if file.is_file():
        return file
    folder = paths.benchmarks_dir() / "suites"
    named = folder / f"{file.name.removesuffix('.yaml')}.yaml"
    if named.is_file():
        return named
    raise unknown_name("suite", str(file), [path.stem for path in folder.glob("*.yaml")])


def is_of_probes(file: Path) -> bool:
    """Whether a suite holds grids of linear heads (``probes``) instead of runs.

    Raises:
        UnknownNameError: there is no such suite.
        SpecError: it cannot be read.
    """
    content = specs.read_yaml(find_suite(file))
    return "probes" in content and "runs" not in content


def read_suite(file: Path, execution: dict[str, Any] | None = None, seeds: list[int] | None = None) -> list[RunSpec]:
    """All runs of a suite, in order.

    Args:
        file: path or name.
        execution: where the runs are carried out; changes no result.
        seeds: replace the suite's own.

    Raises:
        SpecError: an unknown key or a bad value, with the file and the number of the run.
    """
    return [spec for spec, _ in read_plan(file, execution, seeds)]


def read_plan(
    file: Path, execution: dict[str, Any] | None = None, seeds: list[int] | None = None
) -> list[tuple[RunSpec, tuple[str, ...]]]:
    """All runs of a suite, each with the other datasets that its network is tested on; arguments and errors as of
    :func:`read_suite`.
    """
    path = find_suite(file)
    content = specs.read_yaml(path)
    for key in content:
        if key not in _TOP:
            unknown = unknown_name("key", str(key), _TOP)
            problem = f"{path}: {unknown.problem}"
            raise SpecError(problem, unknown.hint)
    runs = content.get("runs")
    if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
        problem = f"{path}: 'runs' must be a list of settings."
        raise SpecError(problem, "For example runs: [{recipe: plain}].")
    defaults = content.get("defaults", {})
    if not isinstance(defaults, dict):
        problem = f"{path}: 'defaults' must be a mapping of settings."
        raise SpecError(problem, "For example defaults: {dataset: fer2013}.")
    chosen: dict[str, tuple[RunSpec, tuple[str, ...]]] = {}
    for number, run in enumerate(runs, start=1):
        where = f"{path}, run {number}"
        settings = merge(defaults, run)
        own_seeds = _values(settings.pop("seeds", content.get("seeds", [0])), f"{where}: 'seeds'", "seeds: [0, 1, 2]")
        own_seeds = seeds or own_seeds
        on = settings.pop("test_on", None)
        abroad = (
            tuple(str(name) for name in _values(on, f"{where}: 'test_on'", "test_on: [ferplus]"))
            if on is not None
            else ()
        )
        grid = settings.pop("grid", {})
        if not isinstance(grid, dict):
            problem = f"{where}: 'grid' must map settings to lists of values."
            raise SpecError(problem, "For example grid: {lr: [0.1, 0.01]}.")
        for key, values in grid.items():
            _values(values, f"{where}: 'grid' of {key!r}", f"grid: {{{key}: [0.1, 0.01]}}")
        if settings.get("weights") == specs.AUTO:
            problem = f"{where}: weights = {specs.AUTO!r} would be other weights on another machine, and another row."
            raise SpecError(problem, "Write imagenet, none, or the path of a file.")
        # A paper's recipe is complete in its suite: nothing of this project's own recipe for the model may leak in.
        base = layered(settings) if content.get("layered", False) else settings
        for values in itertools.product(*grid.values()):
            for seed in own_seeds:
                point = merge(base, {**dict(zip(grid, values, strict=True)), "seed": seed})
                point["execution"] = execution or {}
                spec = specs.build(point, where)
                # A grid's point that is also a separate run keeps the name that came first.
                chosen.setdefault(spec.run_id(), (spec, abroad))
    return list(chosen.values())


def _values(found: Any, what: str, example: str) -> list[Any]:
    if not isinstance(found, list) or not found:
        problem = f"{what} must be a list of values, not {found!r}."
        raise SpecError(problem, f"For example {example}.")
    return found


def names_of(chosen: Sequence[RunSpec]) -> list[str]:
    """What each run is called among the others: model, recipe, views, and the settings that distinguish those that
    share all three.
    """
    digests = [spec.digest() for spec in chosen]
    names = unique_names(
        {
            key: Named(spec.model, spec.recipe, spec.model_dump(mode="json"), key)
            for key, spec in zip(digests, chosen, strict=True)
        }
    )
    return [names[key] for key in digests]
