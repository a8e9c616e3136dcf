"""Verbs that only look: ``list``, ``doctor``, ``audit``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.cli.runs import Wanted, page_of
from fer_bench.errors import SpecError
from fer_bench.registry import unknown_name, unmatched

_LONGEST_WORD = 100


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("list")(list_verb)
    app.command("doctor")(doctor_verb)
    app.command("audit")(audit_verb)


def list_verb(
    what: Annotated[
        str,
        typer.Argument(
            help=(
                "datasets, models, tasks, losses, optimizers, schedules, augmentations, metrics, protocols, suites,"
                " recipes or runs."
            )
        ),
    ],
    name: Annotated[
        str, typer.Argument(help="Of datasets: one of them, for its licence, homepage, citation and options.")
    ] = "",
    contains: Annotated[str, typer.Option(help="Only names that contain this.")] = "",
    dataset: Annotated[str, typer.Option(help="Of recipes: only those for this dataset.")] = "",
    model: Annotated[str, typer.Option(help="Of recipes and runs: only those for this network.")] = "",
    protocol: Annotated[str, typer.Option(help="Of runs: only those of this protocol.")] = "",
    kind: Annotated[str, typer.Option(help="Of runs: trained, ensemble, probe, human, evaluated or external.")] = "",
    status: Annotated[str, typer.Option(help="Of runs: finished, nan or failed.")] = "",
    best: Annotated[bool, typer.Option("--best", help="Of runs: the best score of --protocol first.")] = False,
    page: Annotated[int, typer.Option(min=1, help="Of runs: which page.")] = 1,
    per_page: Annotated[int, typer.Option(min=0, help="Of runs: how many on a page; 0: all.")] = 50,
) -> None:
    """List names, one per line, with a short description of each."""
    if what not in _LISTS and what != "runs":
        raise unknown_name("list", what, [*_LISTS, "runs"])
    of_runs = {"--protocol": protocol, "--kind": kind, "--status": status, "--best": best}
    if what != "runs" and (given := next((flag for flag, value in of_runs.items() if value), None)):
        problem = f"{given} applies to `fer-bench list runs` only."
        raise SpecError(problem, "Use --contains.")
    if what == "runs" and not (name or dataset):
        _list_runs(Wanted(contains, protocol, model, kind, status, best, page, per_page))
        return
    if (dataset or model) and what != "recipes":
        problem = (
            "--dataset applies to `fer-bench list recipes` only."
            if dataset
            else "--model applies to `fer-bench list recipes` and `fer-bench list runs` only."
        )
        raise SpecError(problem, "Use --contains.")
    if name:
        if what != "datasets":
            problem = f"`fer-bench list {what}` takes no name, and {name!r} was given."
            raise SpecError(problem, "Use --contains.")
        from fer_bench.cli.datasets import described

        for line in described(name):
            typer.echo(line)
        return
    entries = list(_recipes(dataset, model) if what == "recipes" else _LISTS[what]())
    shown = [(entry, about) for entry, about in entries if contains in entry]
    if contains and not shown:
        raise unmatched("--contains", contains, f"`fer-bench list {what}`", "name", [entry for entry, _ in entries])
    width = max([28, *(len(entry) for entry, _ in shown)])
    for entry, about in shown:
        typer.echo(f"{entry:{width}s} {about}".rstrip())


def doctor_verb() -> None:
    """Check the installation: packages, hardware, folders, and what is missing."""
    from fer_bench.cli.doctor import findings

    for line in findings():
        typer.echo(line)


def audit_verb(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    task: Annotated[
        str | None, typer.Option(help="Task whose labels are counted [default: the dataset's own].")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Dataset root directory.")] = None,
    pairs: Annotated[int, typer.Option(min=0, help="How many duplicate pairs to list.")] = 10,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="dataset_options of the dataset, such as its classes."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="PNG file for the distribution of valence and arousal in each split."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Read every file again, ignoring what is cached.")] = False,
) -> None:
    """Show what a copy of a dataset contains: layout, splits, classes, identity, duplicates across splits, unreadable
    files.
    """
    from fer_bench.assignments import dataset_options
    from fer_bench.cli.audit import report
    from fer_bench.data.contents import distrust
    from fer_bench.datasets.load import dataset_class

    dataset_class(dataset)
    with distrust(everything):
        for line in report(dataset, task, data_dir, pairs, dataset_options(sets), figure):
            typer.echo(line)


def _datasets() -> Iterable[tuple[str, str]]:
    from fer_bench.protocols import DATASETS

    yield from ((info.written or name, f"{info.title}: {info.about}") for name in DATASETS for info in [DATASETS[name]])
    yield from _plugins("dataset")


def _models() -> Iterable[tuple[str, str]]:
    from fer_bench.models.catalog import MODELS

    yield from ((name, MODELS[name].about) for name in MODELS)
    yield from _plugins("model")
    yield "timm:<name>", "any of timm's networks, e.g. timm:convnext_tiny"


def _tasks() -> Iterable[tuple[str, str]]:
    from fer_bench.protocols import TASKS

    for name in TASKS:
        labels = TASKS[name].labels
        yield name, ", ".join(labels.names if labels else TASKS[name].dimensions)
    yield from _plugins("task")


def _plugins(kind: str) -> Iterable[tuple[str, str]]:
    from fer_bench import plugins

    yield from ((name, f"plugin: {where}") for name, where in plugins.names(kind).items())


def _registry(path: str, kind: str = "") -> Callable[[], Iterable[tuple[str, str]]]:
    def names() -> Iterable[tuple[str, str]]:
        import importlib

        module, attribute = path.split(":")
        found = getattr(importlib.import_module(module), attribute)
        yield from ((name, _word(found[name])) for name in found)
        yield from _plugins(kind) if kind else ()

    return names


def _word(entry: Any) -> str:
    """What an entry of a registry is, in its own words."""
    if isinstance(entry, dict):
        return ", ".join(f"{name} {value:g}" for name, value in entry.items()) or "as they are"
    if entry is None:
        return "as it is"
    paragraph = " ".join((inspect.getdoc(entry) or "").split("\n\n")[0].split())
    plain = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`|`+", r"\1", paragraph)
    sentence = re.split(r"(?<=[a-z)\d])[.:](?:\s|$)", plain)[0]
    return sentence if len(sentence) <= _LONGEST_WORD else sentence[: _LONGEST_WORD - 1] + "…"


def _metrics() -> Iterable[tuple[str, str]]:
    from fer_bench.metrics import table

    of = {
        "confusion": "of classes",
        "probabilities": "of classes",
        "labels": "of several labels",
        "values": "of values",
        "signs": "of values",
        "training": "in training",
    }
    for metric in table():
        yield (
            metric.name,
            f"{metric.title}, {of[metric.takes]}, {'less' if metric.lower_is_better else 'more'} is better",
        )


def _protocols() -> Iterable[tuple[str, str]]:
    from fer_bench.protocols import PROTOCOLS
    from fer_bench.results.store import Store

    yield from ((name, PROTOCOLS[name].title) for name in PROTOCOLS)
    # Of data of one's own, and of others that only their records know.
    yield from ((name, "has records here") for name in Store().protocols() if name not in PROTOCOLS)


def _suites() -> Iterable[tuple[str, str]]:
    from fer_bench import paths
    from fer_bench.spec import read_yaml

    for path in sorted((paths.benchmarks_dir() / "suites").glob("*.yaml")):
        yield path.stem, str(read_yaml(path).get("about", ""))


def _recipes(dataset: str = "", model: str = "") -> Iterable[tuple[str, str]]:
    from fer_bench.sweeps.recipes import listed

    yield from listed(dataset, model)


def _list_runs(wanted: Wanted) -> None:
    from fer_bench.results.store import Store

    store = Store()
    lines, more = page_of(store, wanted)
    width = max([28, *(len(entry) for entry, _ in lines)])
    for entry, about in lines:
        typer.echo(f"{entry:{width}s} {about}".rstrip())
    if not lines:
        none = f"there is no run in {store.results} yet. `fer-bench run` makes the first."
        typer.echo("no run fits." if wanted != Wanted() else none, err=True)
    if more:
        typer.echo(f"--page {wanted.page + 1} shows more.", err=True)


_LISTS: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
    "datasets": _datasets,
    "models": _models,
    "tasks": _tasks,
    "losses": _registry("fer_bench.tasks.losses:LOSSES", "loss"),
    "label-losses": _registry("fer_bench.tasks.label_losses:LABEL_LOSSES"),
    "value-losses": _registry("fer_bench.tasks.value_losses:VALUE_LOSSES"),
    "optimizers": _registry("fer_bench.tasks.schedules:OPTIMIZERS"),
    "schedules": _registry("fer_bench.tasks.schedules:SCHEDULES"),
    "metrics": _metrics,
    "augmentations": _registry("fer_bench.data.augmentation:AUGMENTATIONS", "augment"),
    "protocols": _protocols,
    "suites": _suites,
    "recipes": _recipes,
}
