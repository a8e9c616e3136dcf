"""What every engine must do with a job, whatever it is: carry it out, say how it ended, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fer_bench.errors import HardwareError, MissingPackageError, SpecError
from fer_bench.sweeps.engines.choose import EngineOptions, check_engine, make_engine
from fer_bench.sweeps.engines.local import LocalEngine
from fer_bench.sweeps.engines.seam import SHARE, Job, packed, unpacked
from tests.sweeps.forked_jobs import ForkedJob
from tests.sweeps.jobs import MODULE, write_task

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster():
    """A head that runs nothing and a node with two CPUs; tests that kill one add another."""
    pytest.importorskip("ray", reason="Ray comes with the extra ray")
    from tests.sweeps.clusters import begun_cluster

    with begun_cluster(nodes=1) as found:
        yield found


@pytest.fixture(params=["local", "ray"])
def engine(request):
    if request.param == "local":
        made = LocalEngine(["0", "1"])
    else:
        made = make_engine(EngineOptions(on=f"ray:{request.getfixturevalue('cluster').address}"), "cpu")
    yield made
    made.close()


@pytest.fixture
def job(tmp_path):
    def make(key, do="done", **more):
        folder = write_task(tmp_path / key, do=do, mark=str(tmp_path / f"{key}.pids"))
        environment = {"PYTHONPATH": str(ROOT), "FER_BENCH_MADE": key, "OMP_NUM_THREADS": "3"}
        return Job(key, key, folder, MODULE, environment, **more)

    return make


def ended(engine, n, seconds=60):
    found, until = [], time.monotonic() + seconds
    while len(found) < n:
        found += engine.poll()
        assert time.monotonic() < until, (found, engine.running())
        time.sleep(0.02)
    return {one.key: one for one in found}


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # What nobody has waited for is dead too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def pids_of(job):
    mark = job.folder.with_suffix(".pids")
    wait_for(lambda: mark.is_file() and len(mark.read_text().split()) == 2)
    return [int(pid) for pid in mark.read_text().split()]


def test_jobs_are_carried_out_and_say_how_they_ended(engine, job):
    jobs = [job("good"), job("bad", "fail"), job("killed", "die"), job("leaves", "leave")]
    found = {}
    for one in jobs:
        assert not engine.adopt(one)
        wait_for(lambda one=one: found.update({e.key: e for e in engine.poll()}) or engine.room(one))
        engine.start(one)
    found |= ended(engine, len(jobs) - len(found))
    assert {one.how for one in found.values()} == {"ended"}
    good, bad, killed, leaves = (one.folder for one in jobs)
    assert (good / "outbox" / "made").read_text() == "good"
    assert (good / "result.json").is_file()
    assert "does done with 3 threads" in (good / "log.txt").read_text()
    assert not (bad / "result.json").exists()
    assert "it went wrong" in (bad / "log.txt").read_text()
    assert "exit code 2" in found["bad"].text
    assert not (killed / "result.json").exists()
    assert "SIGKILL" in found["killed"].text
    assert all(one.where for one in found.values())
    assert (leaves / "result.json").is_file()
    wait_for(lambda: not any(map(is_alive, pids_of(jobs[3]))), 10)


def test_what_is_stopped_ends_with_its_children(engine, job):
    one = job("sleeps", "sleep")
    engine.start(one)
    pids = pids_of(one)
    wait_for(lambda: list(engine.poll()) or engine.running())
    assert "sleeps" in engine.running()
    engine.stop()
    wait_for(lambda: not any(map(is_alive, pids)), 20)
    assert list(engine.poll()) == []
    assert engine.running() == {}


@pytest.mark.proof
def test_a_node_that_dies_loses_its_job_and_no_process_survives(cluster, job):
    engine = make_engine(EngineOptions(on=f"ray:{cluster.address}"), "cpu")
    try:
        cluster.add_node(num_cpus=2)
        one = job("lost", "sleep")
        wait_for(lambda: engine.slots() == 4)
        engine.start(one)
        pids = pids_of(one)
        wait_for(lambda: list(engine.poll()) or engine.running())
        (where,) = engine.running().values()
        holder = next(node for node in cluster.nodes() if node.startswith(where.partition("/")[2]))
        cluster.kill(holder)
        found = ended(engine, 1)["lost"]
        assert found.how == "lost"
        assert found.where == where
        wait_for(lambda: not any(map(is_alive, pids)), 20)
        # On another node it is carried out as if nothing had been.
        again = job("lost")
        engine.start(again)
        assert ended(engine, 1)["lost"].how == "ended"
    finally:
        engine.close()


def test_gpus_that_a_cluster_does_not_have_cannot_be_shared(cluster):
    with pytest.raises(SpecError, match="the cluster has no GPU to share"):
        make_engine(EngineOptions(on=f"ray:{cluster.address}", per_gpu=2))


def test_a_driver_that_is_killed_takes_everything_along(job, tmp_path):
    one = job("orphan", "sleep")
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom fer_bench.sweeps.engines.local import LocalEngine\n"
        "from fer_bench.sweeps.engines.seam import Job\nengine = LocalEngine(['0'])\n"
        f"engine.start(Job('a', 'a', Path({str(one.folder)!r}), {MODULE!r}))\ntime.sleep(300)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    pids = pids_of(one)
    assert all(map(is_alive, pids))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not any(map(is_alive, pids)), 10)


def test_devices_are_shared_out(tmp_path, job, monkeypatch):
    begun = []
    monkeypatch.setattr("fer_bench.sweeps.engines.local.Process", lambda *a: begun.append(a) or Begun())
    engine = LocalEngine(["4", "5"], gpu=True, per_gpu=2)
    assert engine.slots() == 4
    engine.start(job("a"))
    engine.start(job("b"))
    assert [one[2]["CUDA_VISIBLE_DEVICES"] for one in begun] == ["4", "4"]
    assert {one[2][SHARE] for one in begun} == {"0.5000"}
    assert not engine.room(job("both", devices=2))
    assert engine.room(job("alone", alone=True))
    engine.start(job("c"))
    assert not engine.room(job("alone", alone=True))
    Begun.over = True
    assert len(list(engine.poll())) == 3
    engine.start(job("both", devices=2))
    assert begun[-1][2]["CUDA_VISIBLE_DEVICES"] == "4,5"
    assert not engine.room(job("d"))
    with pytest.raises(HardwareError, match="needs 3 devices of its own; there are 2"):
        engine.room(job("three", devices=3))
    # Threads that are asked for are given beside a GPU too.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    LocalEngine(["4"], gpu=True, threads=7).start(replace(job("d"), environment={}))
    assert begun[-1][2]["OMP_NUM_THREADS"] == "7"
    LocalEngine(["4"], gpu=True).start(replace(job("d"), environment={}))
    assert "OMP_NUM_THREADS" not in begun[-1][2]
    cpus = LocalEngine(["0", "1"])
    cpus.start(job("alone", alone=True))
    assert not cpus.room(job("e"))


class Begun:
    over = False
    text = "exit code 0"

    def ended(self):
        return self.over


def test_a_folder_goes_to_a_node_and_back(tmp_path):
    folder = write_task(tmp_path / "here", do="done")
    (folder / "outbox" / "results").mkdir(parents=True)
    (folder / "outbox" / "results" / "a.npz").write_bytes(b"\0" * 9)
    (folder / "log.txt").write_text("long")
    (folder / "outbox" / ".lock").touch()
    unpacked(packed(folder, leave=["log.txt"]), tmp_path / "there")
    assert sorted(path.name for path in (tmp_path / "there").rglob("*") if path.is_file()) == ["a.npz", "task.json"]


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ("lokal:2", "no such engine.*local:N"),
        ("local:none", "no number of devices.*local:4"),
        ("local:0", "no number of devices"),
        ("slurm:4", "takes nothing after its name"),
    ],
)
def test_a_wrong_engine_is_refused(on, says):
    with pytest.raises(SpecError, match=says):
        check_engine(EngineOptions(on=on))


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'fer_bench\[ray\]'"):
        check_engine(EngineOptions(on="ray"))


@pytest.fixture
def suite_of_stubs(tmp_path, monkeypatch):
    """A driver over runs that train nothing: each epoch is a line in a file of ``runs``, from which another try goes
    on; the record that comes back is a real one."""
    from tests.sweeps.stubs import driver_of

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return lambda engine, n, **how: driver_of(engine, tmp_path, n, **how)


@pytest.mark.proof
def test_runs_on_nodes_that_die_are_recorded_once(cluster, suite_of_stubs, tmp_path):
    """The small version of the proof in ``test_faults.py``: real nodes, stubs of runs."""
    engine = make_engine(EngineOptions(on=f"ray:{cluster.address}"), "cpu")
    node = cluster.add_node(num_cpus=2)
    driver, store, ledger = suite_of_stubs(engine, 6, epochs=12, seconds=0.1)
    killed = []

    def kill_once():
        if not killed and len(list(tmp_path.glob("trained/*"))) >= 3:
            killed.append(node)
            cluster.kill(node, everything=True)

    driver._render = lambda: None
    look = driver._look
    driver._look = lambda: (look(), kill_once())
    try:
        driver.run()
    finally:
        engine.close()
    assert killed
    assert {row.state for row in ledger.state.rows} == {"done"}
    assert len(store.files()) == 6
    tries = {row.key: row.tries for row in ledger.state.rows}
    assert sorted(record.run_id for record in store.records()) == sorted(tries)
    # A try goes on behind the last epoch that the one before has written down.
    for record in store.records():
        epochs = (tmp_path / "trained" / record.run_id).read_text().split()
        assert epochs == [str(n) for n in range(12)], epochs


def test_the_longest_begin_first(suite_of_stubs, monkeypatch):
    monkeypatch.setattr("fer_bench.sweeps.engines.local.Process", ForkedJob)
    driver, store, ledger = suite_of_stubs(LocalEngine(["0"]), 3, epochs=1, work=[1, 9, 3])
    driver.run()
    began = sorted(ledger.state.rows, key=lambda row: row.began)
    assert [row.name for row in began] == ["run 1", "run 2", "run 0"]
    assert len(store.files()) == 3
