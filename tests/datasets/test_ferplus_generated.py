from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.data.samples import SPLITS
from fer_bench.datasets.ferplus.generated import (
    FOLDERS,
    OFFICIAL,
    WHICH,
    FERPlusGeneratedDataModule,
    read_ferplus_generated,
)
from fer_bench.datasets.ferplus.module import read_ferplus
from fer_bench.datasets.ferplus.votes import process_votes
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.protocols import PROTOCOLS, protocol_for
from tests.datasets.fakes_ferplus import REAL, write_generated
from tests.fakes import smooth_images

# By hand: a strict majority of the votes that are left when single ones are dropped.
MAJORITY = {
    "fer0000000": -1,
    "fer0000001": 0,
    "fer0000002": 0,
    "fer0000003": -1,
    "fer0000004": 0,
    "fer0000005": 0,
    "fer0000006": 3,
    "fer0000007": 1,
    "fer0010628": -1,
    "fer0000571": 7,
    "fer0028638": -1,
    "fer0028639": 7,
    "fer0028641": -1,
    "fer0032224": -1,
    "fer0032226": 0,
    "fer0032659": 7,
}


@pytest.mark.parametrize("inner", ["", "ferplus", "fer2013", "data", "ferplus/data", "ferplus_generated"])
def test_real_lines_are_read_in_the_authors_layout(tmp_path, inner):
    root = write_generated(tmp_path / inner)
    samples = read_ferplus_generated(str(tmp_path))
    assert {split: len(samples.where(split)) for split in SPLITS} == {
        split: len(text.splitlines()) for split, text in REAL.items()
    }
    majority = dict(zip(samples.ids.tolist(), samples.targets["fer8"].tolist(), strict=True))
    assert {name: majority[name] for name in MAJORITY} == MAJORITY
    for i, name in enumerate(samples.ids):
        path = root / FOLDERS[str(samples.split[i])] / f"{name}.png"
        assert (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) == samples.images[i]).all()
        shares = process_votes(samples.columns["votes"][i], "cross_entropy")
        if shares.sum():
            np.testing.assert_allclose(samples.targets["fer8:probability"][i], shares, rtol=1e-6)
    assert samples.columns["votes"][0].tolist() == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
    assert WHICH in samples.notes


@pytest.mark.parametrize("mode", ["hard", "probability", "cross_entropy", "multi_target"])
def test_training_can_see_the_votes(tmp_path, mode):
    data = FERPlusGeneratedDataModule("fer8", data_dir=str(write_generated(tmp_path)), target_mode=mode, batch_size=4)
    assert next(iter(data.train_dataloader()))["target"].shape == ((4,) if mode == "hard" else (4, 8))
    assert (data.targets("test") >= 0).all()


def quoted(text):
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(csv.reader(text.splitlines()))
    return file.getvalue()


SPELLINGS = {
    "everything quoted": quoted,
    "the box without quotes": lambda text: text.replace('"', ""),
    "counts as 4.0": lambda text: "".join(
        ",".join([*line.split(",")[:-10], *(f"{c}.0" for c in line.split(",")[-10:])]) + "\n"
        for line in text.splitlines()
    ),
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "blank lines at the end": lambda text: text + "\n  \n",
    "a byte order mark": lambda text: "\ufeff" + text,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_label_files_saved_again_give_the_same_data(tmp_path, spelling):
    expected = read_ferplus_generated(str(write_generated(tmp_path / "a")))
    write_generated(tmp_path / "b")
    for split, text in REAL.items():
        path = tmp_path / "b" / FOLDERS[split] / "label.csv"
        path.write_bytes(SPELLINGS[spelling](text).encode())
        assert path.read_bytes() != text.encode()
    assert read_ferplus_generated(str(tmp_path / "b")).checksums == expected.checksums


def test_checksums_follow_faces_and_votes(tmp_path):
    first = read_ferplus_generated(str(write_generated(tmp_path / "a"))).checksums
    assert len(set(first.values())) == 3
    votes = read_ferplus_generated(
        str(write_generated(tmp_path / "b", {"test": REAL["test"].replace("0,10,0", "1,9,0")}))
    ).checksums
    write_generated(tmp_path / "c")
    assert cv2.imwrite(str(tmp_path / "c" / "FER2013Test" / "fer0032227.png"), smooth_images(1, seed=99)[0])
    faces = read_ferplus_generated(str(tmp_path / "c")).checksums
    for other in (votes, faces):
        assert {split: first[split] == other[split] for split in SPLITS} == {
            "train": True,
            "validation": True,
            "test": False,
        }


BAD = {
    "a column too few": (lambda line: line.rsplit(",", 1)[0], "11 columns instead of 12"),
    "a count is text": (lambda line: line.rsplit(",", 1)[0] + ",many", "a count of votes is not an integer"),
    "half a count": (lambda line: line.rsplit(",", 1)[0] + ",0.5", "a count of votes is not an integer"),
    "a negative count": (lambda line: line.rsplit(",", 1)[0] + ",-1", "cannot be those of ten taggers"),
    "a way out": (lambda line: "../" + line, "is not the name of a file in this folder"),
    "a way out on Windows": (lambda line: "..\\" + line, "is not the name of a file in this folder"),
    "no name": (lambda line: line[line.index(",") :], "is not the name of a file in this folder"),
    "twice": (lambda line: line.replace("fer0032223", "fer0032220"), "fer0032220.png is listed twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_line_is_named(tmp_path, case):
    change, expected = BAD[case]
    write_generated(tmp_path)
    path = tmp_path / "FER2013Test" / "label.csv"
    lines = REAL["test"].splitlines()
    lines[2] = change(lines[2])
    path.write_text("\n".join(lines))
    with pytest.raises(BadDataError) as error:
        read_ferplus_generated(str(tmp_path))
    assert f"{path}, line 3: " in error.value.problem
    assert expected in error.value.problem


def test_label_files_without_images_a_missing_part_and_nothing_at_all(tmp_path):
    write_generated(tmp_path / "a", images=False)
    with pytest.raises(MissingDataError, match=r"list 28 images, and none of them is there.*generate_training_data"):
        read_ferplus_generated(str(tmp_path / "a"))
    write_generated(tmp_path / "b")
    (tmp_path / "b" / "FER2013Valid" / "label.csv").unlink()
    with pytest.raises(MissingDataError, match=r"FER2013Valid/label\.csv is missing"):
        read_ferplus_generated(str(tmp_path / "b"))
    with pytest.raises(MissingDataError, match=r"FER2013Train/label\.csv"):
        read_ferplus_generated(str(tmp_path / "c"))
    write_generated(tmp_path / "d")
    (tmp_path / "d" / "FER2013Test" / "fer0032220.png").unlink()
    with pytest.raises(
        BadDataError, match=r"1 of the 28 listed images cannot be read.*fer0032220\.png: there is no such file"
    ):
        read_ferplus_generated(str(tmp_path / "d"))


def test_both_protocols_say_which_is_which():
    rows, generated = PROTOCOLS["ferplus-fer8"], PROTOCOLS["ferplus_generated-fer8"]
    assert rows.n_test == 3153
    assert generated.n_test == OFFICIAL["test"]
    assert not set(rows.checksums.values()) & set(generated.checksums.values())
    assert generated.name in rows.about
    assert rows.name in generated.about
    assert all("published from the authors' code" in protocol.about for protocol in (rows, generated))
    assert protocol_for("ferplus_generated", "fer8") is generated


def test_ferplus_names_the_layout_that_is_there_instead(tmp_path):
    write_generated(tmp_path)
    with pytest.raises(MissingDataError) as error:
        read_ferplus(str(tmp_path))
    assert WHICH in error.value.problem
    assert "--dataset ferplus_generated" in error.value.hint


needs_real = pytest.mark.skipif(
    "FER_BENCH_TEST_FERPLUS_GENERATED" not in os.environ,
    reason="FER_BENCH_TEST_FERPLUS_GENERATED names no folder with FER2013Train",
)
KNOWN = {"train": 28558, "validation": 3579, "test": 3573}


@needs_real
@pytest.mark.proof
def test_the_real_layout():
    samples = read_ferplus_generated(os.environ["FER_BENCH_TEST_FERPLUS_GENERATED"])
    kept = samples.targets["fer8"] >= 0
    assert {split: len(samples.where(split)) for split in SPLITS} == KNOWN
    assert {split: int(kept[samples.where(split)].sum()) for split in SPLITS} == OFFICIAL
    assert samples.checksums == PROTOCOLS["ferplus_generated-fer8"].checksums


@needs_real
def test_the_real_test_split(tmp_path):
    """The whole layout with its own test split, and the first images of the others."""
    real = Path(os.environ["FER_BENCH_TEST_FERPLUS_GENERATED"])
    listed = {split: (real / folder / "label.csv").read_text().splitlines() for split, folder in FOLDERS.items()}
    assert {split: len(lines) for split, lines in listed.items()} == KNOWN
    for split, folder in FOLDERS.items():
        (tmp_path / folder).mkdir()
        lines = listed[split] if split == "test" else listed[split][:50]
        (tmp_path / folder / "label.csv").write_text("\n".join(lines))
        for line in lines:
            name = line.split(",")[0]
            (tmp_path / folder / name).symlink_to(real / folder / name)
    samples = read_ferplus_generated(str(tmp_path))
    assert len(samples.where("test")) == KNOWN["test"]
    assert int((samples.targets["fer8"][samples.where("test")] >= 0).sum()) == OFFICIAL["test"]
    assert samples.checksums["test"] == PROTOCOLS["ferplus_generated-fer8"].checksums["test"]
