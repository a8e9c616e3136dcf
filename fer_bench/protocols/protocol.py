"""Protocols: dataset x task x split rule; results are compared within a protocol, by its primary metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fer_bench import metrics
from fer_bench.protocols.tasks import TaskInfo
from fer_bench.registry import Registry

# Infix of a protocol's name whose predictions are scored against other labels than the dataset's own.
LABELS = "-labels-"
# Caveat of scores on a test set on which something was chosen.
SELECTED_ON_TEST = "selected on test"


@dataclass(frozen=True)
class Protocol:
    """How runs on one dataset and task are judged.

    Args:
        dataset: name of the dataset.
        task: the task.
        n_test: samples that must be scored; None where it depends on the user's copy.
        checksums: identity per split of the copy that rows are ranked on; empty where every user has another.
        version: raised when the meaning of a score changes; rows of other versions are not ranked.
        title: heading of the leaderboard; left out where it is declared, it is made of the titles of dataset and task.
        about: what a reader must know, in one or two sentences.
        caveats: ``selected on test``, ``leaky``, ...
        scale: (low, high) of the dataset's values; predictions and errors are in these units.
        fold_by: what its folds keep together; empty where the splits are given.
        variant: end of the name where the same dataset and task are judged in more than one way.
        options: ``dataset_options`` that choose it, where a dataset declares more than one way of being split.
    """

    dataset: str
    task: TaskInfo
    n_test: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    version: int = 1
    title: str = ""
    about: str = ""
    caveats: tuple[str, ...] = ()
    scale: tuple[float, float] = (-1.0, 1.0)
    fold_by: str = ""
    variant: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``<dataset>-<task>``, and the variant where there is one."""
        return f"{self.dataset}-{self.task.name}" + (f"-{self.variant}" if self.variant else "")

    @property
    def plain_name(self) -> str:
        """That of the dataset's plain protocol of the task: papers' claims on it are shown on declared variants too."""
        return f"{self.dataset}-{self.task.name}" if self.options else self.name

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
