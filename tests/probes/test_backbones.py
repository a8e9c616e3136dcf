"""Penultimate features of every family, and weights files as they are distributed."""

import copy

import pytest
import torch
import torchvision

from fer_bench.errors import SpecError, UnknownNameError, WeightsError
from fer_bench.models.zoo import build_network
from fer_bench.probes.backbones import build_backbone, penultimate, read_state, weights_digest
from fer_bench.probes.kragel import KragelEmoNet

IMAGES = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "width"), [("resnet18", 512), ("five_layer_cnn", 64), ("timm:mobilenetv3_small_050", 1024)]
)
def test_the_last_layer_on_the_features_gives_the_network_back(name, width):
    network = build_network(name, 5, image_size=48).eval()
    with torch.inference_mode():
        features = penultimate(network)(IMAGES).flatten(1)
        expected = network(IMAGES)
        head = (
            network.body.get_classifier()
            if name.startswith("timm:")
            else getattr(network.body, "fc", None) or network.body.classifier
        )
        assert features.shape == (2, width)
        torch.testing.assert_close(head(features), expected)


def test_a_classifier_of_several_layers_loses_only_its_last():
    with torch.device("meta"):
        for builder in (torchvision.models.alexnet, torchvision.models.vgg11):
            network = builder(weights=None)
            n_before = len(network.classifier)
            assert penultimate(network)(torch.empty(2, 3, 224, 224)).shape == (2, 4096)
            assert len(network.classifier) == n_before


def test_penultimate_shares_the_weights_and_leaves_the_network_alone():
    network = build_network("resnet18", 5, image_size=48)
    cut = penultimate(network)
    assert cut.body.conv1.weight is network.body.conv1.weight
    assert isinstance(network.body.fc, torch.nn.Linear)
    with pytest.raises(SpecError, match="no last linear layer"):
        penultimate(torch.nn.Conv2d(3, 3, 1))


def test_drawn_weights_are_always_the_same_and_the_digest_sees_every_change():
    a, b = (build_backbone("resnet18", weights="none") for _ in range(2))
    assert a.digest == b.digest
    assert a.parameters == 11_689_512
    changed = copy.deepcopy(a.module)
    with torch.no_grad():
        changed[0].body.layer4[1].conv2.weight[0, 0, 0, 0] += 1e-6
    assert weights_digest(changed) != a.digest
    renamed = torch.nn.Linear(2, 2)
    with torch.no_grad():
        renamed.weight.zero_()
        renamed.bias.zero_()
    assert weights_digest(renamed) == weights_digest(copy.deepcopy(renamed))
    assert build_backbone("resnet18", weights="none", image_size=32).preprocessing != a.preprocessing


def test_predictions_are_probabilities():
    backbone = build_backbone("resnet18-places365", weights="none", outputs="predictions")
    with torch.inference_mode():
        found = backbone.module(IMAGES)
    assert found.shape == (2, 365)
    torch.testing.assert_close(found.sum(1), torch.ones(2))


@pytest.mark.parametrize("wrapped", ["module.", "inner"])
def test_places_checkpoints_as_they_are_distributed(tmp_path, wrapped):
    network = torchvision.models.resnet18(num_classes=365)
    state = {
        (f"module.{k}" if wrapped == "module." else k.replace("layer1.", "layer1.module.")): v
        for k, v in network.state_dict().items()
    }
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save({"epoch": 90, "arch": "resnet18", "state_dict": state}, tmp_path / "resnet18_places365.pth.tar")
    backbone = build_backbone("resnet18-places365", weights=str(tmp_path / "resnet18_places365.pth.tar"))
    assert torch.equal(backbone.module[0].body.layer1[0].conv1.weight, network.layer1[0].conv1.weight)


def test_old_densenet_names(tmp_path):
    with torch.device("meta"):
        names = list(torchvision.models.densenet161(num_classes=365).state_dict())
    changes = {".norm1.": ".norm.1.", ".norm2.": ".norm.2.", ".conv1.": ".conv.1.", ".conv2.": ".conv.2."}
    old = {}
    for name in names:
        before = name
        for new, earlier in changes.items():
            before = before.replace(new, earlier)
        old["module." + before] = torch.zeros(1)
    assert "module.features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save({"state_dict": old}, tmp_path / "d.pth.tar")
    assert sorted(read_state(str(tmp_path / "d.pth.tar"))) == sorted(names)


def test_wrong_files_are_named(tmp_path):
    torch.save({"state_dict": torchvision.models.resnet18(num_classes=1000).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"fc\.weight of shape"):
        build_backbone("resnet18-places365", weights=str(tmp_path / "w.pth"))
    with pytest.raises(WeightsError, match="resnet50_places365"):
        build_backbone("resnet50-places365")
    with pytest.raises(UnknownNameError, match="resnet18-places365"):
        build_backbone("resnet19-places365")
    with pytest.raises(WeightsError, match=r"emonet\.pth"):
        build_backbone("emonet-kragel")


def test_both_conversions_of_emonet_give_the_same_answers(tmp_path):
    generator = torch.Generator().manual_seed(1)
    linear = {}
    for i, shape in enumerate(
        [
            (96, 3, 11, 11),
            (256, 48, 5, 5),
            (384, 256, 3, 3),
            (384, 192, 3, 3),
            (256, 192, 3, 3),
            (16, 9216),
            (16, 16),
            (20, 16),
        ]
    ):
        linear[f"l{i}.weight"] = torch.randn(shape, generator=generator) * 0.02
        linear[f"l{i}.bias"] = torch.zeros(shape[0])
    network = KragelEmoNet(dense=16)
    network.load_converted(linear, "here")
    x = torch.randn(1, 3, 227, 227, generator=generator)
    pooled = {}
    network.fc6.register_forward_pre_hook(lambda module, inputs: pooled.update(x=inputs[0]))
    with torch.inference_mode():
        found = network(x)
        # As the linear conversion computes it: columns first.
        flat = pooled["x"].permute(0, 1, 3, 2).reshape(1, -1)
        hidden = torch.relu(torch.relu(flat @ linear["l5.weight"].T) @ linear["l6.weight"].T)
        torch.testing.assert_close(found, hidden @ linear["l7.weight"].T, rtol=1e-4, atol=1e-5)
    convolutional = network.state_dict()
    again = KragelEmoNet(dense=16)
    again.load_converted(convolutional, "here")
    assert weights_digest(again) == weights_digest(network)
    with pytest.raises(WeightsError, match="EmoNet has 8"):
        again.load_converted({"a.weight": torch.zeros(1)}, "here")
