"""User data, in the settings of a run: classes become the name of a task, and a table's path the name of a
dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_bench import paths, plugins
from fer_bench.class_sets import NAMED, OPTION, label_set_of, read_classes, same_classes, stated_set
from fer_bench.errors import MissingDataError, PluginError, SpecError
from fer_bench.labels import LABEL_SETS, LabelSet
from fer_bench.pinning import places
from fer_bench.protocols import DATASETS, TASKS, VIA, TaskInfo, own_task, own_values
from fer_bench.value_sets import NAMED_VALUES, ValueSet, read_values

TABLE = "table:"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".lst", ".parquet")
BROUGHT = tuple(f"{name}:" for name in DATASETS if DATASETS[name].written)


def settle(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run with the classes that they name in their one form, the task that follows from them, and no path
    of a table.

    Args:
        values: ``dataset``, ``dataset_options``, ``task`` and ``execution`` are looked at, where they are there.

    Returns:
        The settings, the table's path among those of the execution.

    Raises:
        SpecError: classes that cannot be, or that are others than the task's.
        MissingDataError: there is no such table.
    """
    settled = dict(values)
    if isinstance(task := settled.get("task"), str) and (own := _brought_task(task)) is not None:
        settled["task"] = own
    dataset, options = settled.get("dataset", ""), settled.get("dataset_options")
    if isinstance(dataset, str) and dataset.startswith(TABLE):
        given = places(settled.get("execution"))
        name, path = find_table(dataset, (given or {}).get("data_dir"))
        settled["dataset"] = name
        if path is not None and given is not None:
            settled["execution"] = given | {"table_file": str(path)}
    if isinstance(options, Mapping) and "classes" in options:
        if not str(dataset).startswith(BROUGHT):
            problem = f"{OPTION}: dataset {dataset!r} has its own classes."
            raise SpecError(
                problem,
                "Classes are named for folder:NAME and table:FILE; leave the option out, and choose with --task.",
            )
        folders = read_classes(options["classes"])
        settled["dataset_options"] = {**options, "classes": folders}
        settled["task"] = _task(folders, settled.get("task"))
    return settled


def is_of_values(task: str) -> bool:
    """Whether a task, by its own name or that of a plugin, is one of values that a user has named.

    Raises:
        PluginError: the plugin cannot be imported, or is no task.
    """
    return NAMED_VALUES.fullmatch(_brought_task(task) or task) is not None


def _brought_task(task: str) -> str | None:
    """The name of a task of classes or values that a plugin brings: it states them by a digest, so that records of it
    are understood without the plugin.
    """
    named = NAMED.fullmatch(task) or NAMED_VALUES.fullmatch(task)
    if task in TASKS or named or VIA in task or (plugin := plugins.find("task", task)) is None:
        return None
    found = plugin.load()
    if isinstance(found, ValueSet):
        try:
            return own_values(read_values(found.names, found.scale, found.primary)).name
        except SpecError as error:
            problem = f"{plugin.described}: {error.problem}"
            raise PluginError(problem, error.hint) from None
    classes = found.labels if isinstance(found, TaskInfo) else found
    if isinstance(classes, LabelSet):
        return own_task(
            classes if LABEL_SETS.get(classes.name) == classes else stated_set(classes.names, classes.merged)
        ).name
    if not isinstance(classes, list | tuple):
        problem = f"{plugin.described}: {plugin.reference} is a {type(found).__name__}."
        raise PluginError(
            problem,
            "Name a list of classes, or what fer_bench.label_set(classes) or fer_bench.value_set(dimensions, scale)"
            " returns.",
        )
    return own_task(label_set_of(read_classes(classes))).name


def find_table(dataset: str, data_dir: str | None = None) -> tuple[str, Path | None]:
    """Name and place of a table.

    Args:
        dataset: ``table:PATH``, or ``table:NAME`` of one that is looked for when it is read.
        data_dir: where a relative path is looked for that does not lead to a file from the current folder.

    Returns:
        ``table:`` and the stem of the file, under which the dataset is known, and the whole path; None for a mere name.

    Raises:
        MissingDataError: there is no such file.
    """
    text = dataset.removeprefix(TABLE)
    path = paths.expanded(text)
    if path.suffix.lower() not in TABLE_SUFFIXES and path.name == text:
        return dataset, None
    places = [path] if path.is_absolute() else [path, paths.data_root(data_dir) / path]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        problem = (
            f"table {text!r}: no such"
            f" file{'' if path.is_absolute() else ' here or in ' + str(paths.data_root(data_dir))}."
        )
        raise MissingDataError(
            problem,
            f"Name a table of images and labels ({', '.join(TABLE_SUFFIXES)}), as --dataset table:faces/labels.csv.",
        )
    return TABLE + found.stem, found.resolve()


def _task(folders: Mapping[str, str | None], task: Any) -> str:
    """The task of classes; a task that was asked for must be one of just these."""
    labels = label_set_of(folders, task if isinstance(task, str) else None)
    own_task(labels)
    # fer7 is in the settings where none is given.
    if task in (None, "", labels.name, "fer7"):
        return labels.name
    if task in LABEL_SETS or (isinstance(task, str) and not NAMED.fullmatch(task)):
        merged = task in LABEL_SETS and same_classes(
            LABEL_SETS[task], {name for name in folders.values() if name is not None}
        )
        why = (
            "some folders are merged or left out"
            if merged
            else f"they are {', '.join(dict.fromkeys(str(name) for name in folders.values() if name))}"
        )
    else:
        why = f"they make the task {labels.name}"
    problem = f"{OPTION}: these classes are not those of the task {task!r}: {why}."
    raise SpecError(problem, "Leave the task out: it follows from the classes.")
