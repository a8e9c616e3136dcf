"""RandAugment of faces: what is drawn, what it does to pixels, and that nothing else has changed for it."""

import numpy as np
import pytest
import torch

from fer_bench.data.augmentation import Augmenter, settings_of
from fer_bench.data.batch_augmentation import BatchAugmenter
from fer_bench.data.rand_augment import LARGEST, apply_tone, draw_operations
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import SpecError
from fer_bench.spec import RunSpec
from tests.fakes import smooth_images

IMAGES = torch.from_numpy(smooth_images(6)).unsqueeze(1)


def drawn(n=2000, **settings):
    return draw_operations(np.random.default_rng(0), n, {"operations": 2, "magnitude": 0.5, **settings})


@pytest.mark.parametrize("operations", [1, 2, 9])
def test_each_image_gets_so_many_operations_and_each_operation_its_share(operations):
    got = np.stack([strength != 0 for strength in drawn(operations=operations).values()])
    assert (got.sum(axis=0) == operations).all()
    assert np.abs(got.mean(axis=1) - operations / 9).max() < 0.05


def test_strengths_are_even_up_to_the_magnitude_in_both_directions():
    for name, strength in drawn(operations=9).items():
        assert 0.97 * 0.5 * LARGEST[name] < np.abs(strength).max() <= 0.5 * LARGEST[name]
        assert abs(strength.mean()) < 0.02 * LARGEST[name]


def test_what_is_drawn_without_operations_is_what_it_was():
    strong = BatchAugmenter("strong").draw(7, 6)
    assert strong[:, :13].double().sum().item() == pytest.approx(22.247314749693032, abs=1e-4)
    assert not strong[:, 13:].any()
    more = BatchAugmenter("strong", {"operations": 2, "magnitude": 0.5}).draw(7, 6)
    assert torch.equal(strong[:, 8:13], more[:, 8:13])
    assert not torch.equal(strong[:, :8], more[:, :8])


def test_gamma_and_sharpness_against_images_made_here():
    x = IMAGES[:2].float()
    zero, one = torch.zeros(2), torch.ones(2)
    torch.testing.assert_close(apply_tone(x, zero, zero), x)
    torch.testing.assert_close(apply_tone(x, one, zero), x.square() / 255)
    padded = np.pad(x[:, 0].numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = sum(padded[:, i : i + 48, j : j + 48] for i in range(3) for j in range(3))
    smooth = torch.from_numpy((around + 4 * x[:, 0].numpy()) / 13)[:, None]
    torch.testing.assert_close(apply_tone(x, zero, -one), smooth)
    torch.testing.assert_close(apply_tone(x, zero, one), (2 * x - smooth).clamp(0, 255))
    colour = x.expand(-1, 3, -1, -1)
    torch.testing.assert_close(apply_tone(colour, one, one), apply_tone(x, one, one).expand(-1, 3, -1, -1))


def test_contrast_is_about_the_middle_grey(monkeypatch):
    only = {name: np.zeros(6) for name in LARGEST} | {"contrast": np.full(6, 0.4)}
    monkeypatch.setattr("fer_bench.data.rand_augment.draw_operations", lambda *a: only)
    augmenter = BatchAugmenter("none", {"operations": 1, "magnitude": 1.0})
    changed = augmenter.change(IMAGES, augmenter.draw(0, 6))
    expected = ((IMAGES.float() - 127.5) * 1.4 + 127.5).round().clamp(0, 255)
    assert (changed.float() - expected).abs().max() <= 1


def test_a_magnitude_alone_changes_nothing():
    for options in ({"magnitude": 0.5}, {"operations": 3}, {"operations": 0, "magnitude": 1}):
        assert BatchAugmenter("none", options).is_identity
    assert not BatchAugmenter("none", {"operations": 1, "magnitude": 0.1}).is_identity


@pytest.mark.parametrize(
    "options", [{"operations": 1.5}, {"operations": 10}, {"magnitude": 2}, {"operations": -1}, {"operation": 2}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SpecError, match=f"augment_options.{next(iter(options))}"):
        settings_of("rand_faces", options)


def test_images_one_by_one_are_refused_before_anything_is_read():
    with pytest.raises(SpecError, match=r"augment = 'rand_faces'.*augment_on=device"):
        build_datamodule(RunSpec(augment="rand_faces"))
    with pytest.raises(SpecError, match="augment_on=device"):
        Augmenter("flip", {"operations": 2, "magnitude": 0.5})
    assert build_datamodule(RunSpec(augment="rand_faces", augment_on="device")).augmenter
