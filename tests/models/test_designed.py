"""Images as timm's networks were given them: the same as timm's own transform makes of them, to a grey level."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from fer_bench.errors import SpecError
from fer_bench.models.adapter import InputAdapter
from fer_bench.models.designed import Design, DesignedInput, design_of
from fer_bench.models.trial import try_network
from fer_bench.models.zoo import Network, build_network
from fer_bench.probes.backbones import build_backbone

NAMES = [
    "vit_base_patch16_clip_224.openai",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_base_patch16_siglip_224.webli",
    "convnext_tiny.in12k_ft_in1k",
    "test_resnet",
]


class SquareOnly(torch.nn.Module):
    def forward(self, x):
        return (x @ x).flatten(1)[:, :3]


def picture(height, width):
    rows, columns = np.mgrid[:height, :width]
    grey = 127 + 120 * np.sin(rows / 7.0) * np.cos(columns / 5.0)
    return np.stack([grey, 255 - grey, grey / 2], axis=2).astype(np.uint8)


def levels_apart(design, image, transform):
    wanted = transform(Image.fromarray(image))
    found = DesignedInput(design)(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
    assert found.shape == wanted.shape
    return float(((found - wanted).abs() * torch.tensor(design.std).view(-1, 1, 1)).max() * 255)


@pytest.mark.parametrize("name", NAMES)
def test_images_are_those_of_timms_transform(name):
    config = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    for image in (picture(90, 120), picture(120, 90)):
        assert levels_apart(design_of(name), image, create_transform(**config)) < 1.01


@pytest.mark.parametrize("fit", ["border", "squash", "center"])
def test_every_way_of_cropping(fit):
    design = Design(64, 64, (0.5, 0.4, 0.3), (0.5, 0.5, 0.5), "bilinear", 0.9, fit, 0, True)
    transform = create_transform(
        (3, 64, 64), crop_pct=0.9, crop_mode=fit, interpolation="bilinear", mean=design.mean, std=design.std
    )
    assert levels_apart(design, picture(90, 120), transform) < 1.01


def test_a_side_replaces_the_networks_own():
    design = design_of("vit_small_patch14_dinov2.lvd142m", 98)
    assert (design.height, design.width, design.crop) == (98, 98, 1.0)
    assert design.describe() != design_of("vit_small_patch14_dinov2.lvd142m").describe()


def test_a_network_of_one_size_takes_frames_of_any():
    frames = torch.randint(0, 256, (2, 3, 60, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole, small = (build_backbone("timm:test_vit", weights="none", image_size=side) for side in (None, 96))
    with torch.inference_mode():
        assert whole.module(frames).shape == small.module(frames).shape
        assert small.module(frames[:, :1]).shape == small.module(frames).shape, "grey images too"
    assert (whole.side, small.side) == (160, 96)
    assert "mean [0.5, 0.5, 0.5]" in whole.preprocessing
    assert whole.preprocessing != small.preprocessing


def test_what_was_not_trained_to_classify_has_no_probabilities():
    with pytest.raises(SpecError, match="was not trained to classify") as error:
        build_backbone("timm:vit_base_patch16_clip_224.openai", weights="none", outputs="predictions")
    assert "features:timm:vit_base_patch16_clip_224.openai" in str(error.value)


def test_images_that_keep_their_proportions():
    network = build_network("resnet18", 3, image_size=24, aspect="keep").eval()
    frames = torch.zeros(1, 3, 30, 40, dtype=torch.uint8)
    assert network.adapter(frames).shape == (1, 3, 24, 32)
    assert network.adapter(frames.transpose(2, 3)).shape == (1, 3, 32, 24)
    with torch.inference_mode():
        assert network(frames).shape == (1, 3)
    with pytest.raises(SpecError, match="30 x 40 px"):
        try_network(Network(InputAdapter("unit", 30, keep=True), SquareOnly()), "square", n_outputs=3)
    for name in ("five_layer_cnn", "timm:test_vit"):
        with pytest.raises(SpecError, match="takes square images only"):
            build_network(name, 3, aspect="keep")
