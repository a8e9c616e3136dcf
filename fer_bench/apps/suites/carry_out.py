"""A suite on an engine, from what it lacks to what has become of it."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fer_bench import paths, plugins
from fer_bench.apps.suites.driver import Common, Driver, environment_of, rows_of
from fer_bench.apps.suites.plan import Work
from fer_bench.apps.suites.state import EVENTS, Ledger, SuiteState, read_state
from fer_bench.apps.suites.table import Board, summary
from fer_bench.counting import counted
from fer_bench.errors import Interrupted, Stopped
from fer_bench.leaderboard.render import render_all
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.sweeps.engines.seam import Engine


@dataclass(frozen=True)
class Result:
    """What has become of a suite.

    Args:
        state: of all its pieces.
        n_recorded: pieces that have a record, those whose loss became NaN among them.
    """

    state: SuiteState
    n_recorded: int


def carry_out_work(
    name: str,
    work: Work,
    engine: Engine,
    store: Store,
    folder: Path,
    execution: Execution,
    stage: str = "",
    say: Callable[[str], None] = print,
) -> Result:
    """Carry out the pieces of a suite.

    Args:
        name: of the suite.
        work: what it lacks.
        engine: where; it is closed in the end.
        store: of records.
        folder: of the suite's tasks; the caller holds its lock.
        execution: of grids and of tests.
        stage: folder on each node's disk that datasets are copied to; empty: none.
        say: prints a line.

    Raises:
        Stopped: Ctrl-C; what was started is ended, and what is done is in the store and on the boards.
        Interrupted: SIGTERM, likewise.
    """
    state = SuiteState(suite=name, on=engine.name, rows=rows_of(work))
    earlier = read_state(folder)
    if earlier is None or earlier.ended:
        (folder / EVENTS).unlink(missing_ok=True)
    ledger = Ledger(folder, state)
    ledger.event("", "driver", state.host)
    common = Common(
        execution=execution,
        environment=_places(),
        imports=tuple(plugins.IMPORTED),
        scratch=paths.in_scratch(),
        stage=stage,
        session=uuid.uuid4().hex,
    )
    with _terminating(), Board(state, say) as board:
        driver = Driver(work, engine, store, ledger, board, common, lambda: render_all(store))
        try:
            driver.run()
        except (KeyboardInterrupt, _TerminatedError) as error:
            driver.stop()
            raise _stopped(error, state, driver.n_started, engine.queues) from None
        except BaseException:
            driver.stop()
            raise
        finally:
            engine.close()
            driver.finish()
    say(summary(state))
    return Result(state, state.counts()["done"] + driver.n_nan)


class _TerminatedError(BaseException):
    """The driver was asked to end."""


@contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM ends the driver as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TerminatedError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(error: BaseException, state: SuiteState, n_started: int, queues: bool) -> Stopped | Interrupted:
    counts = state.counts()
    left = len(state.rows) - counts["done"] - counts["failed"] - counts["left out"]
    queued = counted(n_started, "stays in the queue", "stay in the queue")
    stopped = counted(n_started, "was stopped and resumes from its last epoch", "were stopped and resume from theirs")
    what = queued if queues else stopped
    problem = f"stopped: {counts['done']} done, {counts['failed']} failed, {left} to do, of which {what}."
    kind = Stopped if isinstance(error, KeyboardInterrupt) else Interrupted
    return kind(problem, "Run the same command again to go on.")


def _places() -> dict[str, str]:
    """Where things are, for processes that begin in other folders and on other nodes."""
    said: dict[str, Any] = {
        "FER_BENCH_HOME": paths.project_root(),
        "FER_BENCH_DATA": paths.data_root(),
        "FER_BENCH_CACHE": paths.cache_dir(),
        "FER_BENCH_SCRATCH": paths.scratch_dir(),
    }
    absolute = {name: str(Path(place).absolute()) for name, place in said.items()}
    # Not that of scratch mode, which has its own; an address is passed on as it is.
    runs = os.environ.get("FER_BENCH_RUNS") or str(paths.project_root() / "runs")
    absolute["FER_BENCH_RUNS"] = runs if "://" in runs else str(paths.expanded(runs).absolute())
    return {**environment_of(os.environ), **absolute}
