"""A suite: from one YAML file to everything that it asks for. Pure but for reading files.

::

    about: what this is
    defaults: {dataset: fer2013, task: fer7, model: five_layer_cnn}
    seeds: [0, 1, 2]
    layered: false
    networks: {expressions: {dataset: ferplus}}
    runs:
      - {recipe: plain}
      - {recipe: weighted, class_weights: balanced, seeds: [0]}
      - {recipe: grid, grid: {lr: [0.001, 0.0005], batch_size: [32, 64]}}
      - {recipe: abroad, test_on: [ferplus]}    # also tested on another dataset
      - {streams: ["features:vgg16"], grid: {task: [emo8, arousal3]}}
      - {streams: ["features:{backbone}", "faces:{expressions}"], grid: {backbone: [vgg16, resnet18]}}

An entry with ``streams`` is a grid of linear heads on frozen networks, with the settings of
:class:`fer_bench.probes.settings.ProbeSettings`; any other is a training, with those of
:class:`fer_bench.spec.RunSpec`. ``grid`` makes one entry for each combination of its values; ``backbone`` is put into
the streams where they say ``{backbone}``. ``networks`` are trainings that streams name in braces; they are trained
where a grid needs them. What an entry says is on top of ``defaults``, and of nothing else, unless the suite is
``layered``: then the trainings are on top of what ``fer-bench run`` would take. ``probes`` and ``matrix`` are other
names of ``runs`` and ``grid``, for grids of heads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fer_bench import paths
from fer_bench import spec as specs
from fer_bench.errors import SpecError
from fer_bench.layering import layered, merge
from fer_bench.probes.settings import ProbeSettings, build_probe, with_dataset_defaults
from fer_bench.registry import unknown_name
from fer_bench.results.naming import Named, unique_names
from fer_bench.spec import RunSpec
from fer_bench.yaml_lines import KeyPath, YamlFile, read_yaml

_TOP = ("about", "defaults", "seeds", "layered", "networks", "runs", "probes")
_LISTS = ("runs", "probes")
_GRIDS = ("grid", "matrix")
BACKBONE = "backbone"
Plan = list[tuple[RunSpec, tuple[str, ...]]]


@dataclass(frozen=True)
class _Entry:
    """One entry of a suite, on top of the defaults.

    Args:
        settings: without those that are for the suite itself.
        seeds: its own or the suite's; empty: nobody has said.
        grid: lists of values by setting.
        heads: whether it is a grid of heads.
        where: file, line and number, for errors; of one of its settings, where a key is given.
    """

    settings: dict[str, Any]
    seeds: list[Any]
    grid: dict[str, list[Any]]
    heads: bool
    where: Callable[[KeyPath], str]

    def points(self) -> Iterator[dict[str, Any]]:
        """The values of each combination of the grid."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


@dataclass(frozen=True)
class Suite:
    """What one file asks for; its parts are checked when they are first looked at.

    Args:
        source: the file.
        execution: where its trainings are carried out; changes no result.
        seeds: replace the file's own.
    """

    source: YamlFile
    execution: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] | None = None
    _places: dict[str, Callable[[KeyPath], str]] = field(default_factory=dict, repr=False)

    def where(self, spec: RunSpec, setting: str = "") -> str:
        """File, line and entry of one of its trainings, or of a setting of it."""
        place = self._places.get(spec.run_id())
        return str(self.source.path) if place is None else place((setting,) if setting else ())

    @cached_property
    def trainings(self) -> Plan:
        """Its trainings, in order, each with the other datasets that its network is tested on.

        Raises:
            SpecError: an unknown key or a bad value, with the file, its line and the number of the entry.
        """
        chosen: dict[str, tuple[RunSpec, tuple[str, ...]]] = {}
        for entry in self._entries:
            if entry.heads:
                continue
            settings = dict(entry.settings)
            on = settings.pop("test_on", None)
            abroad = [] if on is None else _values(on, f"{entry.where(('test_on',))}: 'test_on'", "test_on: [ferplus]")
            if wrong := [name for name in abroad if not isinstance(name, str)]:
                problem = f"{entry.where(('test_on',))}: 'test_on' must be a list of names, not {wrong[0]!r}."
                raise SpecError(problem, "For example test_on: [ferplus].")
            base = self._complete(settings, entry.where)
            for point in entry.points():
                for seed in entry.seeds or [0]:
                    spec = self._training(merge(base, {**point, "seed": seed}), entry.where)
                    # A grid's point that is also a run of its own keeps the name that came first.
                    chosen.setdefault(spec.run_id(), (spec, tuple(abroad)))
        return list(chosen.values())

    @cached_property
    def networks(self) -> dict[str, RunSpec]:
        """The trainings that streams name in braces, by these names; errors as of :attr:`trainings`."""
        networks = self.source.content.get("networks", {})
        if not isinstance(networks, dict) or not all(isinstance(settings, dict) for settings in networks.values()):
            problem = f"{self.source.where(('networks',))}: 'networks' must hold one mapping of settings per network."
            raise SpecError(problem, "For example networks: {expressions: {dataset: ferplus}}.")
        found = {}
        for name, settings in networks.items():
            where = _located(self.source, ("networks", str(name)), f"network {name!r}")
            found[str(name)] = self._training(self._complete(settings, where), where)
        return found

    @cached_property
    def grids(self) -> list[ProbeSettings]:
        """Its grids of heads, in order; errors as of :attr:`trainings`."""
        found: list[ProbeSettings] = []
        of_datasets: dict[str, dict[str, Any]] = {}
        for entry in self._entries:
            if not entry.heads:
                continue
            runs = {name: f"run:{spec.run_id()}" for name, spec in self.networks.items()}
            seeds = {"seeds": entry.seeds} if entry.seeds else {}
            for point in entry.points():
                settings = merge(entry.settings, {**_filled(point, entry.settings, runs), **seeds})
                found.append(build_probe(with_dataset_defaults(settings, of_datasets), entry.where))
        return found

    @cached_property
    def _entries(self) -> list[_Entry]:
        content, source = self.source.content, self.source
        for key in content:
            if key not in _TOP:
                unknown = unknown_name("key", str(key), _TOP)
                problem = f"{source.where((str(key),))}: {unknown.problem}"
                raise SpecError(problem, unknown.hint)
        defaults = content.get("defaults", {})
        if not isinstance(defaults, dict):
            problem = f"{source.where(('defaults',))}: 'defaults' must be a mapping of settings."
            raise SpecError(problem, "For example defaults: {dataset: fer2013}.")
        named = [name for name in _LISTS if name in content] or _LISTS[:1]
        return [entry for name in named for entry in self._listed(name, content.get(name), defaults)]

    def _listed(self, name: str, entries: Any, defaults: Mapping[str, Any]) -> list[_Entry]:
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            problem = f"{self.source.where((name,))}: {name!r} must be a list of settings."
            raise SpecError(problem, f"For example {name}: [{{recipe: plain}}].")
        return [self._entry(name, at, entry, defaults) for at, entry in enumerate(entries)]

    def _entry(self, name: str, at: int, entry: dict[str, Any], defaults: Mapping[str, Any]) -> _Entry:
        where = _located(self.source, (name, at), f"run {at + 1}")
        settings = merge(defaults, entry)
        own = settings.pop("seeds", self.source.content.get("seeds"))
        seeds = [] if own is None else _values(own, f"{where(('seeds',))}: 'seeds'", "seeds: [0, 1, 2]")
        key = next((key for key in _GRIDS if key in settings), _GRIDS[0])
        grid = settings.pop(key, {})
        if not isinstance(grid, dict):
            problem = f"{where((key,))}: {key!r} must map settings to lists of values."
            raise SpecError(problem, f"For example {key}: {{lr: [0.1, 0.01]}}.")
        for setting, values in grid.items():
            _values(values, f"{where((key,))}: {key!r} of {setting!r}", f"{key}: {{{setting}: [0.1, 0.01]}}")
        heads = name == _LISTS[1] or "streams" in settings or not {BACKBONE, "streams"}.isdisjoint(grid)
        return _Entry(settings, self.seeds or seeds, grid, heads, where)

    def _complete(self, settings: Mapping[str, Any], where: Callable[[KeyPath], str]) -> dict[str, Any]:
        """Settings with what the file leaves to the layers of defaults, if it does."""
        if settings.get("weights") == specs.AUTO:
            problem = (
                f"{where(('weights',))}: weights = {specs.AUTO!r} would be other weights on another machine, and"
                " another row."
            )
            raise SpecError(problem, "Write imagenet, none, or the path of a file.")
        # A paper's recipe stands in full in its suite: nothing of this project's own recipe for the model may leak in.
        return layered(settings) if self.source.content.get("layered", False) else dict(settings)

    def _training(self, settings: dict[str, Any], where: Callable[[KeyPath], str]) -> RunSpec:
        spec = specs.build({**settings, "execution": self.execution}, where)
        self._places.setdefault(spec.run_id(), where)
        return spec


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


def read(file: Path, execution: dict[str, Any] | None = None, seeds: list[int] | None = None) -> Suite:
    """Read a suite.

    Args:
        file: path or name.
        execution: where its trainings are carried out; changes no result.
        seeds: replace the suite's own.

    Raises:
        UnknownNameError: there is no such suite.
        SpecError: the file cannot be read.
    """
    return Suite(read_yaml(find_suite(file)), execution or {}, seeds)


def read_plan(file: Path, execution: dict[str, Any] | None = None, seeds: list[int] | None = None) -> Plan:
    """The trainings of a suite, each with the other datasets that its network is tested on; arguments and errors as of
    :func:`read` and :attr:`Suite.trainings`.
    """
    return read(file, execution, seeds).trainings


def read_suite(file: Path) -> list[RunSpec]:
    """The trainings of a suite, in order; errors as of :func:`read_plan`."""
    return [spec for spec, _ in read_plan(file)]


def _located(source: YamlFile, at: KeyPath, called: str) -> Callable[[KeyPath], str]:
    """Says where a setting of an entry stands: in the entry, in what it is merged from, or among the defaults."""

    def where(key: KeyPath) -> str:
        first = key[:1]
        beside = [(*at, *first), *((*at, inside, *first) for inside in ("<<", *_GRIDS)), ("defaults", *first)]
        place = next((path for path in beside if first and path in source.lines), at)
        return f"{source.where(place)}, {called}"

    return where


def _values(found: Any, what: str, example: str) -> list[Any]:
    if not isinstance(found, list) or not found:
        problem = f"{what} must be a list of values, not {found!r}."
        raise SpecError(problem, f"For example {example}.")
    return found


def _filled(point: dict[str, Any], settings: Mapping[str, Any], runs: Mapping[str, str]) -> dict[str, Any]:
    """A point of a grid of heads: its backbone is no setting but is put into the streams, and so are the suite's
    networks.
    """
    names = {BACKBONE: str(point.pop(BACKBONE)), **runs} if BACKBONE in point else runs
    usual = [f"features:{{{BACKBONE}}}"] if BACKBONE in names else []
    streams = [str(stream) for stream in point.get("streams", settings.get("streams", usual))]
    for name, value in names.items():
        # A backbone may itself be one of the networks.
        streams = [stream.replace(f"{{{name}}}", value) for stream in streams]
    return {**point, "streams": streams}


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
