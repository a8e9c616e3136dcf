"""Which epoch's weights are tested: rows of one training."""

from __future__ import annotations

from fer_bench import spec as specs
from fer_bench.results.store import Store
from fer_bench.training.run import run

SMALL = {"n_train": 24, "n_validation": 12, "n_test": 12}


def test_snapshots_share_a_training(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "boards")

    def made(snapshot):
        options = {
            "dataset_options": SMALL,
            "task": "va",
            "loss": "mse",
            "schedule": "none",
            "epochs": 2,
            "batch_size": 4,
            "steps_per_epoch": 2,
        }
        return run(specs.build({**options, "snapshot": snapshot, "execution": {"accelerator": "cpu"}}), store)

    last = made("last")
    # The first epoch was not kept: it is trained anew, to the same weights.
    first, again = made("epoch_1"), made("best")
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert (folder / "epoch_1.ckpt").is_file()
    assert len({record.row for record in (last, first, again)}) == 3
    assert last.metrics["rmse"] != first.metrics["rmse"]
    assert again.metrics["rmse"] in (last.metrics["rmse"], first.metrics["rmse"])
    # Two steps of four images, twice.
    assert again.training["epochs"] == 2
    assert len(list((folder / "logs").iterdir())) == 2
