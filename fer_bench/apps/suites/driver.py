"""The driver of a suite: begins its pieces on an engine, takes what comes back into the store, tries again what was
lost, and renders the boards.

Whatever dies, running the same command again is safe: a spec is frozen, its fingerprint decides what is done, a record
is written whole or not at all, and a training resumes from its last epoch where its folder is still to be seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench.apps.suites import exchange
from fer_bench.apps.suites.plan import Piece, Work, named_runs, runs_in_files, streamed_runs
from fer_bench.apps.suites.state import Ledger, Row
from fer_bench.apps.suites.table import Board
from fer_bench.apps.suites.task import MODULE, Outcome, Task, hidden_of
from fer_bench.errors import FerBenchError, HardwareError, RecordError, RunNanError
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.sweeps.engines.seam import Ended, Engine, Job
from fer_bench.sweeps.folds import run_folds
from fer_bench.sweeps.paces import Paces
from fer_bench.sweeps.todo import renamed

# How often a piece may be lost with its node, and how often its process may be killed, before it counts as failed.
_MOST_LOST, _MOST_KILLED = 20, 3
_BOARDS_SECONDS = 300.0
_POLL_SECONDS = 0.05


@dataclass
class Common:
    """What all tasks of one call share.

    Args:
        execution: of grids and tests; a run has its own.
        environment: variables of their processes.
        imports: modules that the command has imported.
        scratch: whether it is in scratch mode.
        stage: see :class:`fer_bench.apps.suites.task.Task`.
        session: likewise.
    """

    execution: Execution = field(default_factory=Execution)
    environment: dict[str, str] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    scratch: bool = False
    stage: str = ""
    session: str = ""


class Driver:
    """Carries out a suite.

    Args:
        work: its pieces.
        engine: where.
        store: of records; the driver alone writes into it.
        ledger: what is known of it, with one row for each piece.
        board: shows it.
        common: what its tasks share.
        render: renders the boards.
        module: is the process of a task.
    """

    def __init__(
        self,
        work: Work,
        engine: Engine,
        store: Store,
        ledger: Ledger,
        board: Board,
        common: Common,
        render: Callable[[], Any],
        module: str = MODULE,
    ) -> None:
        self._engine, self._store, self._ledger, self._board = engine, store, ledger, board
        self._common, self._render, self._module = common, render, module
        self._pieces = {piece.key: piece for piece in work.pieces}
        self._records: dict[str, Record] = dict(work.known)
        self._waiting = list(self._pieces)
        self._started: dict[str, Job] = {}
        self._lost: dict[str, int] = {}
        self._killed: dict[str, int] = {}
        self._alone: set[str] = set()
        self._paces = Paces()
        self._unrendered, self._rendered_at = False, time.monotonic()
        self.n_nan = 0

    def run(self) -> None:
        """Until everything is done, has failed, or cannot begin."""
        self._paces.look_up((piece.spec for piece in self._pieces.values() if piece.spec), self._store)
        steps = [self._pieces[key].step for key in self._waiting]
        self._waiting = [self._waiting[at] for at in self._paces.longest_first(steps)]
        while self._waiting or self._started:
            self._begin_what_can()
            ended = list(self._engine.poll())
            for one in ended:
                self._end(one)
            self._look()
            if not ended:
                time.sleep(_POLL_SECONDS)

    def finish(self) -> None:
        """However it ended: write down how far it is, and render the boards."""
        self._ledger.state.ended = not self._waiting and not self._started
        self._ledger.save()
        if self._unrendered:
            self._render()

    def stop(self) -> None:
        """End what was started; a queue that outlives the driver keeps what it has."""
        if not self._engine.queues:
            self._engine.stop()
        for key in self._started:
            self._ledger[key].state = "queued" if self._engine.queues else "waiting"
            self._ledger.event(key, "stopped")
        self._ledger.save()

    @property
    def n_started(self) -> int:
        """Pieces that have begun and not ended."""
        return len(self._started)

    # -- beginning

    def _begin_what_can(self) -> None:
        for key in list(self._waiting):
            piece = self._pieces[key]
            if any(one in self._waiting or one in self._started for one in piece.after):
                continue
            # A join says itself what is wrong with a fold.
            usable = ("finished", "nan") if piece.kind == "join" else ("finished",)
            found = {one: record.status for one in piece.after if (record := self._records.get(one)) is not None}
            if missing := [one for one in piece.after if found.get(one) not in usable]:
                self._leave_out(piece, missing)
                continue
            try:
                if piece.kind == "join":
                    self._join(piece)
                else:
                    self._start(piece)
            except FerBenchError as error:
                self.n_nan += isinstance(error, RunNanError)
                self._fail(piece, str(error))

    def _start(self, piece: Piece) -> None:
        folder = self._folder(piece.key)
        job = Job(
            piece.key,
            piece.name,
            folder,
            self._module,
            self._common.environment,
            devices=1 if piece.kind != "run" or piece.spec is None else piece.spec.execution.devices,
            alone=piece.key in self._alone,
            cwd=str(Path.cwd()),
            tries=self._ledger[piece.key].tries,
        )
        adopted = self._engine.adopt(job)
        if not adopted:
            if not self._engine.room(job):
                return
            self._prepare(piece, folder)
            self._engine.start(job)
        self._waiting.remove(piece.key)
        self._started[piece.key] = job
        row = self._ledger[piece.key]
        row.state, row.where = "queued", ""
        row.began, row.seconds, row.text, row.log = time.time(), 0.0, "", str(exchange.log_of(folder))
        row.tries += not adopted
        self._ledger.event(piece.key, "adopted" if adopted else "started")
        self._board.happened(row, "adopted" if adopted else "started")

    def _prepare(self, piece: Piece, folder: Path) -> None:
        """Put the task, and the records that it needs, into its folder."""
        needed: list[Record | None] = []
        grids: list[Path] = []
        settings: dict[str, Any] = {}
        if piece.kind in ("run", "trial"):
            assert piece.spec is not None
            needed = [self._record(name) for name in (*named_runs(piece.spec), *runs_in_files(piece.spec, self._store))]
            settings = {"spec": piece.spec, "trial": piece.trial, "execution": piece.spec.execution}
        elif piece.kind == "test":
            assert piece.spec is not None
            record = self._records[piece.after[0]]
            needed = [record]
            reference = f"{record.protocol}/{folder_name(record.model)}/{record.run_id}"
            settings = {"network": reference, "dataset": piece.dataset, "execution": piece.spec.execution}
        else:
            assert piece.grid is not None
            names = {f"run:{key}": self._records[key].run_id for key in piece.after}
            grid = renamed(piece.grid, names)
            needed = [self._record(name) for name in (*streamed_runs(grid), *runs_in_files(grid, self._store))]
            grids = list(self._store.grid_path(grid.protocol, grid.model, "x").parent.glob("*.grid.json"))
            settings = {"grid": grid, "hidden": hidden_of(grid), "execution": self._common.execution}
        exchange.give(folder, self._store, [record for record in needed if record is not None], grids)
        common = self._common
        Task(
            kind=piece.kind,
            force=piece.force and not self._ledger[piece.key].tries,
            imports=common.imports,
            scratch=common.scratch,
            stage=common.stage,
            session=common.session,
            **settings,
        ).write(folder)

    def _record(self, reference: str) -> Record | None:
        # What is wrong with a name is said by the task.
        try:
            return self._store.get(reference)
        except RecordError:
            return None

    def _join(self, piece: Piece) -> None:
        """The record over all folds, which takes no engine."""
        assert piece.spec is not None
        began = time.time()
        found = self._records

        def fold(spec: Any, store: Store, *, force: bool = False) -> Record:
            record = found[spec.run_id()]
            if record.status != "finished":
                raise RunNanError(record.message)
            return record

        record = run_folds(piece.spec, self._store, run=fold)
        self._waiting.remove(piece.key)
        self._done(piece, record, time.time() - began)

    # -- ending

    def _end(self, ended: Ended) -> None:
        job = self._started.pop(ended.key)
        piece, row = self._pieces[ended.key], self._ledger[ended.key]
        row.where = ended.where or row.where
        outcome = Outcome.read(job.folder) if ended.how == "ended" else None
        row.seconds = outcome.seconds if outcome is not None else time.time() - row.began
        if ended.how == "cancelled":
            self._fail(piece, ended.text)
        elif outcome is None or outcome.how in ("stopped", "busy"):
            self._again(piece, row, ended, outcome)
        elif outcome.how == "memory" and piece.key not in self._alone:
            self._alone.add(piece.key)
            self._retry(piece, row, "memory", f"{outcome.text} It is tried alone.")
        elif piece.kind == "trial" and outcome.how == "done":
            # What came of it is in the study.
            exchange.discard(job.folder)
            row.text = outcome.text
            self._done(piece, None, row.seconds)
        elif outcome.how in ("done", "nan"):
            self._take(piece, row, job.folder, outcome)
        else:
            exchange.discard(job.folder)
            self._fail(piece, outcome.text)

    def _again(self, piece: Piece, row: Row, ended: Ended, outcome: Outcome | None) -> None:
        lost = ended.how == "lost" or outcome is not None
        counts, most = (self._lost, _MOST_LOST) if lost else (self._killed, _MOST_KILLED)
        counts[piece.key] = counts.get(piece.key, 0) + 1
        said = outcome.text if outcome is not None else ended.text
        text = said or ("its node was lost" if lost else "its process was killed")
        if counts[piece.key] >= most:
            self._fail(piece, f"{text}, {most} times.")
            return
        if not lost and counts[piece.key] == most - 1:
            # The system kills what takes too much memory without a word.
            self._alone.add(piece.key)
        self._retry(piece, row, "lost", text)

    def _retry(self, piece: Piece, row: Row, what: str, text: str) -> None:
        row.state, row.text = "waiting", text
        # Before all others: what it has trained so far is warm, and it may be long.
        self._waiting.insert(0, piece.key)
        self._ledger.event(piece.key, what, row.where, text)
        self._board.happened(row, what)
        self._ledger.save()

    def _take(self, piece: Piece, row: Row, folder: Path, outcome: Outcome) -> None:
        try:
            records = exchange.take(folder, self._store, force=piece.force)
        except HardwareError:
            # The disk is full: the outbox stays, and the same command takes it later.
            raise
        except FerBenchError as error:
            self._fail(piece, str(error))
            return
        self._unrendered = True
        record = next((one for one in records if self._is_of(piece, one)), None)
        if outcome.how == "nan":
            self.n_nan += 1
            if record is not None:
                self._records[piece.key] = record
            self._fail(piece, outcome.text)
            return
        if record is None:
            self._fail(piece, "it has ended without a record.")
            return
        exchange.discard(folder)
        row.text = outcome.text
        self._done(piece, record, row.seconds)

    def _is_of(self, piece: Piece, record: Record) -> bool:
        return record.kind == "evaluated" if piece.kind == "test" else record.kind != "evaluated"

    def _done(self, piece: Piece, record: Record | None, seconds: float) -> None:
        from fer_bench.apps.tracking import publish_records

        row = self._ledger[piece.key]
        if record is not None:
            self._records[piece.key] = record
        if piece.kind == "join" and record is not None:
            assert piece.spec is not None
            publish_records([record], self._store, piece.spec.execution)
            self._unrendered = True
        self._paces.learn(piece.step, seconds)
        row.state, row.seconds = "done", seconds
        self._ledger.event(piece.key, "done", row.where, row.text)
        self._board.happened(row, "done")
        self._ledger.save(now=False)

    def _fail(self, piece: Piece, text: str) -> None:
        row = self._ledger[piece.key]
        row.state, row.text = "failed", text
        if piece.key in self._waiting:
            self._waiting.remove(piece.key)
        self._ledger.event(piece.key, "failed", row.where, text)
        self._board.happened(row, "failed")
        self._ledger.save()

    def _leave_out(self, piece: Piece, missing: list[str]) -> None:
        row = self._ledger[piece.key]
        named = self._pieces[missing[0]].name if missing[0] in self._pieces else missing[0]
        row.state, row.text = "left out", f"it needs {named}, which is not trained"
        self._waiting.remove(piece.key)
        self._ledger.event(piece.key, "left out", text=row.text)
        self._board.happened(row, "left out")

    # -- looking

    def _look(self) -> None:
        """What runs where, how long it will take, and the boards from time to time."""
        for key, where in self._engine.running().items():
            row = self._ledger[key]
            if row.state == "queued":
                row.began = time.time()
            if row.where != where and where:
                self._ledger.event(key, "placed", where)
            row.state, row.where = "running", where or row.where
        self._ledger.state.left = self._left()
        self._ledger.save(now=False)
        if self._unrendered and time.monotonic() - self._rendered_at > _BOARDS_SECONDS:
            self._render()
            self._unrendered, self._rendered_at = False, time.monotonic()

    def _left(self) -> float | None:
        """Seconds: all that is left, shared by the devices; at least the longest."""
        lengths: list[float] = []
        for key in (*self._waiting, *self._started):
            piece = self._pieces[key]
            seconds = 0.0 if piece.kind == "join" else self._paces.seconds(piece.step)
            if seconds is None:
                return None
            spent = time.time() - self._ledger[key].began if key in self._started else 0.0
            devices = piece.spec.execution.devices if piece.kind == "run" and piece.spec else 1
            lengths.append(max(0.0, seconds - spent) * devices)
        return max(max(lengths), sum(lengths) / max(1, self._engine.slots())) if lengths else 0.0

    def _folder(self, key: str) -> Path:
        return self._ledger.folder / key


def rows_of(work: Work) -> list[Row]:
    """A row for each piece."""
    return [Row(key=piece.key, name=piece.name) for piece in work.pieces]


def environment_of(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that processes on other nodes need: where things are, and how many threads."""
    return {
        name: value
        for name, value in variables.items()
        if name.startswith("FER_BENCH_") or name in ("OMP_NUM_THREADS", "WANDB_MODE", "WANDB_DIR")
    }
