from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from fer_bench.data.augmentation import AUGMENTATIONS, Augmenter
from fer_bench.data.batch_augmentation import BatchAugmenter
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.spec import RunSpec
from tests.data.test_augmentation import BY_IMAGE
from tests.fakes import smooth_images

IMAGES = torch.from_numpy(smooth_images(6)).unsqueeze(1)
SMALL = {"n_train": 40, "n_validation": 14, "n_test": 14}


def views(augmenter, n=200, seed=0, image=IMAGES[0]):
    return augmenter.change(image.expand(n, -1, -1, -1), augmenter.draw(seed, n)).numpy()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_seed_decides_and_shape_and_type_stay(name):
    first, second = BatchAugmenter(name), BatchAugmenter(name)
    drawn = first.draw(3, 6)
    assert torch.equal(drawn, second.draw(3, 6))
    assert first.is_identity or not torch.equal(drawn, first.draw(4, 6))
    assert first.is_identity == (name == "none")
    for images in (IMAGES, IMAGES.expand(-1, 3, -1, -1), IMAGES[:, :, :30]):
        changed = first.change(images, drawn)
        assert (changed.dtype, changed.shape) == (torch.uint8, images.shape)
        assert torch.equal(changed, images) == first.is_identity


def test_flip_mirrors_about_half():
    seen = views(BatchAugmenter("flip"))
    plain, mirrored = ((seen == image).all(axis=(1, 2, 3)) for image in (IMAGES[0].numpy(), IMAGES[0].flip(2).numpy()))
    assert (plain ^ mirrored).all()
    assert 60 < mirrored.sum() < 140


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mere_flip_is_what_resampling_gives(channels):
    images = IMAGES.expand(-1, channels, -1, -1)
    only, resampled = BatchAugmenter("flip"), BatchAugmenter("flip", {"erase": 1e-9})
    drawn = only.draw(3, len(images))
    assert torch.equal(only.change(images, drawn), resampled.change(images, drawn))


@pytest.mark.parametrize("shape", [(48, 48), (30, 48), (48, 20)])
def test_pixels_come_from_where_the_drawn_map_says(shape):
    height, width = shape
    augmenter = BatchAugmenter("none", {"rotate": 40.0, "shift": 0.2, "scale": 0.3, "shear": 20.0, "flip": 0.5})
    images, drawn = IMAGES[:, :, :height, :width], augmenter.draw(5, 6)
    rows, columns = np.mgrid[:height, :width].astype(float)
    for image, changed, draw in zip(
        images[:, 0].numpy(), augmenter.change(images, drawn)[:, 0].numpy(), drawn.double().numpy(), strict=True
    ):
        # In pixels from the centre, the shift in shares of each side.
        x, y = columns - (width - 1) / 2 - draw[4] * width, rows - (height - 1) / 2 - draw[5] * height
        at = [draw[2] * x + draw[3] * y + (height - 1) / 2, draw[0] * x + draw[1] * y + (width - 1) / 2]
        expected = map_coordinates(image.astype(float), at, order=1, mode="nearest")
        assert np.abs(expected - changed).max() <= 1


def test_rotation_keeps_lengths_and_limits():
    drawn = BatchAugmenter("none", {"rotate": 30.0}).draw(0, 500)
    maps = drawn[:, :4].reshape(-1, 2, 2)
    torch.testing.assert_close(maps @ maps.mT, torch.eye(2).expand(500, 2, 2), atol=1e-5, rtol=0)
    angles = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert 27 < angles.abs().max() <= 30
    assert abs(angles.mean()) < 3


@pytest.mark.parametrize("n", [1000, pytest.param(3000, marks=pytest.mark.proof)])
@pytest.mark.parametrize("name", [name for name in BY_IMAGE if name != "none"])
def test_the_mean_view_is_that_of_albumentations(name, n):
    """Two independent implementations of the same random changes have the same expected image; but albumentations
    shifts by whole pixels only."""
    options = {"shift": 0}
    one_by_one = Augmenter(name, options)
    one_by_one.seed(1)
    image = IMAGES[0, 0].numpy()
    theirs = np.stack([one_by_one(image) for _ in range(n)])
    ours = views(BatchAugmenter(name, options), n)[:, 0]
    error = np.sqrt((theirs.var(axis=0) + ours.var(axis=0)) / n)
    assert (np.abs(theirs.mean(axis=0) - ours.mean(axis=0)) < 5 * error + 1).all()
    assert np.abs(theirs.std(axis=0) - ours.std(axis=0)).mean() < 0.1 * theirs.std(axis=0).mean()


def test_shift_moves_by_at_most_its_share():
    shift = BatchAugmenter("none", {"shift": 0.1}).draw(0, 500)[:, 4:6]
    assert 0.098 < shift.abs().max() <= 0.1
    assert (shift.mean(dim=0).abs() < 0.01).all()


def test_border_is_black_only_where_asked():
    bright = torch.full((1, 48, 48), 200, dtype=torch.uint8)
    assert (views(BatchAugmenter("none", {"rotate": 45.0}), image=bright) == 200).all()
    assert (views(BatchAugmenter("none", {"rotate": 45.0, "border": 0}), image=bright) == 0).any()


def test_erase_blanks_one_rectangle_of_one_grey():
    for view in views(BatchAugmenter("none", {"erase": 1.0}), 50)[:, 0]:
        rows, columns = np.nonzero(view != IMAGES[0, 0].numpy())
        inside = view[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert max(inside.shape) <= 0.35 * 48 + 1
        assert (inside == np.bincount(inside.ravel()).argmax()).mean() > 0.9


def test_what_is_wrong_is_refused_as_elsewhere():
    with pytest.raises(UnknownNameError, match="Did you mean 'standard'"):
        BatchAugmenter("standart")
    with pytest.raises(SpecError, match=r"augment_options\.rotation.*Options: flip, rotate"):
        BatchAugmenter("none", {"rotation": 3})


def test_the_loader_draws_and_the_device_changes():
    data = build_datamodule(RunSpec(dataset_options=SMALL, augment="standard", augment_on="device", batch_size=16))
    plain = build_datamodule(RunSpec(dataset_options=SMALL, batch_size=16))
    batch, same, unchanged = (next(iter(module.train_dataloader())) for module in (data, data, plain))
    assert torch.equal(batch["image"], unchanged["image"])
    changed = data.on_after_batch_transfer(batch, 0)
    assert set(changed) == {"image", "target", "index"}
    assert torch.equal(changed["image"], data.augmenter.change(batch["image"], same["drawn"]))
    assert not torch.equal(changed["image"], batch["image"])
    # Validation is left as it is.
    (kept,) = data.val_dataloader()
    assert torch.equal(data.on_after_batch_transfer(kept, 0)["image"], next(iter(plain.val_dataloader()))["image"])


def test_another_epoch_is_changed_otherwise():
    data = build_datamodule(RunSpec(dataset_options=SMALL, augment="standard", augment_on="device"))
    dataset = data.split_dataset("train", augmented=True)
    first, again, second = (dataset.__getitems__([(epoch, i) for i in range(8)])["drawn"] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
