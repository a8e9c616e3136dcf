"""What one linear head of a grid is: how it is fitted, and the seed that decides the rest; torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_bench.errors import SpecError
from fer_bench.protocols import TaskInfo, find_task
from fer_bench.registry import unknown_name

if TYPE_CHECKING:
    from fer_bench.probes.settings import ProbeSettings

CLASS_LOSSES = ("cross_entropy", "unbalanced_cross_entropy")
VALUE_LOSSES = ("mse", "mae", "ccc")
RIDGE = "ridge"
_SUMS = "mse+ccc"


@dataclass(frozen=True)
class Head:
    """A head that is trained step by step.

    Args:
        lr: starting learning rate.
        loss: of classes ``cross_entropy`` or ``unbalanced_cross_entropy``, both with class weights; of values ``mse``,
            ``mae``, ``ccc``, or a sum such as ``mse+ccc``.
        seed: of the initial weights and the order of the data.
    """

    lr: float
    loss: str = "cross_entropy"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in CLASS_LOSSES and not _is_of_values(self.loss):
            kind = "loss of a probe"
            raise unknown_name(kind, self.loss, (*CLASS_LOSSES, *VALUE_LOSSES, _SUMS))
        if not self.lr > 0:
            problem = f"lr = {self.lr}: a learning rate is positive."
            raise SpecError(problem)

    def settings(self) -> dict[str, Any]:
        """Its row: all but the seed."""
        return {"lr": self.lr, "loss": self.loss}


@dataclass(frozen=True)
class RidgeHead:
    """A head of values in closed form.

    Args:
        penalty: relative to the mean over features of their sum of squares about their mean.
        seed: of the bootstrap of the training samples, where there is one.
        resample: whether it is fitted on a bootstrap of the training samples.
    """

    penalty: float
    seed: int = 0
    resample: bool = False

    def __post_init__(self) -> None:
        if not self.penalty > 0:
            problem = f"penalty = {self.penalty}: a penalty is positive."
            raise SpecError(problem)

    @property
    def loss(self) -> str:
        """``ridge``."""
        return RIDGE

    def settings(self) -> dict[str, Any]:
        """Its row: all but the seed."""
        return {"penalty": self.penalty, "loss": RIDGE}


AnyHead = Head | RidgeHead


def heads_of(settings: ProbeSettings) -> list[AnyHead]:
    """The heads of a grid, in order.

    Raises:
        SpecError: losses that the task has no meaning for, or a number out of range.
    """
    check_losses(settings.loss, find_task(settings.task))
    return list(_heads(settings))


def _heads(settings: ProbeSettings) -> Iterator[AnyHead]:
    trained = [loss for loss in settings.loss if loss != RIDGE]
    yield from (Head(lr, loss, seed) for lr in settings.lr for loss in trained for seed in settings.seeds)
    if RIDGE in settings.loss:
        # A closed form is the same for every seed, but for the bootstrap of its samples.
        seeds = settings.seeds if settings.resample else settings.seeds[:1]
        yield from (RidgeHead(penalty, seed, settings.resample) for penalty in settings.penalty for seed in seeds)


def losses_for(task: TaskInfo) -> tuple[str, ...]:
    """The losses of a grid that names none."""
    if task.kind == "values":
        return (RIDGE, "mse", "ccc")
    return CLASS_LOSSES if task.labels is None or task.labels.distances else CLASS_LOSSES[:1]


def check_losses(losses: Sequence[str], task: TaskInfo) -> None:
    """Refuse losses that a task has no meaning for.

    Raises:
        UnknownNameError: no such loss.
        SpecError: a loss of classes for values, or the other way round, or one that needs distances of classes.
    """
    for loss in losses:
        if loss == RIDGE or _is_of_values(loss):
            if task.kind == "classes":
                problem = f"loss {loss!r} is for values; task {task.name!r} has classes."
                raise SpecError(problem, f"Use {' or '.join(losses_for(task))}.")
        elif loss not in CLASS_LOSSES:
            known = (RIDGE, *VALUE_LOSSES, _SUMS) if task.kind == "values" else CLASS_LOSSES
            kind = "loss of a probe"
            raise unknown_name(kind, loss, known)
        elif task.kind == "values":
            problem = f"loss {loss!r} is for classes; task {task.name!r} has values."
            raise SpecError(problem, f"Use {', '.join((RIDGE, *VALUE_LOSSES))}, or a sum such as {_SUMS}.")
        elif loss == CLASS_LOSSES[1] and task.labels is not None and task.labels.distances is None:
            problem = f"loss {loss!r}: the classes of {task.labels.name} have no distances."
            raise SpecError(problem, f"Use {CLASS_LOSSES[0]}.")


def _is_of_values(loss: str) -> bool:
    parts = loss.split("+")
    return all(part in VALUE_LOSSES for part in parts) and len(set(parts)) == len(parts)
