"""The cache of features: never another's, and a pass that was interrupted goes on."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from fer_bench.data.computed import dataset_identity
from fer_bench.datasets.synthscenes import SynthScenesDataModule
from fer_bench.errors import BadDataError, DamagedFileWarning
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.features import Place, batch_size_for, extract

N = 700


class Tiny(nn.Module):
    """Means of the quadrants of grey images; counts what it is given."""

    def __init__(self, scale=1.0, stop_after=None):
        super().__init__()
        self.seen, self.stop_after, self.scale = 0, stop_after, scale

    def forward(self, images):
        self.seen += len(images)
        if self.stop_after is not None and self.seen > self.stop_after:
            raise KeyboardInterrupt
        return nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1) * self.scale


def images(seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(N, 48, 48), dtype=np.uint8)


def backbone(module=None, digest="a", preprocessing="48 px"):
    return Backbone("tiny", module or Tiny(), digest, preprocessing, 0)


IDENTITY = {"dataset": "x", "checksums": {"test": "1"}}


def expected():
    return images().reshape(N, 2, 24, 2, 24).mean(axis=(2, 4)).reshape(N, 4)


def test_features_are_computed_once_in_the_order_of_the_images():
    first = extract(backbone(), images(), IDENTITY)
    assert first.values.dtype == np.float16
    assert isinstance(first.values, np.memmap)
    np.testing.assert_allclose(first.values, expected(), rtol=1e-3)
    module = Tiny()
    again = extract(backbone(module), images(), IDENTITY)
    assert (first.n_computed, again.n_computed, module.seen) == (N, 0, 0)
    assert again.key == first.key


@pytest.mark.parametrize(
    ("other", "identity"),
    [
        (backbone(digest="b"), IDENTITY),
        (backbone(preprocessing="32 px"), IDENTITY),
        (backbone(), {**IDENTITY, "checksums": {"test": "2"}}),
        (dataclasses.replace(backbone(), name="other"), IDENTITY),
    ],
)
def test_a_changed_image_weight_or_preprocessing_never_meets_a_stale_cache(other, identity):
    first = extract(backbone(), images(), IDENTITY)
    second = extract(other, images(), identity)
    assert second.n_computed == N
    assert second.key != first.key


def test_an_interrupted_pass_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract(backbone(Tiny(stop_after=520)), images(), IDENTITY, block=100)
    (marker,) = (tmp_path / "cache" / "features").glob("*.progress")
    assert json.loads(marker.read_text()) == {"done": 512, "shape": [N, 4]}
    module = Tiny()
    found = extract(backbone(module), images(), IDENTITY)
    assert module.seen == found.n_computed == N - 512
    np.testing.assert_allclose(found.values, expected(), rtol=1e-3)
    assert not list((tmp_path / "cache" / "features").glob("*.p*"))


def test_a_part_that_cannot_be_trusted_is_begun_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract(backbone(Tiny(stop_after=520)), images(), IDENTITY, block=100)
    (part,) = (tmp_path / "cache" / "features").glob("*.part")
    part.write_bytes(part.read_bytes()[:100])
    assert extract(backbone(), images(), IDENTITY).n_computed == N


def test_damaged_and_empty(tmp_path):
    found = extract(backbone(), images(), IDENTITY)
    path = tmp_path / "cache" / "features" / f"{found.key}.npy"
    for damaged in (path.read_bytes()[:200], path.read_bytes()[:-8], b""):
        path.write_bytes(damaged)
        with pytest.warns(DamagedFileWarning, match="is damaged: it is computed anew"):
            again = extract(backbone(), images(), IDENTITY)
        assert again.n_computed == N
        assert extract(backbone(), images(), IDENTITY).n_computed == 0
    with pytest.raises(BadDataError, match="no images"):
        extract(backbone(), images()[:0], IDENTITY)


def test_what_half_precision_cannot_hold_stays_finite():
    found = extract(backbone(Tiny(scale=1e6)), images(), IDENTITY)
    assert np.isfinite(found.values).all()


def test_half_precision_on_the_way_is_another_cache():
    plain = extract(backbone(), images(), IDENTITY)
    assert extract(backbone(), images(), IDENTITY, Place(torch.device("cpu"), "bf16-mixed")).key != plain.key


def test_batches_shrink_with_the_images():
    assert [batch_size_for(np.zeros((h, w), dtype=np.uint8)) for h, w in ((600, 800), (224, 224), (48, 48))] == [
        4,
        39,
        256,
    ]


def test_the_identity_of_a_dataset_sees_its_images_and_their_order():
    one, two = (
        SynthScenesDataModule(
            "emo8", options={"n_train": 3, "n_validation": 2, "n_test": 2, "width": 64, "height": 64, "seed": s}
        )
        for s in (0, 1)
    )
    assert dataset_identity(one) != dataset_identity(two)
    before = dataset_identity(one)
    one.samples.ids = one.samples.ids[::-1]
    assert dataset_identity(one) != before
    one.samples.checksums = {}
    with pytest.raises(BadDataError, match="checksums"):
        dataset_identity(one)
