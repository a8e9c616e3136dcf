"""Norms that a file has folded away are measured before training, and a checkpoint says what its network was fed
with."""

import torch

from fer_bench.results.store import Store
from fer_bench.training import norms
from fer_bench.training.run import run
from tests.models.test_tfjs import NAME, face_network


def test_training_from_folded_weights_begins_with_measured_norms(home, tiny, monkeypatch):
    measured = []
    monkeypatch.setattr(
        norms, "measure_norms", lambda network, batches: measured.append(sum(len(batch) for batch in batches))
    )
    run(tiny(epochs=1))
    assert measured == []
    settings = {
        "model": NAME,
        "model_options": {"pad_type": "same"},
        "image_size": 32,
        "weights": str(face_network(home)),
        "epochs": 1,
        "ema": 0.9,
    }
    record = run(tiny(**settings))
    assert measured == [record.data["n"]["train"]]
    assert "135 of 164 tensors" in record.training["initial_weights"]["taken"]
    assert Store().predictions(record).ids.shape == (record.n_scored,)


def test_a_checkpoint_trained_with_other_constants_is_named(home, tiny):
    first = run(tiny(normalization="imagenet", epochs=1))
    best = next((home / "runs").rglob("best.ckpt"))
    assert torch.load(best, weights_only=True)["spec"]
    second = run(tiny(weights=str(best), epochs=1, seed=1))
    assert (
        "; trained with normalization = imagenet, which this run does not use (--set"
        in second.training["initial_weights"]["taken"]
    )
    third = run(tiny(weights=str(best), epochs=1, seed=1, normalization="imagenet"))
    assert "trained with" not in third.training["initial_weights"]["taken"]
    assert first.run_id != second.run_id
