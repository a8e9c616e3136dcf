"""Oriented gradients against a slow reading of their definition, and what they do not see."""

import math

import numpy as np
import pytest
import torch

from fer_bench.models.oriented_gradients import OrientedGradients, OrientedGradientsNetwork
from fer_bench.models.zoo import build_network


def slowly(image, directions, cell):
    """Pixel by pixel, cell by cell."""
    side = len(image)
    padded = np.pad(image, 1, mode="edge")
    votes = np.zeros((directions, side, side))
    for y in range(side):
        for x in range(side):
            across, down = padded[y + 1, x + 2] - padded[y + 1, x], padded[y + 2, x + 1] - padded[y, x + 1]
            position = math.atan2(down, across) % (2 * math.pi) * directions / (2 * math.pi)
            lower = int(position) % directions
            votes[lower, y, x] += math.hypot(across, down) * (1 - position % 1)
            votes[(lower + 1) % directions, y, x] += math.hypot(across, down) * (position % 1)
    n = side // cell - 1
    cells = np.array(
        [
            [[plane[y * cell : (y + 2) * cell, x * cell : (x + 2) * cell].mean() for x in range(n)] for y in range(n)]
            for plane in votes
        ]
    )
    unsigned = cells[: directions // 2] + cells[directions // 2 :]
    energy = np.pad(unsigned.sum(axis=0), 1, mode="edge")
    around = np.array([[energy[y : y + 3, x : x + 3].mean() for x in range(n)] for y in range(n)])
    return np.sqrt(np.minimum(np.concatenate([cells, unsigned]) / (around + 1e-3), 1))


@pytest.mark.parametrize(("directions", "cell", "side"), [(16, 3, 24), (8, 4, 20), (6, 2, 17)])
def test_features_are_those_of_the_definition(directions, cell, side):
    image = np.random.default_rng(0).random((side, side)) * 3
    image[:4] = 1.0
    found = OrientedGradients(directions, cell)(torch.tensor(image, dtype=torch.float32)[None, None])
    np.testing.assert_allclose(
        found[0].numpy(), slowly(image.astype(np.float32).astype(np.float64), directions, cell), atol=2e-3
    )


def test_brightness_is_not_seen_and_contrast_hardly():
    features = OrientedGradients()
    image = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(features(image + 0.7), features(image), atol=1e-4, rtol=0)
    torch.testing.assert_close(features(image * 0.3), features(image), atol=0.02, rtol=0)
    assert (features(image.flip(0)) - features(image)).abs().max() > 0.1


def test_a_flat_image_has_no_directions_and_no_nan():
    assert not OrientedGradients()(torch.full((1, 3, 48, 48), 0.5)).any()


def test_a_mirrored_image_has_the_mirrored_map_and_directions():
    features = OrientedGradients(directions=8)
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    mirrored = features(image.flip(3)).flip(3)
    # 180 degrees minus the direction.
    signed = torch.tensor([(4 - k) % 8 for k in range(8)])
    unsigned = 8 + torch.tensor([(4 - k) % 4 for k in range(4)])
    torch.testing.assert_close(mirrored[:, torch.cat([signed, unsigned])], features(image), atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", ["cnn", "mlp"])
def test_only_the_head_learns(head):
    network = build_network("oriented_gradients", 7, native_size=48, options={"head": head, "width": 8})
    images = torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8)
    logits = network(images)
    assert logits.shape == (4, 7)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert not list(network.body.gradients.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "svm"}, "head is 'svm'"),
        ({"width": 0}, "width is 0"),
        ({"directions": 7}, "directions is 7"),
        ({"cell": 0}, "cell is 0"),
        ({"cell": 12}, "too few"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        OrientedGradientsNetwork(7, **options)
