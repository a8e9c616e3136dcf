"""Runs of a suite that train nothing, with the real driver; as a module, the process of one of them."""

from fer_bench.sweeps.engines.watch import watch_starter

if __name__ == "__main__":
    watch_starter()

import os
import sys
import time
from pathlib import Path

import numpy as np

from fer_bench.apps.suites import driver as drivers
from fer_bench.apps.suites.plan import Piece, Work
from fer_bench.apps.suites.state import Ledger, SuiteState
from fer_bench.apps.suites.table import Board
from fer_bench.apps.suites.task import Outcome, Task
from fer_bench.predictions import Predictions
from fer_bench.results.begin import begin_record
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored
from fer_bench.spec import RunSpec
from fer_bench.sweeps.progress import Step

MODULE = "tests.sweeps.stubs"


def driver_of(engine, folder: Path, n: int, *, epochs: int, seconds: float = 0.0, work=None):
    """A driver, its store and its ledger."""
    (folder / "suite").mkdir()
    (folder / "trained").mkdir()
    pieces = []
    for seed in range(n):
        spec = RunSpec.model_validate({"seed": seed, "epochs": epochs})
        step = Step("run", f"kind {seed}" if work else "one kind", float(work[seed] if work else 1))
        pieces.append(Piece("run", spec.run_id(), f"run {seed}", step, spec))
    store, found = Store(folder / "boards"), Work(pieces)
    ledger = Ledger(folder / "suite", SuiteState(suite="x", on="y", rows=drivers.rows_of(found)))
    common = drivers.Common(
        environment={"FER_BENCH_RUNS": str(folder / "trained"), "STUB_SECONDS": str(seconds), "OMP_NUM_THREADS": "1"}
    )
    made = drivers.Driver(found, engine, store, ledger, Board(ledger.state, print), common, lambda: None, MODULE)
    return made, store, ledger


def main(folder: Path) -> int:
    spec = Task.read(folder).spec
    trained = Path(os.environ["FER_BENCH_RUNS"]) / spec.run_id()
    done = len(trained.read_text().split()) if trained.exists() else 0
    for epoch in range(done, spec.epochs):
        time.sleep(float(os.environ["STUB_SECONDS"]))
        with trained.open("a") as file:
            file.write(f"{epoch}\n")
    rng = np.random.default_rng(spec.seed)
    outputs = rng.dirichlet(np.ones(7), 21).astype(np.float32)
    predictions = Predictions(np.array([f"face {i}" for i in range(21)]), np.arange(21) % 7, outputs)
    record = begin_record(spec, spec.judge, spec.run_id()).model_copy(update={"inputs": {"test": "one copy"}})
    Store(folder / "outbox").put(scored(record, spec.judge, {"test": predictions}), {"test": predictions})
    Outcome(how="done", text="stub", seconds=1.0).write(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
