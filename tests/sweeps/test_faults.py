"""A suite on a Ray cluster whose nodes die: every record is there once, and is the one that a single process makes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_bench.apps.suites.state import read_state
from fer_bench.results.store import Store
from fer_bench.sweeps.suite import read_suite
from tests.sweeps.timeline import draw, epochs_lost, timeline_of

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, KILLS, N_NODES = 6, 10, 3
SUITE = f"""\
defaults:
  dataset: synthfaces
  dataset_options: {{n_train: 336, n_validation: 42, n_test: 70, size: 32, difficulty: 0.2}}
  model_options: {{width: 4}}
  epochs: {EPOCHS}
  batch_size: 28
  augment: flip
  precision: 32-true
seeds: [0, 1, 2]
runs:
  - grid: {{lr: [0.0005, 0.001, 0.002, 0.004], label_smoothing: [0.0, 0.1]}}
"""


def digests(store):
    return {
        record.run_id: {split: entry.sha256 for split, entry in record.predictions.items()}
        for record in store.records()
    }


def children(folder):
    """Processes of tasks of this suite, and all that those have started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if "fer_bench.apps.suites.child" in command and str(folder) in command:
                found.append(int(entry.name))
    return found


class Suite:
    """A suite that is carried out by a process of its own."""

    def __init__(self, home: Path, address: str) -> None:
        self.home, self.file = home, home / "faults.yaml"
        self.file.write_text(SUITE)
        self._address = address
        self.environment = {
            **os.environ,
            "FER_BENCH_HOME": str(home),
            "FER_BENCH_RUNS": str(home / "runs"),
            "FER_BENCH_LEADERBOARDS": str(home / "leaderboards"),
            "FER_BENCH_CACHE": str(home / "cache"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self.n_starts = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "fer_bench", "suite", str(self.file), "--on", f"ray:{self._address}"]
        with (self.home / f"driver{self.n_starts}.txt").open("w") as log:
            self.driver = subprocess.Popen(
                [*command, "--accelerator", "cpu"], stdout=log, stderr=log, env=self.environment, cwd=self.home
            )
        self.n_starts += 1

    def start_alone(self) -> subprocess.Popen:
        """One process, one run after the other, with the same number of threads."""
        script = (
            "import torch\ntorch.set_num_threads(1)\nfrom pathlib import Path\n"
            "from fer_bench.sweeps.suite import read_plan\nfrom fer_bench.training.run import run\n"
            f"for spec, _ in read_plan(Path({str(self.file)!r}), {{'accelerator': 'cpu'}}):\n    run(spec)\n"
        )
        places = {f"FER_BENCH_{name.upper()}": str(self.home / "plain" / name) for name in ("runs", "leaderboards")}
        with (self.home / "alone.txt").open("w") as log:
            environment = {**self.environment, **places}
            return subprocess.Popen([sys.executable, "-c", script], stdout=log, stderr=log, env=environment)

    @property
    def folder(self) -> Path | None:
        return next((self.home / "runs" / "suites").glob("faults-*"), None)

    def epochs(self) -> int:
        """Epochs that have ended in all runs, repeated ones counted again."""
        logs = self.folder.glob("*/log.txt") if self.folder else []
        return sum(log.read_text().count("\nepoch ") for log in logs)


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_24_runs_survive_10_kills_of_nodes_and_one_of_the_driver(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray comes with the extra ray")
    from tests.sweeps.clusters import begun_cluster

    chance = random.Random(20)
    with begun_cluster(nodes=N_NODES) as cluster:
        suite = Suite(tmp_path, cluster.address)
        began, kills = time.time(), []
        suite.start()
        plain = suite.start_alone()
        # When so many epochs have ended.
        moments = sorted(chance.sample(range(3, 3 * 24 * EPOCHS // 4), KILLS))
        while suite.driver.poll() is None:
            time.sleep(0.2)
            if len(kills) == KILLS or suite.epochs() < moments[len(kills)]:
                continue
            # One that is at work: nothing is lost with any other.
            busy = [node for node in cluster.nodes() if set(children(tmp_path)) & set(cluster.processes(node))]
            if not busy:
                continue
            node = chance.choice(busy)
            kills.append((time.time(), node[:6]))
            # Once in a while the raylet alone dies: what it has started must notice by itself.
            cluster.kill(node, everything=len(kills) % 4 != 0)
            cluster.add_node(num_cpus=2)
            if len(kills) == 1:
                cluster.add_node(num_cpus=2)
            if len(kills) == KILLS // 2:
                suite.driver.send_signal(signal.SIGKILL)
                suite.driver.wait()
                driver_killed = time.time()
                until = time.monotonic() + 60
                while left := children(tmp_path):
                    assert time.monotonic() < until, left
                    time.sleep(0.2)
                suite.start()
        seconds = time.time() - began
        said = (tmp_path / f"driver{suite.n_starts - 1}.txt").read_text()
        assert suite.driver.returncode == 0, said
        assert len(kills) == KILLS
        assert suite.n_starts == 2
        until = time.monotonic() + 30
        while left := children(tmp_path):
            assert time.monotonic() < until, left
            time.sleep(0.2)
    specs = read_suite(suite.file)
    assert len(specs) == 24
    store = Store(tmp_path / "leaderboards")
    found = digests(store)
    assert sorted(found) == sorted(spec.run_id() for spec in specs), "none lost, none doubled"
    assert len(store.files()) == 24
    assert {row.state for row in read_state(suite.folder).rows} == {"done"}
    line = timeline_of(suite.folder / "events.jsonl")
    lost = [n for log in suite.folder.glob("*/log.txt") for n in epochs_lost(log, EPOCHS)]
    assert max(lost, default=0) <= 1, lost
    interrupted = [one for one in line.tries if one.how != "done"]
    assert sum(lost) <= len(interrupted)
    figures = {
        "seconds": round(seconds),
        "nodes killed": len(kills),
        "drivers killed": suite.n_starts - 1,
        "tries": len(line.tries),
        "tries lost": len(interrupted),
        "epochs": 24 * EPOCHS,
        "epochs that ended and were trained again": sum(lost),
        "epochs that ended": suite.epochs(),
    }
    picture = Path(os.environ.get("FER_BENCH_FIGURES") or tmp_path) / "faults.png"
    draw(line, kills, driver_killed, picture, f"24 runs, {len(kills)} nodes and one driver killed")
    picture.with_suffix(".json").write_text(json.dumps(figures, indent=1))
    assert plain.wait() == 0, (tmp_path / "alone.txt").read_text()
    assert digests(Store(tmp_path / "plain" / "leaderboards")) == found
