from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.data.samples import SPLITS
from fer_bench.datasets.folder import FolderDataModule
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import FER7, FER8
from tests.fakes import make_faces, write_class_folders, write_folders

COUNT = 20


def read(folder, task="fer7", name="mine", **options):
    return FolderDataModule(task, name=name, data_dir=str(folder), options=options).read()


def test_labels_come_from_folder_names(tmp_path):
    spelled = ("ANGER", "Disgusted", "afraid", "joy", "sadness", " Surprised", "Neutrality")
    write_class_folders(tmp_path / "mine", names=spelled)
    samples = read(tmp_path)
    for sample_id, label in zip(samples.ids, samples.targets["fer7"], strict=True):
        assert spelled.index(sample_id.split("/")[0]) == label


def test_another_task_orders_the_classes_in_its_own_way(tmp_path):
    write_class_folders(tmp_path / "mine", names=FER8.names)
    samples = read(tmp_path, "fer8")
    for sample_id, label in zip(samples.ids, samples.targets["fer8"], strict=True):
        assert sample_id.split("/")[0] == FER8.names[label]


def test_without_split_folders_test_and_validation_are_carved_and_said(tmp_path):
    write_class_folders(tmp_path / "mine", COUNT)
    samples = read(tmp_path)
    assert [len(samples.where(split)) for split in SPLITS] == [7 * 14, 7 * 2, 7 * 4]
    assert len([note for note in samples.notes if "held out" in note]) == 2
    again = read(tmp_path)
    assert (again.split == samples.split).all()
    assert again.checksums == samples.checksums


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("Training", "PublicTest", "PrivateTest"), ("train", "val", "testing")]
)
def test_split_folders_are_known_by_several_names(tmp_path, names):
    for split, name in zip(SPLITS, names, strict=True):
        write_class_folders(tmp_path / "mine" / name, 3, seed=len(split))
    samples = read(tmp_path)
    assert samples.notes == []
    for sample_id, split in zip(samples.ids, samples.split, strict=True):
        assert names[SPLITS.index(split)] == sample_id.split("/")[0]


def test_validation_folder_serves_as_test_where_there_is_no_other(tmp_path):
    write_class_folders(tmp_path / "mine" / "train", COUNT)
    write_class_folders(tmp_path / "mine" / "val", 3, seed=1)
    samples = read(tmp_path)
    assert all(i.startswith("val/") for i in samples.ids[samples.where("test")])
    assert any("the validation folder is the test set" in note for note in samples.notes)
    assert len(samples.where("validation")) == 14


def test_half_split_folders_are_refused(tmp_path):
    write_class_folders(tmp_path / "mine", 3)
    write_class_folders(tmp_path / "mine" / "test", 3, seed=1)
    with pytest.raises(BadDataError, match="some class folders are inside split folders and some are not"):
        read(tmp_path)


def test_people_never_cross_carved_splits(tmp_path):
    write_class_folders(tmp_path / "mine", COUNT, people=10)
    samples = read(tmp_path, identity=r"S(\d+)_")
    assert set(samples.groups) == {f"{i:03d}" for i in range(10)}
    owners = [set(samples.groups[samples.where(split)]) for split in SPLITS]
    assert all(owners)
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    plain = read(tmp_path)
    crossing = {i.split("/")[1][:4] for i in plain.ids[plain.where("train")]} & {
        i.split("/")[1][:4] for i in plain.ids[plain.where("test")]
    }
    assert crossing, "the same faces without the pattern must cross, or this test shows nothing"


def test_shares_can_be_chosen(tmp_path):
    write_class_folders(tmp_path / "mine", COUNT)
    samples = read(tmp_path, validation=0.25, test=0.5)
    assert [len(samples.where(split)) for split in SPLITS] == [7 * 8, 7 * 2, 7 * 10]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"identity": "S(\\d+"}, "is not a regular expression"),
        ({"identity": "nobody"}, "matches nothing in"),
        ({"people": 3}, "has no option 'people'"),
        ({"validation": "much"}, "validation = 'much'"),
        ({"validation": 0}, "validation = 0"),
        ({"test": 1.5}, "test = 1.5"),
        ({"test": [0.1]}, "test = "),
    ],
)
def test_bad_options_are_named(tmp_path, options, expected):
    write_class_folders(tmp_path / "mine")
    with pytest.raises(SpecError) as error:
        read(tmp_path, **options)
    assert expected in error.value.problem
    assert error.value.hint


def test_task_without_classes_is_refused(tmp_path):
    with pytest.raises(SpecError, match="'va'"):
        read(tmp_path, "va")


def test_missing_folder_says_where_was_looked(tmp_path):
    with pytest.raises(MissingDataError) as error:
        read(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / "mine") in error.value.problem
    assert "one folder per class" in error.value.hint


def spoil(folder, n):
    for path in sorted(folder.rglob("*.png"))[:n]:
        path.write_bytes(b"no picture" if n % 2 else b"")


def test_few_unreadable_images_are_quarantined_and_counted(tmp_path):
    write_class_folders(tmp_path / "mine", 43)
    spoil(tmp_path / "mine", 3)
    samples = read(tmp_path)
    assert len(samples) == 7 * 43 - 3
    assert sorted(path for path, _ in samples.quarantined) == [f"angry/{i:04d}.png" for i in range(3)]
    assert all(reason for _, reason in samples.quarantined)
    assert [tuple(pair) for pair in read(tmp_path).quarantined] == [tuple(pair) for pair in samples.quarantined]


def test_many_unreadable_images_are_refused(tmp_path):
    write_class_folders(tmp_path / "mine", 43)
    spoil(tmp_path / "mine", 4)
    with pytest.raises(
        BadDataError, match=r"4 of 301 images cannot be read, more than 1%; the first is angry/0000\.png"
    ):
        read(tmp_path)


def test_truncated_image_is_quarantined_or_refused_but_never_half_used(tmp_path):
    write_class_folders(tmp_path / "mine", 43)
    path = tmp_path / "mine" / "happy" / "0001.png"
    path.write_bytes(path.read_bytes()[:60])
    assert [p for p, _ in read(tmp_path).quarantined] == ["happy/0001.png"]


def test_an_empty_class_is_named(tmp_path):
    write_class_folders(tmp_path / "mine", names=FER7.names[:-1])
    with pytest.raises(BadDataError, match="no image of neutral"):
        read(tmp_path)


def test_class_folders_without_images(tmp_path):
    for name in FER7.names:
        (tmp_path / "mine" / name).mkdir(parents=True)
    with pytest.raises(BadDataError, match="no image of angry"):
        read(tmp_path)


def test_a_folder_that_is_no_class_is_named_with_its_count(tmp_path):
    write_class_folders(tmp_path / "mine", names=(*FER7.names, "bored"))
    with pytest.raises(BadDataError, match=r"not classes of fer7: 'bored' \(4\)"):
        read(tmp_path)


def test_other_files_beside_the_images_do_not_matter(tmp_path):
    write_class_folders(tmp_path / "mine")
    (tmp_path / "mine" / "README.txt").write_text("hello")
    (tmp_path / "mine" / "happy" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "mine" / "happy" / "._0001.png").write_bytes(b"what macOS adds to archives")
    (tmp_path / "mine" / "__MACOSX" / "happy").mkdir(parents=True)
    (tmp_path / "mine" / "__MACOSX" / "happy" / "._0001.png").write_bytes(b"x")
    samples = read(tmp_path)
    assert len(samples) == 28
    assert samples.quarantined == []


def test_images_are_scaled_to_the_asked_size_and_channels(tmp_path):
    write_class_folders(tmp_path / "mine", colour=True, side=96)
    gray = FolderDataModule("fer7", name="mine", data_dir=str(tmp_path), image_size=48, channels=1).read()
    assert gray.images[0].shape == (48, 48)
    colour = FolderDataModule("fer7", name="mine", data_dir=str(tmp_path), image_size=64, channels=3).read()
    assert colour.images[0].shape == (64, 64, 3)
    stored = cv2.imread(str(tmp_path / "mine" / colour.ids[0]))
    # RGB, although OpenCV reads BGR.
    assert abs(float(colour.images[0][..., 0].mean()) - float(stored[..., 2].mean())) < 3
    assert abs(float(colour.images[0][..., 2].mean()) - float(stored[..., 0].mean())) < 3


def test_a_new_image_or_a_changed_one_is_noticed(tmp_path):
    write_class_folders(tmp_path / "mine")
    before = read(tmp_path)
    path = tmp_path / "mine" / before.ids[0]
    cv2.imwrite(str(path), 255 - before.images[0])
    after = read(tmp_path)
    assert (after.images[0] == 255 - before.images[0]).all()
    assert after.checksums != before.checksums
    cv2.imwrite(str(tmp_path / "mine" / "happy" / "9999.png"), before.images[0])
    assert len(read(tmp_path)) == len(before) + 1


def test_official_folders_serve_as_a_dataset_of_ones_own(tmp_path):
    faces = make_faces()
    write_folders(tmp_path / "mine", faces)
    samples = read(tmp_path)
    assert {split: len(samples.where(split)) for split in SPLITS} == {"train": 42, "validation": 14, "test": 14}
    assert len(np.unique(samples.ids)) == len(faces)


def test_the_share_that_is_stated_is_the_one_that_was_held_out(tmp_path):
    write_class_folders(tmp_path / "mine", per_class=6, people=3)
    notes = read(tmp_path, identity=r"(S\d+)_").notes
    assert (
        "no split folders: 33% (1 of 3 people; 20% were asked for) were held out as test by a hash of the people"
        in notes
    )
    assert (
        "no validation folder: 50% (1 of 2 people; 10% were asked for) of train were held out by a hash of the people"
        in notes
    )
