"""Models of other programs, tested as they are: their outputs are mapped by name, and what they do not say is asked."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest

import fer_bench
from fer_bench.deploy.model_card import Card
from fer_bench.deploy.outside.checked import as_answers
from fer_bench.deploy.outside.evaluate import evaluate_outside
from fer_bench.deploy.outside.model import Feeding, fitted, normalized, open_model
from fer_bench.deploy.predictor import METADATA
from fer_bench.errors import BadDataError, FerBenchError, MissingDataError, PluginError, SpecError, WeightsError
from fer_bench.labels import FER7
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.protocols import PROTOCOLS
from fer_bench.protocols.tasks import EMOTIC26
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.score import score
from fer_bench.submissions.questions import ask
from tests.datasets.fakes_emotic import write_copy
from tests.submissions.files import PROTOCOL
from tests.submissions.files import faces as faces
from tests.submissions.files import store as store

# In another order and other spellings than the dataset has them.
NAMES = ("Neutral", "Happiness", "Sadness", "Anger", "Fear", "Disgust", "Surprised")
ANSWERS = """
import numpy as np

def answer(images):
    assert images.dtype == np.uint8 and images.ndim == 3
    scores = np.stack([(images == i).mean(axis=(1, 2)) + 0.01 * i for i in range(7)], axis=1) + images.mean() * 0
    return scores / scores.sum(axis=1, keepdims=True)

answer.labels = {labels}

def one(images):
    return np.ones((len(images), 1))

def logits(images):
    return np.zeros((len(images), 7)) + 3

def broken(images):
    raise ValueError("no such layer")

def values(images):
    return np.zeros((len(images), 2)) + 3

def large(images):
    return values(images) * 10

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the current folder, under a name of its own; returns that."""
    monkeypatch.chdir(tmp_path)

    def made(labels=NAMES):
        name = f"answers_{abs(hash((str(tmp_path), labels))) % 10**9}"
        (tmp_path / f"{name}.py").write_text(ANSWERS.replace("{labels}", repr(labels)))
        return name

    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if name.startswith("answers_"):
            del sys.modules[name]


def network(path, *, shape=(None, 1, 48, 48), kind="FLOAT", names=NAMES, scale=1.0, external=False, card=None):
    """An ONNX file with seven outputs, the means of seven bands of rows."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    last = shape[1] not in (1, 3, "channels")
    side = 48
    rows = np.zeros((side, 7), dtype=np.float32)
    rows[np.arange(42), np.arange(42) // 6] = scale
    weight = numpy_helper.from_array(rows, "weight")
    axes = numpy_helper.from_array(np.array([3, 2] if last else [1, 3], dtype=np.int64), "axes")
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weight"], ["scores"]),
    ]
    given = helper.make_tensor_value_info("image", getattr(TensorProto, kind), list(shape))
    out = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 7])
    graph = helper.make_graph(nodes, "net", [given], [out], [weight, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if names:
        stated = {} if card is None else {METADATA: card.model_dump_json()}
        helper.set_model_props(model, {"names": json.dumps(list(names)), **stated})
    extra = {"save_as_external_data": True, "location": "net.weights", "size_threshold": 1000} if external else {}
    onnx.save_model(model, str(path), **extra)
    return path


def expected_of(store, by):
    """Accuracy by the means of bands, in the order of ``NAMES``."""
    asked = ask(store, PROTOCOL, images=True)
    scores = np.stack([by(np.asarray(asked.images[i])) for i in range(len(asked.ids))])
    order = [FER7.index(name) for name in NAMES]
    return float((np.array(order)[scores.argmax(axis=1)] == asked.targets).mean())


def bands(image):
    return image[:42].reshape(7, 6, 48).mean(axis=(1, 2))


def test_one_network_of_a_dataset_without_a_test_split_may_have_seen_it(tmp_path, own_folders):
    pytest.importorskip("onnxruntime")
    store, path = (
        Store(),
        network(tmp_path / "net.onnx", names=("angry", "disgust", "fear", "happy", "sad", "neutral", "surprise")),
    )
    options = {"n_train": 40, "n_validation": 20, "n_test": 20, "folds": 2, "fold_by": "identity"}
    feeding = Feeding(normalization="unit", accelerator="cpu")
    done = evaluate_outside(store, f"onnx:{path}", "synthfaces", feeding, trained_on=("synthfaces",), options=options)
    assert done.record.n_scored > 40, "not the test split alone"
    assert done.record.caveats == ["trained on synthfaces", "test faces possibly seen"]


def exported(**fields):
    feeding = {"height": 48, "width": 48, "channels": 1, "margins": (0.0,) * 4, "square": True}
    of = {"fer_bench": "0.1.0", "protocol": "x-fer7", "task": "fer7", "model": "net", "kind": "classes"}
    return Card.model_validate({**feeding, **of, "names": FER7.names, "run_id": "abc-s0", **fields})


@pytest.mark.parametrize(
    ("options", "dataset", "said", "caveats"),
    [
        ({}, "fer2013", ("fer2013",), ["trained on fer2013"]),
        # What the user says of a run that is on record is not all that is known of it.
        ({}, "raf_db", ("nothing",), ["test faces possibly seen", "trained on raf_db"]),
        ({"folds": 5, "fold": 0}, "fer2013", ("fer2013",), ["test faces possibly seen", "trained on fer2013"]),
        (None, "fer2013", ("fer2013",), ["test faces possibly seen", "trained on fer2013"]),
    ],
)
def test_an_exported_network_is_known_for_its_run(store, tmp_path, options, dataset, said, caveats):
    pytest.importorskip("onnxruntime")
    digest, asked = "f" * 64, ask(store, PROTOCOL)
    inputs = {**asked.data["checksums"], **({"folds": "others"} if options else {})}
    if options is not None:
        run = {"run_id": "abc-s0", "row": "abc", "protocol": f"{dataset}-fer7", "task": "fer7", "dataset": dataset}
        spec = {"dataset_options": options}
        facts = {"model": "net", "inputs": inputs, "training": {"weights_sha256": digest}, "spec": spec}
        store.put(Record.model_validate(run | facts), {})
    card = exported(dataset=dataset, weights_sha256=digest)
    path = network(tmp_path / "net.onnx", kind="UINT8", card=card)
    feeding = Feeding(labels=FER7.names, accelerator="cpu")
    done = evaluate_outside(store, f"onnx:{path}", "fer2013", feeding, trained_on=said)
    # Of the copy that stands in for FER2013, which has duplicates of none.
    assert sorted(done.record.caveats) == sorted(caveats)


@pytest.mark.parametrize(
    ("shape", "kind", "normalization"),
    [
        ((None, 1, 48, 48), "FLOAT", "unit"),
        ((1, 48, 48, 3), "FLOAT", "symmetric"),
        ((3, 1, 48, 48), "FLOAT", "unit"),
        ((None, 1, 48, 48), "UINT8", ""),
        (("batch", "channels", "height", "width"), "FLOAT16", "raw"),
    ],
)
def test_an_onnx_file_of_any_program(store, tmp_path, shape, kind, normalization):
    pytest.importorskip("onnxruntime")
    path = network(tmp_path / "net.onnx", shape=shape, kind=kind)
    size = 48 if "height" in shape else None
    feeding = Feeding(normalization=normalization, accelerator="cpu", image_size=size)
    done = evaluate_outside(store, f"onnx:{path}", "fer2013", feeding, batch_size=5)
    record = done.record
    assert (record.kind, record.protocol, record.model) == ("external", PROTOCOL, "net")
    assert record.metrics["accuracy"] == pytest.approx(expected_of(store, bands))
    assert len(record.training["source"]["sha256"]) == 64
    assert record.caveats == ["training data not stated", "test faces possibly seen"]
    assert record.parameters == {"total": 48 * 7}
    again = evaluate_outside(store, f"onnx:{path}", "fer2013", feeding)
    assert (again.new, again.record) == (False, record)
    render_all(store)
    assert not verify(store).differences


@pytest.mark.parametrize(
    ("made", "feeding", "says"),
    [
        ({}, {}, "does not say how pixels become them"),
        ({"names": None}, {"normalization": "unit"}, "it has 7 outputs, and it does not say what they mean"),
        ({"names": NAMES[:6]}, {"normalization": "unit"}, "it has 7 outputs, and 6 names are given"),
        ({}, {"normalization": "unit", "image_size": 64}, "takes images of 48 x 48 px, not of 64"),
        ({"kind": "UINT8"}, {"normalization": "unit"}, "scales them itself"),
        ({"shape": (None, 1, None, None)}, {"normalization": "unit"}, "takes images of any size"),
        ({"shape": (None, 4, 48, 48)}, {"normalization": "unit"}, "neither 1 nor 3 channels|not a usable"),
        ({"shape": (None, 48, 48)}, {"normalization": "unit"}, "not one batch of images|not a usable"),
    ],
)
def test_what_an_onnx_file_does_not_say(tmp_path, made, feeding, says):
    pytest.importorskip("onnxruntime")
    with pytest.raises(FerBenchError, match=says):
        open_model(f"onnx:{network(tmp_path / 'net.onnx', **made)}", Feeding(accelerator="cpu", **feeding))


def test_weights_of_an_onnx_file_that_are_next_to_it_count(tmp_path):
    pytest.importorskip("onnxruntime")
    feeding = Feeding(normalization="unit", accelerator="cpu")
    path = network(tmp_path / "net.onnx", external=True)
    digest = open_model(f"onnx:{path}", feeding).facts["sha256"]
    other = bytearray((tmp_path / "net.weights").read_bytes())
    other[3] ^= 1
    (tmp_path / "net.weights").write_bytes(bytes(other))
    assert open_model(f"onnx:{path}", feeding).facts["sha256"] != digest
    (tmp_path / "net.weights").unlink()
    with pytest.raises(MissingDataError, match=r"net\.weights, which is not next to it"):
        open_model(f"onnx:{path}", feeding)
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(BadDataError, match="not a usable ONNX file"):
        open_model(f"onnx:{tmp_path / 'no.onnx'}", feeding)
    with pytest.raises(MissingDataError, match="there is no file"):
        open_model("onnx:none.onnx", feeding)


def test_names_beside_an_onnx_file(tmp_path):
    pytest.importorskip("onnxruntime")
    path = network(tmp_path / "net.onnx", names=None)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {str(i): name for i, name in enumerate(NAMES)}}))
    assert open_model(f"onnx:{path}", Feeding(normalization="unit", accelerator="cpu")).labels == NAMES


def test_a_function(store, module):
    name = module()
    done = evaluate_outside(
        store, f"python:{name}:answer", "fer2013", Feeding(), trained_on=("AffectNet",), name="Mine"
    )
    assert done.record.model == "Mine"
    assert done.record.caveats == ["trained on AffectNet", "test faces possibly seen"]
    assert done.record.training["source"]["object"] == f"{name}:answer"

    def by(image):
        return np.array([(image == i).mean() + 0.01 * i for i in range(7)])

    assert done.record.metrics["accuracy"] == pytest.approx(expected_of(store, by))
    render_all(store)
    assert not verify(store).differences


def test_the_same_from_python(store, module, monkeypatch, tmp_path):
    name = module()
    monkeypatch.syspath_prepend(str(tmp_path))
    answer = importlib.import_module(name).answer
    record = fer_bench.evaluate_model(answer, "fer2013", trained_on="AffectNet", store=store)
    assert record.training["source"]["object"] == f"{name}:answer"
    assert fer_bench.evaluate_model(f"python:{name}:answer", "fer2013", trained_on="AffectNet", store=store) == record
    assert (store.root / f"{PROTOCOL}.md").is_file()


def test_another_label_set_has_a_board_of_its_own(store, module):
    six = ("calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
    done = evaluate_outside(store, f"python:{module(six)}:answer", "fer2013", Feeding())
    record = done.record
    assert record.protocol.startswith(f"{PROTOCOL}-via-classes7_")
    assert record.n_scored == 24
    assert any("left out: 4 of 28 test samples (neutral), and the outputs calm" in note for note in record.notes)
    render_all(store)
    assert not verify(Store(store.root)).differences


@pytest.mark.parametrize(
    ("function", "labels", "says"),
    [
        ("one", ("happy",), "one output"),
        ("logits", NAMES, "no probabilities"),
        ("broken", NAMES, r"fails on 28 images \(ValueError: no such layer\)"),
        ("answer", ("a", "b"), "classes in common"),
        ("answer", ("happy",) * 7, "'happy' is there twice"),
        ("answer", NAMES[:6], "it has 7 outputs, and 6 names"),
        ("answer", ("valence", "arousal"), "cannot be scored as fer7"),
        ("number", NAMES, "a int cannot be called"),
        ("none", NAMES, "has no 'none'"),
        ("logits", (), "does not say what its outputs mean"),
    ],
)
def test_what_a_function_must_be(store, module, function, labels, says):
    with pytest.raises(FerBenchError, match=says):
        evaluate_outside(store, f"python:{module()}:{function}", "fer2013", Feeding(tuple(labels)))
    assert not list(store.records())


def test_values_of_a_function(tmp_path, module, monkeypatch):
    from tests.datasets.fakes_va import write_afew_va

    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "data"))
    write_afew_va(tmp_path / "data" / "afew_va")
    feeding = Feeding(("Arousal", "valence"))
    done = evaluate_outside(Store(tmp_path / "leaderboards"), f"python:{module()}:values", "afew_va", feeding)
    assert done.record.protocol == "afew_va-va"
    with pytest.raises(BadDataError, match=r"image 1 with \[30.0, 30.0\], far outside the scale. Values .* -10 to 10"):
        evaluate_outside(Store(tmp_path / "other"), f"python:{module()}:large", "afew_va", feeding)
    assert not list(Store(tmp_path / "other").records())


@pytest.mark.parametrize("rows", [[[60, 40], [0.5, 99.5]], [[0.6, 0.6], [0.2, 0.1]]])
def test_only_of_logits_a_softmax_is_taken(rows):
    with pytest.raises(BadDataError, match="no probabilities"):
        as_answers(np.array(rows, dtype=np.float32), "onnx:net.onnx", PROTOCOLS[PROTOCOL])
    logits = np.array([[60, 40], [3, 1]], dtype=np.float32)
    assert as_answers(logits, "onnx:net.onnx", PROTOCOLS[PROTOCOL])[1] == "softmax"


SEVERAL = """
import numpy as np

def answer(images):
    height = np.arange(26)[None, :] / 26
    return np.clip(images.mean(axis=(1, 2, 3))[:, None] / 255 * height + images[:, 0, 0, :1] / 600, 0, 1)

answer.labels = {labels}

def percent(images):
    return 100 * answer(images)

def logits(images):
    return answer(images) - 0.5

def broken(images):
    return answer(images) * np.nan

def one_class(images):
    found = 0.01 + answer(images)
    return found / found.sum(axis=1, keepdims=True)
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    home = tmp_path_factory.mktemp("photographs")
    (home / "emotic").mkdir()
    write_copy(home / "emotic")
    return home


@pytest.fixture
def several(photographs, tmp_path, monkeypatch):
    """A small EMOTIC, an empty store, and a module of functions that answer it."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(photographs / "cache"))
    monkeypatch.setenv("FER_BENCH_DATA", str(photographs))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers_several.py").write_text(SEVERAL.replace("{labels}", repr(EMOTIC26[::-1])))
    yield Store(tmp_path / "leaderboards")
    sys.modules.pop("answers_several", None)


def test_several_labels_of_a_function(several):
    feeding = Feeding(image_size=16)
    done = evaluate_outside(several, "python:answers_several:answer", "emotic", feeding, batch_size=5, name="Mine")
    record = done.record
    assert (record.kind, record.protocol) == ("external", "emotic-emotic26")
    assert record.training["source"]["outputs"] == "as they are"
    function = importlib.import_module("answers_several").answer
    images = ask(several, "emotic-emotic26", images=True).images
    fed = np.stack([fitted(np.asarray(images[i]), 16, 16, 3) for i in range(len(images))])
    outputs = several.predictions(record).outputs
    assert outputs == pytest.approx(function(fed)[:, ::-1], abs=1e-6)
    assert record.metrics == score(record_protocol := PROTOCOLS["emotic-emotic26"], several.predictions(record))
    assert record.metrics[record_protocol.primary] > 0
    assert not evaluate_outside(several, "python:answers_several:answer", "emotic", feeding, name="Mine").new
    render_all(several)
    assert "Mine" in (several.root / "emotic-emotic26.md").read_text()
    assert not verify(several).differences


@pytest.mark.parametrize(
    ("function", "labels", "says"),
    [
        ("percent", EMOTIC26, r"image 1 with .* no probabilities\. A sigmoid makes"),
        ("logits", EMOTIC26, "no probabilities"),
        ("broken", EMOTIC26, r"image 1 with \[nan"),
        ("one_class", EMOTIC26, "sum to 1 on every image"),
        ("answer", (*EMOTIC26[1:], "boredom"), "'affection' is not among the model's outputs"),
        ("answer", ("anger", *EMOTIC26[1:]), "'affection' is not among .*1 more"),
        ("answer", (*EMOTIC26, "boredom"), "it has 26 outputs, and 27 names"),
    ],
)
def test_several_labels_that_are_none(several, function, labels, says):
    with pytest.raises(FerBenchError, match=says) as error:
        evaluate_outside(several, f"python:answers_several:{function}", "emotic", Feeding(tuple(labels), 16))
    assert error.value.hint
    assert not list(several.records())


def test_several_labels_of_an_onnx_file(several, tmp_path):
    pytest.importorskip("onnxruntime")
    # Seven outputs that are asked for by no task of several labels: the refusal is the same for files.
    with pytest.raises(SpecError, match="asks for 26 categories, and 'affection' is not among"):
        evaluate_outside(several, f"onnx:{network(tmp_path / 'net.onnx')}", "emotic", Feeding(normalization="unit"))


def test_of_logits_of_several_labels_a_sigmoid_is_taken():
    asked = PROTOCOLS["emotic-emotic26"]
    logits = np.array([[0.0, -2.0], [3.0, 1.0]], dtype=np.float32)
    found, how = as_answers(logits, "onnx:net.onnx", asked)
    assert how == "sigmoid"
    assert found == pytest.approx(1 / (1 + np.exp(-logits)))
    with pytest.raises(BadDataError, match="no probabilities"):
        as_answers(np.array([[0.0, 2.0], [99.0, 1.0]], dtype=np.float32), "onnx:net.onnx", asked)


@pytest.mark.parametrize(
    ("kind", "says"), [("multi_label_classification", ""), ("single_label_classification", "sum to 1")]
)
def test_several_labels_of_transformers(several, tmp_path, kind, says):
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.ResNetConfig(
        embedding_size=4,
        hidden_sizes=[4],
        depths=[1],
        layer_type="basic",
        problem_type=kind,
        id2label={i: name.title() for i, name in enumerate(EMOTIC26)},
        label2id={name.title(): i for i, name in enumerate(EMOTIC26)},
    )
    torch.manual_seed(0)
    made = transformers.ResNetForImageClassification(config).eval()
    made.save_pretrained(tmp_path / "net")
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})
    processor.save_pretrained(tmp_path / "net")
    if says:
        with pytest.raises(BadDataError, match=says):
            evaluate_outside(several, f"hf:{tmp_path / 'net'}", "emotic", Feeding(accelerator="cpu"))
        return
    record = evaluate_outside(several, f"hf:{tmp_path / 'net'}", "emotic", Feeding(accelerator="cpu")).record
    image = np.asarray(ask(several, "emotic-emotic26", images=True).images[3])
    with torch.inference_mode():
        expected = made(**processor(images=[image], return_tensors="pt")).logits.sigmoid()[0].numpy()
    assert record.training["source"]["outputs"] == "sigmoid"
    assert several.predictions(record).outputs[3] == pytest.approx(expected, abs=1e-5)


def test_an_image_classifier_of_transformers(store, tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.ResNetConfig(
        embedding_size=4,
        hidden_sizes=[4, 8],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(NAMES)),
        label2id={name: i for i, name in enumerate(NAMES)},
    )
    torch.manual_seed(0)
    made = transformers.ResNetForImageClassification(config).eval()
    made.save_pretrained(tmp_path / "net")
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "net")
    done = evaluate_outside(store, f"hf:{tmp_path / 'net'}", "fer2013", Feeding(accelerator="cpu"), batch_size=9)
    record = done.record
    assert record.parameters["total"] == sum(p.numel() for p in made.parameters())
    image = np.asarray(ask(store, PROTOCOL, images=True).images[3])
    given = processor(images=[np.repeat(image[..., None], 3, axis=2)], return_tensors="pt")
    with torch.inference_mode():
        expected = made(**given).logits.softmax(-1)[0].numpy()
    outputs = store.predictions(record).outputs[3]
    assert outputs[[FER7.index(name) for name in NAMES]] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(SpecError, match=r"preprocessor_config\.json"):
        open_model(f"hf:{tmp_path / 'net'}", Feeding(normalization="unit"))
    (tmp_path / "net" / "model.safetensors").rename(tmp_path / "net" / "model.pkl")
    with pytest.raises(WeightsError, match="no weights that can be loaded safely"):
        open_model(f"hf:{tmp_path / 'net'}", Feeding())
    with pytest.raises(MissingDataError, match=r"no config\.json"):
        open_model(f"hf:{tmp_path}", Feeding())


def test_a_pickle_is_not_loaded(tmp_path):
    pytest.importorskip("transformers")
    import pickle

    from transformers import ResNetConfig

    ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1]).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "ViTImageProcessor"}))

    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Bad()}))
    with pytest.raises(WeightsError, match="cannot be loaded"):
        open_model(f"hf:{tmp_path}", Feeding())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("reference", ["tf:net", "onnx:", "net.onnx"])
def test_what_is_no_reference(reference):
    with pytest.raises(SpecError, match="no model from outside"):
        open_model(reference, Feeding())


def test_images_are_fitted_and_scaled():
    grey = np.full((10, 12), 100, dtype=np.uint8)
    assert fitted(grey, 8, 8, 3).shape == (8, 8, 3)
    assert fitted(np.repeat(grey[..., None], 3, axis=2), 8, 6, 1).tolist() == [[[100]] * 6] * 8
    for name, value in (("raw", 100), ("unit", 100 / 255), ("symmetric", 200 / 255 - 1)):
        assert normalized(grey[..., None], name)[0, 0, 0] == pytest.approx(value, rel=1e-6)
    assert normalized(fitted(grey, 8, 8, 3), "imagenet")[0, 0, 2] == pytest.approx(
        (100 / 255 - 0.406) / 0.225, rel=1e-5
    )
    with pytest.raises(SpecError, match="none of raw"):
        Feeding(normalization="zscore")


def test_a_module_that_is_not_there(tmp_path):
    with pytest.raises(PluginError, match="no module"):
        open_model("python:nowhere_at_all:answer", Feeding(NAMES))
