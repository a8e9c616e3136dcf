import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.models.catalog import MODELS
from fer_bench.models.zoo import build_network
from tests.families import one_a_family
from tests.paper_models import SEVENTEEN

TORCHVISION = [name for name in MODELS if MODELS[name].source == "torchvision"]
# Positions before global pooling of a 48 px face, with stride 1 and 2, by the beginning of the name.
POSITIONS = {
    "resn": (6, 3),
    "wide": (6, 3),
    "dens": (6, 3),
    "goog": (6, 3),
    "shuf": (6, 3),
    "sque": (12, 6),
    "alex": (11, 5),
    "vgg": (3, 3),
    "ince": (5, 2),
    "mobi": (3, 2),
    "mnas": (3, 2),
    "effi": (3, 2),
}


def on_meta(name, n=7, **options):
    with torch.device("meta"):
        return build_network(name, n, native_size=48, options={"stem": "small"} | options)


def count(module):
    return sum(p.numel() for p in module.parameters())


def last_map(body, side=48):
    """Side of the map that the last convolution or pooling gives, before the global one."""
    seen = []
    for module in body.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(lambda _, __, output: seen.append(output.shape[-1]))
    outputs = body.eval()(torch.zeros(1, 3, side, side, device="meta"))
    # Squeeze-and-excitation convolves single positions.
    return outputs, [width for width in seen if width > 1][-1]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", one_a_family(TORCHVISION))
def test_every_network_takes_48_px_and_leaves_something_to_pool(name, stride):
    network = on_meta(name, stem_stride=stride)
    assert network.adapter.size == 48
    outputs, side = last_map(network.body)
    assert outputs.shape == (1, 7)
    assert side == next(sides[stride - 1] for start, sides in POSITIONS.items() if name.startswith(start))


def test_the_seventeen_keep_three_by_three_positions_at_either_stride():
    assert all(
        min(sides) >= 3 for start, sides in POSITIONS.items() if any(name.startswith(start) for name in SEVENTEEN)
    )


# Ten classes: the counts of the networks for CIFAR of the same shape, which have been published many times.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_173_962),
        ("resnet34", 21_282_122),
        ("resnet50", 23_520_842),
        ("resnet101", 42_512_970),
        ("resnet152", 58_156_618),
    ],
)
def test_parameters_of_residual_networks(name, parameters):
    assert count(on_meta(name, 10).body) == parameters


# The convolutions of the networks as published, and one linear layer.
@pytest.mark.parametrize(
    ("name", "parameters"), [("vgg11", 9_220_480), ("vgg13", 9_404_992), ("vgg16", 14_714_688), ("vgg19", 20_024_384)]
)
def test_parameters_of_vgg(name, parameters):
    assert count(on_meta(name).body) == parameters + 512 * 7 + 7


@pytest.mark.parametrize(
    ("name", "features"), [("densenet121", 1024), ("densenet161", 2208), ("densenet169", 1664), ("densenet201", 1920)]
)
def test_of_a_dense_network_only_the_first_convolution_and_the_classifier_change(name, features):
    with torch.device("meta"):
        designed = build_network(name, 1000, native_size=48).body
    first = designed.features.conv0.out_channels
    assert count(on_meta(name).body) == count(designed) - first * 3 * (49 - 9) - (features + 1) * (1000 - 7)


def basic_residual_network(width, layers, n):
    """Parameters of a network of basic blocks by hand."""
    total, before = 27 * width + 2 * width, width
    for stage, blocks in enumerate(layers):
        w = width * 2**stage
        for _ in range(blocks):
            total += 9 * before * w + 9 * w * w + 4 * w
            total += before * w + 2 * w if before != w else 0
            before = w
    return total + before * n + n


@pytest.mark.parametrize(("name", "layers"), [("resnet18", (2, 2, 2, 2)), ("resnet34", (3, 4, 6, 3))])
def test_width_scales_every_layer(name, layers):
    assert count(on_meta(name).body) == basic_residual_network(64, layers, 7)
    assert count(on_meta(name, width=0.5).body) == basic_residual_network(32, layers, 7)
    assert count(on_meta(name, width=0.75).body) == basic_residual_network(48, layers, 7)


@pytest.mark.parametrize(
    ("name", "width"),
    [("resnext50", 0.5), ("wide_resnet50", 0.25), ("resnet50", 0.3), ("vgg16_bn", 0.5), ("vgg13", 0.4)],
)
def test_other_networks_of_another_width(name, width):
    body = on_meta(name, width=width).body
    assert last_map(body)[0].shape == (1, 7)
    assert count(body) < 1.5 * width * count(on_meta(name).body)


def test_width_without_the_small_stem():
    with torch.device("meta"):
        for name in ("resnet18", "vgg11"):
            body = build_network(name, 5, native_size=48, options={"width": 0.25}).body
            assert body.eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"stem_stride": 2, "width": 0.125, "zero_init_residual": True}),
        ("vgg11", {"stem_stride": 2, "width": 0.125}),
        pytest.param("alexnet", {"stem_stride": 2}, marks=pytest.mark.proof),
        ("squeezenet1_1", {"stem_stride": 2}),
        ("shufflenet_v2", {"stem_stride": 2}),
        ("mobilenet_v3_small", {"stem_stride": 1}),
    ],
)
def test_a_step_moves_every_layer(name, options):
    torch.manual_seed(0)
    network = build_network(name, 7, native_size=48, options={"stem": "small"} | options).train()
    images = torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8)
    nn.functional.cross_entropy(network(images), torch.arange(4)).backward()
    silent = [key for key, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent
    # Behind a norm that begins with zeros, the branch gets its first gradient one step later.
    if not options.get("zero_init_residual"):
        assert sum(bool(p.grad.abs().max() == 0) for p in network.parameters()) <= 2


def test_initialisation_keeps_the_signal():
    """Activations of networks without norms neither fade nor burst: their standard deviation stays within a factor of
    30 of the input's."""
    torch.manual_seed(0)
    for name in ("alexnet", "vgg19"):
        options = {"stem": "small", "stem_stride": 2} | ({"width": 0.125} if name == "vgg19" else {})
        body = build_network(name, 7, native_size=48, options=options).eval().body
        with torch.no_grad():
            assert 1 / 30 < body.features(torch.randn(2, 3, 48, 48)).std() < 30


def test_norms_that_begin_with_zeros_stay_so_at_another_width():
    body = build_network(
        "resnet18", 7, native_size=48, options={"stem": "small", "width": 0.125, "zero_init_residual": True}
    ).body
    assert all((block.bn2.weight == 0).all() and (block.bn1.weight == 1).all() for block in body.layer3)


def test_small_images_and_designed_sizes():
    assert on_meta("alexnet").adapter.size == 48
    with torch.device("meta"):
        assert build_network("inception_v3", 7, native_size=48).adapter.size == 299
        for name in ("resnet18", "densenet121", "vgg11", "googlenet"):
            body = build_network(name, 7, image_size=32, options={"stem": "small", "stem_stride": 2}).body
            assert body.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"stem": "small", "stem_stride": 3}, "stem_stride is 3, not 1 or 2"),
        ("resnet18", {"stem_stride": 2}, "stem_stride belongs to"),
        ("densenet121", {"width": 0.5}, "width is an option of ResNet and VGG"),
        ("resnet18", {"width": 0}, "width is 0"),
        ("resnet18", {"stem": "tiny"}, r"stem = 'tiny'"),
        ("five_layer_cnn", {"stem": "small"}, "stem"),
    ],
)
def test_options_that_make_no_sense(name, options, message):
    with pytest.raises(SpecError, match=message), torch.device("meta"):
        build_network(name, 7, native_size=48, options=options)
