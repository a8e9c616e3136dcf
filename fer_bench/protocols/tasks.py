"""Tasks: what is predicted, and by which metric predictions are ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fer_bench.class_sets import NAMED, OPTION, fault, stated_set
from fer_bench.errors import RecordError, SpecError
from fer_bench.labels import LABEL_SETS, LabelSet
from fer_bench.registry import Registry
from fer_bench.value_sets import NAMED_VALUES, ValueSet, stated_values

# In the name of a task that is restricted to the classes of another label set.
VIA = "-via-"


@dataclass(frozen=True)
class TaskInfo:
    """A kind of prediction.

    Args:
        name: ``fer7``, ``va``, ...
        kind: ``classes``; ``labels``: any number of categories a sample; or ``values``.
        primary: the metric that ranks.
        labels: the label set, for classes.
        dimensions: names of the values, or of the categories of several labels.
        title: in the heading of a board.
        scale: (low, high) of the values of a user's own; None: the dataset's.
    """

    name: str
    kind: Literal["classes", "labels", "values"]
    primary: str
    labels: LabelSet | None = None
    dimensions: tuple[str, ...] = ()
    title: str = ""
    scale: tuple[float, float] | None = None

    @property
    def n_outputs(self) -> int:
        """Width of a prediction."""
        return len(self.labels) if self.labels else len(self.dimensions)


# EMOTIC's categories, as its authors list them (Kosti et al. 2019, table 1).
EMOTIC26 = (
    "affection",
    "anger",
    "annoyance",
    "anticipation",
    "aversion",
    "confidence",
    "disapproval",
    "disconnection",
    "disquietment",
    "doubt/confusion",
    "embarrassment",
    "engagement",
    "esteem",
    "excitement",
    "fatigue",
    "fear",
    "happiness",
    "pain",
    "peace",
    "pleasure",
    "sadness",
    "sensitivity",
    "suffering",
    "surprise",
    "sympathy",
    "yearning",
)
TASKS: Registry[TaskInfo] = Registry("task")
_TITLES = {
    "fer7": "seven expressions",
    "fer8": "eight expressions",
    "emo8": "eight emotions",
    "emo24": "24 emotions",
    "arousal3": "three levels of arousal",
    "valence3": "three levels of valence",
    "ck7": "seven expressions, contempt among them and neutral not",
    "expr8": "seven expressions and others",
}
for _name in LABEL_SETS:
    TASKS.add(
        _name,
        TaskInfo(
            _name,
            "classes",
            "weighted_f1" if _name in ("emo8", "emo24", "arousal3", "valence3") else "accuracy",
            LABEL_SETS[_name],
            title=_TITLES.get(_name, _name),
        ),
    )
TASKS.add("va", TaskInfo("va", "values", "ccc", dimensions=("valence", "arousal"), title="valence and arousal"))
TASKS.add(
    "vad",
    TaskInfo(
        "vad",
        "values",
        "ccc",
        dimensions=("valence", "arousal", "dominance"),
        title="valence, arousal and dominance",
    ),
)
TASKS.add("emotic26", TaskInfo("emotic26", "labels", "map", dimensions=EMOTIC26, title="26 emotion categories"))
for _name in ("valence", "arousal"):
    TASKS.add(_name, TaskInfo(_name, "values", "ccc", dimensions=(_name,), title=_name))


# Tasks with custom classes, by names that contain a digest of them. Reading a spec or a record that states its classes
# registers them here, so that a name means the same in every process.
_OWN: dict[str, TaskInfo] = {}


def own_task(labels: LabelSet) -> TaskInfo:
    """The task of a label set: the built-in one of that name, or one of classes that a user has named, known by its
    name from now on.
    """
    return (
        TASKS[labels.name]
        if labels.name in TASKS
        else _OWN.setdefault(labels.name, TaskInfo(labels.name, "classes", "accuracy", labels))
    )


def own_values(values: ValueSet) -> TaskInfo:
    """The task of values that a user has named, known by its name from now on."""
    task = TaskInfo(values.name, "values", values.primary, dimensions=values.names, scale=values.scale)
    return _OWN.setdefault(values.name, task)


def own_dimensions() -> frozenset[str]:
    """Names of the dimensions of all tasks of values that are known by now."""
    known = (*TASKS.in_order(), *_OWN.values())
    return frozenset(name for task in known if task.kind == "values" for name in task.dimensions)


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


def is_own(task: TaskInfo) -> bool:
    """Whether a task is one of classes that a user has named."""
    return task.name in _OWN


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
        RecordError: the classes do not match the digest in the name.
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
            problem = f"the classes that are stated for task {name!r} do not match its name."
            raise RecordError(problem)
        own_task(labels)


def find_task(name: str) -> TaskInfo:
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
    return TaskInfo(name, "classes", _task(target).primary, LabelSet(name, shared, labels.synonyms))


def _task(name: str) -> TaskInfo:
    if name not in _OWN and NAMED.fullmatch(name):
        problem = f"task {name!r} needs its classes, which are not given."
        raise SpecError(problem, f"Name them with {OPTION}, and leave the task out.")
    if name not in _OWN and NAMED_VALUES.fullmatch(name):
        problem = f"task {name!r} stands for values that are not stated here."
        raise SpecError(problem, "Name the task as module:attribute, or as the plugin that brings it does.")
    return _OWN.get(name) or TASKS[name]
