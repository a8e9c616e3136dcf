from __future__ import annotations

import pickle

import lightning
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.data.batches import EpochSampler
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, Samples, Subset
from fer_bench.datasets.fer2013.module import FER2013DataModule
from fer_bench.datasets.load import build_datamodule, dataset_class
from fer_bench.datasets.synthfaces import SynthFacesDataModule
from fer_bench.errors import BadDataError, SpecError, UnknownNameError
from fer_bench.spec import RunSpec
from tests.fakes import make_faces, smooth_images, write_class_folders, write_csv


class InMemory(AffectDataModule):
    dataset = "memory"

    def __init__(self, samples, **settings):
        super().__init__("fer7", **settings)
        self.given = samples

    def read(self):
        return self.given


def samples(n_train=20, n_validation=7, n_test=9, targets=None, images=None):
    n = n_train + n_validation + n_test
    labels = np.arange(n) % 7
    return Samples(
        np.array([f"s{i}" for i in range(n)]),
        smooth_images(n) if images is None else images,
        np.repeat(SPLITS, [n_train, n_validation, n_test]),
        {"fer7": labels} if targets is None else targets,
        "in memory",
    )


def test_two_ranks_share_an_epoch_and_leave_out_less_than_a_round():
    ranks = [[i for _, i in EpochSampler(101, 3, shuffle=True, rank=rank, world=4)] for rank in range(4)]
    assert {len(rank) for rank in ranks} == {25}
    assert len(set().union(*ranks)) == 100


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 200), world=st.integers(1, 8), epoch=st.integers(0, 50), shuffle=st.booleans())
def test_ranks_are_disjoint_and_lengths_are_told_rightly(n, world, epoch, shuffle):
    dealt = []
    for rank in range(world):
        sampler = EpochSampler(n, 5, shuffle=shuffle, rank=rank, world=world)
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(keys) == len(sampler)
        assert all(key[0] == epoch for key in keys)
        dealt += [key[1] for key in keys]
    assert len(set(dealt)) == len(dealt)
    assert set(dealt) <= set(range(n))
    assert len(dealt) == (n - n % world if shuffle else n)


def order(seed, epoch, shuffle=True):
    sampler = EpochSampler(50, seed, shuffle=shuffle)
    sampler.set_epoch(epoch)
    return [i for _, i in sampler]


def test_order_follows_from_seed_and_epoch():
    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(0, 5, shuffle=False) == list(range(50))


def test_which_sample_a_rank_leaves_out_changes_with_the_epoch():
    left_out = set()
    for epoch in range(20):
        seen = set()
        for rank in range(2):
            sampler = EpochSampler(11, 0, shuffle=True, rank=rank, world=2)
            sampler.set_epoch(epoch)
            seen |= {i for _, i in sampler}
        left_out |= set(range(11)) - seen
    assert len(left_out) > 3


@pytest.mark.parametrize("colour", [False, True])
def test_batches_follow_the_contract(colour):
    images = smooth_images(36)
    if colour:
        images = np.stack([images, images // 2, images // 3], axis=3)
    data = InMemory(samples(images=images), batch_size=6, eval_batch_size=4)
    for split, loader in (
        ("train", data.train_dataloader()),
        ("validation", data.val_dataloader()),
        ("test", data.predict_loader("test")),
    ):
        positions = data.read_samples.where(split)
        seen = []
        for batch in loader:
            assert set(batch) == {"image", "target", "index"}
            assert batch["image"].dtype == torch.uint8
            assert batch["image"].shape[1:] == ((3 if colour else 1), 48, 48)
            assert batch["target"].dtype == torch.int64
            assert batch["index"].dtype == torch.int64
            assert len(batch["image"]) == len(batch["target"]) == len(batch["index"])
            for image, target, index in zip(batch["image"], batch["target"], batch["index"], strict=True):
                at = positions[int(index)]
                stored = images[at].transpose(2, 0, 1) if colour else images[at][None]
                assert (image.numpy() == stored).all()
                assert int(target) == at % 7
            seen += batch["index"].tolist()
        assert sorted(seen) == list(range(len(positions)))
        assert (seen == sorted(seen)) == (split != "train")


@pytest.mark.parametrize(("n", "batch_size", "seen"), [(21, 4, 20), (20, 4, 20), (22, 4, 22), (5, 4, 4), (1, 4, 1)])
def test_only_a_last_batch_of_one_is_left_out_and_only_in_training(n, batch_size, seen):
    data = InMemory(samples(n_train=n, n_validation=n, n_test=n), batch_size=batch_size, eval_batch_size=batch_size)
    assert sum(len(batch["index"]) for batch in data.train_dataloader()) == seen
    assert sum(len(batch["index"]) for batch in data.val_dataloader()) == n
    assert sum(len(batch["index"]) for batch in data.predict_loader("test")) == n


def test_values_are_float_targets():
    values = np.random.default_rng(0).uniform(-1, 1, (36, 2))
    data = InMemory(samples(targets={"fer7": values}), batch_size=6)
    batch = next(iter(data.val_dataloader()))
    assert batch["target"].dtype == torch.float32
    np.testing.assert_allclose(batch["target"].numpy(), values[20:27], rtol=1e-6)


def epoch_of(data, epoch):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return {int(i): image for batch in loader for i, image in zip(batch["index"], batch["image"], strict=True)}


def test_augmentation_follows_from_seed_epoch_and_index_whatever_the_number_of_workers():
    def epochs(workers, seed=0):
        data = InMemory(samples(n_train=40), batch_size=8, augment="strong", workers=workers, seed=seed)
        return [epoch_of(data, epoch) for epoch in (0, 1)]

    alone, two = epochs(0), epochs(2)
    for a, b in zip(alone, two, strict=True):
        assert a.keys() == b.keys()
        assert all((a[i] == b[i]).all() for i in a)
    assert any((alone[0][i] != alone[1][i]).any() for i in alone[0])
    assert any((alone[0][i] != image).any() for i, image in epochs(0, seed=1)[0].items())


def test_an_epoch_looks_the_same_after_a_resume():
    data = InMemory(samples(n_train=40), batch_size=8, augment="strong")
    loader = data.train_dataloader()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        last = {int(i): image for batch in loader for i, image in zip(batch["index"], batch["image"], strict=True)}
    resumed = epoch_of(InMemory(samples(n_train=40), batch_size=8, augment="strong"), 2)
    assert all((last[i] == resumed[i]).all() for i in last)


def test_validation_and_test_are_never_augmented_but_for_views():
    data = InMemory(samples(), batch_size=6, augment="strong")
    images = np.asarray(data.read_samples.images)
    for split, loader in (("validation", data.val_dataloader()), ("test", data.predict_loader("test"))):
        found = np.concatenate([batch["image"].numpy() for batch in loader])[:, 0]
        assert (found == images[data.read_samples.where(split)]).all()

    def view(number):
        return np.concatenate(
            [batch["image"].numpy() for batch in data.predict_loader("test", augmented=True, view=number)]
        )

    assert (view(1) == view(1)).all()
    assert (view(1) != view(2)).any()


def test_samples_without_a_label_of_the_task_are_left_out():
    labels = np.arange(36) % 7
    labels[[0, 21]] = -1
    data = InMemory(samples(targets={"fer7": labels}))
    assert len(data.read_samples) == 34
    assert data.class_counts(7).tolist() == np.bincount(labels[1:20], minlength=7).tolist()


def test_task_without_labels_and_empty_split_are_named():
    with pytest.raises(SpecError, match=r"'memory' has no labels for the task 'fer7'. It has fer8"):
        InMemory(samples(targets={"fer8": np.arange(36) % 7})).setup()
    with pytest.raises(BadDataError, match="the validation split is empty"):
        InMemory(samples(n_validation=0)).setup()


def test_samples_are_read_once():
    data = InMemory(samples())
    data.prepare_data()
    data.setup()
    data.read = lambda: pytest.fail("read again")
    data.setup("fit")
    assert len(data.read_samples) == 36


def test_subset_of_a_subset_indexes_once():
    images = smooth_images(10)
    inner = Subset(Subset(images, np.array([9, 8, 7, 6])), np.array([3, 1]))
    assert len(inner) == 2
    assert (inner[0] == images[6]).all()
    assert (inner[1] == images[8]).all()
    assert inner._images is images


def test_a_spec_becomes_a_datamodule(tmp_path, small_synth):
    write_csv(tmp_path / "fer2013", make_faces())
    spec = RunSpec(dataset="fer2013", batch_size=8, seed=3, augment="flip", execution={"data_dir": str(tmp_path)})
    data = build_datamodule(spec)
    assert isinstance(data, FER2013DataModule)
    assert (data.batch_size, data.seed, data.data_dir) == (8, 3, str(tmp_path))
    assert len(data.read_samples) == 70
    synthetic = build_datamodule(RunSpec(dataset_options=small_synth), batch_size=4)
    assert isinstance(synthetic, SynthFacesDataModule)
    assert next(iter(synthetic.train_dataloader()))["image"].shape == (4, 1, 48, 48)
    write_class_folders(tmp_path / "mine", 10)
    own = build_datamodule(RunSpec(dataset="folder:mine", image_size=32, execution={"data_dir": str(tmp_path)}))
    assert next(iter(own.val_dataloader()))["image"].shape[1:] == (1, 32, 32)


def test_unknown_dataset():
    with pytest.raises(UnknownNameError, match="Did you mean 'fer2013'"):
        dataset_class("fer2031")


def test_a_module_that_only_reads_and_one_with_batches():
    given = samples()
    whole, reading = InMemory(given), InMemory.reading(given)
    assert isinstance(whole, lightning.LightningDataModule)
    assert isinstance(whole, InMemory)
    assert type(whole).__name__ == "InMemory"
    assert not isinstance(reading, lightning.LightningDataModule)
    whole.setup()
    reading.setup()
    assert reading.read_samples.ids.tolist() == whole.read_samples.ids.tolist()
    assert (reading.targets("test") == whole.targets("test")).all()
    again = pickle.loads(pickle.dumps(whole))
    assert isinstance(again, lightning.LightningDataModule)
    assert len(next(iter(again.predict_loader("test")))["index"]) == 9
