"""RAF-DB's basic set in the layouts that are described; no real file of it was at hand, see its ``unverified``."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.datasets.raf_db import CODES, RafDbDataModule, read_list, read_raf_db
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7
from fer_bench.protocols.raf_db import RafDbOptions

# The list's beginning as several public readers quote it, and the compound set's, which is a real file's.
QUOTED = "train_00001.jpg 5\ntrain_00002.jpg 5\ntrain_00003.jpg 4\ntrain_00004.jpg 4\n"
COMPOUND = "train_0001.jpg 6\ntrain_0002.jpg 6\ntrain_0003.jpg 10\ntrain_0004.jpg 4\n"
# Made up: every class in both splits.
MADE = [f"{split}_{i:05d}.jpg {i % 7 + 1}" for split, n in (("train", 70), ("test", 14)) for i in range(1, n + 1)]
ORIGINAL = RafDbOptions(images="original")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    return write(tmp_path / "data" / "raf_db", MADE)


def write(root, lines, name="list_patition_label.txt"):
    for folder in ("EmoLabel", "Image/aligned", "Image/original", "Annotation/boundingbox"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "EmoLabel" / name).write_text("\n".join(lines) + "\n")
    for line in lines:
        stem, code = line.split()[0].partition(".")[0], int(line.split()[1])
        cv2.imwrite(str(root / f"Image/aligned/{stem}_aligned.jpg"), np.full((100, 100, 3), 30 * code, np.uint8))
        photograph = np.zeros((60, 80, 3), np.uint8)
        photograph[20:40, 10:30] = 255
        cv2.imwrite(str(root / f"Image/original/{stem}.jpg"), photograph)
        (root / f"Annotation/boundingbox/{stem}_boundingbox.txt").write_text("10.0 20.0 30.0 40.0 \n")
    return root


@pytest.mark.parametrize("inner", ["", "basic"])
def test_names_codes_and_splits(tmp_path, monkeypatch, inner):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "raf_db" / inner, MADE)
    samples = read_raf_db(str(tmp_path))
    assert {name: len(samples.where(name)) for name in ("train", "validation", "test")} == {
        "train": 63,
        "validation": 7,
        "test": 14,
    }
    codes = [int(line.split()[1]) for line in MADE]
    assert [FER7.names[label] for label in samples.targets["fer7"]] == [CODES[code - 1] for code in codes]
    assert [round(samples.images[i].mean() / 30) for i in range(84)] == codes
    assert samples.images[0].shape == (100, 100, 3)
    assert samples.notes[0] == "this copy has 70 to train, 14 to test, the complete one 12,271 to train, 3,068 to test"


def test_two_lists_that_contradict_each_other_are_noted(copy):
    def both():
        return [note for note in read_raf_db(str(copy.parent)).notes if "next to it" in note]

    other = copy / "EmoLabel" / "list_partition_label.txt"
    other.write_text("\n".join(MADE) + "\n")
    assert both() == []
    other.write_text("\n".join([MADE[0][:-1] + "7", *MADE[1:-1]]) + "\n")
    assert both() == [
        "EmoLabel/list_patition_label.txt was read; EmoLabel/list_partition_label.txt next to it contradicts it on 2"
        " pictures"
    ]
    other.write_text("nothing of the kind\n")
    assert "line 1" in both()[0]


def test_photographs_are_cut_to_their_boxes(copy):
    samples = read_raf_db(str(copy.parent), ORIGINAL, size=32)
    assert samples.images[0].shape == (32, 32, 3)
    assert samples.images[0].mean() > 240
    (copy / "Annotation/boundingbox/train_00003_boundingbox.txt").write_text("10 20 30\n")
    with pytest.raises(BadDataError, match=r"train_00003_boundingbox\.txt: no face box of four numbers"):
        read_raf_db(str(copy.parent), ORIGINAL)


def test_class_folders_called_by_the_codes(copy, tmp_path):
    listed = read_raf_db(str(copy.parent))
    root = tmp_path / "other" / "raf_db" / "DATASET"
    for line in MADE:
        name, code = line.split()
        folder = root / name.partition("_")[0] / code
        folder.mkdir(parents=True, exist_ok=True)
        (copy / "Image/aligned" / name.replace(".jpg", "_aligned.jpg")).rename(
            folder / name.replace(".jpg", "_aligned.jpg")
        )
    assert read_raf_db(str(tmp_path / "other")).checksums == listed.checksums


def test_the_checksum_is_of_names_labels_and_pictures(copy):
    before = read_raf_db(str(copy.parent)).checksums
    assert read_raf_db(str(copy.parent), ORIGINAL).checksums["test"] != before["test"]
    write(copy, [*MADE[:-1], "test_00014.jpg 2"], "list_partition_label.txt")
    (copy / "EmoLabel/list_patition_label.txt").unlink()
    after = read_raf_db(str(copy.parent)).checksums
    assert after["train"] == before["train"]
    assert after["test"] != before["test"]


def test_the_list_as_it_is_quoted(tmp_path):
    path = write(tmp_path, QUOTED.splitlines()) / "EmoLabel/list_patition_label.txt"
    rows = read_list(path)
    assert [(row.name, row.split, CODES[row.code - 1]) for row in rows] == [
        ("train_00001", "train", "sad"),
        ("train_00002", "train", "sad"),
        ("train_00003", "train", "happy"),
        ("train_00004", "train", "happy"),
    ]
    assert rows[0].file == tmp_path / "Image/aligned/train_00001_aligned.jpg"
    path.write_bytes(b"\xef\xbb\xbf" + QUOTED.replace("\n", "\r\n\r\n").encode())
    assert read_list(path) == rows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (COMPOUND, "line 3: the code 10 is none of the basic set's, 1 to 7; this is the list of the compound set"),
        (f"{QUOTED}test_0001.jpg 0\n", "line 5: the code 0 is none of the basic set's, 1 to 7\\."),
        (f"{QUOTED}train_00001.jpg 5\n", "line 5: 'train_00001.jpg 5' is no new picture"),
        (f"{QUOTED}test_0001.jpg\n", "line 5: 'test_0001.jpg' is no new picture"),
        (f"{QUOTED}photo.jpg 5\n", "line 5: 'photo.jpg 5' is no new picture"),
        (f"{QUOTED}test_0001.jpg sad\n", "line 5: 'test_0001.jpg sad' is no new picture"),
        ("\n", "the list is empty"),
        ("train_00001.jpg 5\xff", "not UTF-8"),
    ],
)
def test_what_is_no_list_of_the_basic_set_is_refused(tmp_path, text, says):
    path = tmp_path / "EmoLabel" / "list_patition_label.txt"
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadDataError, match=says):
        read_list(path)


def test_pictures_that_are_not_there(copy, tmp_path):
    with pytest.raises(MissingDataError, match=r"list_patition_label.txt or .*on request"):
        read_raf_db(str(tmp_path / "nowhere"))
    (copy / "Image/aligned/train_00001_aligned.jpg").unlink()
    with pytest.raises(BadDataError, match=r"1 of 84 pictures cannot be used.*listed, and not there"):
        read_raf_db(str(copy.parent))
    for path in (copy / "Image/aligned").iterdir():
        path.unlink()
    with pytest.raises(MissingDataError, match=r"and none is there .*images=original"):
        read_raf_db(str(copy.parent))


def test_as_a_dataset(copy):
    module = RafDbDataModule("fer7", data_dir=str(copy.parent), image_size=32, options={"validation": 0.2})
    assert module.class_counts(7).sum() == 56
    assert next(iter(module.val_dataloader()))["image"].shape == (14, 3, 32, 32)
    said = "\n".join(report("raf_db", None, str(copy.parent), 0))
    assert "unverified: the reader follows descriptions" in said
    assert "test           14" in said
