"""Class folders as people have them: their own classes, nested, in colour, of any size, linked, composed, half
empty."""

from __future__ import annotations

import os
import shlex
import unicodedata

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_bench.assignments import parse_assignments
from fer_bench.data import native
from fer_bench.data.samples import sample_digests, split_checksum
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import FER7, FER8
from fer_bench.protocols import find_task
from fer_bench.spec import RunSpec
from tests.fakes import smooth_images, write_class_folders

CK = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")


def module(tmp_path, classes=None, name="mine", task="fer7", image_size=None, **options):
    if classes is not None:
        options["classes"] = classes
    return build_datamodule(
        RunSpec(
            dataset=f"folder:{name}",
            task=task,
            dataset_options=options,
            image_size=image_size,
            execution={"data_dir": str(tmp_path)},
        )
    )


def read(tmp_path, classes=None, **options):
    return module(tmp_path, classes, **options).read()


def labels_of(samples):
    (name,) = samples.targets
    names = find_task(name).labels.names
    return [names[label] for label in samples.targets[name]]


def write_images(folder, n, side=48, colour=False, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in (
        enumerate(smooth_images(n, seed, max(side)))
        if isinstance(side, tuple)
        else enumerate(smooth_images(n, seed, side))
    ):
        image = cv2.resize(image, side) if isinstance(side, tuple) else image
        assert cv2.imwrite(
            str(folder / f"{i:04d}.png"), np.stack([image, image // 2, 255 - image], axis=2) if colour else image
        )


def test_ck_plus_with_contempt_and_without_neutral_is_read_by_its_seven_names(tmp_path):
    write_class_folders(tmp_path / "mine", names=CK)
    samples = read(tmp_path, list(CK))
    assert labels_of(samples) == [i.split("/")[0] for i in samples.ids]


def test_numbers_are_classes_by_their_mapping(tmp_path):
    write_class_folders(tmp_path / "mine", names=[str(i) for i in range(1, 8)])
    mapping = dict(enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1))
    samples = read(tmp_path, mapping)
    assert list(samples.targets) == ["fer7"]
    spelled = {"happiness": "happy", "sadness": "sad", "anger": "angry"}
    assert labels_of(samples) == [spelled.get(name := mapping[int(i.split("/")[0])], name) for i in samples.ids]


def test_several_folders_make_one_class_and_one_is_left_out(tmp_path):
    write_class_folders(tmp_path / "mine", names=("happy", "surprise", "sad", "odd"))
    samples = read(tmp_path, {"happy": "positive", "surprise": "positive", "sad": "negative", "odd": None})
    assert len(samples) == 12
    assert {i.split("/")[0]: label for i, label in zip(samples.ids, labels_of(samples), strict=True)} == {
        "happy": "positive",
        "surprise": "positive",
        "sad": "negative",
    }
    assert "images left out: 4 in 'odd'" in samples.notes


def test_folders_that_fit_no_set_are_answered_with_the_line_that_reads_them(tmp_path):
    write_class_folders(tmp_path / "mine", names=("bored", "engaged", "very bored"))
    with pytest.raises(BadDataError, match=r"not classes of fer7: 'bored' \(4\)") as error:
        read(tmp_path)
    flag, setting = shlex.split(error.value.hint[error.value.hint.index("--set") : -1])
    assert flag == "--set"
    assert len(read(tmp_path, parse_assignments([setting])["dataset_options"]["classes"])) == 12


def test_folders_of_another_built_in_set_are_answered_with_its_task(tmp_path):
    write_class_folders(tmp_path / "mine", names=FER8.names)
    with pytest.raises(BadDataError, match="use --task fer8"):
        read(tmp_path)


def test_a_folder_that_the_option_does_not_name_and_one_that_is_not_there(tmp_path):
    write_class_folders(tmp_path / "mine", names=("1", "2", "3"))
    with pytest.raises(BadDataError, match=r"not classes of dataset_options\.classes: '3' \(4\)") as error:
        read(tmp_path, {1: "a", 2: "b"})
    assert "{1: a, 2: b, 3: 3}" in error.value.hint
    with pytest.raises(BadDataError, match="there is no folder '4'") as error:
        read(tmp_path, {1: "a", 2: "b", 3: "c", 4: "d"})
    assert "{1: a, 2: b, 3: c}" in error.value.hint


def test_images_outside_every_class_folder_are_counted(tmp_path):
    write_class_folders(tmp_path / "mine" / "train")
    write_images(tmp_path / "mine" / "train", 2)
    with pytest.raises(BadDataError, match=r"none at all \(2\)"):
        read(tmp_path)


@pytest.mark.parametrize("option", [{"clases": ["a", "b"]}, {"identiy": "S"}])
def test_an_unknown_option_is_answered_with_the_nearest(tmp_path, option):
    write_class_folders(tmp_path / "mine")
    with pytest.raises(SpecError, match="has no option") as error:
        read(tmp_path, **option)
    assert "Did you mean" in error.value.hint


@pytest.mark.parametrize(
    "inner",
    [
        "{split}/{name}/person1/{i}",
        "{split}/{name}/S1/001/{i}",
        "faces/{split}/{name}/{i}",
        "{name}/{split}/{i}",
        "{split}/S1/{name}/{i}",
    ],
)
def test_folders_between_below_and_above_the_classes(tmp_path, inner):
    images = iter(smooth_images(3 * 7 * 2))
    for split in ("train", "Val", "test"):
        for name in FER7.names:
            for i in range(2):
                path = tmp_path / "mine" / (inner.format(split=split, name=name, i=i) + ".png")
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), next(images))
    samples = read(tmp_path)
    assert [len(samples.where(split)) for split in ("train", "validation", "test")] == [14, 14, 14]
    assert all(
        label in identifier.split("/") for identifier, label in zip(samples.ids, labels_of(samples), strict=True)
    )
    assert samples.notes == []


def test_a_path_that_names_two_classes_is_refused(tmp_path):
    write_class_folders(tmp_path / "mine")
    write_images(tmp_path / "mine" / "happy" / "sad", 1)
    with pytest.raises(BadDataError, match=r"'happy/sad/0000\.png' is in the folders of two classes, happy and sad"):
        read(tmp_path)


@pytest.mark.parametrize("places", [("train", "training"), ("happy/val", "happy/valid")])
def test_two_folders_of_one_split_beside_each_other_are_refused(tmp_path, places):
    write_class_folders(tmp_path / "mine")
    for place in places:
        write_images(tmp_path / "mine" / place / ("" if "happy" in place else "happy"), 2)
    first, second = (place.rpartition("/")[2] for place in places)
    with pytest.raises(BadDataError, match=f"the folders {first!r} and {second!r} are both of the .* split"):
        read(tmp_path)


def test_one_split_under_several_folders_is_one(tmp_path):
    for person in ("ann", "bob"):
        for split in ("train", "test"):
            write_class_folders(tmp_path / "mine" / person / split, 3, seed=len(person) + len(split))
    assert set(read(tmp_path).split) == {"train", "validation", "test"}


def test_grey_images_stay_grey_and_colour_stays_colour(tmp_path):
    for name, colours in {"grey": (False, False), "colour": (True, True), "mixed": (False, True)}.items():
        for label, colour in zip("ab", colours, strict=True):
            write_images(tmp_path / name / label, 4, 64, colour, seed=ord(label))
    assert read(tmp_path, ["a", "b"], name="grey").images.shape == (8, 64, 64)
    assert read(tmp_path, ["a", "b"], name="colour").images.shape == (8, 64, 64, 3)
    mixed = read(tmp_path, ["a", "b"], name="mixed")
    assert mixed.images.shape == (8, 64, 64, 3)
    grey = cv2.imread(str(tmp_path / "mixed" / "a" / "0000.png"), cv2.IMREAD_GRAYSCALE)
    colour = cv2.cvtColor(cv2.imread(str(tmp_path / "mixed" / "b" / "0000.png")), cv2.COLOR_BGR2RGB)
    at = {identifier: i for i, identifier in enumerate(mixed.ids)}
    assert (mixed.images[at["a/0000.png"]] == grey[..., None]).all()
    assert (mixed.images[at["b/0000.png"]] == colour).all()
    assert mixed.facts["n_in_colour"] == 4


def test_checksums_are_over_native_pixels_whatever_size_is_fed(tmp_path):
    for seed, split in enumerate(("train", "validation", "test")):
        write_images(tmp_path / "mine" / split / "a", 3, (100, 80), True, seed)
        write_images(tmp_path / "mine" / split / "b", 3, 60, False, seed + 9)
    found = [read(tmp_path, ["a", "b"], image_size=size) for size in (48, 64, 96, None)]
    assert [samples.images.shape[1] for samples in found][:3] == [48, 64, 96]
    assert len({tuple(sorted(samples.checksums.items())) for samples in found}) == 1
    assert found[0].facts["native_size"] == {"smallest": [60, 60], "largest": [100, 80]}
    # A single pixel of a large photo changes them, also where no small image would show it.
    path = tmp_path / "mine" / "test" / "a" / "0001.png"
    image = cv2.imread(str(path))
    image[0, 0, 0] ^= 1
    cv2.imwrite(str(path), image)
    changed = read(tmp_path, ["a", "b"], image_size=48)
    assert changed.checksums["test"] != found[0].checksums["test"]
    assert changed.checksums["train"] == found[0].checksums["train"]


def test_checksums_of_grey_faces_of_48_px_are_those_of_the_arrays(tmp_path):
    write_class_folders(tmp_path / "mine" / "train", 6)
    write_class_folders(tmp_path / "mine" / "test", 3, seed=1)
    samples = read(tmp_path)
    digests = sample_digests(samples.images, samples.targets["fer7"].astype(np.int8))
    assert samples.checksums == {
        split: split_checksum(digests[samples.where(split)]) for split in ("train", "validation", "test")
    }


@pytest.mark.parametrize(
    ("sides", "expected"),
    [([48] * 9, 48), ([100] * 5 + [700], 100), ([1000] * 4, 224), ([70, 90, 111, 150, 200], 96), ([10, 20, 30], 48)],
)
def test_a_size_where_none_is_named(tmp_path, sides, expected):
    for i, side in enumerate(sides):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((side, side + i), dtype=np.uint8))
    assert native.common_side(sorted(tmp_path.glob("*.png"))) == expected


def test_large_photos_are_never_together_in_memory(tmp_path, monkeypatch):
    write_images(tmp_path / "mine" / "a", 40, 300, True)
    write_images(tmp_path / "mine" / "b", 40, 300, True, seed=1)
    alive = {"now": 0, "most": 0}
    see = native._see

    def counted(*arguments):
        alive["now"] += 1
        alive["most"] = max(alive["most"], alive["now"])
        try:
            seen = see(*arguments)
            assert seen is None or seen.image.shape[0] == 48
            return seen
        finally:
            alive["now"] -= 1

    monkeypatch.setattr(native, "_see", counted)
    assert len(read(tmp_path, ["a", "b"], image_size=48)) == 80
    assert alive["most"] <= native._THREADS


def test_room_beyond_memory_is_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "_IN_MEMORY", 1000)
    write_images(tmp_path / "mine" / "a", 4, 48)
    write_images(tmp_path / "mine" / "b", 4, 48, True, seed=1)
    on_disk = read(tmp_path, ["a", "b"])
    image = cv2.imread(str(tmp_path / "mine" / "a" / "0002.png"), cv2.IMREAD_GRAYSCALE)
    assert (on_disk.images[2] == image[..., None]).all()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["mine"]


def test_links_to_folders_are_followed_once_and_broken_ones_are_quarantined(tmp_path):
    write_class_folders(tmp_path / "away", 40)
    place = tmp_path / "mine"
    place.mkdir()
    for name in FER7.names:
        (place / name).symlink_to(tmp_path / "away" / name, target_is_directory=True)
    (tmp_path / "away" / "happy" / "again").symlink_to(tmp_path / "mine", target_is_directory=True)
    (tmp_path / "away" / "sad" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    samples = read(tmp_path)
    assert len(samples) == 7 * 40
    assert samples.quarantined == [("sad/gone.png", "a broken link")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_no_silence(tmp_path):
    write_class_folders(tmp_path / "mine")
    (tmp_path / "mine" / "happy").chmod(0)
    with pytest.raises(BadDataError, match="cannot be read"):
        read(tmp_path)


def test_names_of_folders_with_blanks_case_and_decomposed_accents(tmp_path):
    names = ("Gêné ", unicodedata.normalize("NFD", "énervé"), "CALM")
    write_class_folders(tmp_path / "mine", names=names)
    samples = read(tmp_path, ["gêné", "énervé", "calm"])
    assert len(samples) == 12
    assert all(unicodedata.is_normalized("NFC", identifier) for identifier in samples.ids)
    assert set(labels_of(samples)) == {"gêné", "énervé", "calm"}


def test_bytes_that_are_no_text_in_a_name_are_shown(tmp_path):
    write_class_folders(tmp_path / "mine")
    image = smooth_images(1, 77)[0]
    (tmp_path / "mine" / "happy" / os.fsdecode(b"x\xff.png")).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    samples = read(tmp_path)
    assert "happy/x\\xff.png" in samples.ids.tolist()


def test_images_that_are_there_twice_are_said_and_so_are_contradictions(tmp_path):
    write_class_folders(tmp_path / "mine")
    image = (tmp_path / "mine" / "happy" / "0001.png").read_bytes()
    (tmp_path / "mine" / "happy" / "copy.png").write_bytes(image)
    (tmp_path / "mine" / "sad" / "copy.png").write_bytes(image)
    assert (
        "1 image is there more than once, pixel for pixel, 1 of them under more than one class" in read(tmp_path).notes
    )


def test_a_class_of_nothing_but_unreadable_files_says_so(tmp_path):
    write_class_folders(tmp_path / "mine", 60)
    for path in sorted((tmp_path / "mine" / "sad").glob("*.png")):
        path.unlink()
    (tmp_path / "mine" / "sad" / "1.png").write_bytes(b"no picture")
    with pytest.raises(BadDataError, match=r"no image of sad \(1 cannot be read\)"):
        read(tmp_path)


def test_ten_folds_by_subject_of_a_flat_copy(tmp_path):
    write_class_folders(tmp_path / "mine", 20, names=CK, people=20)
    datamodule = module(tmp_path, list(CK), identity=r"(S\d+)_", folds=10, fold=3)
    samples = datamodule.read_samples
    people = {
        split: set(samples.columns["identity"][samples.where(split)]) for split in ("train", "validation", "test")
    }
    assert not people["train"] & people["test"] | people["validation"] & (people["train"] | people["test"])
    assert not any("held out" in note for note in samples.notes)
    assert samples.facts["people"]["n"] == 20


def test_train_alone_gets_a_test_split(tmp_path):
    write_class_folders(tmp_path / "mine" / "train", 20)
    samples = read(tmp_path)
    assert [len(samples.where(split)) for split in ("train", "validation", "test")] == [98, 14, 28]
    assert "no test folder: 20% were held out as test by a hash of the ids" in samples.notes


def test_the_data_root_is_not_taken_for_a_dataset_that_is_not_there(tmp_path):
    write_class_folders(tmp_path / "other", names=("bored", "engaged"))
    with pytest.raises(MissingDataError, match="'mine': found no class folders"):
        read(tmp_path, ["bored", "engaged"])
    assert len(read(tmp_path / "other", ["bored", "engaged"])) == 8


def test_kinds_of_images_that_are_not_read_are_named_and_those_that_are_have_every_usual_ending(tmp_path):
    write_class_folders(tmp_path / "mine", 4)
    happy = tmp_path / "mine" / "happy"
    for suffix, kind in ((".jfif", "JPEG"), (".jpe", "JPEG"), (".GIF", "GIF"), (".pgm", "PPM"), (".PGM", "PPM")):
        Image.fromarray(next(iter(smooth_images(1, len(suffix))))).save(happy / f"other{suffix}", format=kind)
    samples = read(tmp_path)
    assert {f"happy/other{suffix}" for suffix in (".jfif", ".jpe", ".GIF")} <= set(samples.ids)
    assert (
        "not read, since files of this kind are not: 2 .pgm; convert them to PNG if they belong to the data"
        in samples.notes
    )


def test_ck_plus_is_read_under_its_own_name(tmp_path):
    write_class_folders(tmp_path / "CK+48", names=CK)
    assert (
        build_datamodule(
            RunSpec(
                dataset="folder:CK+48", dataset_options={"classes": list(CK)}, execution={"data_dir": str(tmp_path)}
            )
        )
        .read()
        .ids.size
        == 28
    )


def test_a_copy_of_fer2013_whose_test_folder_holds_two_splits_is_recognised(tmp_path):
    write_class_folders(tmp_path / "mine" / "train", 4)
    write_class_folders(tmp_path / "mine" / "test", 4, seed=1)
    for i, path in enumerate(sorted((tmp_path / "mine" / "test").rglob("*.png"))):
        path.rename(path.with_name(f"{('PublicTest', 'PrivateTest')[i % 2]}_{i}.png"))
    assert any("--dataset fer2013 splits such a copy by them" in note for note in read(tmp_path).notes)
