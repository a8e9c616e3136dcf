from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from fer_bench.errors import SpecError, WeightsError
from fer_bench.models import weights
from fer_bench.models.zoo import build_network

SMALL = {"width": 4}


def network(n=7, **settings):
    return build_network("five_layer_cnn", n, native_size=48, options=SMALL, **settings)


@pytest.fixture
def trained():
    torch.manual_seed(7)
    return network()


def same(a, b, but=()):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items() if key not in but)


FORMS = {
    "network": lambda net: net.state_dict(),
    "body alone": lambda net: net.body.state_dict(),
    "checkpoint of this suite": lambda net: {
        "state_dict": {f"network.{k}": v for k, v in net.state_dict().items()},
        "epoch": 3,
        "spec": "{}",
    },
    "distributed": lambda net: {f"module.{k}": v for k, v in net.body.state_dict().items()},
    "under model": lambda net: {"model": net.body.state_dict(), "epoch": 3},
    "in half precision": lambda net: {
        k: v.half().float() if v.is_floating_point() else v for k, v in net.body.state_dict().items()
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_good_files_in_every_usual_form(tmp_path, trained, form):
    torch.save(FORMS[form](trained), tmp_path / "weights.pth")
    loaded = network(weights=str(tmp_path / "weights.pth"))
    if form == "in half precision":
        assert torch.allclose(loaded.body.classifier.weight, trained.body.classifier.weight, atol=1e-2)
    else:
        assert same(trained, loaded)


def test_safetensors(tmp_path, trained):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in trained.body.state_dict().items()}, str(path))
    assert same(trained, network(weights=str(path)))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        network(weights=str(path))


def test_head_of_another_size_is_left_fresh(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    loaded = network(8, weights=str(tmp_path / "weights.pth"))
    heads = ("body.classifier.weight", "body.classifier.bias")
    assert loaded.body.classifier.weight.shape[0] == 8
    assert same(trained, loaded, heads)


def test_another_shape_is_named_with_both_shapes(tmp_path, trained):
    state = trained.state_dict()
    state["body.features.0.weight"] = torch.zeros(5, 3, 3, 3)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(
        WeightsError, match=r"body\.features\.0\.weight has shape \(5, 3, 3, 3\), the network needs \(4, 3, 3, 3\)"
    ):
        network(weights=str(tmp_path / "weights.pth"))


def test_another_architecture_is_refused(tmp_path):
    other = build_network("resnet18", 7, native_size=48)
    torch.save(other.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="another architecture"):
        network(weights=str(tmp_path / "weights.pth"))


def test_a_missing_tensor_is_named(tmp_path, trained):
    state = trained.state_dict()
    del state["body.features.3.weight"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"1 tensors are missing, the first is body\.features\.3\.weight"):
        network(weights=str(tmp_path / "weights.pth"))


class Payload:
    def __reduce__(self):
        return os.mkdir, (PAYLOAD_FOLDER,)


PAYLOAD_FOLDER = ""


@pytest.mark.parametrize("how", ["torch.save", "plain pickle"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, how):
    global PAYLOAD_FOLDER
    PAYLOAD_FOLDER = str(tmp_path / "the code has run")
    path = tmp_path / "weights.pth"
    if how == "torch.save":
        torch.save({"state_dict": Payload()}, path)
    else:
        path.write_bytes(pickle.dumps({"state_dict": Payload()}))
    with pytest.raises(WeightsError) as error:
        network(weights=str(path))
    assert str(path) in error.value.problem
    assert "\n" not in str(error.value)
    assert not (tmp_path / "the code has run").exists()


CONTENT = {
    "half a file": lambda good: good[: len(good) // 2],
    "nothing": lambda good: b"",
    "text": lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a web page": lambda good: b"<!DOCTYPE html><html>not found</html>",
    "zeros": lambda good: bytes(3000),
    "another zip": lambda good: b"PK\x05\x06" + bytes(18),
    "bytes changed in the middle": lambda good: good[:2000] + bytes(500) + good[2500:],
    "noise": lambda good: bytes(range(256)) * 20,
}


@pytest.mark.parametrize("case", CONTENT)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_named_in_one_line(tmp_path, trained, case, suffix):
    path = tmp_path / f"weights{suffix}"
    torch.save(trained.state_dict(), path)
    path.write_bytes(CONTENT[case](path.read_bytes()))
    try:
        loaded = network(weights=str(path))
    except WeightsError as error:
        assert str(path) in error.problem
        assert error.hint
        assert "\n" not in str(error)
    else:
        # Uncompressed tensors can lose their bytes without a trace only if the archive says nothing of it.
        assert case == "bytes changed in the middle"
        assert not same(trained, loaded)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        torch.zeros(3),
        {},
        {"state_dict": {}},
        {"epoch": 3},
        {"model": "resnet"},
        {"state_dict": None},
        {1: torch.zeros(2)},
    ],
)
def test_files_that_hold_something_else(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        network(weights=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"pointer of Git LFS.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>not found</html>", r"a web page.*download the file again"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file, as Keras writes them"),
        (b"", "there is nothing in it"),
        (b"\x08\x07" + bytes(64), r"no file of PyTorch's\)\. The file is damaged, or of another kind"),
    ],
)
def test_what_is_taken_for_a_checkpoint_is_called_what_it_is(tmp_path, content, says):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        network(weights=str(tmp_path / "weights.pth"))


def write_arrays(path):
    with path.open("wb") as file:
        np.savez(file, weight=np.zeros(3))


def write_archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("read/me.txt", "the weights are elsewhere")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: torch.jit.script(torch.nn.Linear(2, 2)).save(str(path)), r"a program of TorchScript\)\. Save"),
        (lambda path: path.write_bytes(pickle.dumps({"weight": np.zeros(3)})), r"no file of PyTorch's\)"),
        (write_arrays, r"arrays of NumPy\)\. Save"),
        (write_archive, r"an archive without a checkpoint in it\)"),
    ],
    ids=["TorchScript", "pickle", "NumPy", "zip"],
)
@pytest.mark.filterwarnings("ignore:.*jit.script", "error::UserWarning")
def test_what_pytorch_answers_in_its_own_words_is_said_in_ours(tmp_path, write, says):
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(WeightsError, match=says):
        network(weights=str(path))


def test_a_whole_network_is_refused_with_its_class(tmp_path, trained):
    torch.save(trained, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"besides tensors it holds fer_bench\.\S+, which is code.*state_dict\(\)"):
        network(weights=str(tmp_path / "weights.pth"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensor: tensor.to_sparse(), "is sparse"),
        (lambda tensor: tensor.to("meta"), "has no data"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "is quantized"),
        # These two were copied in silence: as whole numbers, and without their imaginary part.
        (lambda tensor: tensor.to(torch.int8), "holds int8, where the network has real numbers"),
        (lambda tensor: tensor.to(torch.complex64), "holds complex64, where the network has real numbers"),
    ],
)
def test_tensors_that_no_network_can_take_are_named(tmp_path, trained, change, says):
    state = trained.state_dict()
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    torch.save(state | {name: change(state[name])}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=rf"{name} {says}"):
        network(weights=str(tmp_path / "weights.pth"))


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "nothing.pth", tmp_path):
        with pytest.raises(WeightsError, match=r"there is no such file.*imagenet"):
            network(weights=str(path))


def test_no_imagenet_weights_for_our_own():
    with pytest.raises(SpecError, match="no ImageNet weights for FiveLayerCNN"):
        network(weights="imagenet")


@pytest.mark.parametrize("name", ["resnet18", "timm:mobilenetv3_small_050"])
def test_hub_that_cannot_be_reached_says_what_to_do(monkeypatch, name):
    import timm
    import torchvision

    def unreachable(*_, **__):
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setattr(torchvision.models._api.WeightsEnum, "get_state_dict", unreachable)
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: unreachable() if k.get("pretrained") else create(*a, **k))
    with pytest.raises(WeightsError) as error:
        build_network(name, 7, weights="imagenet")
    assert "cannot be downloaded (ConnectionError: no route to host)" in error.value.problem
    assert "weights=none" in error.value.hint
    assert "\n" not in str(error.value)


def test_hub_errors_of_our_own_pass_through():
    def ours():
        raise SpecError("wrong.")

    with pytest.raises(SpecError, match=r"wrong\."):
        weights.hub_or_explain(ours, "x")


def test_hub_weights_arrive(monkeypatch):
    import torchvision

    torch.manual_seed(1)
    state = torchvision.models.resnet18().state_dict()
    monkeypatch.setattr(torchvision.models._api.WeightsEnum, "get_state_dict", lambda *_, **__: state)
    loaded = build_network("resnet18", 7, weights="imagenet")
    assert torch.equal(loaded.body.conv1.weight, state["conv1.weight"])
    assert loaded.body.fc.weight.shape == (7, 512)
    assert loaded.adapter.size == 224
    assert float(loaded.adapter.mean[0, 0, 0, 0]) == pytest.approx(0.485 * 255)
