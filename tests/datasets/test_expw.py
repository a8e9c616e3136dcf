"""ExpW on lines of the real list; the photographs are made up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.datasets.expw import ExpwDataModule, read_expw, read_list
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.protocols.expw import ExpwOptions
from tests.datasets.fakes_pictures import write_picture

# Lines of the public part, as they are there: two faces of one photograph, and one whose number is not the first.
REAL = """angry_actor_104.jpg 0 28 113 226 141 22.9362 0
angry_actor_109.jpg 0 31 157 345 219 50.3056 0
angry_actor_120.jpg 1 53 53 372 372 13.9434 2
angry_actor_13.jpg 0 77 51 362 388 85.8104 3
angry_asian_481.jpg 0 105 191 305 219 64.5991 3
angry_asian_481.jpg 1 80 352 448 176 54.2438 1
"""
WHOLE = ExpwOptions(margin=0)
# Made up: 20 photographs of two faces each, one in the left and one in the right half.
MADE = [
    f"made_{i}.jpg {n} 20 {20 + 60 * n} {60 + 60 * n} 60 9.5 {(2 * i + n) % 7}" for i in range(20) for n in range(2)
]


def write(root, lines, folder="Images", name="label.lst"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")
    for line in lines:
        photo, number, top, left, right, bottom, _, _ = line.split()
        path = root / folder / photo
        image = cv2.imread(str(path)) if path.is_file() else np.zeros((80, 140, 3), np.uint8)
        image[int(top) : int(bottom), int(left) : int(right)] = 100 + 100 * int(number)
        write_picture(path, image)
    return root


def test_lines_of_the_real_list(tmp_path):
    path = tmp_path / "label.lst"
    path.write_text(REAL)
    faces = read_list(path)
    assert [(face.id, face.label) for face in faces[:3]] == [
        ("angry_actor_104/0", 0),
        ("angry_actor_109/0", 0),
        ("angry_actor_120/1", 2),
    ]
    # Top, left, right, bottom in the list; left, top, right, bottom here.
    assert faces[0].box == (113, 28, 226, 141)
    assert faces[4].photo == faces[5].photo
    assert faces[5].confidence == 54.2438


@pytest.mark.parametrize(("folder", "name"), [("Images", "label.lst"), ("image/origin", "label/label.lst")])
def test_faces_are_cut_out_of_their_photographs(tmp_path, folder, name):
    write(tmp_path / "expw", MADE, folder, name)
    samples = read_expw(str(tmp_path), WHOLE, size=16)
    assert samples.images[0].shape == (16, 16, 3)
    assert [round(samples.images[i].mean(), -1) for i in range(4)] == [100, 200, 100, 200]
    assert samples.targets["fer7"].tolist() == [i % 7 for i in range(40)]
    assert samples.groups.tolist()[:3] == ["made_0.jpg", "made_0.jpg", "made_1.jpg"]
    assert f"photographs in {folder}/" in samples.layout
    # A margin shows what is around the face.
    assert read_expw(str(tmp_path), ExpwOptions(margin=0.5, cache=False), size=16).images[0].mean() < 90


def test_no_photograph_is_in_two_splits(tmp_path):
    write(tmp_path / "expw", MADE)
    tested = []
    for fold in range(5):
        module = ExpwDataModule.reading(
            "fer7", data_dir=str(tmp_path), options={"fold": fold, "folds": 5, "fold_by": "photo"}
        )
        module.setup()
        samples = module.read_samples
        for photo in set(samples.groups):
            assert len(set(samples.split[samples.groups == photo])) == 1
        tested += samples.ids[samples.split == "test"].tolist()
    assert sorted(tested) == sorted(read_expw(str(tmp_path), WHOLE).ids)
    module = ExpwDataModule.reading("fer7", data_dir=str(tmp_path), options={"fold": 0, "fold_by": "identity"})
    with pytest.raises(SpecError, match=r"does not say which identity .* Use photo or frame"):
        module.setup()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("angry_actor_104.jpg 0 28 113 226 141 22.9362 7", "line 7: the label 7 is none of 0 to 6"),
        ("angry_actor_104.jpg 0 28 113 226 141 22.9362 -1", "line 7: the label -1 is none of 0 to 6"),
        ("angry_actor_104.jpg 0 28 113 226 141 22.9362 0", "line 7: face 0 of angry_actor_104.jpg stands twice"),
        ("angry_actor_105.jpg 0 28 113 226 141 0", "line 7: .* is no face, such as"),
        ("angry_actor_105.jpg 0 28 113 226.5 141 22.9 0", "line 7: right is '226.5'"),
        ("angry_actor_105.jpg 0 28 113 226 141 nan 0", "line 7: the confidence is 'nan'"),
        ("angry_actor_105.jpg 0 28 113 226 141 22.9 happy", "line 7: the label is 'happy'"),
        ("../x.jpg 0 28 113 226 141 22.9362 0", "line 7: '../x.jpg' is outside"),
    ],
)
def test_a_line_that_is_no_face(tmp_path, line, says):
    path = tmp_path / "label.lst"
    path.write_text(f"{REAL}{line}\n")
    with pytest.raises(BadDataError, match=says) as caught:
        read_list(path)
    assert "\n" not in str(caught.value)


def test_lists_that_are_missing_empty_or_without_photographs(tmp_path):
    with pytest.raises(MissingDataError, match=r"found no label.lst or label/label.lst.*Sansonisimone"):
        read_expw(str(tmp_path))
    (tmp_path / "label.lst").write_text("\n")
    with pytest.raises(BadDataError, match="the list is empty"):
        read_expw(str(tmp_path))
    (tmp_path / "label.lst").write_text(REAL)
    with pytest.raises(MissingDataError, match="6 pictures are listed, and none is there"):
        read_expw(str(tmp_path))


def test_boxes_that_leave_the_photograph(tmp_path):
    lines = [f"made_{i}.jpg 0 -20 -10 60 50 9.5 {i % 7}" for i in range(200)]
    for line in lines:
        write_picture(tmp_path / "expw/Images" / line.split()[0], np.full((80, 140, 3), 90, np.uint8))
    (tmp_path / "expw/label.lst").write_text("\n".join([*lines, "made_0.jpg 1 90 20 60 120 9.5 0"]) + "\n")
    samples = read_expw(str(tmp_path), WHOLE, size=8)
    assert samples.images[0].mean() == 90
    assert samples.quarantined == [("made_0/1", "the face box is outside the picture of 140 x 80 px, or empty")]


def test_as_a_dataset(tmp_path):
    write(tmp_path / "expw", MADE)
    said = "\n".join(report("expw", None, str(tmp_path), 0))
    assert "unverified: the reader was tried on the public part" in said
    assert "duplicates: " in said
    assert "2 images are there more than once, pixel for pixel, 2 of them under more than one class" in said
