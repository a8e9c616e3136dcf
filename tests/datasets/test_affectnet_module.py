"""AffectNet served in batches, from both releases with real images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.datasets.affectnet import release_2021
from fer_bench.datasets.affectnet.module import AffectNetDataModule, read_affectnet_samples
from fer_bench.datasets.affectnet.raw import COLUMNS
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.protocols import PROTOCOLS


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))


def picture(i):
    """Grey, with a red face in the box (20, 10) to (50, 50)."""
    image = np.full((60, 80, 3), 100, dtype=np.uint8)
    image[10:50, 20:50] = (10, 20, 50 + 4 * (i % 40))  # BGR
    return image


def write_lists(root, n=40):
    lists, folder = root / "Manually_Annotated_file_lists", root / "Manually_Annotated_Images" / "7"
    lists.mkdir(parents=True)
    folder.mkdir(parents=True)
    for name, count, first in (("training", n, 0), ("validation", 16, 1000)):
        rows = [",".join(COLUMNS)]
        for i in range(count):
            cv2.imwrite(str(folder / f"{first + i}.png"), picture(i))
            landmarks = ";".join(["1.0"] * 136)
            valence = -2 if i == 0 else round(-1 + i / 20, 2)
            rows.append(f"7/{first + i}.png,20,10,30,40,{landmarks},{i % 8},{valence},{-2 if i == 0 else 0.5}")
        (lists / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return root


def write_2021(root, n=40):
    for folder, count in (("train_set", n), ("val_set", 16)):
        (root / folder / "images").mkdir(parents=True)
        (root / folder / "annotations").mkdir()
        for i in range(count):
            cv2.imwrite(str(root / folder / "images" / f"{i}.jpg"), picture(i))
            for kind, value in (("exp", i % 8), ("val", round(-1 + i / 40, 2)), ("aro", 0.25)):
                np.save(root / folder / "annotations" / f"{i}_{kind}.npy", np.array(str(value)))
            np.save(root / folder / "annotations" / f"{i}_lnd.npy", np.ones(136))
    return root


def test_faces_are_cut_out_of_the_old_release(tmp_path):
    write_lists(tmp_path / "affectnet")
    module = AffectNetDataModule("fer8", data_dir=str(tmp_path), image_size=16, options={"validation": 0.2})
    samples = module.read_samples
    assert samples.layout.startswith("image lists")
    assert len(samples.where("test")) == 16
    at = list(samples.ids).index("7/5.png")
    assert (
        np.abs(samples.images[at].reshape(-1, 3).astype(int) - [70, 20, 10]).max() <= 1
    )  # RGB, nothing of the grey around it
    batch = next(iter(module.val_dataloader()))
    assert batch["image"].shape[1:] == (3, 16, 16)
    assert batch["target"].ndim == 1
    assert set(samples.checksums) == {"train", "validation", "test"}


@pytest.mark.parametrize("task", ["fer8", "fer7", "va", "arousal"])
def test_tasks_of_the_2021_release(tmp_path, task):
    write_2021(tmp_path / "affectnet")
    module = AffectNetDataModule(task, data_dir=str(tmp_path), image_size=24, options={"validation": 0.2})
    samples = module.read_samples
    contempt = 5 if task == "fer7" else 0
    assert len(samples) == 56 - contempt - (2 if task == "fer7" else 0)
    targets = module.targets("test")
    assert targets.shape == {"va": (16, 2), "arousal": (16, 1)}.get(task, (len(targets),))
    batch = next(iter(module.train_dataloader()))
    assert batch["image"].shape[1:] == (3, 24, 24)


def test_rows_without_values_are_left_out_and_counted(tmp_path):
    write_lists(tmp_path / "affectnet")
    samples = read_affectnet_samples(str(tmp_path), "va", size=16)
    assert len(samples) == 54
    assert any("no valence or arousal" in note for note in samples.notes)
    assert not np.isnan(samples.targets["va"]).any()


def test_workers_see_the_same_pictures(tmp_path):
    write_2021(tmp_path / "affectnet")
    batches = []
    for workers in (0, 1):
        module = AffectNetDataModule(
            "fer8", data_dir=str(tmp_path), image_size=16, workers=workers, augment="affectnet_paper", batch_size=8
        )
        batches.append(next(iter(module.train_dataloader()))["image"])
    assert (batches[0] == batches[1]).all()


def test_errors(tmp_path):
    with pytest.raises(MissingDataError, match="on request"):
        read_affectnet_samples(str(tmp_path), "fer8")
    root = write_2021(tmp_path / "affectnet")
    with pytest.raises(SpecError, match="no labels for the task 'emo8'"):
        read_affectnet_samples(str(tmp_path), "emo8")
    with pytest.raises(SpecError, match="validation = 0: input should be greater than 0"):
        AffectNetDataModule("fer8", data_dir=str(tmp_path), options={"validation": 0}).setup()
    (root / "train_set" / "images" / "3.jpg").write_bytes(b"no picture")
    samples = read_affectnet_samples(str(tmp_path), "fer8", size=16)
    with pytest.raises(BadDataError, match=r"3\.jpg: not a readable image"):
        samples.images[list(samples.ids).index("train/3")]


def write_folder(root, counts, first=0):
    """One images/ and one annotations/ folder; ``counts`` of each expression code; the images are not decoded."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    number = first
    for code, count in enumerate(counts):
        for _ in range(count):
            cv2.imwrite(str(root / "images" / f"{number}.jpg"), picture(number))
            for kind, value in (("exp", code), ("val", round(-1 + number % 40 / 20, 2)), ("aro", 0.25)):
                np.save(root / "annotations" / f"{number}_{kind}.npy", np.array(str(value)))
            number += 1
    return root


@pytest.mark.parametrize("inner", ["affectnet", ".", "affectnet/AffectNet8"])
def test_one_folder_is_read_and_says_that_all_splits_are_missing(tmp_path, inner):
    write_folder(tmp_path / inner, [10] * 8)
    module = AffectNetDataModule("fer8", data_dir=str(tmp_path), image_size=16)
    samples = module.read_samples
    assert samples.layout == "one images/ and one annotations/ folder (.npy)"
    assert any(
        "train, validation and test are missing" in note and "20% are held out" in note for note in samples.notes
    )
    assert {split: len(samples.where(split)) for split in ("train", "validation", "test")} == {
        "train": 56,
        "validation": 8,
        "test": 16,
    }
    assert set(samples.ids) == {str(i) for i in range(80)}
    assert samples.images[0].shape == (16, 16, 3)
    again = read_affectnet_samples(str(tmp_path), "fer8")
    assert (again.split == samples.split).all()


def test_one_folder_that_is_the_validation_set_is_the_test_set(tmp_path, monkeypatch):
    # 500 a class and one missing, as in the release of 2021: too many files to write here.
    monkeypatch.setattr(release_2021, "is_validation_set", lambda codes: np.bincount(codes).tolist() == [5] * 7 + [4])
    write_folder(tmp_path, [5] * 7 + [4])
    samples = read_affectnet_samples(str(tmp_path), "fer8")
    assert set(samples.split) == {"test"}
    assert any("train and validation are missing" in note for note in samples.notes)
    module = AffectNetDataModule("fer8", data_dir=str(tmp_path), image_size=16)
    with pytest.raises(BadDataError, match="the train split is empty"):
        module.setup()


def test_what_a_validation_set_looks_like():
    assert release_2021.is_validation_set(np.repeat(np.arange(8), [500] * 7 + [499]))
    assert release_2021.is_validation_set(np.repeat(np.arange(9), 500))
    assert release_2021.is_validation_set(np.repeat(np.arange(7), 500))
    assert not release_2021.is_validation_set(np.repeat(np.arange(8), 100))
    assert not release_2021.is_validation_set(np.repeat(np.arange(8), [500] * 7 + [3750]))


@pytest.mark.parametrize(
    ("gone", "says", "left"),
    [("train", "train and validation are missing", {"test"}), ("val", "test is missing", {"train", "validation"})],
)
def test_one_set_of_a_release_is_read_and_says_what_is_missing(tmp_path, gone, says, left):
    write_2021(tmp_path)
    (tmp_path / f"{gone}_set").rename(tmp_path / "away")
    samples = read_affectnet_samples(str(tmp_path), "fer8")
    assert set(samples.split) == left
    assert any(says in note for note in samples.notes)


@pytest.mark.parametrize(
    ("gone", "says"), [("training", "train and validation are missing"), ("validation", "test is missing")]
)
def test_one_list_is_read_and_says_what_is_missing(tmp_path, gone, says):
    write_lists(tmp_path)
    (tmp_path / "Manually_Annotated_file_lists" / f"{gone}.csv").unlink()
    assert any(says in note for note in read_affectnet_samples(str(tmp_path), "fer8").notes)


def test_a_whole_release_comes_before_a_part_of_one(tmp_path):
    write_folder(tmp_path, [2] * 8)
    write_2021(tmp_path / "whole")
    assert read_affectnet_samples(str(tmp_path), "fer8").layout == "release of 2021 (.npy)"


@pytest.mark.parametrize("task", ["va", "valence", "arousal"])
def test_whether_images_without_an_expression_are_in_the_test_of_values_is_said(tmp_path, task):
    write_lists(tmp_path)
    path = tmp_path / "Manually_Annotated_file_lists" / "validation.csv"
    header, *rows = path.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    for row, code in ((0, 8), (3, 8), (5, 9)):
        cells[row][6] = str(code)
        cells[row][7] = "0.5"
        cells[row][8] = "0.5"
    path.write_text("\n".join([header, *(",".join(row) for row in cells)]))
    samples = read_affectnet_samples(str(tmp_path), task)
    (note,) = [note for note in samples.notes if "code 8" in note]
    assert (
        note
        == "2 of the 16 test images have the expression code 8 (none) and valid valence and arousal: they are in the"
        f" test of {task}; so are 1 of code 9 (uncertain)"
    )
    assert len(samples.where("test")) == 16
    assert "code 8 (none)" in PROTOCOLS[f"affectnet-{task}"].about
    assert not any("code 8" in note for note in read_affectnet_samples(str(tmp_path), "fer8").notes)


def test_clutter_is_passed_over(tmp_path):
    write_2021(tmp_path / "a")
    expected = read_affectnet_samples(str(tmp_path / "a"), "fer8")
    for part in (
        "train_set/images/._1.jpg",
        "train_set/annotations/._1_exp.npy",
        "train_set/annotations/._1_val.npy",
        "train_set/annotations/._1_aro.npy",
    ):
        (tmp_path / "a" / part).write_bytes(b"fork")
    (tmp_path / "a" / "val_set" / "images" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "a" / "__MACOSX" / "images").mkdir(parents=True)
    samples = read_affectnet_samples(str(tmp_path / "a"), "fer8")
    assert samples.ids.tolist() == expected.ids.tolist()
    assert samples.notes == expected.notes
