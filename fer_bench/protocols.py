"""Protocols: dataset x task x split rule: what is compared with what, and by which number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fer_bench.errors import SpecError
from fer_bench.labels import LABEL_SETS, LabelSet
from fer_bench.registry import Registry

# Metrics of which less is better; of all others more is.
LOWER_IS_BETTER = frozenset({"loss", "nll", "brier", "ece", "rmse", "mae"})


@dataclass(frozen=True)
class Task:
    """A kind of prediction.

    Args:
        name: ``fer7``, ``va``, ...
        kind: ``classes`` or ``values``.
        labels: the label set, for classes.
        primary: the metric that ranks.
    """

    name: str
    kind: Literal["classes", "values"]
    primary: str
    labels: LabelSet | None = None

    @property
    def n_outputs(self) -> int:
        """Width of a prediction."""
        return len(self.labels) if self.labels else 2


TASKS: Registry[Task] = Registry("task")
for _name in LABEL_SETS:
    TASKS.add(_name, Task(_name, "classes", "weighted_f1" if _name in ("emo8", "emo24", "arousal3", "valence3") else "accuracy", LABEL_SETS[_name]))


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
    """

    dataset: str
    task: Task
    n_test: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    version: int = 1
    title: str = ""
    about: str = ""
    caveats: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``<dataset>-<task>``."""
        return f"{self.dataset}-{self.task.name}"

    @property
    def primary(self) -> str:
        """The metric that ranks."""
        return self.task.primary

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return self.primary.rsplit("/", 1)[-1] not in LOWER_IS_BETTER


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
        about="FER2013's faces with the majority vote of ten taggers; images without a majority for an emotion are left out, as the authors' script does.",
    )
)


VIA = "-via-"


def find_task(name: str) -> Task:
    """A task by name; ``<target>-via-<source>`` is the target's task restricted to the classes that the source's label set has too.

    A network of another label set is judged by such a task: ``fer8-via-fer7`` has seven of FER8's classes, in FER8's order, and no contempt.

    Raises:
        UnknownNameError: no such task.
        SpecError: the two have fewer than two classes in common.
    """
    target, via, source = name.partition(VIA)
    if not via:
        return TASKS[name]
    labels, other = TASKS[target].labels, TASKS[source].labels
    if labels is None or other is None:
        problem = f"task {name!r}: only label sets can be mapped."
        raise SpecError(problem)
    shared = tuple(label for label in labels.names if other.find(label) is not None)
    if len(shared) < 2:
        problem = f"task {name!r}: {target} and {source} have {len(shared)} classes in common."
        raise SpecError(problem, "Choose a dataset whose labels can be mapped.")
    return Task(name, "classes", TASKS[target].primary, LabelSet(name, shared, labels.synonyms))


def protocol_for(dataset: str, task: str) -> Protocol:
    """The declared protocol of a dataset and a task, or a plain one for datasets that users bring.

    Raises:
        UnknownNameError: the task does not exist.
        SpecError: the dataset's name cannot be part of a file name.
    """
    chosen = find_task(task)
    name = dataset.removeprefix("folder:")
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum() or name.startswith("."):
        problem = f"dataset name {name!r}: only letters, digits, '_', '-' and '.' can be used."
        raise SpecError(problem, "Rename the folder.")
    key = f"{name}-{task}"
    if key in PROTOCOLS:
        return PROTOCOLS[key]
    target, via, source = task.partition(VIA)
    if not via:
        return Protocol(name, chosen, title=f"{name}, {task}")
    declared = PROTOCOLS.get(f"{name}-{target}")
    return Protocol(
        name,
        chosen,
        checksums=declared.checksums if declared else {},
        title=f"{declared.title if declared else name}: networks of {source}",
        about=f"Networks trained on {source} labels; only the {len(chosen.labels or ())} classes that both label sets have are scored.",
    )
