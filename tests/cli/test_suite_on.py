"""``suite --on``: everything of a suite through an engine is what it is one after the other; what fails, dies, or is
stopped costs only itself."""

from __future__ import annotations

import json

import pytest

from fer_bench.apps.suites import exchange
from fer_bench.apps.suites.state import read_state, suite_folder
from fer_bench.results.store import Store
from fer_bench.sweeps.engines import local
from tests.cli.every_kind import SIZES
from tests.fakes import make_faces, write_folders
from tests.sweeps.forked_jobs import ForkedJob, jobs_killed

FACES = f"dataset: synthfaces, dataset_options: {SIZES}"
TINY = f"{FACES}, model_options: {{width: 2}}, epochs: 1, batch_size: 14, precision: 32-true"
HEADS = f"{FACES}, task: fer7, lr: [0.01], loss: [cross_entropy], max_epochs: 1"
ON = ("--on", "local:2", "--accelerator", "cpu")
EVERYTHING = f"""\
seeds: [0]
networks:
  net: {{{TINY}, recipe: network, lr: 0.003}}
runs:
  - {{{TINY}, recipe: plain, test_on: ['folder:other']}}
  - {{{TINY.replace("0.2", "0.2, folds: 2, fold_by: frame", 1)}, recipe: folds}}
  - {{{TINY}, recipe: wrong, tta_kind: flip}}
  - {{{TINY}, recipe: nan, lr: 1.0e+30, optimizer: sgd}}
  - {{{HEADS}, streams: ["features:{{backbone}}"], grid: {{backbone: ["{{net}}"]}}}}
"""


@pytest.fixture
def suite(tmp_path, monkeypatch, drawn_cache):
    monkeypatch.setattr(local, "Process", ForkedJob)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return write


def digests(store):
    return {
        f"{record.protocol}/{record.run_id}": {split: entry.sha256 for split, entry in record.predictions.items()}
        for record in store.records()
    }


def test_all_of_a_suite_is_what_it_is_one_after_the_other(fer_bench, own_folders, suite, tmp_path, monkeypatch):
    write_folders(own_folders / "data" / "other", make_faces((3, 3, 3)))
    path = suite(EVERYTHING)
    done = fer_bench("suite", path, *ON)
    assert done.code == 1, done.err
    assert "tta_kind = 'flip' changes nothing" in done.err
    assert "train/loss became" in done.err
    assert str(suite_folder(path)) in done.err, "with its log"
    found = read_state(suite_folder(path))
    assert found.ended
    assert sorted(row.state for row in found.rows) == ["done"] * 7 + ["failed"] * 2
    side_by_side = digests(Store())
    # Everything is done, but what cannot be.
    again = fer_bench("suite", path, "--dry-run")
    assert again.out.count("\n  to do  ") == 1
    assert fer_bench("verify").code == 0
    assert not list(suite_folder(path).glob("*/outbox"))
    status = fer_bench("suite", path, "--status")
    assert status.code == 1
    assert "2 failed" in status.out
    for name in ("leaderboards", "runs"):
        monkeypatch.setenv(f"FER_BENCH_{name.upper()}", str(tmp_path / "plain" / name))
    assert fer_bench("suite", path, "--accelerator", "cpu").code == 1
    assert digests(Store()) == side_by_side


def test_what_is_done_is_not_begun_again_and_force_repeats_it(fer_bench, suite):
    path = suite(f"seeds: [0, 1]\nruns:\n  - {{{TINY}}}\n")
    assert fer_bench("suite", path, *ON, "--seeds", "0").code == 0
    first = {record.run_id: record.created for record in Store().records()}
    done = fer_bench("suite", path, *ON)
    assert "1 done, 0 failed" in done.out
    assert "1 done" in fer_bench("suite", path, "--status", "--seeds", "1").out
    assert "0 running, 0 queued, 0 done" in fer_bench("suite", path, "--status", "--seeds", "7").out
    assert "matches no run" in fer_bench("suite", path, "--status", "--only", "nothing").err
    for more, flag in ((["--force"], "--force"), (["--devices", "2"], "--devices"), (["--on", "local:2"], "--on")):
        assert f"{flag} changes nothing" in fer_bench("suite", path, "--status", *more).err
    both = {record.run_id: record.created for record in Store().records()}
    assert len(both) == 2
    assert first.items() <= both.items()
    assert "started" not in fer_bench("suite", path, *ON).out
    assert fer_bench("suite", path, *ON, "--force", "--seeds", "0").code == 0
    after = {record.run_id: record.created for record in Store().records()}
    assert after.keys() == both.keys()
    assert {key for key in both if after[key] != both[key]} == first.keys()


def test_a_killed_process_is_tried_again_and_goes_on(fer_bench, suite, monkeypatch):
    monkeypatch.setattr(local, "Process", jobs_killed(first=1))
    path = suite(f"runs:\n  - {{{TINY}}}\n")
    done = fer_bench("suite", path, *ON)
    assert done.code == 0, done.err
    assert "lost" in done.out
    assert read_state(suite_folder(path)).rows[0].tries == 2
    monkeypatch.setattr(local, "Process", jobs_killed(first=10))
    done = fer_bench("suite", path, *ON, "--force")
    assert done.code == 2
    assert "3 times" in done.err
    # A try that was forced has not taken the record away.
    assert len(list(Store().records())) == 1


def test_what_an_earlier_driver_did_not_live_to_take_is_taken(fer_bench, suite, monkeypatch):
    path = suite(f"seeds: [0, 1]\nruns:\n  - {{{TINY}}}\n")
    take = exchange.take

    def killed(folder, store, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(exchange, "take", killed)
    stopped = fer_bench("suite", path, *ON, "--seeds", "0")
    assert stopped.code == 130
    assert "stopped: 0 done" in stopped.err
    assert "Run the same command again" in stopped.err
    monkeypatch.setattr(exchange, "take", take)
    done = fer_bench("suite", path, *ON, "--seeds", "0")
    assert done.code == 0
    assert "1 task of an earlier call had ended meanwhile" in done.out
    assert "started" not in done.out
    assert len(list(Store().records())) == 1
    # Nor is it lost where another part of the suite is repeated.
    monkeypatch.setattr(exchange, "take", killed)
    assert fer_bench("suite", path, *ON, "--seeds", "1").code == 130
    monkeypatch.setattr(exchange, "take", take)
    done = fer_bench("suite", path, *ON, "--seeds", "0", "--force")
    assert "1 task of an earlier call had ended meanwhile" in done.out
    assert len(list(Store().records())) == 2


def test_a_run_without_memory_is_tried_alone(fer_bench, suite, monkeypatch):
    alone = []

    class Small(ForkedJob):
        def __init__(self, module, folder, environment, cwd=""):
            alone.append(folder)
            super().__init__(module, folder, environment, cwd)

        def ended(self):
            if not super().ended():
                return False
            if len(alone) == 1:
                (alone[0] / "result.json").write_text(json.dumps({"how": "memory", "text": "out of memory."}))
            return True

    monkeypatch.setattr(local, "Process", Small)
    path = suite(f"runs:\n  - {{{TINY}}}\n")
    done = fer_bench("suite", path, *ON)
    assert done.code == 0, done.err
    assert "tried alone" in done.out
    assert len(alone) == 2


def test_teachers_come_before_students(fer_bench, suite, tmp_path):
    from fer_bench.sweeps.suite import read_suite

    path = suite(f"seeds: [0]\nruns:\n  - {{{TINY}, recipe: teacher}}\n")
    (teacher,) = read_suite(path)
    path = suite(
        f"seeds: [0]\nruns:\n  - {{{TINY}, recipe: student, lr: 0.002, method: distill,"
        f" method_options: {{teachers: [{teacher.run_id()}]}}}}\n  - {{{TINY}, recipe: teacher}}\n"
    )
    done = fer_bench("suite", path, *ON)
    assert done.code == 0, done.err
    assert done.out.index("started  five_layer_cnn (teacher)") < done.out.index("started  five_layer_cnn (student)")


def test_two_drivers_of_one_suite_are_one_too_many(fer_bench, suite):
    from fer_bench.apps.suites.state import driving

    path = suite(f"runs:\n  - {{{TINY}}}\n")
    assert "has not been carried out with --on" in fer_bench("suite", path, "--status").err
    lock = driving(suite_folder(path))
    assert "is about to be carried out" in fer_bench("suite", path, "--status").err
    refused = fer_bench("suite", path, *ON)
    lock.release()
    assert refused.code == 2
    assert "carried out already" in refused.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--per-gpu", "2"], "--per-gpu is for runs side by side"),
        (["--on", "nowhere"], "there is no such engine"),
        (["--on", "nowhere", "--dry-run"], "there is no such engine"),
        (["--on", "local:2", "--time", "9:00", "--dry-run"], "--time is for --on slurm"),
        (["--on", "local:2", "--cpus", "0"], "cpus = 0"),
        ([*ON, "--per-gpu", "2"], "there is no GPU to share"),
    ],
)
def test_wrong_flags_are_one_line(fer_bench, suite, flags, says):
    asked = fer_bench("suite", suite(f"runs:\n  - {{{TINY}}}\n"), *flags)
    assert asked.code == 2
    assert says in asked.err


def test_a_folder_that_cannot_be_staged_to_is_named(fer_bench, suite, tmp_path):
    (tmp_path / "file").touch()
    stage = tmp_path / "file" / "below"
    failed = fer_bench("suite", suite(f"runs:\n  - {{{TINY}}}\n"), *ON, "--stage", stage)
    assert f"--stage {stage}: this folder cannot be made" in failed.err


def test_data_are_staged_once_a_node(fer_bench, suite, own_folders, tmp_path):
    write_folders(own_folders / "data" / "mine", make_faces((3, 3, 3)))
    path = suite(
        "defaults: {dataset: 'folder:mine', model_options: {width: 2}, epochs: 1, batch_size: 14,"
        " precision: 32-true}\nseeds: [0, 1]\nruns: [{recipe: plain}]\n"
    )
    fast = tmp_path / "fast"
    done = fer_bench("suite", path, *ON, "--stage", fast)
    assert done.code == 0, done.err
    (copy,) = fast.glob("data/*/mine")
    assert {p.name for p in copy.rglob("*.png")} == {p.name for p in (own_folders / "data" / "mine").rglob("*.png")}
    logs = [log.read_text() for log in suite_folder(path).glob("*/log.txt")]
    assert sum("staging" in log for log in logs) == 1
    staged = digests(Store())
    assert fer_bench("suite", path, "--accelerator", "cpu", "--force").code == 0
    assert digests(Store()) == staged
