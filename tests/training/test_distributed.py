import json
import os

import numpy as np
import pytest
import torch

from fer_bench.data.batches import EpochSampler
from fer_bench.datasets.synthfaces import read_synthfaces
from fer_bench.errors import Interrupted, RunNanError, SpecError
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.training import hardware
from fer_bench.training.distributed import distribution, is_first

FACES = {"n_train": 96, "n_validation": 40, "n_test": 48, "difficulty": 0.2}
# What each process saw, written by the processes themselves.
WATCH = """
import os, json
from pathlib import Path
from fer_bench.tasks.expression import ExpressionTask
step = ExpressionTask.training_step
def watched(self, batch, batch_idx):
    line = json.dumps([self.trainer.global_rank, self.current_epoch, self.spec.seed, batch["index"].tolist()])
    with (Path(os.environ["FER_BENCH_RUNS"]) / f"seen{self.trainer.global_rank}").open("a") as file:
        file.write(line + "\\n")
    return step(self, batch, batch_idx)
ExpressionTask.training_step = watched
"""

# A user's second process is an interpreter of its own, which takes ten seconds: `make proofs` starts one.
FORKED = """
from tests.forks import relaunch_by_forking
relaunch_by_forking()
"""

# The weights of each process behind each epoch.
WEIGHTS = """
import os
from pathlib import Path
from fer_bench.models.weights import tensors_digest
from fer_bench.training.callbacks import NanGuard
def digest(self, trainer, pl_module):
    with (Path(os.environ["FER_BENCH_RUNS"]) / f"weights{trainer.global_rank}").open("a") as file:
        file.write(tensors_digest(pl_module.network.named_parameters()) + "\\n")
NanGuard.on_train_epoch_end = digest
"""

SUITE = """
defaults:
  dataset: synthfaces
  dataset_options: {n_train: 96, n_validation: 40, n_test: 48, difficulty: 0.2}
  model_options: {width: 8}
  epochs: 2
  batch_size: 32
  precision: 32-true
seeds: [0, 1]
runs:
  - {recipe: two processes}
"""


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_suite_of_two_runs_on_two_processes(home, start):
    """Two, because the second must not take what the first has left behind for a launcher's environment."""
    (home / "pair.yaml").write_text(SUITE)
    (home / "runs").mkdir()
    process = start("suite", str(home / "pair.yaml"), "--accelerator", "cpu", "--devices", "2", before=FORKED + WATCH)
    output, error = process.communicate(timeout=450)
    assert process.returncode == 0, error
    records = list(Store().records())
    assert sorted(record.seed for record in records) == [0, 1]
    samples = read_synthfaces(FACES)
    wanted = samples.ids[(samples.split == "test") & (samples.targets["fer7"] >= 0)]
    for record in records:
        assert record.n_scored == len(wanted) == record.data["n"]["test"]
        np.testing.assert_array_equal(Store().predictions(record).ids, wanted)
        assert record.hardware["devices"] == 2
        assert record.training["micro_batch"] == 16
        assert {len(curve) for curve in record.training["curves"].values()} == {2}
    # One process reports, one leaderboard is written.
    assert output.count(f"on {len(wanted)} test samples") == 2
    seen = [json.loads(line) for rank in range(2) for line in (home / "runs" / f"seen{rank}").read_text().splitlines()]
    n_train = records[0].data["n"]["train"]
    for seed in range(2):
        for epoch in range(2):
            shares = [
                [i for r, e, s, index in seen if (r, e, s) == (rank, epoch, seed) for i in index] for rank in range(2)
            ]
            assert len(shares[0]) == len(shares[1]) == n_train // 2
            assert not set(shares[0]) & set(shares[1])
    assert max(len(index) for *_, index in seen) == 16


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("again", [FORKED, pytest.param("", marks=pytest.mark.proof)], ids=["forked", "interpreter"])
def test_mixed_images_and_flat_minima_on_two_processes(home, start, again):
    """Each mixes its own images and goes uphill by itself; the weights are the same in the end."""
    (home / "runs").mkdir()
    options = [
        "dataset_options={n_train: 96, n_validation: 40, n_test: 48, difficulty: 0.2}",
        "model_options={width: 8}",
        "epochs=2",
        "batch_size=32",
    ]
    options += ["mixup=0.4", "optimizer_options={sam: 0.1}", "precision=bf16-mixed", "gradient_clip=1"]
    process = start(
        "run",
        *(part for text in options for part in ("--set", text)),
        "--accelerator",
        "cpu",
        "--devices",
        "2",
        before=again + WEIGHTS,
    )
    _, error = process.communicate(timeout=450)
    assert process.returncode == 0, error
    first, second = ((home / "runs" / f"weights{rank}").read_text().splitlines() for rank in range(2))
    assert len(first) == len(set(first)) == 2
    assert first == second


def test_training_is_dealt_out_without_repetition_and_validation_without_loss():
    for n in (10, 11, 13):
        shares = [list(EpochSampler(n, 3, shuffle=True, rank=rank, world=3)) for rank in range(3)]
        assert {len(share) for share in shares} == {n // 3}
        assert len({i for share in shares for _, i in share}) == 3 * (n // 3)
        shares = [list(EpochSampler(n, 3, shuffle=False, rank=rank, world=3)) for rank in range(3)]
        assert sorted(i for share in shares for _, i in share) == list(range(n))


def test_the_effective_batch_must_be_shared_evenly(tiny):
    with pytest.raises(SpecError, match="batch_size = 33 cannot be shared by 2 devices"):
        hardware.resolve(tiny(batch_size=33, execution={"devices": 2}))


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_only_the_first_process_writes_and_a_single_one_always_is_the_first(monkeypatch, name):
    for variable in ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"):
        monkeypatch.delenv(variable, raising=False)
    assert is_first(Execution(devices=2))
    monkeypatch.setenv(name, "0")
    assert is_first(Execution(devices=2))
    monkeypatch.setenv(name, "1")
    assert not is_first(Execution(devices=2))
    assert not is_first(Execution(num_nodes=2))
    # One of many independent runs that a cluster has started side by side.
    assert is_first(Execution())


def test_other_processes_leave_behind_training(monkeypatch):
    two = Execution(devices=2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as left, distribution(two):
        pass
    assert left.value.code == 0
    for error in (RunNanError("nan"), Interrupted("stopped")):
        with pytest.raises(SystemExit) as left, distribution(two):
            raise error
        assert left.value.code == 0
    with pytest.raises(RuntimeError), distribution(two):
        raise RuntimeError
    with distribution(Execution()):
        pass


def test_the_first_process_forgets_the_group(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "kept")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(RunNanError), distribution(Execution(devices=2)):
        os.environ["LOCAL_RANK"] = "0"
        os.environ["MASTER_ADDR"] = "changed"
        raise RunNanError("nan")
    assert "LOCAL_RANK" not in os.environ
    assert os.environ["MASTER_ADDR"] == "kept"
    assert not torch.distributed.is_initialized()
