"""The recipes of all suites, and those that searches have found: by name for ``run --use``, and listed with what they
measured.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from fer_bench import paths
from fer_bench.errors import FerBenchError, SpecError
from fer_bench.layering import for_optimizer, layered, merge, unset
from fer_bench.metrics import number
from fer_bench.registry import unknown_name, unmatched
from fer_bench.results.naming import Named, unique_names
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.suite import read_suite

# What the recipes of all searches are called together.
TUNED = "tuned"
# Of recipes with one name, so many are named.
_SHOWN = 8


@dataclass(frozen=True)
class Recipe:
    """The settings of one row of a suite.

    Args:
        suite: its name.
        spec: the run, with the first seed.
        name: of a search, which made it; empty: what the run's recipe is called.
    """

    suite: str
    spec: RunSpec
    name: str = ""

    @property
    def use(self) -> str:
        """What ``--use`` takes: the suite and the recipe, in lower case with hyphens."""
        return f"{self.suite}/{self.name or slug(self._own)}"

    @property
    def _own(self) -> str:
        """What the suite calls it; one without a name is known by its network."""
        return self.spec.recipe or self.spec.model

    def is_called(self, name: str) -> bool:
        """Whether a name, or a digest, means it: in any letters, and with whatever stands between its words."""
        short = slug(name)
        return bool(short) and (name == self.spec.digest() or short in (slug(self._own), slug(self.name)))

    def is_written(self, name: str) -> bool:
        """Whether a name is its own to the letter."""
        return name in (self._own, self.name)


def slug(name: str) -> str:
    """A name without what a shell would trip over: "One cycle, votes" is ``one-cycle-votes``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def all_recipes() -> list[Recipe]:
    """One recipe for each digest of the trainings of each suite in ``benchmarks/suites``, in the suites' order, and
    then those of searches.
    """
    files = sorted((paths.benchmarks_dir() / "suites").glob("*.yaml"))
    searched = (
        Recipe(TUNED, spec, path.stem) for path in sorted(tuned_dir().glob("*.yaml")) for spec in read_suite(path)
    )
    return [*(one for path in files for one in recipes_of(path)), *searched]


def recipes_of(file: Path) -> list[Recipe]:
    """One recipe for each digest of the trainings of a suite's file, in its order."""
    found: dict[str, Recipe] = {}
    for spec in read_suite(file):
        found.setdefault(spec.digest(), Recipe(file.stem, spec))
    return list(found.values())


def tuned_dir() -> Path:
    """The folder of recipes that searches have found: beside the records of the rows that are made with them."""
    return paths.leaderboards_dir() / TUNED


def use_recipe(name: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a command that takes a recipe: those of the recipe in full, with the command's own on top.

    Where the command names another dataset, network or optimiser than the recipe has, what the recipe says for its own
    alone is left out.

    Args:
        name: ``SUITE/RECIPE``, the suite by its name or its file, ``RECIPE``, or a digest as `fer-bench list recipes`
            shows it.
        flags: the command's settings.

    Raises:
        UnknownNameError: no such recipe.
        SpecError: several that differ.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    suite, _, wanted = name.rpartition("/")
    in_file = bool(suite) and Path(suite).is_file()
    recipes = recipes_of(Path(suite)) if in_file else all_recipes()
    if not in_file and suite.endswith((".yaml", ".yml")):
        problem = f"--use {name}: there is no suite {suite}."
        raise SpecError(problem, "Correct the path, or name a suite of `fer-bench list suites`.")
    fitting = [one for one in recipes if (in_file or suite in ("", one.suite)) and one.is_called(wanted)]
    if not fitting:
        kind, begin = "recipe", f"{suite}/" if in_file else ""
        known = [begin + one.use.partition("/")[2] if in_file or not suite else one.use for one in recipes]
        raise unknown_name(kind, name, known)
    fitting = [one for one in fitting if one.is_written(wanted)] or fitting
    for key in ("dataset", "model", "task"):
        fitting = [one for one in fitting if getattr(one.spec, key) == given.get(key)] or fitting
    # Views of testing are set separately: --tta.
    fitting = [one for one in fitting if not one.spec.tta] or fitting
    # The same settings in two suites, under two names, are one recipe; the first name counts.
    distinct: dict[str, dict[str, Any]] = {}
    for one in fitting:
        settings = merge(_taken(one.spec, given), given) | unset(flags)
        distinct.setdefault(repr({**settings, "recipe": "", "trials": 0}), settings)
    if len(distinct) > 1:
        raise _several(name, fitting, len(distinct), given)
    return next(iter(distinct.values()))


def _several(name: str, fitting: list[Recipe], n: int, given: Mapping[str, Any]) -> SpecError:
    """The error for a name that several recipes have, with what tells them apart."""
    models = sorted({one.spec.model for one in fitting})
    shown = "; ".join(
        f"{one.spec.digest()}: {text}" for one, text in list(zip(fitting, told_apart(fitting), strict=True))[:_SHOWN]
    )
    problem = f"--use {name}: {n} different recipes have this name: {shown}{'; ...' if len(fitting) > _SHOWN else ''}."
    by_model = len(models) == len(fitting) and "model" not in given
    hint = "Name the network with --model." if by_model else "Name one by its digest; `fer-bench list recipes` has all."
    return SpecError(problem, hint)


def told_apart(recipes: Sequence[Recipe]) -> list[str]:
    """Network and views of each recipe, and the settings by which it differs from others of its name and dataset."""
    alike: dict[tuple[str, str], dict[int, Named]] = defaultdict(dict)
    for at, one in enumerate(recipes):
        spec = one.spec
        alike[one.use, spec.dataset][at] = Named(spec.model, "", spec.model_dump(mode="json"))
    found = {at: text for named in alike.values() for at, text in unique_names(named).items()}
    # Where they differ in more than a line holds, their digests are all that is left.
    return [found[at].removesuffix(": ") for at in range(len(recipes))]


def _taken(spec: RunSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    # With what is neutral too: what a command says as the recipe does changes nothing, and no options are dropped for
    # it.
    settings = for_optimizer(spec.model_dump(mode="json", exclude={"seed", "execution"}), spec.optimizer, given)
    if (model := given.get("model", spec.model)) != spec.model:
        settings |= {"model": model, "model_options": {}}
    if (dataset := given.get("dataset", spec.dataset)) != spec.dataset:
        of_dataset = layered({"dataset": dataset, "model": model})
        settings |= {
            "dataset": dataset,
            "dataset_options": of_dataset.get("dataset_options", {}),
            "task": of_dataset.get("task", spec.task),
        }
    return settings


@dataclass
class Measured:
    """What a recipe measured.

    Args:
        metric: the protocol's.
        test: its score on test, by seed.
        validation: likewise.
    """

    metric: str = ""
    test: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    def describe(self) -> str:
        """Means over seeds; the first is what recipes are chosen by."""
        if not self.test:
            return "not measured"
        chosen = f"validation {number(fmean(self.validation), self.metric)}, " if self.validation else ""
        test = f"test {number(fmean(self.test), self.metric)}"
        return chosen + test + (f" ({len(self.test)} seeds)" if len(self.test) > 1 else "")


def measured(store: Store) -> dict[tuple[str, str], Measured]:
    """Scores of finished trainings by protocol and digest of their settings; of ranked copies of the data alone."""
    found: dict[tuple[str, str], Measured] = {}
    for record in store.records():
        if record.kind != "trained" or record.status != "finished" or not _of_the_copy(record):
            continue
        try:
            # Of data of one's own, and of folds, there are protocols that nobody has declared.
            primary = protocol_of(record).primary
        except FerBenchError:
            continue
        scores = found.setdefault((record.protocol, record.row), Measured(primary))
        for values, metrics in ((scores.test, record.metrics), (scores.validation, record.validation_metrics)):
            if isinstance(value := metrics.get(primary), float):
                values.append(value)
    return found


def _of_the_copy(record: Record) -> bool:
    return record.data.get("known_copy") is not False


def listed(dataset: str = "", model: str = "") -> Iterator[tuple[str, str]]:
    """Every recipe that was made for a dataset and a network, the best on validation first, with what it measured.

    Args:
        dataset: empty: any.
        model: empty: any.

    Raises:
        UnknownNameError: there is no such recipe, with the names for which there are.
    """
    scores = measured(Store())
    chosen = all_recipes()
    for key, wanted in (("dataset", dataset), ("model", model)):
        before, chosen = chosen, [one for one in chosen if wanted in ("", getattr(one.spec, key))]
        if before and not chosen:
            flag, where = f"--{key}", "the suites" + (f" for {dataset}" if key == "model" and dataset else "")
            raise unmatched(flag, wanted, where, "recipe", [getattr(one.spec, key) for one in before])
    described = zip(chosen, told_apart(chosen), strict=True)
    for one, text in sorted(described, key=lambda pair: _order(scores.get(_row(pair[0])))):
        result = scores.get(_row(one), Measured()).describe()
        yield one.use, f"{one.spec.digest()}  {one.spec.dataset}  {text}  {result}"


def _row(one: Recipe) -> tuple[str, str]:
    return one.spec.protocol, one.spec.digest()


def _order(scores: Measured | None) -> tuple[bool, float]:
    return (scores is None or not scores.validation, -fmean(scores.validation) if scores and scores.validation else 0.0)
