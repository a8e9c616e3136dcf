"""The engine of SLURM: with commands that only look like SLURM's, with submitit's local executor, and, as a proof, on a
cluster of this machine."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_bench.apps.suites import exchange
from fer_bench.apps.suites.task import Outcome
from fer_bench.errors import HardwareError, SpecError
from fer_bench.results.store import Store
from fer_bench.sweeps.engines.choose import EngineOptions, check_engine, make_engine
from fer_bench.sweeps.engines.seam import RESULT, Ended, Job
from fer_bench.sweeps.engines.slurm import ARRAYS, Queued, SlurmEngine, minutes
from tests.sweeps.jobs import MODULE, write_task
from tests.sweeps.one_slurm import begun_slurm, why_not
from tests.sweeps.stubs import driver_of

submitit = pytest.importorskip("submitit", reason="submitit comes with the extra slurm")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def job(tmp_path):
    def make(key, do="done", **more):
        folder = write_task(tmp_path / "suite" / key, do=do, mark=str(tmp_path / f"{key}.pids"))
        return Job(key, key, folder, MODULE, {"PYTHONPATH": str(ROOT), "FER_BENCH_MADE": key}, **more)

    return make


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands that take everything, and say what a test has them say; what they were given is kept."""
    folder = tmp_path / "bin"
    folder.mkdir()
    said = {"sbatch": "Submitted batch job 7", "srun": "", "squeue": "", "scancel": "", "scontrol": ""}

    def say(**texts):
        for name, text in {**said, **texts}.items():
            script = (
                f'#!/bin/bash\necho "$@" >> {folder}/{name}.calls\n[ -f "$1" ] && cat "$1" >> {folder}/{name}.files\n'
            )
            fails = "" if not text.startswith("!") else f"echo '{text[1:]}' >&2\nexit 1\n"
            (folder / name).write_text(script + (fails or f"printf '%s' '{text}'\n"))
            (folder / name).chmod(stat.S_IRWXU)

    say()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.say, monkeypatch.folder = say, folder
    return monkeypatch


def options(**more):
    return EngineOptions(on="slurm", **more)


def rows(folder, *lines):
    """What squeue says: number, state and node of tasks of the only array."""
    (array,) = (path.name for path in (folder / ARRAYS).iterdir())
    return "\n".join(f"7_{number}|{number}|{state}|{node}|{array}" for number, state, node in lines)


def test_what_can_begin_is_one_array(slurm, job):
    engine = make_engine(
        options(partition="long", time="2-12", gpus="a100:1", account="lab", cpus=3, sbatch=("mem=9G",))
    )
    engine._look_seconds = 0
    jobs = [job(name) for name in "abc"]
    for one in jobs:
        assert not engine.adopt(one)
        assert engine.room(one)
        engine.start(one)
    assert list(engine.poll()) == []
    assert len((slurm.folder / "sbatch.calls").read_text().splitlines()) == 1
    told = {line for line in (slurm.folder / "sbatch.files").read_text().splitlines() if line.startswith("#SBATCH")}
    (array,) = (path.name for path in (jobs[0].folder.parent / ARRAYS).iterdir())
    for flag in (
        "array=0-2%3",
        "partition=long",
        "time=3600",
        "gpus-per-node=a100:1",
        "account=lab",
        "cpus-per-task=3",
        "mem=9G",
        "requeue",
        f"comment={array}",
    ):
        assert f"#SBATCH --{flag}" in told
    assert engine.gpu
    assert engine.running() == {}
    slurm.say(squeue=rows(jobs[0].folder.parent, (0, "RUNNING", "n1"), (1, "PENDING", ""), (2, "PENDING", "")))
    assert list(engine.poll()) == []
    assert engine.running() == {"a": "n1"}
    engine.stop(["a"])
    assert (slurm.folder / "scancel.calls").read_text() == "7_0\n"


def test_how_tasks_end(slurm, job, monkeypatch):
    engine = SlurmEngine({}, look_seconds=0)
    jobs = [job(name) for name in ("done", "died", "lost", "gone", "late", "cancelled", "again", "runs")]
    for one in jobs:
        engine.start(one)
    list(engine.poll())
    monkeypatch.setattr("fer_bench.sweeps.engines.slurm._SETTLE_SECONDS", 0)
    (jobs[0].folder / RESULT).write_text("{}")
    states = ("COMPLETED", "OUT_OF_MEMORY", "NODE_FAIL", None, "TIMEOUT", "CANCELLED", "PENDING", "RUNNING")
    said = [(number, state, "" if state == "PENDING" else "n1") for number, state in enumerate(states) if state]
    slurm.say(squeue=rows(jobs[0].folder.parent, *said))
    ended = {one.key: one for one in engine.poll()}
    assert {key: one.how for key, one in ended.items()} == {
        "done": "ended",
        "died": "ended",
        "lost": "lost",
        "gone": "lost",
        "late": "ended",
        "cancelled": "cancelled",
    }
    assert "OUT_OF_MEMORY" in ended["died"].text
    assert set(engine.running()) == {"runs"}
    # A controller that does not answer changes nothing.
    slurm.say(squeue="!slurm_load_jobs error: Unable to contact slurm controller")
    assert list(engine.poll()) == []
    assert set(engine.running()) == {"runs"}


def test_the_next_driver_finds_what_is_in_the_queue(slurm, job):
    slurm.say(squeue="!slurm_load_jobs error: Unable to contact slurm controller")
    with pytest.raises(HardwareError, match="SLURM does not answer: slurm_load_jobs error"):
        SlurmEngine({}).adopt(job("ran"))
    slurm.say()
    first = SlurmEngine({}, look_seconds=0)
    jobs = [job(name) for name in ("ran", "runs", "waits", "failed")]
    for one in jobs:
        first.start(one)
    list(first.poll())
    del first
    folder = jobs[0].folder.parent
    old = folder / ARRAYS / "0123"
    old.mkdir()
    (old / "keys.json").write_text('["runs"]')
    said = rows_of(folder, old, (0, "COMPLETED", "n1"), (1, "RUNNING", "n1"), (2, "PENDING", ""), (3, "FAILED", "n1"))
    slurm.say(squeue=said)
    (jobs[0].folder / RESULT).write_text("{}")
    second = SlurmEngine({}, look_seconds=0)
    assert [second.adopt(one) for one in jobs] == [True, True, True, False]
    # An array that SLURM has forgotten is forgotten here too.
    assert not old.exists()
    assert [one.key for one in second.poll()] == ["ran"]
    assert second.running() == {"runs": "n1"}


def rows_of(folder, other, *lines):
    array = next(path.name for path in (folder / ARRAYS).iterdir() if path != other)
    return "\n".join(f"7_{number}|{number}|{state}|{node}|{array}" for number, state, node in lines)


def test_what_slurm_refuses_is_said(slurm, job):
    slurm.say(sbatch="!sbatch: error: invalid partition specified: nowhere")
    engine = SlurmEngine({}, look_seconds=0)
    engine.start(job("a"))
    with pytest.raises(HardwareError, match=r"did not take 1 job: .*invalid partition specified: nowhere"):
        list(engine.poll())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("90:00", 90),
        ("0:30", 1),
        ("12:00:00", 720),
        ("2-12", 3600),
        ("1-00:30", 1470),
        ("1-0:0:1", 1441),
    ],
)
def test_limits_of_time_are_slurms(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"time": "soon"}, "--time 'soon' is no limit of time"),
        ({"per_gpu": 2}, "--per-gpu is not for --on slurm"),
        ({"sbatch": ("mem",)}, "--sbatch mem: expected NAME=VALUE"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(slurm, wrong, says):
    with pytest.raises(SpecError, match=says):
        check_engine(options(**wrong))
    with pytest.raises(SpecError, match="--partition is for --on slurm"):
        check_engine(EngineOptions(on="local:1", partition="long"))


def test_without_slurm_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HardwareError, match="no sbatch on this machine"):
        check_engine(options())


class Cancels:
    """An engine from whose queue somebody takes everything."""

    name, gpu, queues = "cancels", False, True

    def __init__(self):
        self.taken = []

    def slots(self):
        return 1

    def adopt(self, job):
        return False

    def room(self, job):
        return True

    def start(self, job):
        self.taken.append(job.key)

    def running(self):
        return {}

    def poll(self):
        return [Ended(key, "cancelled", "n1", "SLURM says CANCELLED") for key in self.taken[-1:]]


def test_what_somebody_cancels_is_not_begun_again(tmp_path):
    engine = Cancels()
    driver, store, ledger = driver_of(engine, tmp_path, 1, epochs=1)
    driver.run()
    (row,) = ledger.state.rows
    assert (row.state, row.tries, row.text) == ("failed", 1, "SLURM says CANCELLED")
    assert not store.files()


def test_a_task_that_was_stopped_on_its_node_keeps_what_it_was_given(tmp_path):
    (tmp_path / "a" / "outbox").mkdir(parents=True)
    Outcome(how="stopped").write(tmp_path / "a")
    assert exchange.gather(tmp_path, Store(tmp_path / "boards")) == 0
    assert (tmp_path / "a" / "outbox").is_dir()


class Here(SlurmEngine):
    """Tasks are processes of submitit's local executor; one is over when it has said how its process ended."""

    def _executor(self, folder):
        return submitit.AutoExecutor(folder, cluster="local")

    def _look(self):
        states = {task.place: (task.job.folder / "how.txt").is_file() for task in self._tasks.values()}
        return {
            place: Queued(str(place), "COMPLETED" if over else "RUNNING", socket.gethostname())
            for place, over in states.items()
        }


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_alive(pid):
    try:
        # What nobody has waited for is dead too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids_of(job):
    mark = job.folder.parent.parent / f"{job.key}.pids"
    wait_for(lambda: mark.is_file() and len(mark.read_text().split()) == 2)
    return [int(pid) for pid in mark.read_text().split()]


def ended_of(engine, n, seconds=120):
    found, until = {}, time.monotonic() + seconds
    while len(found) < n:
        found |= {one.key: one for one in engine.poll()}
        assert time.monotonic() < until, (found, engine.running())
        time.sleep(0.05)
    return found


def test_jobs_are_carried_out_by_submitit(job):
    engine = Here({"timeout_min": 5}, cpus=2, look_seconds=0)
    jobs = [job("good"), job("bad", "fail"), job("killed", "die")]
    for one in jobs:
        engine.start(one)
    found = ended_of(engine, 3)
    assert {one.how for one in found.values()} == {"ended"}
    assert (jobs[0].folder / "outbox" / "made").read_text() == "good"
    assert "does done with 2 threads" in (jobs[0].folder / "log.txt").read_text()
    assert "exit code 2" in found["bad"].text
    assert "SIGKILL" in found["killed"].text
    assert found["good"].where == socket.gethostname()


@pytest.fixture(scope="module")
def cluster():
    """SLURM on this machine, with a node of two cores."""
    if reason := why_not():
        pytest.skip(reason)
    with begun_slurm(cpus=2) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables


@pytest.mark.proof
def test_jobs_are_carried_out_by_slurm(cluster, job):
    engine = SlurmEngine({"timeout_min": 10}, look_seconds=0.5)
    jobs = [job("good"), job("bad", "fail"), job("killed", "die"), job("leaves", "leave"), job("sleeps", "sleep")]
    for one in jobs:
        assert not engine.adopt(one)
        engine.start(one)
    found = ended_of(engine, 4)
    assert {one.how for one in found.values()} == {"ended"}
    assert "exit code 2" in found["bad"].text
    assert "SIGKILL" in found["killed"].text
    assert (jobs[0].folder / "outbox" / "made").read_text() == "good"
    wait_for(lambda: list(engine.poll()) or "sleeps" in engine.running())
    pids = [*pids_of(jobs[3]), *pids_of(jobs[4])]
    # The next driver takes over what runs, and ends it with its children.
    second = SlurmEngine({"timeout_min": 10}, look_seconds=0.5)
    assert [second.adopt(one) for one in jobs] == [True, False, False, True, True]
    second.stop()
    wait_for(lambda: not any(map(is_alive, pids)), 30)
    # What somebody else cancels is not begun again.
    third = SlurmEngine({"timeout_min": 10}, look_seconds=0.5)
    third.start(job("cancelled", "sleep"))
    wait_for(lambda: list(third.poll()) or "cancelled" in third.running())
    subprocess.run(["scancel", "--user=root"], check=True)
    assert ended_of(third, 1)["cancelled"].how == "cancelled"


SUITE = """
about: 24 short runs
defaults:
  dataset: synthfaces
  dataset_options: {n_train: 96, n_validation: 32, n_test: 40, size: 32}
  task: fer7
  model: five_layer_cnn
  model_options: {width: 4}
  epochs: 6
  batch_size: 16
  precision: 32-true
seeds: [0, 1, 2, 3, 4, 5]
runs:
  - {recipe: plain}
  - {recipe: smooth, label_smoothing: 0.1}
  - {recipe: fast, lr: 0.002}
  - {recipe: averaged, ema: 0.9}
"""


class Home:
    """Folders of one who carries out the suite, and the command."""

    def __init__(self, folder, cache):
        self.folder = folder
        folder.mkdir()
        (folder / "suite.yaml").write_text(SUITE)
        own = {"FER_BENCH_HOME": folder, "FER_BENCH_CACHE": cache, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": 1}
        other = {name: value for name, value in os.environ.items() if not name.startswith("FER_BENCH_")}
        self.environment = {**other, **{name: str(value) for name, value in own.items()}}

    def begin(self, *arguments):
        command = [sys.executable, "-m", "fer_bench", "suite", str(self.folder / "suite.yaml"), "--accelerator", "cpu"]
        with (self.folder / "said.txt").open("a") as said:
            return subprocess.Popen(
                [*command, *arguments], env=self.environment, cwd=self.folder, stdout=said, stderr=said
            )

    def records(self):
        found = [json.loads(path.read_text()) for path in self.folder.glob("leaderboards/results/*/*/*.json")]
        return {one["run_id"]: one for one in found}


def in_an_epoch(home, besides=()):
    """Ids of tasks whose training has finished an epoch and not the last."""
    said = subprocess.run(
        ["squeue", "-h", "-r", "-t", "R", "-o", "%i|%K|%k"], capture_output=True, text=True, check=True
    )
    for line in said.stdout.splitlines():
        number, index, array = line.split("|")
        keys = home.folder.glob(f"runs/suites/*/slurm/{array}/keys.json")
        for key in (json.loads(path.read_text())[int(index)] for path in keys):
            folder = home.folder / "runs" / key
            if (folder / "last.ckpt").is_file() and not (folder / "trained.json").is_file() and key not in besides:
                yield number, key


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_suite_on_slurm_is_what_one_process_makes(cluster, tmp_path):
    """24 runs on a cluster of this machine; one is put back into the queue, another is preempted, and the driver is
    killed and started again."""
    there, here = Home(tmp_path / "there", tmp_path / "cache"), Home(tmp_path / "here", tmp_path / "cache")
    options = ("--on", "slurm", "--time", "30", "--cpus", "1", "--partition", "main")
    driver = there.begin(*options)
    wait_for(lambda: any(in_an_epoch(there)), 600)
    number, requeued = next(in_an_epoch(there))
    subprocess.run(["scontrol", "requeue", number], check=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_for(lambda: any(in_an_epoch(there, {requeued})), 600)
    preempted = {key for _, key in in_an_epoch(there, {requeued})}
    urgent = "sbatch --partition=urgent --exclusive --wait --output=/dev/null --wrap='sleep 5'"
    subprocess.run(urgent, shell=True, check=True)
    driver = there.begin(*options)
    assert driver.wait(3000) == 0, (there.folder / "said.txt").read_text()
    assert here.begin().wait(3000) == 0
    made, expected = there.records(), here.records()
    assert len(made) == len(expected) == 24
    for run_id, record in expected.items():
        own = made[run_id]
        assert own["predictions"]["test"]["sha256"] == record["predictions"]["test"]["sha256"]
        assert own["predictions"]["validation"]["sha256"] == record["predictions"]["validation"]["sha256"]
    resumed = {run_id for run_id, record in made.items() if record["training"]["resumed"]}
    assert resumed & {requeued}
    assert resumed & preempted
    arrays = list(there.folder.glob("runs/suites/*/slurm/*/keys.json"))
    said = (there.folder / "said.txt").read_text()
    print(
        f"{len(arrays)} arrays; requeued {requeued}, preempted {sorted(preempted)}, resumed {sorted(resumed)}\n{said}"
    )
