"""SFEW in the folders, and with the names, that public programs quote; the pictures are made up."""

from __future__ import annotations

import os

import pytest

from fer_bench.cli.audit import report
from fer_bench.datasets.sfew import SfewDataModule, read_sfew
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7
from fer_bench.protocols.sfew import SfewOptions
from tests.datasets.fakes_pictures import write_picture

# Quoted; the rest of the names below is made up after them.
QUOTED = (
    "Airheads_000519240_00000005",
    "AlexEmma_004507280_00000060",
    "HarryPotter_Deathly_Hallows_1_005528520_00000026",
)
CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
LAYOUTS = {
    "plain": ("Train", "Val", False),
    "aligned": ("Train_Aligned_Faces", "Val_Aligned_Faces", True),
    "inside": ("Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces", True),
    "below": ("SFEW 2.0/images/Train_Aligned_Faces", "SFEW 2.0/images/Val_Aligned_Faces", True),
    "valid": ("train", "valid", False),
    "named": ("Train_SFEW_2_0", "Val_SFEW_2_0", False),
}


def write(root, train, val, films=8, start=0):
    for folder, first, n in ((train, 0, films), (val, films, 2)):
        for i, name in enumerate(CLASSES):
            for film in range(first, first + n):
                path = root / folder / name / f"Film{film}_{i:09d}_{film:08d}.png"
                write_picture(path, start + 100 * film + i)
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    train, val, aligned = LAYOUTS[layout]
    write(tmp_path / "sfew", train, val)
    samples = read_sfew(str(tmp_path), size=16)
    assert samples.layout == f"class folders, {'aligned faces' if aligned else 'original pictures'}"
    assert {part: len(samples.where(part)) for part in ("train", "validation", "test")} == {
        "train": 49,
        "validation": 7,
        "test": 14,
    }
    assert [name.partition("/")[2].partition("/")[0] for name in samples.ids] == [
        FER7.names[label] for label in samples.targets["fer7"]
    ]
    # Whole films are held out.
    assert not set(samples.groups[samples.split == "train"]) & set(samples.groups[samples.split == "validation"])
    assert samples.images[0].shape == (16, 16, 3)
    assert any("958 to train, 436 to test" in note for note in samples.notes) != aligned


def test_quoted_names(tmp_path):
    for i, name in enumerate(QUOTED):
        for folder in ("Train", "Val"):
            write_picture(tmp_path / "sfew" / folder / "Angry" / f"{name}.png", i)
    films = read_sfew(str(tmp_path)).columns["film"]
    assert sorted(set(films)) == ["Airheads", "AlexEmma", "HarryPotter_Deathly_Hallows_1"]


def test_aligned_faces_or_stills(tmp_path):
    write(tmp_path / "sfew", "Train", "Val")
    with pytest.raises(BadDataError, match=r"no aligned pictures of both splits, only original ones.*images=original"):
        read_sfew(str(tmp_path), SfewOptions(images="aligned"))
    write(tmp_path / "sfew", "Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces", start=50)
    assert "aligned faces" in read_sfew(str(tmp_path)).layout
    with pytest.raises(BadDataError, match="'Train_Aligned_Faces'"):
        read_sfew(str(tmp_path), SfewOptions(images="original"))


def test_what_is_not_sfew(tmp_path):
    write(tmp_path / "sfew", "Train", "Val")
    write_picture(tmp_path / "sfew/Train/Bored/Film1_000000001_00000001.png")
    with pytest.raises(BadDataError, match="not classes of fer7: 'Bored'"):
        read_sfew(str(tmp_path))
    (tmp_path / "sfew").rename(tmp_path / "other")
    write(tmp_path / "other", "Train_2", "Val_2")
    with pytest.raises(BadDataError, match=r"Train.* and .*Train.* are of one split"):
        read_sfew(str(tmp_path / "other"))
    # Other datasets have class folders in train and val too.
    for part in ("train", "val"):
        write_picture(tmp_path / "fer" / part / "angry" / "Training_3908.jpg")
    with pytest.raises(MissingDataError, match=r"such as Airheads_000519240_00000005\.png.* on request"):
        read_sfew(str(tmp_path / "fer"))


def test_a_name_of_any_bytes_can_be_written(tmp_path):
    write(tmp_path / "sfew", "Train", "Val")
    path = tmp_path / "sfew/Train/Angry/Film0_000000000_00000000.png"
    path.rename(path.with_name(os.fsdecode(b"Am\xe9lie_000000001_00000001.png")))
    samples = read_sfew(str(tmp_path), size=16)
    (name,) = (name for name in samples.ids.tolist() if "Am" in name)
    assert name.encode() == rb"train/angry/Am\xe9lie_000000001_00000001"
    assert samples.images[samples.ids.tolist().index(name)].shape == (16, 16, 3)


def test_as_a_dataset(tmp_path):
    write(tmp_path / "sfew", "Train", "Val")
    module = SfewDataModule("fer7", data_dir=str(tmp_path), image_size=32)
    assert module.class_counts(7).tolist() == [7] * 7
    assert next(iter(module.val_dataloader()))["image"].shape == (7, 3, 32, 32)
    said = "\n".join(report("sfew", None, str(tmp_path), 0))
    assert "unverified: the reader follows the folders and names" in said
