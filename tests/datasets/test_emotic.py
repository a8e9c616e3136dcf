"""EMOTIC in the layouts that its authors and public programs describe; no real file was at hand, see its
``unverified``.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from fer_bench.cli.audit import report
from fer_bench.datasets.emotic.annotations import read_csv, read_mat
from fer_bench.datasets.emotic.module import EmoticDataModule, read_emotic
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.protocols import TASKS, protocol_for
from fer_bench.protocols.emotic import EmoticOptions
from fer_bench.protocols.tasks import EMOTIC26
from tests.datasets.fakes_emotic import HEADER

# The one entry that the authors print in their description of Annotations.mat.
PRINTED = {
    "filename": "007eear5kx5qhbzewz.jpg",
    "folder": "emodb_small/images",
    "person": {
        "body_bbox": [215, 111, 580, 352],
        "annotations_categories": {"categories": ("Affection", "Pleasure", "Happiness")},
        "annotations_continuous": {"valence": 8, "arousal": 4, "dominance": 10},
        "annotations_gender": {"gender": "Female"},
        "annotations_age": {"age": "Adult"},
    },
}


def cells(names):
    """A cell array of MATLAB's."""
    found = np.empty(len(names), dtype=object)
    found[:] = names
    return found


def structs(entries):
    """A struct array of MATLAB's."""
    found = np.empty(len(entries), dtype=object)
    found[:] = entries
    return found


def as_matlab(entry):
    if isinstance(entry, dict):
        return {key: as_matlab(value) for key, value in entry.items()}
    return cells(entry) if isinstance(entry, tuple) else entry


def combined(box, names, values):
    """A person of validation or test, whom several have annotated."""
    continuous = dict(zip(("valence", "arousal", "dominance"), values, strict=True))
    return {
        "body_bbox": list(box),
        "annotations_categories": structs([{"categories": cells(["Anger"])}, {"categories": cells(list(names))}]),
        "combined_categories": cells(list(names)),
        "annotations_continuous": structs([continuous, continuous]),
        "combined_continuous": continuous,
        "gender": "Male",
        "age": "Kid",
    }


def write_picture(root, name, shape=(360, 600)):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((*shape, 3), np.uint8)
    picture[112:350, 216:578] = 200
    cv2.imwrite(str(path), picture)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "emotic"
    (root / "Annotations").mkdir(parents=True)
    train = [as_matlab(PRINTED)]
    for i in range(7):
        entry = as_matlab(PRINTED | {"filename": f"made_{i}.jpg"})
        names = ("Doubt/Confusion", "Peace")[: 1 + i % 2]
        entry["person"] = entry["person"] | {"annotations_categories": {"categories": cells(list(names))}}
        train.append(entry)
    both = structs(
        [
            combined((10, 10, 200, 300), ["Disconnection", "Doubt/Confusion"], (5.0, 3.333, 6)),
            combined((300, 10, 400, 300), ["Engagement"], (math.nan,) * 3),
        ]
    )
    photographs = {
        "train": structs(train),
        "val": structs([{"filename": f"val_{i}.jpg", "folder": "mscoco/images", "person": both} for i in range(3)]),
        "test": structs([{"filename": f"test_{i}.jpg", "folder": "framesdb/images", "person": both} for i in range(3)]),
    }
    savemat(root / "Annotations" / "Annotations.mat", photographs)
    for entries in photographs.values():
        for entry in entries:
            write_picture(root / "emotic", f"{entry['folder']}/{entry['filename']}")
    return root


def test_the_printed_entry_is_read_as_printed(copy):
    person = read_mat(copy / "Annotations" / "Annotations.mat")[0]
    assert person.name == "emodb_small/images/007eear5kx5qhbzewz.jpg#0"
    assert person.box == (215, 111, 580, 352)
    assert [EMOTIC26[k] for k in sorted(person.categories)] == ["affection", "happiness", "pleasure"]
    assert person.values == (8, 4, 10)
    assert (person.gender, person.age) == ("Female", "Adult")


def test_people_splits_and_what_was_combined(copy):
    samples = read_emotic(str(copy.parent))
    assert {name: len(samples.where(name)) for name in ("train", "validation", "test")} == {
        "train": 8,
        "validation": 6,
        "test": 6,
    }
    at = samples.ids.tolist().index("framesdb/images/test_0.jpg#0")
    chosen = samples.targets["emotic26"]
    # What was combined counts, not each annotator's.
    assert [EMOTIC26[k] for k in np.flatnonzero(chosen[at])] == ["disconnection", "doubt/confusion"]
    assert samples.targets["vad"][at] == pytest.approx([5, 3.333, 6], abs=1e-3)
    assert np.isnan(samples.targets["va"][at + 1]).all()
    assert samples.groups[at] == samples.groups[at + 1] == "framesdb/images/test_0.jpg"
    assert samples.columns["attribute:gender"][at] == "Male"
    assert samples.images[0].shape == (128, 128, 3)
    # The printed person fills the bright part of the picture.
    assert samples.images[0].mean() > 180
    scene = read_emotic(str(copy.parent), EmoticOptions(images="scene"))
    assert scene.images[0].mean() < 150
    assert scene.checksums["test"] != samples.checksums["test"]


def test_a_csv_says_the_same(copy, tmp_path, monkeypatch):
    people = read_mat(copy / "Annotations" / "Annotations.mat")
    lines = [HEADER]
    first = people[0]
    folder, _, name = first.photograph.rpartition("/")
    names = "['Affection', 'Pleasure', 'Happiness']"
    lines.append(f'0,{folder},{name},"[640, 640]","[215, 111, 580, 352]","{names}","[8, 4, 10]",Female,Adult')
    lines.append(f'1,{folder},{name},"[640, 640]","[1, 2, 50, 90]","[\'Peace\']","[nan, nan, nan]",Male,Kid')
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines) + "\n")
    found = read_csv(path, "train")
    assert found[0] == first
    # As a program writes the same lists with NumPy 2.
    numbers = "[np.int64(215), np.int64(111), np.int64(580), np.int64(352)]", "[np.float64(8.0), np.float64(4.0), 10]"
    lines[1] = lines[1].replace("[215, 111, 580, 352]", numbers[0]).replace("[8, 4, 10]", numbers[1])
    path.write_text("\n".join(lines) + "\n")
    assert read_csv(path, "train") == found
    assert found[1].name == f"{first.photograph}#1"
    assert all(map(math.isnan, found[1].values))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('"[1, 2, 3, 4]","[\'Joy\']","[5, 5, 5]"', "'Joy' is none of the 26 categories"),
        ('"[1, 2, 3]","[\'Peace\']","[5, 5, 5]"', "line 2: the box of the body is not four numbers"),
        ('"[1, 2, 3, 4]","[\'Peace\']","[5, 11, 5]"', "not three numbers from 1 to 10"),
        ('"[1, 2, 3, 4]",Peace,"[5, 5, 5]"', "Categorical_Labels = 'Peace' is no list"),
    ],
)
def test_wrong_lines_are_named(tmp_path, cell, said):
    path = tmp_path / "train.csv"
    path.write_text(f'{HEADER}\n0,mscoco/images,a.jpg,"[640, 480]",{cell},Male,Adult\n')
    with pytest.raises(BadDataError, match=said):
        read_csv(path, "train")


def test_a_line_after_blank_ones_is_named_by_its_own_number(tmp_path):
    row = '0,f,a.jpg,"[4, 4]","[1, 1, 3, 3]","[\'{}\']","[5, 5, 5]",Male,Adult'
    # As the program that most CSVs are of writes them on Windows.
    (tmp_path / "train.csv").write_bytes("\r\r\n".join([HEADER, row.format("Peace"), row.format("Pece"), ""]).encode())
    with pytest.raises(BadDataError, match="line 5: 'Pece' is none of the 26 categories"):
        read_csv(tmp_path / "train.csv", "train")


def test_what_is_no_annotations_file_is_one_error(copy):
    path = copy / "Annotations" / "Annotations.mat"
    for content in (b"", b"MATLAB 5.0 MAT-file" + b"\0" * 40, b"\x89HDF\r\n\x1a\n" + b"\0" * 600):
        path.write_bytes(content)
        with pytest.raises(BadDataError, match=r"Annotations\.mat"):
            read_mat(path)
    savemat(path, {"something": 1})
    with pytest.raises(BadDataError, match="holds none of train, val, test"):
        read_mat(path)


def test_a_path_that_leads_out_is_refused(copy):
    savemat(
        copy / "Annotations" / "Annotations.mat",
        {"train": structs([as_matlab(PRINTED | {"folder": "../../etc"}), as_matlab(PRINTED)])},
    )
    with pytest.raises(BadDataError, match="name no picture"):
        read_mat(copy / "Annotations" / "Annotations.mat")


def test_pictures_that_are_not_there(copy):
    (copy / "emotic" / "framesdb" / "images" / "test_0.jpg").unlink()
    with pytest.raises(BadDataError, match="the pictures of 2 of 20 people are absent"):
        read_emotic(str(copy.parent))


def test_the_copy_of_arrays_is_recognised(tmp_path):
    (tmp_path / "emotic" / "annots_arrs").mkdir(parents=True)
    with pytest.raises(BadDataError, match="copy of arrays"):
        read_emotic(str(tmp_path))
    with pytest.raises(MissingDataError, match=r"Annotations\.mat"):
        read_emotic(str(tmp_path / "elsewhere"))


def test_tasks_and_people_without_labels(copy):
    module = EmoticDataModule("emotic26", data_dir=str(copy.parent))
    module.setup()
    assert module.targets("test").dtype == np.int8
    assert module.targets("test").shape == (6, 26)
    assert module.label_counts()[1].tolist() == module.targets("train").sum(axis=0).tolist()
    values = EmoticDataModule("vad", data_dir=str(copy.parent))
    values.setup()
    # Those whose values nobody gave are left out.
    assert len(values.targets("test")) == 3
    assert protocol_for("emotic", "arousal").scale == (1, 10)
    assert TASKS["emotic26"].n_outputs == 26


def test_audit_counts_categories_and_says_what_is_unverified(copy):
    text = "\n".join(report("emotic", None, str(copy.parent), 0))
    assert "doubt/confusion 3" in text
    assert "1 to 2 categories a sample" in text
    assert "unverified: the reader follows" in text
    assert "test has no sample of affection" in text
