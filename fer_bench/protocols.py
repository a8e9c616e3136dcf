"""Protocols: dataset x task x split rule: what is compared with what, and by which number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fer_bench import metrics
from fer_bench.class_sets import NAMED, OPTION, cleaned, fault, stated_set
from fer_bench.errors import RecordError, SpecError
from fer_bench.labels import LABEL_SETS, LabelSet
from fer_bench.registry import Registry
from fer_bench.value_sets import NAMED_VALUES, ValueSet, stated_values

# What a protocol's name ends in where folds are cut otherwise than its declared split rule says.
VARIANTS = {"identity": "identities", "clip": "clips", "frame": "frames"}
# What a protocol's name has in it where predictions are judged by other labels than the dataset's own.
LABELS = "-labels-"
_CAVEATS = {
    "identity": (),
    "clip": ("a person can be in train and in test",),
    "frame": ("leaky: frames of one clip are in train and in test",),
}


@dataclass(frozen=True)
class Task:
    """A kind of prediction.

    Args:
        name: ``fer7``, ``va``, ...
        kind: ``classes`` or ``values``.
        labels: the label set, for classes.
        primary: the metric that ranks.
        dimensions: names of the values, for values.
        scale: (low, high) of the values of a user's own; None: the dataset's.
    """

    name: str
    kind: Literal["classes", "values"]
    primary: str
    labels: LabelSet | None = None
    dimensions: tuple[str, ...] = ()
    scale: tuple[float, float] | None = None

    @property
    def n_outputs(self) -> int:
        """Width of a prediction."""
        return len(self.labels) if self.labels else len(self.dimensions)


TASKS: Registry[Task] = Registry("task")
for _name in LABEL_SETS:
    TASKS.add(
        _name,
        Task(
            _name,
            "classes",
            "weighted_f1" if _name in ("emo8", "emo24", "arousal3", "valence3") else "accuracy",
            LABEL_SETS[_name],
        ),
    )
TASKS.add("va", Task("va", "values", "ccc", dimensions=("valence", "arousal")))
for _name in ("valence", "arousal"):
    TASKS.add(_name, Task(_name, "values", "ccc", dimensions=(_name,)))


# Tasks of classes or values that users have named, by names that hold a digest of them: whoever reads a spec or a
# record that states its classes puts them here, so that a name means the same in every process, or nothing.
_OWN: dict[str, Task] = {}


def own_task(labels: LabelSet) -> Task:
    """The task of a label set: the built-in one of that name, or one of classes that a user has named, known by its
    name from now on.
    """
    return (
        TASKS[labels.name]
        if labels.name in TASKS
        else _OWN.setdefault(labels.name, Task(labels.name, "classes", "accuracy", labels))
    )


def own_values(values: ValueSet) -> Task:
    """The task of values that a user has named, known by its name from now on."""
    task = Task(values.name, "values", values.primary, dimensions=values.names, scale=values.scale)
    return _OWN.setdefault(values.name, task)


def own_dimensions() -> frozenset[str]:
    """Names of the dimensions of all tasks that are known by now."""
    return frozenset(name for task in (*TASKS.in_order(), *_OWN.values()) for name in task.dimensions)


def state_values(task: str) -> dict[str, Any]:
    """What a record must hold so that a task of values that a user has named can be understood anywhere; empty for
    others.
    """
    own = _OWN.get(task)
    if own is None or own.scale is None:
        return {}
    return {task: ValueSet(own.dimensions, own.scale, own.primary).stated()}


def learn_values(stated: Mapping[str, Any]) -> None:
    """Take in what :func:`state_values` has put into a record.

    Raises:
        RecordError: the values are not those that the digest in the name stands for.
    """
    for name, content in stated.items():
        found = stated_values(name, content)
        if found is None:
            problem = f"the values that are stated for task {name!r} are not those that its name stands for."
            raise RecordError(problem)
        own_values(found)


def state_classes(task: str) -> dict[str, Any]:
    """What a record must hold so that its task can be understood anywhere: by name of a task, ``names`` and what was
    ``merged``; empty for built-in tasks.
    """
    own = [_OWN[name].labels for name in task.split(VIA) if name in _OWN]
    return {
        labels.name: {"names": list(labels.names), "merged": dict(labels.merged)}
        for labels in own
        if labels is not None
    }


def learn_classes(stated: Mapping[str, Any]) -> None:
    """Take in what :func:`state_classes` has put into a record.

    Raises:
        RecordError: the classes are not those that the digest in the name stands for.
    """
    for name, content in stated.items():
        try:
            labels = stated_set(
                [str(label) for label in content["names"]],
                {str(key): value for key, value in content["merged"].items()},
            )
        except (KeyError, TypeError, AttributeError):
            labels = None
        if labels is None or labels.name != name or len(labels) < 2 or any(fault(label) for label in labels.names):
            problem = f"the classes that are stated for task {name!r} are not those that its name stands for."
            raise RecordError(problem)
        own_task(labels)


@dataclass(frozen=True)
class Protocol:
    """How runs on one dataset and task are judged.

    Args:
        dataset: name of the dataset.
        task: the task.
        n_test: samples that must be scored; None where it depends on the user's copy.
        checksums: identity per split of the copy that rows are ranked on; empty where every user has another.
        version: raised when the meaning of a score changes; rows of other versions are listed apart.
        title: heading of the leaderboard.
        about: what a reader must know, in one or two sentences.
        caveats: ``selected on test``, ``leaky``, ...
        scale: (low, high) of the dataset's values; predictions and errors are in these units.
        fold_by: what its folds keep together; empty where the splits are given.
        variant: end of the name where the same dataset and task are judged in more than one way.
    """

    dataset: str
    task: Task
    n_test: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    version: int = 1
    title: str = ""
    about: str = ""
    caveats: tuple[str, ...] = ()
    scale: tuple[float, float] = (-1.0, 1.0)
    fold_by: str = ""
    variant: str = ""

    @property
    def name(self) -> str:
        """``<dataset>-<task>``, and the variant where there is one."""
        return f"{self.dataset}-{self.task.name}" + (f"-{self.variant}" if self.variant else "")

    @property
    def is_relabelled(self) -> bool:
        """Whether other labels than the dataset's own judge."""
        return LABELS in f"-{self.variant}"

    @property
    def primary(self) -> str:
        """The metric that ranks."""
        return self.task.primary

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        found = metrics.find(self.primary)
        return found is None or not found.lower_is_better


PROTOCOLS: Registry[Protocol] = Registry("protocol")


def declare(protocol: Protocol) -> Protocol:
    """Register a protocol under its name."""
    return PROTOCOLS.add(protocol.name, protocol)


declare(
    Protocol(
        dataset="fer2013",
        task=TASKS["fer7"],
        n_test=3589,
        checksums={"train": "7898fc55b7e556e5", "validation": "dd2183b2cdbc0c89", "test": "188f335dbbc6b5a2"},
        title="FER2013, seven expressions",
        about="Official splits: Training to train, PublicTest to select, PrivateTest to test, once.",
    )
)
declare(
    Protocol(
        dataset="ferplus",
        task=TASKS["fer8"],
        n_test=3153,
        checksums={"train": "7898fc558fbfa724", "validation": "dd2183b2f9b55a8e", "test": "188f335d6263ce7b"},
        title="FER+, eight expressions",
        about=(
            "FER2013's faces with the majority vote of ten taggers; images without a majority for an emotion are left"
            " out, as the authors' script does. The votes are those of fer2013new.csv (25,060 / 3,199 / 3,153 images)."
            " Numbers published from the authors' code were tested on other votes, of the layout that their script"
            " generates: the protocol ferplus_generated-fer8 (25,045 / 3,191 / 3,137 images)."
        ),
    )
)
declare(
    Protocol(
        dataset="ferplus_generated",
        task=TASKS["fer8"],
        n_test=3137,
        checksums={"train": "f416fc80c7b7cd9c", "validation": "e0d032442be87c43", "test": "04db9473fdb0d6c3"},
        title="FER+ as its authors' code reads it, eight expressions",
        about=(
            "FER2013's faces with the majority vote of ten taggers, from the layout that the authors' script generates"
            " (FER2013Train, FER2013Valid and FER2013Test with label.csv; 25,045 / 3,191 / 3,137 images): numbers"
            " published from the authors' code were tested here. Its votes differ from fer2013new.csv in 1,602 of"
            " 35,714 rows; networks that were tested on that file are on the board ferplus-fer8 (25,060 / 3,199 / 3,153"
            " images)."
        ),
    )
)


VIA = "-via-"


def find_task(name: str) -> Task:
    """A task by name; ``<target>-via-<source>`` is the target's task restricted to the classes that the source's label
    set has too.

    A network of another label set is judged by such a task: ``fer8-via-fer7`` has seven of FER8's classes, in FER8's
    order, and no contempt.

    Raises:
        UnknownNameError: no such task.
        SpecError: the two have fewer than two classes in common.
    """
    target, via, source = name.partition(VIA)
    if not via:
        return _task(name)
    labels, other = _task(target).labels, _task(source).labels
    if labels is None or other is None:
        problem = f"task {name!r}: only label sets can be mapped."
        raise SpecError(problem, "Choose a task of classes, or a run that was trained on values.")
    shared = tuple(label for label in labels.names if other.find(label) is not None)
    if len(shared) < 2:
        problem = f"task {name!r}: {target} and {source} have {len(shared)} classes in common."
        raise SpecError(problem, "Choose a dataset whose labels can be mapped.")
    return Task(name, "classes", _task(target).primary, LabelSet(name, shared, labels.synonyms))


def _task(name: str) -> Task:
    if name not in _OWN and NAMED.fullmatch(name):
        problem = f"task {name!r} stands for classes that are not stated here."
        raise SpecError(problem, f"Name them with {OPTION}, and leave the task out.")
    if name not in _OWN and NAMED_VALUES.fullmatch(name):
        problem = f"task {name!r} stands for values that are not stated here."
        raise SpecError(problem, "Name the task as module:attribute, or as the plugin that brings it does.")
    return _OWN.get(name) or TASKS[name]


# Of a task, in the heading of a board.
_TITLES = {
    "fer7": "seven expressions",
    "fer8": "eight expressions",
    "emo8": "eight emotions",
    "emo24": "24 emotions",
    "arousal3": "three levels of arousal",
    "valence3": "three levels of valence",
    "va": "valence and arousal",
    "valence": "valence",
    "arousal": "arousal",
}
for _name, _title in _TITLES.items():
    declare(
        Protocol(
            "synthfaces",
            TASKS[_name],
            title=f"synthfaces, {_title}",
            about="Drawn faces with drawn feelings: shows that the suite works, not more.",
        )
    )
for _name in ("fer8", "fer7"):
    declare(
        Protocol(
            "affectnet",
            TASKS[_name],
            title=f"AffectNet, {_TITLES[_name]}",
            about=(
                "AffectNet's validation set (500 faces per expression) is the test of the literature; validation is"
                " carved from train."
            ),
        )
    )
for _name in ("va", "valence", "arousal"):
    _title = _TITLES[_name]
    declare(
        Protocol(
            "affectnet",
            TASKS[_name],
            title=f"AffectNet, {_title}",
            about=(
                "AffectNet's validation set is the test of the literature; validation is carved from train. Images of"
                " the expression code 8 (none) that have valid valence and arousal are in it, so the two releases"
                " differ: the lists have 500 of them among 4,500, the release of 2021 has none."
            ),
        )
    )
    declare(
        Protocol(
            "afew_va",
            TASKS[_name],
            title=f"AFEW-VA, {_title}",
            about=(
                "Five folds by actor; every frame is tested once, and the score is that of all frames together. Values"
                " from -10 to 10."
            ),
            scale=(-10.0, 10.0),
            fold_by="identity",
        )
    )
    declare(
        Protocol(
            "semaine",
            TASKS[_name],
            title=f"SEMAINE, {_title}",
            about=(
                "Five folds by subject; every tenth frame, each tested once, and the score is that of all frames"
                " together."
            ),
            fold_by="identity",
        )
    )

for _name in ("emo8", "emo24", "arousal3", "valence3"):
    _title = _TITLES[_name]
    declare(
        Protocol(
            "synthscenes",
            TASKS[_name],
            n_test=400,
            title=f"synthscenes, {_title}",
            about="Drawn scenes with drawn feelings: shows that the suite works, not more.",
        )
    )
    declare(
        Protocol(
            "findingemo",
            TASKS[_name],
            title=f"FindingEmo, {_title}",
            about=(
                "A fifth of each Emo8 class is the test set, as in the paper, and a tenth is carved from the rest to"
                " select on; the paper selected on test. Links to the images rot, so every copy is another subset: only"
                " rows of the same copy are ranked against each other."
            ),
        )
    )


def dataset_name(dataset: str) -> str:
    """The name under which a dataset's boards stand: that of a folder, or of a table, without ``folder:`` and
    ``table:``; of a plugin, ``module.attribute``.
    """
    brought = dataset.startswith(("folder:", "table:"))
    return dataset.removeprefix("folder:").removeprefix("table:") if brought else dataset.replace(":", ".")


def protocol_for(dataset: str, task: str, fold_by: str = "") -> Protocol:
    """The declared protocol of a dataset and a task, or a plain one for datasets that users bring.

    Args:
        dataset: name, ``folder:NAME`` for class folders, ``table:NAME`` for a table of images.
        task: name of the task.
        fold_by: what folds keep together, where folds are cut; another grouping than the declared one is another
            protocol, of its own name.

    Raises:
        UnknownNameError: the task does not exist.
        SpecError: the dataset's name cannot be part of a file name.
    """
    chosen = find_task(task)
    name = dataset_name(dataset)
    if not re.sub(r"[_.+-]", "", name).isalnum() or name.startswith("."):
        problem = f"dataset name {name!r}: only letters, digits, '_', '-', '+' and '.' can be used."
        raise SpecError(problem, f"Rename the {'table' if dataset.startswith('table:') else 'folder'}.")
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
            else "single frames were dealt out to folds."
        ),
        caveats=plain.caveats + _CAVEATS[fold_by],
        fold_by=fold_by,
        variant=VARIANTS[fold_by],
    )


def _brought(name: str, task: Task) -> Protocol:
    """Of a dataset that a user brings."""
    if task.scale is not None:
        return _of_values(name, task, task.scale)
    if task.labels is None or task.name not in _OWN:
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


def _of_values(name: str, task: Task, scale: tuple[float, float]) -> Protocol:
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
        problem = f"protocol {protocol.name!r} is one of values: only classes can be relabelled."
        raise SpecError(problem)
    if not labels.replace("_", "").replace("-", "").replace(".", "").isalnum() or labels.startswith("."):
        problem = f"labels {labels!r}: only letters, digits, '_', '-' and '.' can be used in the name of a label file."
        raise SpecError(problem, "Rename the file.")
    return replace(
        protocol,
        n_test=None,
        checksums={},
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
