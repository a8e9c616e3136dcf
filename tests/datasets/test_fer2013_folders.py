from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.datasets.fer2013 import folders
from fer_bench.datasets.fer2013.folders import usage_split
from fer_bench.datasets.fer2013.module import read_fer2013
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7
from tests.fakes import SPLIT_OF, make_faces, write_folders

# Of the copy that circulates most; the numbers are those of the CSV's order of images in no way.
REAL_NAMES = {"Training_3908.jpg": "train", "PublicTest_27380602.jpg": "validation", "PrivateTest_88305.jpg": "test"}
KAGGLE = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}


@pytest.fixture(scope="module")
def faces():
    return make_faces()


def write(root, faces, place):
    """``place(row, label, usage)`` says where each image goes."""
    for row, (image, label, usage) in enumerate(zip(faces.images, faces.labels, faces.usage, strict=True)):
        path = root / place(row, int(label), str(usage))
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
    return root


def kaggle(row, label, usage):
    return f"{KAGGLE[usage]}/{FER7.names[label]}/{usage}_{10_000_000 + row * 37}.png"


def check(samples, faces):
    """The faces of the CSV, by label and split."""
    labels = samples.targets["fer7"]
    found = sorted(
        (str(samples.split[i]), int(labels[i]), np.asarray(samples.images[i]).tobytes()) for i in range(len(samples))
    )
    wanted = sorted(
        (SPLIT_OF[str(u)], int(label), image.tobytes())
        for u, label, image in zip(faces.usage, faces.labels, faces.images, strict=True)
    )
    assert found == wanted


@pytest.mark.parametrize("name", REAL_NAMES)
def test_the_beginning_of_a_name_says_the_split(name):
    assert usage_split(f"test/angry/{name}") == REAL_NAMES[name]
    assert usage_split(name.replace("Test_", "test-").upper()) == REAL_NAMES[name]


@pytest.mark.parametrize("name", REAL_NAMES)
def test_what_stands_before_the_usage_hides_no_split(name):
    assert usage_split(f"test/angry/fer_{name}") == usage_split(f"test/angry/0012-{name}") == REAL_NAMES[name]
    usage, _, number = name.partition("_")
    assert usage_split(f"test/angry/{number.removesuffix('.jpg')}_{usage}.jpg") == REAL_NAMES[name]


@pytest.mark.parametrize(
    "name", ["im0.png", "Trainings_1.png", "ATraining_1.png", "test_1.png", "Training_PublicTest_1.png"]
)
def test_other_names_say_none(name):
    assert usage_split(f"PublicTest/angry/{name}") == ""


PLACES = {
    "both tests in test/": kaggle,
    "capitals, .PNG": lambda row, label, usage: (
        f"{KAGGLE[usage].upper()}/{FER7.names[label].title()}/{usage.upper()}_{row * 37}.PNG"
    ),
    "all in train/": lambda row, label, usage: f"train/{FER7.names[label]}/{usage}_{row * 37}.png",
    "no split folders": lambda row, label, usage: f"{FER7.names[label]}/{usage}_{row * 37}.png",
    "split folders against the names": lambda row, label, usage: (
        f"{('test', 'train')[row % 2]}/{FER7.names[label]}/{usage}-{row * 37}.png"
    ),
    "ids as folders": lambda row, label, usage: f"{KAGGLE[usage]}/{label}/{usage}_{row * 37}.png",
    "ids and names as folders": lambda row, label, usage: (
        f"{KAGGLE[usage]}/{label}_{FER7.names[label]}/{usage}_{row * 37}.png"
    ),
    "usages as folders": lambda row, label, usage: f"{usage}/{FER7.names[label]}/{row}.png",
    "usages in other words as folders": lambda row, label, usage: (
        f"{usage.replace('Test', '_test').lower()}/{FER7.names[label]}/{row}.png"
    ),
    "a folder around": lambda row, label, usage: f"archive/images/{kaggle(row, label, usage)}",
    "nested below a class": lambda row, label, usage: (
        f"{KAGGLE[usage]}/{FER7.names[label]}/{row % 3}/{usage}_{row * 37}.png"
    ),
}


@pytest.mark.parametrize("inner", ["", "fer2013"])
@pytest.mark.parametrize("place", PLACES)
def test_the_official_splits_come_back_whole(faces, tmp_path, place, inner):
    write(tmp_path / inner, faces, PLACES[place])
    samples = read_fer2013(str(tmp_path))
    check(samples, faces)
    assert not any("recovered" in note or "hash" in note for note in samples.notes)


def test_images_in_a_folder_of_another_split_are_counted(faces, tmp_path):
    write(tmp_path, faces, kaggle)
    n = int((faces.usage == "PublicTest").sum())
    assert any(f"{n} images are in a folder of another split" in note for note in read_fer2013(str(tmp_path)).notes)


def test_two_folders_of_one_split_are_refused(faces, tmp_path):
    write(tmp_path, faces, kaggle)
    shutil.copytree(tmp_path / "train", tmp_path / "training")
    with pytest.raises(BadDataError, match="the folders 'train' and 'training' are both of the train split"):
        read_fer2013(str(tmp_path))


def test_clutter_is_passed_over(faces, tmp_path):
    write(tmp_path, faces, kaggle)
    image = next((tmp_path / "train" / "happy").iterdir())
    for name in (
        "test/happy/._PublicTest_1.png",
        "__MACOSX/test/happy/._PublicTest_1.png",
        "train/.ipynb_checkpoints/a.png",
        "train/happy/.hidden/PublicTest_2.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / name)
    (tmp_path / "test" / "happy" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "train" / ".DS_Store").write_bytes(b"x")
    check(read_fer2013(str(tmp_path)), faces)


def test_two_folders_with_other_names_say_that_the_official_validation_split_is_lost(faces, tmp_path):
    write(
        tmp_path,
        faces,
        lambda row, label, usage: f"{'test' if usage == 'PrivateTest' else 'train'}/{FER7.names[label]}/im{row}.png",
    )
    samples = read_fer2013(str(tmp_path))
    assert any(
        "official validation split cannot be recovered" in note and "hash of the ids" in note for note in samples.notes
    )
    assert any("not the official" in note for note in samples.notes)
    assert len(samples.where("validation")) == 7
    assert len(samples.where("test")) == (faces.usage == "PrivateTest").sum()
    assert (read_fer2013(str(tmp_path)).split == samples.split).all()


def test_class_folders_alone_are_split_and_said_to_be(faces, tmp_path):
    write(tmp_path, faces, lambda row, label, usage: f"{FER7.names[label]}/{row}.png")
    samples = read_fer2013(str(tmp_path))
    assert any("the official splits are lost" in note for note in samples.notes)
    assert all(len(samples.where(split)) for split in ("train", "validation", "test"))


def test_a_copy_of_the_copy_inside_is_not_read_twice_and_said(faces, tmp_path):
    # As one of the circulating archives is packed.
    write(tmp_path / "images", faces, lambda row, label, usage: kaggle(row, label, usage))
    shutil.copytree(tmp_path / "images", tmp_path / "again")
    shutil.move(tmp_path / "again", tmp_path / "images" / "images")
    samples = read_fer2013(str(tmp_path))
    check(samples, faces)
    assert any("not read" in note and "images" in note for note in samples.notes)


def test_single_numbers_alone_are_not_class_folders(faces, tmp_path):
    for name in "12":
        (tmp_path / "data" / name).mkdir(parents=True)
    write(tmp_path / "data" / "fer2013", faces, kaggle)
    check(read_fer2013(str(tmp_path / "data")), faces)


@pytest.mark.parametrize(("folder", "says"), [("7", "'7' (1)"), ("contempt", "'contempt' (1)")])
def test_a_folder_that_is_not_a_class_is_named(faces, tmp_path, folder, says):
    write(tmp_path, faces, PLACES["ids as folders"])
    (tmp_path / "train" / folder).mkdir()
    shutil.copy(next((tmp_path / "train" / "3").iterdir()), tmp_path / "train" / folder / "Training_1.png")
    with pytest.raises(BadDataError) as error:
        read_fer2013(str(tmp_path))
    assert says in error.value.problem
    assert "0 to 6" in error.value.hint


def test_an_empty_class_and_class_folders_outside_the_splits_are_named(faces, tmp_path):
    write(tmp_path, faces, kaggle)
    shutil.copytree(tmp_path / "train" / "sad", tmp_path / "sad")
    with pytest.raises(BadDataError, match=r"some \(sad\) are not"):
        read_fer2013(str(tmp_path))
    shutil.rmtree(tmp_path / "sad")
    for part in ("train", "test"):
        shutil.rmtree(tmp_path / part / "disgust")
    with pytest.raises(BadDataError, match="no image of disgust"):
        read_fer2013(str(tmp_path))


def test_images_of_which_nothing_says_the_split_are_named(faces, tmp_path):
    write(tmp_path, faces, PLACES["no split folders"])
    path = next((tmp_path / "sad").iterdir())
    path.rename(path.with_name("other.png"))
    with pytest.raises(BadDataError, match=r"1 images have no split.*sad/other\.png"):
        read_fer2013(str(tmp_path))


def test_unreadable_images_are_quarantined_up_to_one_in_a_hundred(tmp_path):
    faces = make_faces((20, 5, 5))
    write_folders(tmp_path, faces)
    broken = next((tmp_path / "train" / "happy").iterdir())
    broken.write_bytes(b"no image")
    samples = read_fer2013(str(tmp_path))
    assert samples.quarantined == [
        (broken.relative_to(tmp_path).as_posix(), "not a readable image: none of PNG, JPEG, BMP, WebP, TIFF and GIF")
    ]
    for path in (tmp_path / "train" / "sad").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(BadDataError, match="21 of 210 images cannot be read"):
        read_fer2013(str(tmp_path))


def test_folders_that_are_numbered_by_the_alphabet_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_ENOUGH", 10)
    # As in FER2013, surprise is rarest of the three whose ids are not their places in the alphabet.
    faces = [name for name in FER7.names for _ in range(3 if name == "surprise" else 6)]
    for numbered, order in (("ids", FER7.names), ("alphabet", sorted(FER7.names))):
        for i, name in enumerate(faces):
            path = tmp_path / numbered / ("test" if i % 3 == 0 else "train") / str(order.index(name)) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), np.full((48, 48), i, dtype=np.uint8))
    samples = read_fer2013(str(tmp_path / "ids"))
    assert any("read as FER2013's ids (0 angry, 1 disgust" in note for note in samples.notes)
    assert np.bincount(samples.targets["fer7"]).tolist() == [6, 6, 6, 6, 6, 3, 6]
    with pytest.raises(BadDataError, match=r"6 has the fewest images \(6, 6 and 3\).*numbered by the alphabet"):
        read_fer2013(str(tmp_path / "alphabet"))


def test_every_image_is_known_by_its_path(faces, tmp_path):
    write(tmp_path, faces, kaggle)
    samples = read_fer2013(str(tmp_path))
    for sample_id, image in zip(samples.ids, samples.images, strict=True):
        assert (cv2.imread(str(tmp_path / str(sample_id)), cv2.IMREAD_GRAYSCALE) == image).all()
    assert folders.find_folders(tmp_path) == tmp_path
    assert Path(str(samples.ids[0])).parts[0] == "test"
