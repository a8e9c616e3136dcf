"""Image files that are none, through the command line: each is named with its reason, and the others are looked at."""

from __future__ import annotations

import csv
import os

import cv2
import numpy as np
import pytest

from fer_bench.deploy.predict import PredictionRow, find_images, predict_files, write_table
from fer_bench.errors import MissingDataError
from fer_bench.escaping import csv_value
from tests.data.test_decoding import huge_png
from tests.datasets.fakes_va import write_afew_va
from tests.datasets.test_affectnet_module import write_2021
from tests.live.fakes import FakePredictor


def test_audit_names_images_that_are_decoded_late(fer_bench, tmp_path):
    root = write_2021(tmp_path / "affectnet")
    for number, content in ((3, huge_png(40_000, 40_000)), (4, b"none"), (5, huge_png(40_000, 40_000))):
        (root / "train_set" / "images" / f"{number}.jpg").write_bytes(content)
    done = fer_bench("audit", "affectnet", "--data-dir", tmp_path)
    assert done.code == 0, done.err
    assert done.out.count("an image of 40,000 x 40,000 px: more than 64 million pixels") == 2
    assert "quarantined: train/4: not a readable image: none of PNG" in done.out
    assert "3 images of this copy cannot be decoded" in done.out
    assert "duplicates: " in done.out


def test_audit_counts_frames_that_are_too_large(fer_bench, tmp_path):
    root = write_afew_va(tmp_path / "afew_va", clips=10)
    next(root.rglob("001/00001.png")).write_bytes(huge_png(40_000, 40_000))
    done = fer_bench("audit", "afew_va", "--data-dir", tmp_path)
    assert done.code == 0, done.err
    assert "001/00001.png: an image of 40,000 x 40,000 px: more than 64 million pixels" in done.out


def test_audit_of_class_folders_full_of_odd_things(fer_bench, tmp_path):
    generator = np.random.default_rng(0)
    for label in ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"):
        for i in range(30):
            path = tmp_path / "mine" / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), generator.integers(0, 255, (48, 48), dtype=np.uint8))
    folder = tmp_path / "mine" / "happy"
    image = (folder / "1.png").read_bytes()
    (folder / "big.png").write_bytes(huge_png(40_000, 40_000))
    (folder / "\x1b[31mred\n.png").write_bytes(image)
    (folder / "folder.png").mkdir()
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    done = fer_bench("audit", "folder:mine", "--data-dir", tmp_path)
    assert done.code == 0, done.err
    assert "quarantined: happy/big.png: an image of 40,000 x 40,000 px: more than 64 million pixels" in done.out
    assert "quarantined: happy/loop.png: " in done.out
    assert "\x1b" not in done.out


def test_predict_reads_in_natural_order_and_names_what_it_cannot_read(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in (10, 9, 1):
        cv2.imwrite(str(folder / f"face{i}.png"), np.full((64, 64), 20 * i, np.uint8))
    (folder / "face2.png").write_bytes(huge_png(40_000, 40_000))
    (folder / "._face1.png").write_bytes(b"\0\5\x16\7")
    (folder / "=face.png").write_bytes(b"none")
    (folder / "face3.png").mkdir()
    os.mkfifo(folder / "face4.png")
    odd = os.fsdecode(os.fsencode(folder) + b"/caf\xe9\x1b.png")
    cv2.imwrite(str(tmp_path / "x.png"), np.full((64, 64), 9, np.uint8))
    os.rename(tmp_path / "x.png", odd)  # noqa: PTH104 (a name that is not UTF-8)
    monkeypatch.setattr("fer_bench.deploy.predict.open_predictor", lambda *_: FakePredictor())
    rows = predict_files(None, "run", [folder])
    assert [row.path.name for row in rows] == [
        "=face.png",
        os.path.basename(odd),  # noqa: PTH119
        "face1.png",
        "face2.png",
        "face9.png",
        "face10.png",
    ]
    assert [row.error[:22] for row in rows] == ["not a readable image: ", "", "", "an image of 40,000 x 4", "", ""]
    for row in rows:
        row.line().encode()
        assert row.line().isprintable()
    write_table(rows, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [line["error"] for line in table] == [row.error for row in rows]
    hostile = PredictionRow(folder / "x.png", ("=1+1", "@b"), np.array([0.1, 0.9], np.float32))
    write_table([hostile], tmp_path / "u.csv")
    with (tmp_path / "u.csv").open(newline="") as file:
        header, line = csv.reader(file)
    assert header == ["image", "prediction", "'=1+1", "'@b", "error"]
    assert [csv_value(cell) for cell in header[2:4]] == ["=1+1", "@b"]
    assert line[1] == "'@b"


@pytest.mark.parametrize("place", ["x" * 5000, "nul\0byte", "nowhere"])
def test_places_that_cannot_be(tmp_path, place):
    with pytest.raises(MissingDataError, match="there is no file or folder"):
        find_images([tmp_path / place])
