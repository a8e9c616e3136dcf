"""What is shown of a suite that is being carried out, and how long it will take."""

from __future__ import annotations

import io
import time

from rich.console import Console

from fer_bench.apps.suites.state import Row, SuiteState
from fer_bench.apps.suites.table import Board, shown, summary
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.paces import Paces
from fer_bench.sweeps.progress import Step, run_step
from tests.leaderboard.fake_records import put, run


def rows(n, **more):
    return [Row(key=f"{more['state']}{i}", name=f"{more['state']} {i}", **more) for i in range(n)]


def state_of(*groups, **more):
    return SuiteState(suite="paper", on="local", rows=[row for group in groups for row in group], **more)


def text_of(renderable, width=200):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_one_line_says_how_far_it_is():
    state = state_of(rows(2, state="running"), rows(3, state="waiting"), rows(1, state="queued"), left=5400.0)
    assert summary(state) == "2 running, 4 queued, 0 done, 0 failed, about 90 min left"
    state = state_of(rows(1, state="left out"), rows(2, state="failed"), rows(4, state="done"), left=0.0, ended=True)
    assert summary(state) == "0 running, 0 queued, 4 done, 2 failed, 1 left out"


def test_what_runs_and_what_failed_is_always_shown():
    now = time.time()
    state = state_of(
        rows(40, state="done", seconds=60.0),
        rows(2, state="running", where="node1", began=now - 90, tries=2),
        rows(1, state="failed", text="out of memory.", log="runs/suites/x/log.txt"),
        rows(40, state="waiting"),
    )
    lines = text_of(shown(state, most=20)).splitlines()
    assert len(lines) == 1 + 20 + 2
    assert sum(line.startswith("running") for line in lines) == 2
    assert "node1  1.5 min  try 2" in next(line for line in lines if line.startswith("running"))
    assert "out of memory.  log runs/suites/x/log.txt" in next(line for line in lines if line.startswith("failed"))
    assert "... 63 more" in lines
    assert lines[-1].startswith("2 running, 40 queued, 40 done, 1 failed")
    assert len(text_of(shown(state, most=100)).splitlines()) == 1 + 83 + 1


def test_without_a_terminal_each_thing_that_happens_is_a_line():
    said = []
    state = state_of(rows(1, state="done", where="node1", text="accuracy 0.5"), rows(1, state="waiting"))
    with Board(state, said.append) as board:
        board.happened(state.rows[0], "done")
    assert said == ["[1/2] done  done 0 on node1: accuracy 0.5"]


def test_the_longest_begin_first_by_what_the_store_and_the_suite_know(tmp_path):
    spec = RunSpec.model_validate({"epochs": 10})
    step, paces, store = run_step(spec), Paces(), Store(tmp_path)
    assert paces.seconds(step) is None
    for seed, seconds in ((0, 100.0), (1, 300.0)):
        record, predictions = run(0.5, seed=seed)
        training = {"seconds": seconds, "epochs": 5}
        update = {"model": spec.model, "protocol": spec.protocol, "training": training, "spec": {"image_size": None}}
        put(store, (record.model_copy(update=update), predictions))
    paces.look_up([spec], store)
    assert paces.seconds(step) == 10 * 40
    other = Step("run", "another", 3.0)
    # What nothing is known of is as long as others, by its work.
    assert paces.longest_first([other, step]) == [1, 0]
    paces.learn(other, 3000.0)
    assert paces.longest_first([step, other]) == [1, 0]
    paces.learn(step, 50.0)
    assert paces.seconds(step) == 50.0, "what was measured here and now counts more"
