"""From the names of a dataset and a task to the protocol by which runs on them are judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fer_bench.class_sets import cleaned
from fer_bench.cross_validation import folding_of
from fer_bench.errors import SpecError
from fer_bench.protocols.dataset import info_of
from fer_bench.protocols.options import read_options
from fer_bench.protocols.protocol import LABELS, PROTOCOLS, SELECTED_ON_TEST, Protocol
from fer_bench.protocols.tasks import VIA, TaskInfo, find_task, is_own
from fer_bench.protocols.union import JOINED, UnionOptions, parts_of, union_info

# Suffix of a protocol's name whose folds differ from its declared split rule.
VARIANTS = {"identity": "identities", "clip": "clips", "photo": "photos", "frame": "frames"}
_CAVEATS = {
    "identity": (),
    "clip": ("a person can be in train and in test",),
    "photo": ("a person can be in train and in test",),
    "frame": ("leaky: frames of one clip are in train and in test",),
}


def dataset_name(dataset: str) -> str:
    """The name of a dataset's boards: that of a folder, or of a table, without ``folder:`` and
    ``table:``; of a plugin, ``module.attribute``.
    """
    brought = dataset.startswith(("folder:", "table:"))
    return dataset.removeprefix("folder:").removeprefix("table:") if brought else dataset.replace(":", ".")


def protocol_for(dataset: str, task: str, fold_by: str = "", options: Mapping[str, Any] | None = None) -> Protocol:
    """The declared protocol of a dataset and a task, or a plain one for user datasets.

    Args:
        dataset: name, ``folder:NAME`` for class folders, ``table:NAME`` for a table of images.
        task: name of the task.
        fold_by: what folds keep together, where folds are cut; another grouping than the declared one is another
            protocol, with its own name.
        options: ``dataset_options``; where no folds are cut, those of a dataset that is split in several ways say which
            protocol is meant.

    Raises:
        UnknownNameError: the task does not exist.
        SpecError: the dataset's name cannot be part of a file name.
    """
    chosen = find_task(task)
    name = dataset_name(dataset)
    if not re.sub(r"[_.+-]", "", name).isalnum() or name.startswith("."):
        problem = f"dataset name {name!r}: only letters, digits, '_', '-', '+' and '.' can be used."
        if alone := name.rstrip("/").rpartition("/")[2] if "/" in name else "":
            hint = f"Name the folder alone, folder:{alone}, and the one that it is in with --data-dir."
        else:
            hint = f"Rename the {'table' if dataset.startswith('table:') else 'folder'}."
        raise SpecError(problem, hint)
    key = f"{name}-{task}"
    target, via, source = task.partition(VIA)
    if via:
        declared = PROTOCOLS.get(f"{name}-{target}")
        return Protocol(
            name,
            chosen,
            checksums=declared.checksums if declared else {},
            title=f"{declared.title if declared else name}: networks of {source}",
            about=(
                f"Networks trained on {source} labels; only the {len(chosen.labels or ())} classes that both label sets"
                " have are scored."
            ),
        )
    plain = PROTOCOLS[key] if key in PROTOCOLS else _brought(name, chosen)
    if options and (parts := parts_of(name)):
        return replace(plain, caveats=_of_parts(parts, task, options))
    if not fold_by and options:
        return next((variant for variant in _declared_variants(plain) if _chosen(variant, options)), plain)
    if fold_by in ("", plain.fold_by):
        return plain
    return replace(
        plain,
        n_test=None,
        checksums={},
        title=f"{plain.title}, folds by {fold_by}",
        about=f"As {plain.name}, but "
        + (
            f"the folds keep each {fold_by} together."
            if fold_by != "frame"
            else "single frames were assigned to folds."
        ),
        caveats=plain.caveats + _CAVEATS[fold_by],
        fold_by=fold_by,
        variant=VARIANTS[fold_by],
    )


def _declared_variants(plain: Protocol) -> list[Protocol]:
    """Other ways of splitting the same dataset for the same task that it declares."""
    return [
        known
        for known in PROTOCOLS.in_order()
        if known.options and (known.dataset, known.task) == (plain.dataset, plain.task)
    ]


def _chosen(variant: Protocol, options: Mapping[str, Any]) -> bool:
    return all(options.get(key) == value for key, value in variant.options.items())


def is_split_otherwise(dataset: str, options: Mapping[str, Any]) -> bool:
    """Whether options choose one of the other ways of splitting a dataset that it declares."""
    known = (protocol for protocol in PROTOCOLS.in_order() if protocol.dataset == dataset_name(dataset))
    return any(protocol.options and _chosen(protocol, options) for protocol in known)


def _of_parts(parts: tuple[str, ...], task: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The caveats of the ways in which sources are split; none validates on its test split."""
    model = union_info(parts).options
    assert model is not None
    joined = read_options(model, options, JOINED.join(parts))
    assert isinstance(joined, UnionOptions)
    found: list[str] = []
    for part in parts:
        own = joined.of(part)
        folding = folding_of(own)
        found += protocol_for(part, part_task(part, task), folding.by if folding else "", own).caveats
    return tuple(each for each in dict.fromkeys(found) if each != SELECTED_ON_TEST)


def part_task(part: str, task: str) -> str:
    """The task of a source whose labels are mapped onto those of a task: the task itself, or the source's own."""
    return task if f"{part}-{task}" in PROTOCOLS else info_of(part).default_task


def _brought(name: str, task: TaskInfo) -> Protocol:
    """Of a user dataset."""
    if parts := parts_of(name):
        about = (
            f"Trained on {' and '.join(parts)} together, labels mapped by name; near-duplicates of test faces of any of"
            " them are left out of training. Scored are the test faces of all; each source's own board has the score on"
            " its own."
        )
        return Protocol(name, task, title=f"{union_info(parts).title}, {task.title or task.name}", about=about)
    if task.scale is not None:
        return _of_values(name, task, task.scale)
    if task.labels is None or not is_own(task):
        return Protocol(name, task, title=f"{name}, {task.name}")
    about = f"{len(task.labels)} classes: {', '.join(task.labels.names)}."
    # A folder may be called anything; the page shows letters and digits.
    counted = [
        f"{cleaned(folder)} as {made}" for folder, made in task.labels.merged.items() if made not in (None, folder)
    ]
    left_out = [cleaned(folder) for folder, made in task.labels.merged.items() if made is None]
    about += f" Counted: {', '.join(counted)}." if counted else ""
    about += f" Left out: {', '.join(left_out)}." if left_out else ""
    return Protocol(
        name, task, title=f"{name}, {len(task.labels)} classes ({task.name.rpartition('_')[2]})", about=about
    )


def _of_values(name: str, task: TaskInfo, scale: tuple[float, float]) -> Protocol:
    """Of values that a user has named, whatever dataset they are of."""
    listed, (low, high) = ", ".join(task.dimensions), scale
    title = f"{name}, {listed} ({task.name.rpartition('_')[2]})"
    return Protocol(name, task, title=title, about=f"Values from {low:g} to {high:g}: {listed}.", scale=scale)


def relabelled(protocol: Protocol, labels: str) -> Protocol:
    """The same test images under other labels, such as a consensus of raters; only the images that the labels name are
    scored.

    Args:
        protocol: of the dataset's own labels.
        labels: short name of the other ones.

    Raises:
        SpecError: the name cannot be part of a file name, or the protocol is not one of classes.
    """
    if protocol.task.labels is None:
        problem = f"protocol {protocol.name!r} is one of {protocol.task.kind}: only classes can be relabelled."
        raise SpecError(problem)
    if not labels.replace("_", "").replace("-", "").replace(".", "").isalnum() or labels.startswith("."):
        problem = f"labels {labels!r}: only letters, digits, '_', '-' and '.' can be used in the name of a label file."
        raise SpecError(problem, "Rename the file.")
    return replace(
        protocol,
        n_test=None,
        checksums={},
        options={},
        title=f"{protocol.title}: labels {labels}",
        about=(
            f"Networks of {protocol.name}, judged by the labels {labels} instead of the dataset's own, on the test"
            " images that these name."
        ),
        variant=f"{protocol.variant}{LABELS if protocol.variant else LABELS[1:]}{labels}",
    )


def protocol_named(name: str, dataset: str, task: str) -> Protocol:
    """The protocol that a record names; it says itself how its folds were cut.

    Args:
        name: of the protocol.
        dataset: of the record.
        task: of the record.

    Raises:
        UnknownNameError: the task does not exist.
        SpecError: no protocol of this dataset and task is called so.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    own, other, labels = name.partition(LABELS)
    if other:
        return relabelled(protocol_named(own, dataset, task), labels)
    ways = [protocol_for(dataset, task, fold_by) for fold_by in ("", *VARIANTS)]
    for protocol in ways:
        if protocol.name == name:
            return protocol
    problem = f"protocol {name!r}: dataset {dataset!r} and task {task!r} have none of this name."
    raise SpecError(problem, f"Known: {', '.join(dict.fromkeys(protocol.name for protocol in ways))}.")
