"""How long a step of a suite will take: from the times in the store, and from the steps that have been done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from fer_bench.errors import FerBenchError
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.progress import Step, run_step

# Records of a network that are looked at; the newest say most about this machine.
_LOOKED_AT = 8


class Paces:
    """Seconds for a unit of work, by kind of step and likeness."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[float]] = {}
        self._stored: dict[tuple[str, str], float | None] = {}

    def learn(self, step: Step, seconds: float) -> None:
        """A step has been done."""
        self._seen.setdefault((step.kind, step.like), []).append(seconds / max(step.work, 1.0))

    def look_up(self, specs: Iterable[RunSpec], store: Store) -> None:
        """What the store says of trainings of these networks on these data."""
        for spec in specs:
            step = run_step(spec)
            key = (step.kind, step.like)
            if key not in self._stored:
                self._stored[key] = _stored_pace(spec, store)

    def seconds(self, step: Step) -> float | None:
        """Of a step; None where nothing comparable is known."""
        key = (step.kind, step.like)
        pace = fmean(self._seen[key]) if key in self._seen else self._stored.get(key)
        if pace is None:
            alike = [one for (kind, _), found in self._seen.items() if kind == step.kind for one in found]
            pace = fmean(alike) if alike else None
        return None if pace is None else pace * step.work

    def longest_first(self, steps: Sequence[Step]) -> list[int]:
        """The order in which to begin steps: the longest first, so that none is left alone in the end. What nothing is
        known of is taken for an average one of its kind, by its work.
        """
        known = [(step.work, seconds) for step in steps if (seconds := self.seconds(step)) is not None]
        usual = sum(seconds for _, seconds in known) / sum(work for work, _ in known) if known else 1.0

        def length(at: int) -> float:
            seconds = self.seconds(steps[at])
            return steps[at].work * usual if seconds is None else seconds

        return sorted(range(len(steps)), key=lambda at: -length(at))


def _stored_pace(spec: RunSpec, store: Store) -> float | None:
    folder = store.path(spec.protocol, spec.model, spec.run_id()).parent
    newest = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)[-_LOOKED_AT:]
    paces = [pace for path in newest if (pace := _pace_of(path, spec)) is not None]
    return fmean(paces) if paces else None


def _pace_of(path: object, spec: RunSpec) -> float | None:
    from pathlib import Path

    try:
        record = Record.load(Path(str(path)))
    except FerBenchError:
        return None
    seconds, epochs = record.training.get("seconds"), record.training.get("epochs")
    if record.kind != "trained" or record.spec.get("image_size") != spec.image_size or not seconds or not epochs:
        return None
    return float(seconds) / float(epochs) / max(1, int(record.training.get("folds") or 1))
