"""One vocabulary of splits for class folders, FER2013's folders and tables; what it does not know is not read past in
silence."""

from __future__ import annotations

import pytest

from fer_bench.data.split_names import sounds_like_split, split_of
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError
from fer_bench.spec import RunSpec
from tests.fakes import write_class_folders

KNOWN = {
    "train": (
        "train",
        "TRAIN",
        "Training",
        "train_set",
        "trainset",
        "TrainingSet",
        "train-data",
        "train images",
        "images_train",
        " Train ",
    ),
    "validation": (
        "val",
        "Valid",
        "validation_set",
        "valset",
        "ValidationData",
        "dev",
        "PublicTest",
        "Public Test",
        "public_test_set",
    ),
    "test": ("test", "Testing", "test_set", "testset", "test images", "TestFaces", "PrivateTest", "private-test"),
}


@pytest.mark.parametrize(("split", "name"), [(split, name) for split, names in KNOWN.items() for name in names])
def test_names_of_splits(split, name):
    assert split_of(name) == split


@pytest.mark.parametrize(
    "name", ["happy", "latest", "pretrained", "S001", "set", "images", "value", "developer", "contest", ""]
)
def test_other_names_are_no_splits_and_do_not_sound_like_one(name):
    assert split_of(name) == ""
    assert not sounds_like_split(name)


@pytest.mark.parametrize("name", ["train_aug", "FER2013Test", "test2", "my validation crops", "train_test"])
def test_names_that_only_sound_like_a_split(name):
    assert split_of(name) == ""
    assert sounds_like_split(name)


def read(folder):
    return build_datamodule(RunSpec(dataset="folder:mine", execution={"data_dir": str(folder)})).read()


@pytest.mark.parametrize(
    "names",
    [
        ("train_set", "val_set", "test_set"),
        ("trainset", "valset", "testset"),
        ("Training Images", "ValidData", "Test Images"),
    ],
)
def test_class_folders_keep_the_splits_that_they_have_under_other_names(tmp_path, names):
    for seed, (name, n) in enumerate(zip(names, (3, 1, 2), strict=True)):
        write_class_folders(tmp_path / "mine" / name, per_class=n, seed=seed)
    samples = read(tmp_path)
    assert {split: int((samples.split == split).sum()) for split in ("train", "validation", "test")} == {
        "train": 21,
        "validation": 7,
        "test": 14,
    }
    assert samples.notes == []


def test_a_folder_that_sounds_like_a_split_is_refused_and_not_mixed_with_the_others(tmp_path):
    for seed, name in enumerate(("train_aug", "test_aug")):
        write_class_folders(tmp_path / "mine" / name, per_class=2, seed=seed)
    with pytest.raises(BadDataError, match="'test_aug' looks like a split"):
        read(tmp_path)


def test_one_split_inside_another_is_refused(tmp_path):
    write_class_folders(tmp_path / "mine" / "train", per_class=2)
    write_class_folders(tmp_path / "mine" / "train" / "val", per_class=2, seed=1)
    with pytest.raises(BadDataError, match="two splits, train and validation"):
        read(tmp_path)


def test_a_wrapper_that_is_named_after_both_is_none_of_them(tmp_path):
    for seed, name in enumerate(("train", "test")):
        write_class_folders(tmp_path / "mine" / "train_test_images" / name, per_class=2, seed=seed)
    assert set(read(tmp_path).split) == {"train", "validation", "test"}
