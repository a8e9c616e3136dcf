"""Exported files: the same answers as PyTorch, everything needed inside, and nothing else accepted."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from fer_bench.deploy.predict import predict_files
from fer_bench.deploy.predictor import METADATA, OnnxPredictor, RunPredictor, open_predictor
from fer_bench.errors import BadDataError, HardwareError, MissingDataError, SpecError, WeightsError
from fer_bench.labels import FER7
from tests.datasets.fakes_va import write_afew_va
from tests.fakes import smooth_images

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from fer_bench.deploy import export as exporting  # noqa: E402
from fer_bench.deploy.export import export_run  # noqa: E402
from fer_bench.models.weights import weights_digest  # noqa: E402


@pytest.fixture
def exported(make_run, small_synth, tmp_path):
    store, run_id = make_run(dataset_options=small_synth)
    return store, run_id, export_run(store, run_id, tmp_path / "net.onnx")


def test_the_same_answers_as_pytorch_for_any_batch(exported):
    store, run_id, done = exported
    # Forty, less those of a class that FER7 lacks.
    assert 30 <= done.n_images <= 40
    assert done.same_class == 1
    assert done.difference <= 1e-4
    run, file = RunPredictor.load(store, run_id, "cpu"), OnnxPredictor(done.path)
    for n in (0, 1, 2, 5, 33):
        images = smooth_images(n, seed=n)[:, None] if n else np.zeros((0, 1, 48, 48), dtype=np.uint8)
        ours, theirs = run.predict(images), file.predict(images)
        assert ours.shape == theirs.shape == (n, 7)
        np.testing.assert_allclose(theirs, ours, atol=1e-5)
        np.testing.assert_allclose(theirs.sum(axis=1), 1, atol=1e-5)
    # The answers depend on the image, or the comparison would say nothing.
    assert np.ptp(file.predict(smooth_images(9)[:, None]), axis=0).max() > 1e-3


def test_the_metadata_say_what_the_file_is(exported):
    store, run_id, done = exported
    card = OnnxPredictor(done.path).card
    assert card == RunPredictor.load(store, run_id, "cpu").card
    assert (card.run_id, card.dataset, card.task, card.model) == (run_id, "synthfaces", "fer7", "five_layer_cnn")
    assert card.names == FER7.names
    assert card.shape == (1, 48, 48)
    model = onnx.load(str(done.path))
    plain = json.loads({entry.key: entry.value for entry in model.metadata_props}[METADATA])
    assert "uint8 (batch, 1, 48, 48)" in plain["input_format"]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert shape[0].dim_param
    assert [dim.dim_value for dim in shape[1:]] == [1, 48, 48]
    assert model.graph.output[0].name == "probabilities"


def test_the_digest_is_that_of_the_weights(exported):
    store, run_id, done = exported
    run = RunPredictor.load(store, run_id, "cpu")
    assert run.card.weights_sha256 == done.card.weights_sha256
    assert done.card.weights_sha256 == weights_digest(run.task.network)


def test_predicting_needs_neither_record_nor_checkpoint(exported, tmp_path, monkeypatch):
    store, run_id, done = exported
    faces = tmp_path / "faces"
    faces.mkdir()
    for i, image in enumerate(smooth_images(3, side=60)):
        cv2.imwrite(str(faces / f"{i}.png"), image)
    (faces / "broken.png").write_bytes(b"no image")
    before = predict_files(store, run_id, [faces], "cpu")
    for variable in ("RUNS", "LEADERBOARDS", "CACHE", "DATA"):
        monkeypatch.setenv(f"FER_BENCH_{variable}", str(tmp_path / "nothing"))
    from fer_bench.results.store import Store

    after = predict_files(Store(), str(done.path), [faces], "cpu")
    assert (
        [row.error for row in after]
        == [row.error for row in before]
        == ["", "", "", "not a readable image: none of PNG, JPEG, BMP, WebP, TIFF and GIF"]
    )
    for a, b in zip(before[:3], after[:3], strict=True):
        assert a.label == b.label
        np.testing.assert_allclose(a.outputs, b.outputs, atol=1e-5)


def test_colour_values_and_shrinking(make_run, own_folders, tmp_path):
    """AFEW-VA's 224 px colour crops shrink to 48 within the graph, and its values leave it on their own scale."""
    write_afew_va(own_folders / "data" / "afew_va", clips=6, frames=3)
    store, run_id = make_run(
        dataset="afew_va", task="va", loss="mse", dataset_options={"fold": 0, "folds": 3, "margin": 0.2}
    )
    done = export_run(store, run_id, tmp_path / "va.onnx")
    card = OnnxPredictor(done.path).card
    assert (card.kind, card.names, card.scale, card.shape) == (
        "values",
        ("valence", "arousal"),
        (-10, 10),
        (3, 224, 224),
    )
    assert (card.margins, card.square) == ((0.2,) * 4, False)
    images = np.random.default_rng(0).integers(0, 256, size=(5, 3, 224, 224), dtype=np.uint8)
    ours, theirs = RunPredictor.load(store, run_id, "cpu").predict(images), OnnxPredictor(done.path).predict(images)
    np.testing.assert_allclose(theirs, ours, atol=1e-3)
    assert onnx.load(str(done.path)).graph.output[0].name == "values"


def test_a_file_that_answers_otherwise_is_not_written(make_run, small_synth, tmp_path, monkeypatch):
    store, run_id = make_run(dataset_options=small_synth)
    write = exporting._write_traced

    def wrong(graph, example, path, output):
        for parameter in graph.network.parameters():
            parameter.data += 0.05
        write(graph, example, path, output)

    monkeypatch.setattr(exporting, "_write_traced", wrong)
    monkeypatch.setattr(exporting, "_write_exported", wrong)
    with pytest.raises(WeightsError, match=r"differ by up to .*Nothing was written"):
        export_run(store, run_id, tmp_path / "out" / "net.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_old_file_stays_when_an_export_fails(exported, monkeypatch):
    store, run_id, done = exported
    before = done.path.read_bytes()

    def broken(*_):
        message = "no such operator"
        raise RuntimeError(message)

    monkeypatch.setattr(exporting, "_write_traced", broken)
    monkeypatch.setattr(exporting, "_write_exported", broken)
    with pytest.raises(WeightsError, match="no such operator"):
        export_run(store, run_id, done.path)
    assert done.path.read_bytes() == before


def test_without_real_images_there_is_no_export(make_run, own_folders, tmp_path):
    write_afew_va(own_folders / "data" / "afew_va", clips=6, frames=2)
    store, run_id = make_run(dataset="afew_va", task="va", loss="mse", dataset_options={"fold": 0, "folds": 3})
    (own_folders / "data" / "afew_va").rename(tmp_path / "away")
    with pytest.raises(MissingDataError, match=r"checked on real images.*--images"):
        export_run(store, run_id, tmp_path / "net.onnx")
    with pytest.raises(MissingDataError, match="can be read"):
        (tmp_path / "x.png").write_bytes(b"none")
        export_run(store, run_id, tmp_path / "net.onnx", [tmp_path / "x.png"])
    assert not (tmp_path / "net.onnx").exists()


def test_images_of_ones_own_do_as_well(make_run, small_synth, tmp_path):
    store, run_id = make_run(dataset_options=small_synth)
    cv2.imwrite(str(tmp_path / "one.png"), smooth_images(1)[0])
    assert export_run(store, run_id, tmp_path / "net.onnx", [tmp_path / "one.png"]).n_images == 1


def test_names_that_do_not_end_in_onnx(make_run, small_synth, tmp_path):
    store, run_id = make_run(dataset_options=small_synth)
    with pytest.raises(SpecError, match=r"\.onnx"):
        export_run(store, run_id, tmp_path / "net.pt")


def _foreign(path, kind=onnx.TensorProto.FLOAT, metadata=None):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value("x", kind, ["n", 1, 48, 48])],
        [value("y", kind, ["n", 1, 48, 48])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    if metadata is not None:
        onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


def test_other_files_are_refused(exported, tmp_path):
    store, _, done = exported
    with pytest.raises(BadDataError, match=r"not one of `fer-bench export`.*fer-bench export RUN"):
        open_predictor(store, str(_foreign(tmp_path / "foreign.onnx")))
    with pytest.raises(BadDataError, match="metadata that this version"):
        open_predictor(store, str(_foreign(tmp_path / "later.onnx", metadata={METADATA: '{"format": 2}'})))
    card = done.card.model_dump_json()
    with pytest.raises(BadDataError, match="takes tensor"):
        open_predictor(store, str(_foreign(tmp_path / "floats.onnx", metadata={METADATA: card})))
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(BadDataError, match=r"text\.onnx: not a usable ONNX file"):
        open_predictor(store, str(tmp_path / "text.onnx"))
    (tmp_path / "half.onnx").write_bytes(done.path.read_bytes()[:5000])
    with pytest.raises(BadDataError, match=r"half\.onnx: not a usable ONNX file"):
        open_predictor(store, str(tmp_path / "half.onnx"))
    with pytest.raises(MissingDataError, match="there is no file"):
        open_predictor(store, str(tmp_path / "none.onnx"))
    (tmp_path / "photograph.png").write_bytes(b"")
    with pytest.raises(BadDataError, match=r"photograph\.png: not a network of this suite.*Name a run id"):
        open_predictor(store, str(tmp_path / "photograph.png"))
    with pytest.raises(HardwareError, match="'mps'"):
        open_predictor(store, str(done.path), "mps")
