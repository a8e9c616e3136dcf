"""A temporal model from a trained network's frozen features to its record, its predictions and its live answers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.datasets.load import build_datamodule
from fer_bench.deploy import loading as deploy_loading
from fer_bench.deploy.export import export_run
from fer_bench.deploy.predict import predict_files
from fer_bench.deploy.predictor import open_predictor
from fer_bench.errors import Notice, SpecError, WeightsError
from fer_bench.leaderboard.verify import verify
from fer_bench.live.session import run_live
from fer_bench.results.inputs import WEIGHTS
from fer_bench.training import clip_features
from fer_bench.training.build import check_names
from fer_bench.training.run import run
from tests.live.fakes import FakeFile, FakePredictor, SquareDetector
from tests.training.conftest import same_predictions

FROZEN = {"freeze": "backbone", "augment": "none", "temporal": "gru", "temporal_options": {"width": 16}}


@pytest.fixture
def over(finished, tiny):
    """Settings of a temporal model over the finished run, on the same data."""
    _, record, store = finished
    return lambda **settings: tiny(**{**FROZEN, "weights": f"run:{record.run_id}", "batch_size": 4, **settings}), store


def test_from_frozen_features_to_answers_frame_by_frame(over, finished, home, monkeypatch):
    make, store = over
    spec, below = make(), finished[1]
    record = run(spec, store)
    assert record.inputs[WEIGHTS] == below.training["weights_sha256"][:16]
    assert record.training["initial_weights"]["source"] == f"run {below.run_id}"
    assert record.parameters["trainable"] < record.parameters["total"]
    # Features were computed once, and a second run finds them.
    monkeypatch.setattr(clip_features, "_rows", None)
    again = run(make(temporal="tcn", epochs=1, temporal_options={"width": 16, "layers": 2}), store)
    assert again.n_scored == record.n_scored
    # The record is like any other: same samples, same order, recomputable.
    mine, theirs = store.predictions(record), store.predictions(below)
    np.testing.assert_array_equal(mine.ids, theirs.ids)
    np.testing.assert_array_equal(mine.targets, theirs.targets)
    assert not verify(store).differences
    # Clips in folders, and clips live, are answered as those of the test.
    samples = build_datamodule(spec).read_samples
    test = samples.where("test")
    for i in test:
        folder = home / "clips" / f"{samples.columns['clip'][i]:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{samples.columns['frame'][i]:02d}.png"), np.asarray(samples.images[int(i)]))
    n_clips = len(np.unique(samples.columns["clip"][test]))
    with pytest.warns(Notice, match=f"each folder are taken as the frames of a clip, {n_clips} in all"):
        rows = predict_files(store, record.run_id, [home / "clips"])
    np.testing.assert_allclose(np.stack([row.outputs for row in rows]), mine.outputs, atol=1e-5)
    predictor = open_predictor(store, record.run_id)
    step = predictor.memory()
    clip = np.stack([np.asarray(samples.images[int(i)])[None] for i in test[:5]])
    live = [step(frame) for frame in predictor.features(clip)]
    np.testing.assert_allclose(np.stack(live), mine.outputs[:5], atol=1e-5)
    with pytest.raises(SpecError, match=r"temporal model \(gru\)") as caught:
        export_run(store, record.run_id, home / "x.onnx")
    assert f"fer-bench export {below.run_id}" in caught.value.hint


def test_the_same_command_resumes_and_repeats_bit_for_bit(over, home, monkeypatch):
    make, store = over
    whole = run(make(temporal="transformer", epochs=3), store)
    from fer_bench.training.callbacks import History

    real = History.on_train_epoch_end

    def stop(self, trainer, module):
        real(self, trainer, module)
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    before = store.predictions(whole).outputs.copy()
    monkeypatch.setattr(History, "on_train_epoch_end", stop)
    with pytest.raises(BaseException, match="interrupted"):
        run(make(temporal="transformer", epochs=3), store, force=True)
    monkeypatch.undo()
    monkeypatch.setenv("FER_BENCH_RUNS", str(home / "runs"))
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(home / "boards"))
    resumed = run(make(temporal="transformer", epochs=3), store, force=False)
    np.testing.assert_array_equal(store.predictions(resumed).outputs, before)
    same_predictions(store, resumed, store, whole)


def test_trained_features_and_their_refusals(finished, tiny, monkeypatch):
    _, record, store = finished
    for settings, message in (
        ({"mixup": 0.2}, "a mixture of two clips"),
        ({"tta": 2, "augment": "flip"}, "random views differ"),
        ({"method": "multitask"}, "only method=plain"),
        ({"freeze": "backbone", "progressive_from": 32}, "."),
        ({"temporal_options": {"depth": 2}}, "unknown"),
    ):
        with pytest.raises(SpecError, match=message):
            check_names(tiny(temporal="gru", **settings))
    done = run(tiny(temporal="gru", temporal_options={"width": 8, "frames": 3}, epochs=1, batch_size=8), store)
    assert done.parameters["trainable"] == done.parameters["total"]
    assert record.model == done.model
    member = {"model": done.model, "run_id": done.run_id}
    joined = record.model_copy(update={"kind": "ensemble", "run_id": "e", "training": {"members": [member]}})
    monkeypatch.setattr(deploy_loading, "read_choice", lambda record: (None, "mean"))
    with pytest.raises(WeightsError, match="temporal model"):
        deploy_loading.load_ensemble(store, joined)


def test_a_run_that_saw_other_splits_is_no_beginning(over, finished, tiny):
    make, store = over
    options = {**make().dataset_options, "n_train": 112}
    with pytest.raises(SpecError, match="may have seen what is validated and tested here"):
        run(make(dataset_options=options), store)
    with pytest.raises(SpecError, match="is of five_layer_cnn, this run of resnet18"):
        run(make(model="resnet18", model_options={}), store)


class Counting(FakePredictor):
    """A temporal model whose memory counts the frames of each face."""

    def features(self, images):
        return np.zeros((len(images), 1, 1), dtype=np.float32)

    def clip(self, features):
        raise AssertionError

    def memory(self):
        seen = []

        def step(frame):
            seen.append(frame)
            n = len(seen) / 100
            return np.array([1 - 2 * n, n, n], dtype=np.float32)

        return step


def test_live_keeps_a_memory_for_each_face(tmp_path):
    summary = run_live(Counting(), SquareDetector(), FakeFile(6, squares=2), table=tmp_path / "t.csv")
    assert summary.faces == 12
    lines = [line.split(",") for line in (tmp_path / "t.csv").read_text().splitlines()]
    at = {name: i for i, name in enumerate(lines[0])}
    for line in lines[1:]:
        assert float(line[at["happy"]]) == pytest.approx((int(line[at["frame"]]) + 1) / 100)
