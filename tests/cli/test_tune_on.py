"""``tune --on``: trials in processes of their own, which share the study; what dies is gone on with."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("optuna", reason="extra tune")

from fer_bench import paths
from fer_bench.apps.suites import child
from fer_bench.apps.suites.state import driving, read_state
from fer_bench.apps.suites.task import Outcome, Task
from fer_bench.apps.suites.trials import over_in, trials_of
from fer_bench.results.store import Store
from fer_bench.sweeps.engines import local
from fer_bench.sweeps.tuning.search import plan
from fer_bench.sweeps.tuning.space import Range, parse_space, space_of
from fer_bench.sweeps.tuning.study import Study
from tests.sweeps.forked_jobs import ForkedJob, jobs_killed
from tests.training.conftest import cache, flags, home, one_thread, tiny  # noqa: F401

SEARCH = "lr=1e-3:1e-1:log"
ON = ("--on", "local:2")


@pytest.fixture
def tune(home, tiny, fer_bench, monkeypatch):  # noqa: F811
    monkeypatch.setattr(local, "Process", ForkedJob)
    given = ["tune", *flags(tiny(epochs=1))[1:], "--search", SEARCH]

    def call(*more):
        return fer_bench(*given, *more)

    call.planned = lambda: plan(tiny(epochs=1), parse_space([SEARCH]))
    return call


def test_trials_are_tried_side_by_side_and_the_best_becomes_a_recipe(tune, monkeypatch):
    monkeypatch.setattr(local, "Process", jobs_killed(first=1))
    done = tune("--budget", "3", *ON)
    assert done.code == 0, done.err
    assert "lost  task 1" in done.out
    assert "trials      3: 3 finished" in done.out
    assert "fer-bench run --use tuned/" in done.out
    planned = tune.planned()
    assert planned.recipe_file.is_file()
    found = planned.open().trials()
    assert [one.state for one in found] == ["finished"] * 3
    # Nothing was tested or recorded; of three trainings one is left.
    assert not list(Store().results.rglob("*"))
    assert len(list(paths.runs_dir().glob("*/trained.json"))) == 1
    # A larger budget goes on from there; the same one has nothing to do.
    more = tune("--budget", "4", *ON)
    assert more.code == 0, more.err
    assert more.out.count("started") == 1
    assert "started" not in tune("--budget", "4", *ON).out
    assert [one.point for one in planned.open().trials()][:3] == [one.point for one in found]
    shown = tune("--status")
    assert (shown.code, "0 queued" in shown.out) == (0, True)
    assert "changes nothing" in tune("--status", "--no-prune").err
    lock = driving(planned.study_folder)
    assert "carried out already" in tune("--budget", "5", *ON).err
    lock.release()


def task_of(planned, study, folder, **more):
    (piece,) = trials_of(planned, study, 1, prune=True, over=set()).pieces
    folder.mkdir()
    task = Task(kind="trial", spec=piece.spec, trial=piece.trial.model_copy(update=more))
    task.write(folder)
    return folder


def test_a_machine_that_does_not_see_the_study_says_so(tune, tmp_path, monkeypatch):
    planned = tune.planned()
    folder = task_of(planned, planned.open(), tmp_path / "task")
    # A folder of the same name, as of another machine.
    (planned.study_folder / "mark.txt").write_text("another")
    assert child.main(folder) == 1
    outcome = Outcome.read(folder)
    assert outcome.how == "failed"
    assert "does not see the folder of this search" in outcome.text
    assert "FER_BENCH_RUNS" in outcome.text
    assert len(planned.open().trials()) == 0


def test_what_does_not_fit_beside_others_is_tried_alone(tune, tmp_path, monkeypatch):
    from fer_bench.errors import OutOfMemory
    from fer_bench.sweeps.tuning import search

    def full(*arguments):
        raise OutOfMemory("it does not fit.")

    monkeypatch.setattr(search, "try_settings", full)
    monkeypatch.setattr(child, "_keep_to_share", lambda: None)
    planned = tune.planned()
    study = planned.open()
    monkeypatch.setenv("FER_BENCH_GPU_SHARE", "0.25")
    folder = task_of(planned, study, tmp_path / "task")
    assert child.main(folder) == 1
    assert Outcome.read(folder).how == "memory"
    assert [one.state for one in study.trials()] == ["running"]
    monkeypatch.delenv("FER_BENCH_GPU_SHARE")
    assert child.main(folder) == 0
    assert [one.state for one in study.trials()] == ["failed"]


def test_a_trial_that_ends_all_its_processes_is_given_up(tmp_path):
    def study():
        return Study(tmp_path, {"lr": Range(0.1, 1.0)}, higher_is_better=True)

    for _ in range(5):
        with study().next(2) as asked:
            assert asked.number == 0
    with study().next(2) as asked:
        assert asked.number == 1
    assert [one.state for one in study().trials()] == ["failed", "running"]
    # One that comes to further epochs is not.
    for epoch in range(8):
        with study().next(2) as asked:
            assert asked.number == 1
            asked.watch(epoch, 0.5)


def test_what_a_queue_still_has_is_taken_over_first(tune):
    planned = tune.planned()
    study = planned.open()
    rows = [
        {"key": f"task-{at}", "name": "x", "state": state} for at, state in enumerate(("done", "waiting", "queued"))
    ]
    (study.folder / "state.json").write_text(json.dumps({"suite": "x", "on": "slurm", "rows": rows}))
    with study.next(4) as asked:
        asked.finish(0.5, 1, "")
    over = over_in(study.folder)
    assert over == {"task-0"}
    assert [piece.key for piece in trials_of(planned, study, 3, prune=True, over=over).pieces] == ["task-2", "task-1"]
    assert read_state(study.folder).on == "slurm"


def test_a_space_goes_to_a_process_and_back(tune):
    space = tune.planned().space
    plain = json.loads(json.dumps({name: part.plain() for name, part in space.items()}))
    assert space_of(plain, str) == space


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--on", "nowhere", "--dry-run"], "there is no such engine"),
        (["--per-gpu", "2"], "--per-gpu is for runs side by side"),
    ],
)
def test_wrong_flags_are_one_line(tune, given, says):
    asked = tune(*given)
    assert asked.code == 2
    assert says in asked.err
