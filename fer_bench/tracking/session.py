"""One Weights & Biases run: opened when a training begins, given each epoch, and closed after the test.

A resumed training continues its run: the id is made of the training's own inputs. Epochs are steps, counted from 1, and
an epoch that the run has already is not logged again. Online, where the service cannot be reached, the run is kept
offline, from where ``wandb sync`` uploads it.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer_bench.atomic import write_atomically
from fer_bench.errors import LoggerWarning
from fer_bench.packages import require
from fer_bench.spec import Execution
from fer_bench.tracking.guard import Guard, reason

# Says which epochs an offline run holds already, in the folder of the training.
STATE = "tracked.json"
# In the folder of runs: sessions of records that no training was tracked for.
FOLDER = "tracked"
# Seconds that a service without an answer may cost, at the start and at the end.
_INIT, _FINISH = 30.0, 120.0
_LONGEST_ID, _LONGEST_TAG = 128, 64
_NO_KEY = "there is no key of an account (`wandb login`, or WANDB_API_KEY)"


def check_packages(execution: Execution) -> None:
    """Ask for the packages of the trackers before anything long begins.

    Raises:
        MissingPackageError: one is missing; names the extra that installs it.
    """
    if execution.wandb != "off":
        require(("wandb",))
    if execution.logger in ("tensorboard", "both"):
        require(("tensorboard",))


class Session:
    """A Weights & Biases run that is open; without one, every call does nothing.

    Args:
        run: of wandb; None: nothing is tracked.
        folder: of the training, which remembers what an offline run holds.
        guard: stands between the run and whatever it raises.
    """

    def __init__(self, run: Any = None, folder: Path | None = None, guard: Guard | None = None) -> None:
        self.run, self.folder = run, folder
        self._guard = guard or Guard("Weights & Biases")
        self._epochs = 0 if run is None else self._guard(self._known_epochs, 0)

    @property
    def is_open(self) -> bool:
        """Whether anything is tracked."""
        return self.run is not None and not self._guard.failed

    def epoch(self, number: int, values: Mapping[str, float | None]) -> None:
        """Log one epoch, if the run has not got it yet.

        Args:
            number: counted from 1.
            values: by name; None is left out.
        """
        if self.is_open and number > self._epochs:
            known = {name: value for name, value in values.items() if value is not None}
            self._guard(lambda: self._log({**known, "epoch": number}, number), None)

    def curves(self, curves: Mapping[str, Sequence[float | None]]) -> None:
        """Log those epochs of a finished training that the run has not got yet."""
        for number in range(1, max(map(len, curves.values()), default=0) + 1):
            self.epoch(number, {name: line[number - 1] for name, line in curves.items() if len(line) >= number})

    def settings(self, config: Mapping[str, Any]) -> None:
        """Add to the run's configuration."""
        if self.is_open:
            self._guard(lambda: self.run.config.update(dict(config), allow_val_change=True), None)

    def summary(self, values: Mapping[str, Any]) -> None:
        """State results of the whole run, by name."""
        if self.is_open:
            self._guard(lambda: self.run.summary.update(dict(values)), None)

    def media(self, logged: Mapping[str, Any]) -> None:
        """Log tables, charts and pictures; they belong to the last epoch."""
        if self.is_open and logged:
            self._guard(lambda: self.run.log(dict(logged)), None)

    def close(self, exit_code: int = 0) -> None:
        """Close the run; 0: it has finished."""
        if self.is_open:
            self._guard(lambda: self.run.finish(exit_code=exit_code), None)

    def _log(self, values: dict[str, Any], number: int) -> None:
        self.run.log(values, step=number, commit=True)
        self._epochs = number
        if self.folder is not None:
            state = {"id": self.run.id, "epochs": number}
            write_atomically(self.folder / STATE, (json.dumps(state) + "\n").encode())

    def _known_epochs(self) -> int:
        if not self.run.settings.mode.startswith("offline"):
            return max(int(self.run.step) - 1, 0) if self.run.resumed else 0
        if self.folder is None:
            return 0
        try:
            state = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            return int(state["epochs"]) if state["id"] == self.run.id else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0


def session_id(*parts: str) -> str:
    """An id that Weights & Biases accepts."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(part for part in parts if part))[:_LONGEST_ID]


@contextmanager
def tracked(
    execution: Execution,
    place: Path,
    run_id: str,
    name: str,
    *,
    group: str = "",
    kind: str = "",
    tags: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    resumes: bool = False,
) -> Iterator[Session]:
    """A session for as long as this lasts; it ends as failed where an error ends what is done in it.

    Args:
        execution: whether and how it is tracked.
        place: folder in which ``wandb/`` is made; of a training its own folder.
        run_id: of the Weights & Biases run, see :func:`session_id`.
        name: what it is called.
        group: runs of one group are shown together.
        kind: of record.
        tags: in addition to the execution's.
        config: settings, as plain types.
        resumes: whether epochs of an earlier session are remembered in ``place``.
    """
    session = Session()
    if execution.wandb != "off":
        guard = Guard("Weights & Biases")
        settings: dict[str, Any] = {
            "id": run_id,
            "name": name,
            "group": group[:_LONGEST_ID] or None,
            "job_type": kind or None,
            "tags": list(dict.fromkeys(tag[:_LONGEST_TAG] for tag in (*tags, *execution.wandb_tags) if tag)),
            "config": dict(config or {}),
            "project": execution.wandb_project,
            "entity": execution.wandb_entity,
        }
        run = guard(lambda: _open(settings, place, execution.wandb), None)
        if run is not None:
            session = Session(run, place if resumes else None, guard)
            where = guard(lambda: run.url if run.settings.mode == "online" else str(Path(run.dir).parent), "")
            print(f"wandb       {where}", flush=True)
    try:
        yield session
    except BaseException:
        session.close(exit_code=1)
        raise
    session.close()


def _open(settings: dict[str, Any], place: Path, mode: str) -> Any:
    # Else it speaks between the lines of a training.
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    place.mkdir(parents=True, exist_ok=True)

    def begin(mode: Any) -> Any:
        # Offline there is nothing to ask whether the run is there already; the id says it when it is uploaded.
        resume: dict[str, Any] = {"resume": "allow"} if mode == "online" else {}
        return wandb.init(
            **settings, **resume, dir=str(place), mode=mode, reinit="finish_previous", settings=_quiet(wandb.Settings)
        )

    if mode == "online":
        try:
            _require_key(wandb)
            return begin("online")
        except Exception as error:
            wandb.teardown()
            warnings.warn(
                f"Weights & Biases cannot be used online: {reason(error)}. The run is kept offline in"
                f" {place / 'wandb'}; `wandb sync` uploads it.",
                LoggerWarning,
                stacklevel=2,
            )
    return begin("offline")


def _require_key(wandb: Any) -> None:
    """Without a key wandb would ask for one, and wait."""
    if os.environ.get("WANDB_API_KEY"):
        return
    asks = "prompt" in inspect.signature(wandb.login).parameters
    if not (wandb.login(prompt=False) if asks else wandb.api.api_key):
        raise RuntimeError(_NO_KEY)


def _quiet(known: Any) -> Any:
    """Settings by which wandb neither writes on the terminal nor waits for long, those that this version of it has."""
    wanted = {"silent": True, "console": "off", "init_timeout": _INIT, "finish_timeout": _FINISH, "login_timeout": 10}
    return known(**{name: value for name, value in wanted.items() if name in known.model_fields})
