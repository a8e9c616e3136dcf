"""How far a suite is, and how long what is left of it will take, from what it has done so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_bench.durations import in_words
from fer_bench.probes.settings import ProbeSettings
from fer_bench.spec import RunSpec

if TYPE_CHECKING:
    from fer_bench.sweeps.todo import Todo


@dataclass(frozen=True)
class Step:
    """One thing that a suite does.

    Args:
        kind: ``run``, ``test`` or ``grid``.
        like: what decides how long a unit of work takes; a step of the same kind and likeness is the best measure.
        work: units of work, such as epochs.
    """

    kind: str
    like: str
    work: float = 1.0


def run_step(spec: RunSpec) -> Step:
    """A training; the epochs of all folds count."""
    folds = spec.folding.folds if spec.folding is not None and spec.folding.fold is None else 1
    return Step("run", f"{spec.dataset} {spec.model} {spec.image_size}", float(spec.epochs * folds))


def test_step(spec: RunSpec, dataset: str) -> Step:
    """A test on another dataset."""
    return Step("test", f"{dataset} {spec.model} {spec.image_size}")


def grid_step(grid: ProbeSettings) -> Step:
    """A grid of heads."""
    return Step("grid", f"{grid.dataset} {grid.model}")


def steps_of(found: Todo) -> list[Step]:
    """All that is to be done of a suite, without what needs a dataset that is not here."""
    lacking = found.unread
    networks = found.networks if found.grids else []
    return [
        *(run_step(spec) for spec in found.runs if spec.dataset not in lacking),
        *(test_step(spec, on) for spec, on in found.tests if spec.dataset not in lacking and on not in lacking),
        *(run_step(spec) for spec in networks if spec.dataset not in lacking),
        *(grid_step(grid) for grid in found.grids if grid.dataset not in lacking),
    ]


class Progress:
    """Counts the steps of a suite.

    Args:
        steps: to be done.
        clock: seconds.
    """

    def __init__(self, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self._left, self._clock = list(steps), clock
        self._n, self._number = len(steps), 0
        self._now: tuple[Step, float] | None = None
        # Seconds for a unit of work of each step that was done.
        self._paces: list[tuple[Step, float]] = []

    def begin(self, step: Step, text: str) -> str:
        """The line with which a step begins: ``[3/12] text, about 40 min left``; the step itself counts as left."""
        self._number += 1
        self._n = max(self._n, self._number)
        self._now = step, self._clock()
        seconds = self.seconds_left()
        if step in self._left:
            self._left.remove(step)

        return f"[{self._number}/{self._n}] {text}" + ("" if seconds is None else f", about {in_words(seconds)} left")

    def done(self) -> None:
        """The step has been done; one that failed is not a measure of others."""
        if self._now is not None:
            step, began = self._now
            self._paces.append((step, (self._clock() - began) / step.work))

    def seconds_left(self) -> float | None:
        """Of all steps that have not begun; None while nothing comparable has been done."""
        paces = [self._pace(step) for step in self._left]
        known = [step.work * pace for step, pace in zip(self._left, paces, strict=True) if pace is not None]
        # A kind that nothing is known of yet would make the sum too small to be of use.
        return sum(known) if known and len(known) == len(paces) else None

    def _pace(self, step: Step) -> float | None:
        for same in (lambda one: (one.kind, one.like) == (step.kind, step.like), lambda one: one.kind == step.kind):
            found = [pace for one, pace in self._paces if same(one)]
            if found:
                return sum(found) / len(found)
        return None
