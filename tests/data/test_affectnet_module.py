"""AffectNet served in batches, from both releases with real images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.data.affectnet_index import COLUMNS
from fer_bench.data.affectnet_module import AffectNetDataModule, read_affectnet_samples
from fer_bench.errors import BadDataError, MissingDataError, SpecError


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
    assert np.abs(samples.images[at].reshape(-1, 3).astype(int) - [70, 20, 10]).max() <= 1  # RGB, nothing of the grey around it
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
        module = AffectNetDataModule("fer8", data_dir=str(tmp_path), image_size=16, workers=workers, augment="affectnet_paper", batch_size=8)
        batches.append(next(iter(module.train_dataloader()))["image"])
    assert (batches[0] == batches[1]).all()


def test_errors(tmp_path):
    with pytest.raises(MissingDataError, match="on request"):
        read_affectnet_samples(str(tmp_path), "fer8")
    root = write_2021(tmp_path / "affectnet")
    with pytest.raises(SpecError, match="no labels for the task 'emo8'"):
        read_affectnet_samples(str(tmp_path), "emo8")
    with pytest.raises(SpecError, match="no share"):
        AffectNetDataModule("fer8", data_dir=str(tmp_path), options={"validation": 0}).setup()
    (root / "train_set" / "images" / "3.jpg").write_bytes(b"no picture")
    samples = read_affectnet_samples(str(tmp_path), "fer8", size=16)
    with pytest.raises(BadDataError, match=r"3\.jpg: not a readable image"):
        samples.images[list(samples.ids).index("train/3")]
