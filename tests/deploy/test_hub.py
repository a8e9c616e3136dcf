"""Networks on the hub: pushed and loaded through the real library, against a hub on loopback."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load, save

import fer_bench
from fer_bench.deploy.hub.card import model_card
from fer_bench.deploy.hub.folder import prepare, write_folder
from fer_bench.deploy.hub.pull import load_from_hub
from fer_bench.deploy.hub.push import push_folder
from fer_bench.deploy.hub.reference import Place, read_place
from fer_bench.deploy.outside import transformers_model
from fer_bench.deploy.predict import predict_files
from fer_bench.deploy.predictor import OnnxPredictor, RunPredictor
from fer_bench.errors import BadDataError, PluginError, SpecError, WeightsError
from fer_bench.models.published import published_bytes
from fer_bench.models.trained import checkpoint_of, spec_of
from fer_bench.models.weights import weights_digest
from fer_bench.probes.grid import run_grid
from fer_bench.probes.settings import build_probe
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from tests.fakes import smooth_images
from tests.hub import OTHER, TOKEN, serving

pytest.importorskip("huggingface_hub")
from huggingface_hub import ModelCard

NET = Place("lab/net")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        yield hub


@pytest.fixture
def recorded(make_run, small_synth):
    """A run whose record says which weights it has, and its scores."""
    store, run_id = make_run(dataset_options=small_synth)
    record = store.get(run_id)
    network = RunPredictor.load(store, run_id, "cpu").task.network
    metrics = {"accuracy": 0.75, "macro_f1": 0.5, "intervals": {"accuracy": [0.7, 0.8]}, "n_unanswered": 0}
    return store, store.amend(
        record.model_copy(
            update={
                "training": {"weights_sha256": weights_digest(network)},
                "metrics": metrics,
                "validation_metrics": metrics,
                "n_scored": 40,
                "caveats": ["selected on test"],
            }
        )
    )


@pytest.fixture
def written(recorded, tmp_path):
    store, record = recorded
    folder = tmp_path / "folder"
    write_folder(store, prepare(store, record.run_id), folder, NET, onnx=False)
    return store, record, folder


@pytest.fixture
def pushed(written, hub):
    store, record, folder = written
    address, commit = push_folder(folder, NET, "a network")
    assert address == f"{hub.address}/lab/net/commit/{commit}"
    return store, record, commit


def test_what_is_pushed_answers_as_the_run_does_where_nothing_else_is(pushed, hub, tmp_path, monkeypatch):
    store, record, commit = pushed
    images = smooth_images(5, seed=2)[:, None]
    ours = RunPredictor.load(store, record.run_id, "cpu").predict(images)
    for variable in ("RUNS", "LEADERBOARDS", "CACHE", "DATA"):
        monkeypatch.setenv(f"FER_BENCH_{variable}", str(tmp_path / "nothing"))
    network = fer_bench.load_model("hf:lab/net", accelerator="cpu")
    assert network.card.run_id == record.run_id
    np.testing.assert_allclose(network(torch.from_numpy(images)).detach().numpy(), ours, atol=1e-6)
    cv2.imwrite(str(tmp_path / "face.png"), images[0, 0])
    (row,) = predict_files(Store(), f"hf:lab/net@{commit}", [tmp_path / "face.png"], "cpu")
    np.testing.assert_allclose(row.outputs, ours[0], atol=1e-6)
    # Weights went as a large file; what is in the cache needs no hub.
    assert hub.large == {"model.safetensors"}
    asked = len(hub.requests)
    fer_bench.load_model("hf:lab/net", accelerator="cpu")
    assert len(hub.requests) == asked


def test_the_hub_reads_the_card_and_its_evaluation_block(written):
    _, record, folder = written
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "fer_bench"
    assert card.data.model_name == "net"
    found = {(result.metric_type, str(result.metric_args)): result for result in card.data.eval_results}
    accuracy = found["accuracy", "None"]
    assert (accuracy.metric_value, accuracy.dataset_type, accuracy.dataset_split) == (0.75, "synthfaces", "test")
    assert accuracy.task_type == card.data.pipeline_tag == "image-classification"
    assert found["f1", "{'average': 'macro'}"].metric_value == 0.5
    text = card.text
    for part in (
        'fer_bench.load_model("hf:lab/net")',
        r"75.00 % \[70.00 %, 80.00 %\]",
        "- selected on test",
        "intended-use.md",
        "that of this package (Apache-2.0)",
        record.training["weights_sha256"],
        "fer-bench reproduce record.json",
        "| dataset_options.n_train | 96 |",
    ):
        assert part in text


def test_a_card_needs_no_weights_and_shows_all_seeds(recorded, monkeypatch, tmp_path):
    store, record = recorded
    second = {"run_id": record.run_id.replace("-s0", "-s1"), "seed": 1, "metrics": {**record.metrics, "accuracy": 0.65}}
    store.put(record.model_copy(update=second))
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path / "nothing"))
    prepared = prepare(store, record.run_id)
    text = model_card(store, record, prepared.card, prepared.terms, licence="cc-by-nc-4.0")
    assert "All 2 seeds of these settings" in text
    assert "70.00 % ± 7.07 %" in text
    data = yaml.safe_load(text.split("---\n")[1])
    assert data["license"] == "cc-by-nc-4.0"
    assert data["model-index"][0]["results"][0]["metrics"][0] == {"type": "accuracy", "value": 0.75, "name": "Accuracy"}


def test_the_terms_name_all_that_a_network_was_made_from(recorded):
    store, record = recorded
    assert prepare(store, record.run_id).terms.free
    later = record.model_copy(
        update={
            "run_id": "later-s0",
            "dataset": "raf_db",
            "spec": {**record.spec, "dataset": "raf_db", "dataset_options": {}, "weights": f"run:{record.run_id}"},
            "protocol": "raf_db-fer7",
        }
    )
    store.put(later)
    terms = prepare(store, "later-s0").terms
    assert not terms.free
    assert terms.lines() == [
        "RAF-DB (basic): non-commercial research only, on request",
        "synthfaces: that of this package (Apache-2.0)",
    ]
    store.put(later.model_copy(update={"run_id": "more-s0", "spec": {**later.spec, "weights": "imagenet"}}))
    assert (
        prepare(store, "more-s0").terms.lines()[1] == "the weights that it began with (imagenet): that of their source"
    )


def test_the_folder_holds_an_onnx_file_too(recorded, tmp_path):
    pytest.importorskip("onnxruntime")
    store, record = recorded
    folder = tmp_path / "with"
    files = write_folder(store, prepare(store, record.run_id), folder, NET)
    assert [path.name for path in files] == [
        "README.md",
        "config.json",
        "record.json",
        "model.safetensors",
        "model.onnx",
    ]
    assert OnnxPredictor(folder / "model.onnx").card.weights_sha256 == record.training["weights_sha256"]
    assert set(json.loads((folder / "config.json").read_text())["files"]) == {
        "record.json",
        "model.safetensors",
        "model.onnx",
    }
    # Written again without it, it is gone.
    assert len(write_folder(store, prepare(store, record.run_id), folder, NET, onnx=False)) == 4
    (folder / "mine.txt").write_text("x")
    with pytest.raises(SpecError, match="holds other things"):
        write_folder(store, prepare(store, record.run_id), folder, NET, onnx=False)


def test_a_private_repository_asks_for_a_token(written, hub, monkeypatch):
    _, _, folder = written
    push_folder(folder, NET, "a network", private=True)
    assert hub.private == {"lab/net"}
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with pytest.raises(WeightsError, match=r"no repository lab/net, or it is a private one.*HF_TOKEN"):
        load_from_hub("hf:lab/net")


def test_a_push_that_is_refused_is_one_line(written, hub, monkeypatch):
    _, _, folder = written
    monkeypatch.setenv("HF_TOKEN", OTHER)
    with pytest.raises(WeightsError, match=r"does not let this token write to lab/net\. Make a token"):
        push_folder(folder, NET, "a network")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(WeightsError, match="has no branch 'next'"):
        push_folder(folder, Place("lab/net", "next"), "a network")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    with pytest.raises(WeightsError, match=r"hf:lab/net cannot be pushed .*Invalid metadata"):
        push_folder(folder, NET, "a network")
    assert hub.repositories["lab/net"] == []


def test_what_the_hub_has_not_is_one_line(hub):
    hub.commit("lab/net", {"README.md": b"a card"})
    for ask in (lambda: load_from_hub("hf:lab/none"), lambda: transformers_model._folder("lab/none")):
        with pytest.raises(WeightsError, match=r"no repository lab/none, or it is a private one"):
            ask()
    for revision in ("next", "0123456789" * 4):
        with pytest.raises(WeightsError, match="hf:lab/net has no revision"):
            load_from_hub(f"hf:lab/net@{revision}")
    with pytest.raises(BadDataError, match=r"hf:lab/net has no config\.json: it is no network of fer_bench"):
        load_from_hub("hf:lab/net")


def test_without_a_network_it_is_one_line(written, hub, monkeypatch):
    _, _, folder = written
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="hf:lab/net cannot be downloaded"):
        load_from_hub("hf:lab/net")
    with pytest.raises(WeightsError, match="hf:lab/net cannot be pushed"):
        push_folder(folder, NET, "a network")


def changed_config(files, **changes):
    return {"config.json": json.dumps({**json.loads(files["config.json"]), **changes}).encode()}


def stating(files, digests):
    """A config that states other digests."""
    config = json.loads(files["config.json"])
    return {"config.json": json.dumps(config | {"files": config["files"] | digests}).encode()}


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def test_damage_is_seen_before_anything_is_loaded(pushed, hub):
    files = hub.files("lab/net")
    for change, says in (
        ({"model.safetensors": files["model.safetensors"][:-4]}, "model.safetensors is damaged: its sha256 is"),
        ({"record.json": files["record.json"] + b" "}, "record.json is damaged"),
        ({"config.json": b"{"}, "config.json cannot be read"),
        (changed_config(files, format=2), "config.json is of format 2, written by fer_bench"),
        (changed_config(files, network={}), "config.json: network.fer_bench"),
        (stating(files, {"record.json": "x"}), "config.json: files.record.json: "),
        ({"config.json": b'{"model_type": "vit"}'}, r"a model of another program.*evaluate --model hf:lab/net"),
        ({"README.md": b"another card"}, ""),
    ):
        commit = hub.commit("lab/net", {**files, **change})
        if says:
            with pytest.raises(BadDataError, match=says):
                load_from_hub(f"hf:lab/net@{commit}")
        else:
            load_from_hub(f"hf:lab/net@{commit}")


def test_another_network_under_right_digests_is_refused(pushed, hub):
    _, record, _ = pushed
    files = hub.files("lab/net")
    other = save({name: value + 1 for name, value in load(files["model.safetensors"]).items()})
    hub.commit("lab/net", {"model.safetensors": other, **stating(files, {"model.safetensors": digest_of(other)})})
    with pytest.raises(WeightsError, match=f"is not the checkpoint that run {record.run_id} was recorded with"):
        load_from_hub("hf:lab/net")


def test_a_repository_cannot_have_code_of_this_machine_called(pushed, hub, monkeypatch):
    _, record, _ = pushed
    called = []
    monkeypatch.setattr("subprocess.run", lambda *a, **k: called.append(a))
    files = hub.files("lab/net")
    for update in (
        {"spec": {**record.spec, "model": "subprocess:run"}, "model": "subprocess:run"},
        {"code": {**record.code, "plugins": {"model": {"name": "five", "object": "subprocess:run", "sha256": "0"}}}},
    ):
        content = Record.model_validate(record.model_dump() | update).to_json().encode()
        stated = stating(files, {"record.json": digest_of(content)})
        commit = hub.commit("lab/net", {"record.json": content, **stated})
        with pytest.raises(PluginError, match=r"is code of this machine, which nobody has imported.*--import"):
            load_from_hub(f"hf:lab/net@{commit}")
    assert not called


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """A grid of linear heads on a frozen network with weights that are always the same, and its folders."""
    home = tmp_path_factory.mktemp("probed")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "LEADERBOARDS", "RUNS"):
            patch.setenv(f"FER_BENCH_{name}", str(home / name.lower()))
        store = Store()
        records = run_grid(build_probe(GRID), store)
    return home, store, records


@pytest.fixture
def probe(probed, monkeypatch):
    home, store, records = probed
    for name in ("CACHE", "LEADERBOARDS", "RUNS"):
        monkeypatch.setenv(f"FER_BENCH_{name}", str(home / name.lower()))
    return store, records[1]


GRID = {
    "dataset": "synthfaces",
    "task": "fer7",
    "dataset_options": {"n_train": 42, "n_validation": 21, "n_test": 28},
    "streams": ("features:five_layer_cnn", "task:five_layer_cnn"),
    "weights": {"five_layer_cnn": "none"},
    "lr": (0.1,),
    "loss": ("cross_entropy",),
    "seeds": (0, 1),
    "max_epochs": 2,
    "standardise": True,
}


def test_a_probe_is_pushed_as_its_head_and_answers_alike_elsewhere(probe, hub, tmp_path, monkeypatch):
    store, record = probe
    images = smooth_images(5, seed=2)[:, None]
    ours = RunPredictor.load(store, record.run_id, "cpu").predict(images)
    folder = tmp_path / "folder"
    files = write_folder(store, prepare(store, record.run_id), folder, NET)
    assert [path.name for path in files] == ["README.md", "config.json", "record.json", "model.safetensors"]
    text = (folder / "README.md").read_text()
    for part in ("features:five", "holds the linear head alone", "| weights.five_layer_cnn | none |"):
        assert part in text
    assert "fer-bench reproduce" not in text
    push_folder(folder, NET, "a probe")
    for variable in ("RUNS", "LEADERBOARDS", "CACHE", "DATA"):
        monkeypatch.setenv(f"FER_BENCH_{variable}", str(tmp_path / "nothing"))
    network = fer_bench.load_model("hf:lab/net", accelerator="cpu")
    assert (network.card.run_id, network.card.shape) == (record.run_id, (1, 48, 48))
    np.testing.assert_array_equal(network(torch.from_numpy(images)).detach().numpy(), ours)
    tensors = load((folder / "model.safetensors").read_bytes())
    other = save({name: value + 1 for name, value in tensors.items()}, metadata={"streams": "{}"})
    stated = stating(hub.files("lab/net"), {"model.safetensors": digest_of(other)})
    commit = hub.commit("lab/net", {**hub.files("lab/net"), "model.safetensors": other, **stated})
    with pytest.raises(BadDataError, match=f"does not hold the head of run {record.run_id}"):
        load_from_hub(f"hf:lab/net@{commit}")


def test_a_probe_of_what_only_this_machine_has_is_not_pushed_and_not_loaded(probe, hub, tmp_path):
    store, record = probe
    for update, says in (
        ({"streams": ["features:run:0123456789-s0"]}, "probe of features:run:0123456789-s0, whose weights nobody"),
        ({"weights": {"five_layer_cnn": "sha256:0123456789ab"}}, "probe of five_layer_cnn, whose weights nobody"),
    ):
        changed = Record.model_validate(record.model_dump() | {"spec": {**record.spec, **update}})
        path = tmp_path / "record.json"
        path.write_bytes(changed.to_json().encode())
        with pytest.raises(WeightsError, match=says):
            prepare(store, str(path))
    folder = tmp_path / "folder"
    write_folder(store, prepare(store, record.run_id), folder, NET)
    changed = Record.model_validate(record.model_dump() | {"spec": {**record.spec, "streams": ["features:os:getcwd"]}})
    content = changed.to_json().encode()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.commit("lab/net", {**files, "record.json": content, **stating(files, {"record.json": digest_of(content)})})
    with pytest.raises(PluginError, match="is code of this machine"):
        load_from_hub("hf:lab/net")


def test_an_ensemble_names_its_members_instead(recorded):
    store, record = recorded
    members = [{"model": record.model, "run_id": f"{i:010d}-s0"} for i in range(10)]
    changes = {"run_id": "joint", "row": "joint", "kind": "ensemble", "model": "ensemble"}
    store.amend(record.model_copy(update=changes | {"training": {"members": members}}))
    with pytest.raises(WeightsError, match="is an ensemble of 10: a repository of the hub holds one network") as error:
        prepare(store, "joint")
    assert "0000000000-s0, 0000000001-s0" in error.value.hint
    assert "0000000007-s0 and 2 more" in error.value.hint


@pytest.mark.parametrize("text", ["hf:", "hf:net", "hf:../net", "hf:a/b/c", "hf:a/b@", "hf:a/../b"])
def test_what_names_no_repository_is_refused(text):
    with pytest.raises(SpecError, match="names no repository of the hub"):
        read_place(text)


def test_weights_are_all_that_is_in_their_file(recorded):
    _, record = recorded
    content = published_bytes(record, checkpoint_of(record, spec_of(record)))
    assert all(name.startswith("network.") for name in load(content))
