"""A study: trials that Optuna proposes, in a file that several processes share and that outlives them.

Each trial belongs to the process that holds its lock. One whose process has died is gone on with, by number and from
its last epoch; what is finished is never repeated. Proposals are made from the study and from the trial's number alone,
so that a study that was interrupted proposes what one that was not would.
"""

from __future__ import annotations

import contextlib
import uuid
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from fer_bench.atomic import write_atomically
from fer_bench.sweeps.tuning.space import Choice, Space

if TYPE_CHECKING:
    import optuna

# Trials before an epoch's score is compared with others'.
_FIRST = 5
# What is written down of a trial beside its score.
_POINT, _EPOCH, _FOLDER, _MESSAGE, _BEGUN = "point", "epoch", "folder", "message", "begun"
# So often may a trial begin without coming to the end of a further epoch.
_MOST_BEGUN = 5
_MARK = "mark.txt"


@dataclass(frozen=True)
class Trial:
    """A trial that has ended, or is under way.

    Args:
        number: from 0.
        point: its values.
        value: on validation; None where it was not trained to its end.
        state: ``finished``, ``abandoned``, ``failed`` or ``running``.
        epochs: whose scores were compared.
        epoch: that has the value, from 1.
        folder: of the training, below the folder of runs.
        message: why it failed.
    """

    number: int
    point: dict[str, Any]
    value: float | None
    state: str
    epochs: int
    epoch: int = 0
    folder: str = ""
    message: str = ""


class Study:
    """A study in a folder.

    Args:
        folder: of the study.
        space: what is searched.
        higher_is_better: direction of the score.
        seed: of proposals.
        epochs: of a training, for the pruner.
        prune: whether hopeless trainings end early.
        start: the first point that is tried.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        *,
        higher_is_better: bool,
        seed: int = 0,
        epochs: int = 1,
        prune: bool = True,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.space, self._seed, self._start = folder, space, seed, start
        self._optuna = optuna
        # Optuna's own lock of the file outlives whoever is killed while holding it; this one does not.
        storage = JournalStorage(JournalFileBackend(str(folder / "study.log"), FileLock(folder / "log.lock")))
        warm_up = max(1, epochs // 4)
        self._pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=_FIRST, n_warmup_steps=warm_up)
            if prune
            else optuna.pruners.NopPruner()
        )
        with self._held():
            self._study = optuna.create_study(
                storage=storage,
                study_name="search",
                direction="maximize" if higher_is_better else "minimize",
                pruner=self._pruner,
                load_if_exists=True,
            )
            if not (mark := mark_of(folder)):
                mark = uuid.uuid4().hex
                write_atomically(folder / _MARK, mark.encode())
        # By it a process on another machine knows that it sees this folder, and not one of the same name.
        self.mark = mark

    def trials(self) -> list[Trial]:
        """All of them, by number."""
        return [_described(one) for one in self._study.get_trials(deepcopy=False)]

    def ended(self) -> list[Trial]:
        """Those that have ended."""
        return [one for one in self.trials() if one.state != "running"]

    def best(self) -> Trial | None:
        """The finished one with the best score, the first of several; None where none has finished."""
        finished = [one for one in self.trials() if one.value is not None and one.state == "finished"]
        sign = -1 if self._study.direction == self._optuna.study.StudyDirection.MAXIMIZE else 1
        return min(finished, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)

    @contextlib.contextmanager
    def next(self, budget: int) -> Iterator[Asked | None]:
        """A trial to be carried out: one whose process has died, else a new one; None where the budget is spent, or
        will be by what others are at.

        Args:
            budget: trials in all.
        """
        with self._held():
            asked = self._taken() or self._new(budget)
        try:
            yield asked
        finally:
            if asked is not None:
                asked.lock.release()

    def _taken(self) -> Asked | None:
        for frozen in self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.RUNNING,)):
            lock = self._lock(frozen.number)
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                self._study.sampler = self._sampler(frozen.number)
                asked = Asked(self, self._optuna.trial.Trial(self._study, frozen._trial_id), lock, resumed=True)
                if asked.begin(len(frozen.intermediate_values)) <= _MOST_BEGUN:
                    return asked
                # Whatever ends its processes would end all that come after it too.
                asked.abandon(f"its process ended {_MOST_BEGUN} times before it had trained a further epoch")
                lock.release()
        return None

    def _new(self, budget: int) -> Asked | None:
        number = len(self._study.get_trials(deepcopy=False))
        if number >= budget:
            return None
        if number == 0 and self._start is not None:
            self._study.enqueue_trial(dict(self._start), user_attrs={_POINT: dict(self._start)})
        self._study.sampler = self._sampler(number)
        lock = self._lock(number)
        lock.acquire()
        asked = Asked(self, self._study.ask(), lock, resumed=False)
        asked.begin(0)
        return asked

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return self._optuna.samplers.TPESampler(seed=self._seed * 100_003 + number, n_startup_trials=_FIRST * 2)

    def _lock(self, number: int) -> FileLock:
        return FileLock(self.folder / f"trial-{number}.lock")

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with FileLock(self.folder / "study.lock"):
            yield

    def tell(self, trial: optuna.trial.Trial, value: float | None, **facts: Any) -> None:
        """Write down how a trial has ended.

        Args:
            trial: Optuna's.
            value: on validation; None where it was not trained to its end, which counts as worse than others.
            facts: about it.
        """
        for key, fact in facts.items():
            trial.set_user_attr(key, fact)
        state = self._optuna.trial.TrialState
        self._study.tell(trial, value, state.PRUNED if value is None else state.COMPLETE)


class Asked:
    """A trial that this process is to carry out.

    Args:
        study: of it.
        trial: Optuna's.
        lock: held.
        resumed: another process began it.
    """

    def __init__(self, study: Study, trial: optuna.trial.Trial, lock: FileLock, *, resumed: bool) -> None:
        self._study, self._trial, self.lock, self.resumed = study, trial, lock, resumed
        self.number = trial.number
        suggested = {name: _suggest(trial, name, part) for name, part in study.space.items()}
        self.point: dict[str, Any] = trial.user_attrs.get(_POINT) or suggested
        if _POINT not in trial.user_attrs:
            trial.set_user_attr(_POINT, suggested)

    def begin(self, epochs: int) -> int:
        """Write down that it begins; returns how often it has, without a further epoch.

        Args:
            epochs: that it has come to.
        """
        before, n = self._trial.user_attrs.get(_BEGUN, (epochs, 0))
        n = n + 1 if before == epochs else 1
        self._trial.set_user_attr(_BEGUN, (epochs, n))
        return int(n)

    def watch(self, epoch: int, value: float) -> bool:
        """Report an epoch, from 0; whether training should go on."""
        with warnings.catch_warnings():
            # An epoch that was reported before its process died is reported again.
            warnings.simplefilter("ignore")
            self._trial.report(value, epoch)
        return not self._trial.should_prune()

    def finish(self, value: float, epoch: int, folder: str) -> None:
        """The training has come to its end; arguments as of :class:`Trial`."""
        self._study.tell(self._trial, value, **{_EPOCH: epoch, _FOLDER: folder})

    def abandon(self, message: str = "") -> None:
        """The training has been ended, or has failed with these settings."""
        self._study.tell(self._trial, None, **({_MESSAGE: message} if message else {}))


def mark_of(folder: Path) -> str:
    """What tells a folder of a study from others of the same name; empty: it is none."""
    try:
        return (folder / _MARK).read_text()
    except OSError:
        return ""


def _suggest(trial: optuna.trial.Trial, name: str, part: Any) -> Any:
    if isinstance(part, Choice):
        return trial.suggest_categorical(name, list(part.values))
    if part.whole:
        return trial.suggest_int(name, int(part.low), int(part.high), log=part.log, step=int(part.step or 1))
    value = trial.suggest_float(name, part.low, part.high, log=part.log, step=part.step)
    # A recipe is read by people.
    return float(f"{value:.3g}")


def _described(frozen: optuna.trial.FrozenTrial) -> Trial:
    facts = frozen.user_attrs
    message = str(facts.get(_MESSAGE, ""))
    states = {"COMPLETE": "finished", "PRUNED": "failed" if message else "abandoned", "FAIL": "failed"}
    state = states.get(frozen.state.name, "running")
    return Trial(
        frozen.number,
        dict(facts.get(_POINT, frozen.params)),
        frozen.value if state == "finished" else None,
        state,
        len(frozen.intermediate_values),
        int(facts.get(_EPOCH, 0)),
        str(facts.get(_FOLDER, "")),
        message,
    )
