from __future__ import annotations

import sys

import numpy as np
import pytest

from fer_bench.data.augmentation import AUGMENTATIONS, Augmenter
from fer_bench.errors import MissingPackageError, SpecError, UnknownNameError
from tests.fakes import smooth_images

IMAGE = smooth_images(1)[0]


def views(augmenter, n=20, seed=0, image=IMAGE):
    augmenter.seed(seed)
    return np.stack([augmenter(image) for _ in range(n)])


BY_IMAGE = [name for name in AUGMENTATIONS if "operations" not in AUGMENTATIONS[name]]


@pytest.mark.parametrize("name", BY_IMAGE)
def test_the_seed_decides_and_shape_and_type_stay(name):
    first, second = Augmenter(name), Augmenter(name)
    a, b, c = views(first), views(second), views(first, seed=1)
    assert a.dtype == np.uint8
    assert a.shape == (20, 48, 48)
    assert (a == b).all()
    assert first.is_identity or (a != c).any()
    assert (views(first) == a).all()
    colour = views(first, 3, image=np.stack([IMAGE] * 3, axis=2))
    assert colour.shape == (3, 48, 48, 3)


def test_none_changes_nothing():
    augmenter = Augmenter("none")
    assert augmenter.is_identity
    assert augmenter(IMAGE) is IMAGE


def test_flip_mirrors_about_half():
    seen = views(Augmenter("flip"), 200)
    mirrored = (seen == IMAGE[:, ::-1]).all(axis=(1, 2))
    assert ((seen == IMAGE).all(axis=(1, 2)) | mirrored).all()
    assert 60 < mirrored.sum() < 140
    assert (views(Augmenter("flip", {"flip": 1.0})) == IMAGE[:, ::-1]).all()


def test_options_replace_the_named_settings():
    assert Augmenter("flip", {"flip": 0}).is_identity
    assert not Augmenter("none", {"brightness": 0.5}).is_identity


def test_border_is_black_only_where_asked():
    bright = np.full((48, 48), 200, dtype=np.uint8)
    options = {"rotate": 45.0, "flip": 0}
    assert (views(Augmenter("none", options), image=bright) == 200).all()
    assert (views(Augmenter("none", {**options, "border": 0}), image=bright) == 0).any()


def test_shift_moves_by_at_most_its_share():
    dot = np.zeros((48, 48), dtype=np.uint8)
    dot[23:25, 23:25] = 255
    for view in views(Augmenter("none", {"shift": 0.1}), 100, image=dot):
        rows, columns = np.nonzero(view > 60)
        assert abs(rows.mean() - 23.5) <= 0.1 * 48 + 1
        assert abs(columns.mean() - 23.5) <= 0.1 * 48 + 1


def test_erase_blanks_one_rectangle():
    seen = views(Augmenter("none", {"erase": 1.0}), 10)
    changed = (seen != IMAGE).mean(axis=(1, 2))
    assert (changed > 0).all()
    assert (changed <= 0.36**2).all()


def test_unknown_names_and_options():
    with pytest.raises(UnknownNameError, match="Did you mean 'standard'"):
        Augmenter("standart")
    with pytest.raises(SpecError, match=r"augment_options\.rotation.*Options: flip, rotate"):
        Augmenter("none", {"rotation": 3})


@pytest.mark.parametrize(
    "options", [{"flip": 2}, {"rotate": "much"}, {"scale": -3}, {"shift": [1]}, {"erase": -1}, {"brightness": "x"}]
)
def test_values_that_cannot_be_used_are_named(options):
    with pytest.raises(SpecError, match=f"augment_options.{next(iter(options))}"):
        Augmenter("none", options)


def test_without_albumentations_the_way_out_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(MissingPackageError, match=r"augment_on = 'loader'.*--augment-on device"):
        Augmenter("flip")
    assert Augmenter("none").is_identity
