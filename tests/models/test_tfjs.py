"""Weights of TensorFlow.js: the reader of its files, and the face network that is read as timm's MobileNet v1."""

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fer_bench import spec as specs
from fer_bench.errors import MissingDataError, WeightsError
from fer_bench.models.mobilenet_v1 import read_mobilenet
from fer_bench.models.tfjs import read_tfjs
from fer_bench.models.weights import read_file
from fer_bench.models.zoo import build_network
from fer_bench.probes.backbones import build_backbone
from fer_bench.training.norms import measure_norms

NAME = "timm:mobilenetv1_100"
MEANS = torch.tensor([103.939, 116.779, 123.68])
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
HALVES = (2, 4, 6, 12)


def write(folder, tensors, nodes=(), kinds=None, made_by="https://github.com/HSE-asavchenko/HSE_FaceRec_tf"):
    """A graph model of TensorFlow.js in two files, as its converter writes them."""
    weights, data = [], b""
    for name, values in tensors.items():
        stored = (kinds or {}).get(name, {"dtype": "float16", "original_dtype": "float32"})
        weights.append(
            {
                "name": name,
                "shape": list(values.shape),
                "dtype": "float32",
                **({"quantization": stored} if stored else {}),
            }
        )
        data += values.astype(
            {"float16": "<f2", "uint8": "u1", "uint16": "<u2"}[stored["dtype"]] if stored else "<f4"
        ).tobytes()
    (folder / "m.bin").write_bytes(data)
    manifest = [{"paths": ["m.bin"], "weights": weights}]
    (folder / "m.json").write_text(
        json.dumps(
            {
                "format": "graph-model",
                "generatedBy": made_by,
                "modelTopology": {"node": list(nodes)},
                "weightsManifest": manifest,
            }
        )
    )
    return folder / "m.json"


def convolution(name, kind, inputs, stride):
    pad = base64.b64encode(b"SAME").decode()
    return {
        "name": name,
        "op": kind,
        "input": inputs,
        "attr": {"strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}}, "padding": {"s": pad}},
    }


def face_network(folder, **over):
    """A network of the real one's layout, with drawn weights: convolutions with folded norms, depthwise ones with a
    scale of their own."""
    rng = np.random.default_rng(0)
    tensors, nodes, last = {}, [{"name": "input_1", "op": "Placeholder"}], "input_1"

    def layer(name, kernel, kind, stride):
        nonlocal last
        channels = kernel.shape[3] if kind == "Conv2D" else kernel.shape[2]
        tensors[f"{name}/kernel"] = kernel
        nodes.append(convolution(f"{name}/conv", kind, [last, f"{name}/kernel"], stride))
        last = f"{name}/conv"
        for op, start, more in (("Mul", 1.0, kind != "Conv2D"), ("Add", 0.0, True)):
            if more:
                tensors[f"{name}/{op}"] = start + 0.2 * rng.normal(size=channels)
                nodes.append({"name": f"{name}/{op}d", "op": op, "input": [last, f"{name}/{op}"]})
                last = f"{name}/{op}d"
        nodes.append({"name": f"{name}/relu", "op": "Relu6", "input": [last]})
        last = f"{name}/relu"

    layer("conv1", rng.normal(size=(3, 3, 3, 32)) / 500, "Conv2D", 2)
    for i in range(13):
        a, b = WIDTHS[i], WIDTHS[i + 1]
        layer(f"dw{i}", rng.normal(size=(3, 3, a, 1)) / 2, "DepthwiseConv2dNative", 2 if i + 1 in HALVES else 1)
        layer(f"pw{i}", rng.normal(size=(1, 1, a, b)) * (2 / a) ** 0.5, "Conv2D", 1)
    return write(folder, tensors, nodes, **over)


def executed(path, x):
    """Independently of the converter: the graph's nodes one after the other, on (B, H, W, C)."""
    constants, nodes = read_tfjs(path)
    values = {name: torch.from_numpy(np.array(value)) for name, value in constants.items()}
    for node in nodes:
        given = [values[name.split(":")[0]] for name in node.get("input", []) if name.split(":")[0] in values]
        op = node["op"]
        if op == "Const":
            continue
        if op == "Placeholder":
            found = x
        elif op in ("Conv2D", "DepthwiseConv2dNative"):
            stride, (h, w) = int(node["attr"]["strides"]["list"]["i"][1]), given[1].shape[:2]
            more = [
                max((-(-side // stride) - 1) * stride + k - side, 0)
                for side, k in ((given[0].shape[2], w), (given[0].shape[1], h))
            ]
            padded = nn.functional.pad(
                given[0].permute(0, 3, 1, 2), [part for m in more for part in (m // 2, m - m // 2)]
            )
            kernel = given[1].permute(3, 2, 0, 1) if op == "Conv2D" else given[1].permute(2, 3, 0, 1)
            found = nn.functional.conv2d(
                padded, kernel, stride=stride, groups=1 if op == "Conv2D" else len(kernel)
            ).permute(0, 2, 3, 1)
        elif op in ("Relu", "Relu6"):
            found = given[0].clamp(0, 6 if op == "Relu6" else None)
        elif op == "Mean":
            found = given[0].mean(dim=(1, 2))
        elif op in ("Add", "Mul", "Minimum", "Maximum"):
            found = {"Add": torch.add, "Mul": torch.mul, "Minimum": torch.minimum, "Maximum": torch.maximum}[op](*given)
        else:
            # What is behind the features.
            break
        values[node["name"]] = found
    return found if found.ndim == 2 else found.mean(dim=(1, 2))


def features(network, images):
    with torch.no_grad():
        return network.body.forward_head(network.body.forward_features(network.adapter(images)), pre_logits=True)


def faces(n, side, seed=0):
    """Smooth coloured images, uint8."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return (255 * nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)).to(torch.uint8)


def expected(path, images):
    return executed(path, images.flip(1).permute(0, 2, 3, 1).float() - MEANS)


def build(path, side=64, **over):
    return build_network(
        NAME, 7, weights=str(path), image_size=side, **{"options": {"pad_type": "same"}, **over}
    ).eval()


def test_the_converted_network_computes_what_the_graph_does(tmp_path):
    path = face_network(tmp_path)
    network, images = build(path), faces(3, 64)
    # The last row and column are padded with this suite's grey, not with the graph's: close, not equal.
    assert torch.cosine_similarity(features(network, images), expected(path, images)).min() > 0.999
    swapped = features(network, images.flip(1))
    assert torch.cosine_similarity(swapped, expected(path, images)).min() < 0.999
    assert network.initial.folded
    assert "left fresh: body.classifier.bias (7,), body.classifier.weight (7, 1024)" in network.initial.taken
    assert "trained with normalization" not in network.initial.taken
    assert "--set normalization=centred" in build(path, normalization="imagenet").initial.taken


def test_as_a_frozen_backbone_it_has_the_features_of_the_graph(tmp_path):
    path = face_network(tmp_path)
    backbone, images = build_backbone(NAME, weights=str(path), image_size=64), faces(3, 64)
    with torch.no_grad():
        found = backbone.module(images)
    assert torch.cosine_similarity(found, expected(path, images)).min() > 0.999
    assert "centred" in backbone.preprocessing


def test_norms_keep_what_they_compute_once_they_are_measured(tmp_path):
    network, images = build(face_network(tmp_path)), faces(64, 64)
    before = features(network, images)
    folded = features(network.train(), images)
    network.load_state_dict(build(tmp_path / "m.json").state_dict())
    measure_norms(network, list(images.split(16)))
    assert network.training
    torch.testing.assert_close(features(network.eval(), images), before, atol=1e-3, rtol=1e-3)
    # In training the norms take the statistics of the batch: measured ones leave the features as they are, folded ones
    # do not.
    assert torch.cosine_similarity(features(network.train(), images), before).min() > 0.99
    assert torch.cosine_similarity(folded, before).mean() < 0.9


def test_the_real_face_network():
    folder = os.environ.get("FER_BENCH_TEST_FACERES")
    if not folder:
        pytest.skip(
            "FER_BENCH_TEST_FACERES names no folder with faceres.json and faceres.bin of the npm package"
            " @vladmandic/human"
        )
    path, images = Path(folder) / "faceres.json", faces(2, 224)
    assert torch.cosine_similarity(features(build(path, 224), images), expected(path, images)).min() > 0.999


def test_every_kind_of_numbers_is_read(tmp_path):
    values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 255.0]])
    kinds = {
        "half": {"dtype": "float16"},
        "byte": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        "short": {"dtype": "uint16", "scale": 2.0, "min": 0.0},
        "plain": {},
    }
    found, nodes = read_tfjs(write(tmp_path, dict.fromkeys(kinds, values), kinds=kinds))
    assert nodes == []
    np.testing.assert_array_equal(found["half"], values)
    np.testing.assert_array_equal(found["plain"], values)
    np.testing.assert_array_equal(found["byte"], values * 0.5 - 1)
    np.testing.assert_array_equal(found["short"], values * 2)
    assert {array.dtype for array in found.values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "m.bin").unlink(), "m.bin, which cannot be read next to it: there is no such file"),
        (lambda folder: (folder / "m.bin").write_bytes(b"1234"), "end within conv1/kernel"),
        (lambda folder: (folder / "m.json").write_text("{"), "not the model.json of a TensorFlow.js model"),
        (lambda folder: (folder / "m.json").write_text('{"a": [1]}'), "not the model.json of a TensorFlow.js model"),
        (
            lambda folder: (folder / "m.json").write_text((folder / "m.json").read_text().replace("m.bin", "../m.bin")),
            "a file outside its own folder",
        ),
        (
            lambda folder: (folder / "m.json").write_text((folder / "m.json").read_text().replace("float16", "float8")),
            "of the kind 'float8'",
        ),
        (lambda folder: face_network(folder, made_by="someone"), "27 convolutions that is not known here"),
        (lambda folder: write(folder, {"a": np.zeros(3)}), "0 convolutions that is not known here"),
    ],
)
def test_a_damaged_or_another_model_is_refused_in_one_line(tmp_path, damage, message):
    path = face_network(tmp_path)
    damage(tmp_path)
    with pytest.raises(WeightsError, match=message) as error:
        read_file(str(path))
    assert error.value.hint


def test_it_is_of_another_network(tmp_path):
    with pytest.raises(WeightsError, match="it is of another architecture"):
        build_network("resnet18", 7, weights=str(face_network(tmp_path)))


def test_settings_name_the_binary_file_too(tmp_path):
    path = face_network(tmp_path)
    settings = {"model": NAME, "weights": str(path)}
    first = specs.build(settings).weights
    assert read_mobilenet(path)
    data = bytearray((tmp_path / "m.bin").read_bytes())
    data[100] ^= 1
    (tmp_path / "m.bin").write_bytes(data)
    assert specs.build(settings).weights != first
    (tmp_path / "m.bin").unlink()
    with pytest.raises(MissingDataError, match=r"weights .*m\.bin: there is no such file"):
        specs.build(settings)
