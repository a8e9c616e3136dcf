from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.models.adapter import InputAdapter, default_normalization
from fer_bench.models.catalog import MODELS, find_model
from fer_bench.models.zoo import build_network
from tests.families import one_a_family
from tests.paper_models import SEVENTEEN


def built_on_meta(name, n=7, **settings):
    with torch.device("meta"):
        return build_network(name, n, **settings).eval()


@pytest.mark.parametrize("name", one_a_family(MODELS))
def test_every_alias_takes_a_48_px_face_and_has_the_asked_outputs(name):
    network = built_on_meta(name, 11, native_size=48)
    side = network.adapter.size
    assert side in (48, find_model(name).image_size)
    assert network.body(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 11)


def test_the_seventeen_of_the_ensemble_paper_are_all_there():
    assert len(set(SEVENTEEN)) == 17
    assert all(name in MODELS for name in SEVENTEEN)


def test_designed_size_with_imagenet_or_where_the_images_have_none():
    assert built_on_meta("resnet18").adapter.size == 224
    assert built_on_meta("resnet18", native_size=48).adapter.size == 48
    assert built_on_meta("resnet18", native_size=48, image_size=96).adapter.size == 96
    # Its filters do not fit into 48 px.
    assert built_on_meta("alexnet", native_size=48).adapter.size == 224


def test_an_image_size_that_is_too_small_for_the_network_is_named():
    for name, size in (("alexnet", 48), ("vgg16", 24), ("five_layer_cnn", 8)):
        with pytest.raises(SpecError, match=f"image_size = {size}.*{name}"):
            built_on_meta(name, image_size=size)


def test_five_layer_cnn_has_the_numbers_that_its_report_prints():
    body = build_network("five_layer_cnn", 7, native_size=48).body
    assert sum(p.numel() for p in body.parameters() if p.requires_grad) == 1_326_567
    statistics = [
        m.running_mean.numel() + m.running_var.numel()
        for m in body.modules()
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    assert sum(statistics) == 2_176
    assert sum(isinstance(m, nn.Conv2d) for m in body.modules()) == 8


def test_five_layer_cnn_learns_a_batch_by_heart():
    torch.manual_seed(0)
    network = build_network(
        "five_layer_cnn", 3, native_size=48, options={"dropout": 0.0, "head_dropout": 0.0, "width": 8}
    )
    images, targets = torch.randint(0, 256, (6, 1, 48, 48), dtype=torch.uint8), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert (network(images).argmax(dim=1) == targets).all()


@pytest.mark.parametrize(
    ("name", "first", "positions"),
    [("resnet18", "layer1", 48), ("densenet121", "features.denseblock1", 48), ("wide_resnet50", "layer1", 48)],
)
def test_low_resolution_stem_keeps_every_pixel(name, first, positions):
    network = built_on_meta(name, native_size=48, options={"stem": "low_resolution"})
    seen = []
    network.body.get_submodule(first).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    assert network.body(torch.zeros(1, 3, 48, 48, device="meta")).shape == (1, 7)
    assert seen == [positions]


def test_stem_that_cannot_be_replaced_or_is_unknown():
    with pytest.raises(SpecError, match="no stem that could be replaced"):
        built_on_meta("vgg11", options={"stem": "low_resolution"})
    with pytest.raises(SpecError, match=r"model_options\.stem = 'tiny'"):
        built_on_meta("resnet18", options={"stem": "tiny"})


@pytest.mark.parametrize("name", ["timm:mobilenetv3_small_050", "timm:vit_tiny_patch16_224", "timm:mixer_s32_224"])
def test_timm_by_name(name):
    network = built_on_meta(name, 8, native_size=48)
    side = network.adapter.size
    # Networks with position embeddings take the size that they were designed for, and no other.
    assert side == (48 if "mobilenet" in name else 224)
    assert network.body(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 8)


def test_timm_network_of_another_designed_size():
    assert find_model("timm:vit_base_patch16_384").image_size == 384
    assert find_model("timm:efficientnet_b3").image_size == 288


def test_a_vision_transformer_can_be_built_for_another_size():
    network = built_on_meta("timm:vit_tiny_patch16_224", image_size=96)
    assert network.body(torch.zeros(1, 3, 96, 96, device="meta")).shape == (1, 7)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_bytes_go_in_and_a_grey_face_is_the_same_either_way(channels):
    torch.manual_seed(0)
    network = build_network("resnet18", 7, native_size=48).eval()
    images = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network(images)
        assert torch.allclose(network(images.expand(-1, channels, -1, -1)), expected, atol=1e-5)
    assert expected.shape == (2, 7)
    assert expected.dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "mean", "std"),
    [
        ("centred", [0.5] * 3, [0.25] * 3),
        ("unit", [0.0] * 3, [1.0] * 3),
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
)
def test_normalisation_is_that_of_torchvision(kind, mean, std):
    from torchvision.transforms.v2 import functional as F

    images = torch.randint(0, 256, (2, 3, 20, 20), dtype=torch.uint8)
    torch.testing.assert_close(InputAdapter(kind)(images), F.normalize(images / 255, mean, std))


def test_colour_becomes_grey_by_luma():
    images = torch.tensor([100, 200, 50], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    grey = InputAdapter("unit", channels=1)(images)
    torch.testing.assert_close(grey, torch.full((1, 1, 4, 4), (29.9 + 117.4 + 5.7) / 255))


def test_normalisation_follows_the_weights():
    mean = lambda **settings: float(built_on_meta_cpu(**settings).adapter.mean[0, 0])  # noqa: E731
    assert mean() == 127.5
    assert mean(normalization="unit") == 0
    assert mean(normalization="imagenet") == pytest.approx(0.485 * 255)


def built_on_meta_cpu(**settings):
    return build_network("five_layer_cnn", 7, options={"width": 4}, **settings)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet", "resnet"),
        ("resnext110", "'resnext101'"),
        ("five_layer", "'five_layer_cnn'"),
        ("timm:convnext_tinny", "'timm:convnext_tiny'"),
    ],
)
def test_unknown_name_gets_a_suggestion(name, suggestion):
    with pytest.raises(UnknownNameError) as error:
        find_model(name)
    assert repr(name) in error.value.problem
    assert suggestion in error.value.hint


def test_timm_without_a_name():
    with pytest.raises(SpecError, match="lacks a name"):
        find_model("timm:")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("five_layer_cnn", {"depth": 3}),
        ("five_layer_cnn", {"activation": "tanh"}),
        ("five_layer_cnn", {"dropout": 2.0}),
        ("five_layer_cnn", {"width": "wide"}),
        ("five_layer_cnn", {"width": 0}),
        ("five_layer_cnn", {"num_classes": 3}),
        ("resnet18", {"widht": 3}),
        ("resnet18", {"num_classes": 3}),
        ("timm:mobilenetv3_small_050", {"no_such": 3}),
    ],
)
def test_model_options_that_cannot_be_used_are_named(name, options):
    with pytest.raises(SpecError) as error:
        built_on_meta(name, options=options)
    assert name in error.value.problem
    assert next(iter(options)) in error.value.problem
    assert "model_options" in error.value.hint


@pytest.mark.parametrize(
    ("model", "weights", "name"),
    [
        ("resnet18", "imagenet", "imagenet"),
        ("resnet18", "none", "centred"),
        ("five_layer_cnn", "x.pt", "centred"),
        ("timm:convnext_tiny", "imagenet", "imagenet"),
        ("timm:vit_base_patch16_224", "imagenet", "symmetric"),
        ("timm:vit_base_patch16_clip_224.openai", "imagenet", "clip"),
        ("timm:convnext_tiny", "none", "centred"),
        ("timm:tf_efficientnet_lite0", "none", "centred"),
        ("timm:tf_efficientnet_lite0", "imagenet", "symmetric"),
        ("timm:tf_efficientnet_lite0", "some/lite0.pth", "symmetric"),
        ("timm:tf_efficientnet_lite2.in1k", "sha256:0123456789ab", "symmetric"),
        ("timm:tf_efficientnet_b0", "some/b0.pth", "centred"),
    ],
)
def test_weights_are_fed_with_the_constants_that_they_were_trained_with(model, weights, name):
    assert default_normalization(model, weights) == name
