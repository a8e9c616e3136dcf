"""CAER-S with names and face boxes of a public list; the pictures are made up."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.data.images import pixels_of
from fer_bench.datasets.caers import CaersDataModule, read_boxes, read_caers
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7
from fer_bench.protocols.caers import CaersOptions
from tests.datasets.fakes_pictures import write_picture

# Lines of the public list's test.txt.
REAL = """test/Sad/0157.png,5,191,109,293,211
test/Happy/0048.png,3,287,84,372,169
test/Neutral/1715.png,4,393,71,540,218
test/Disgust/2771.png,1,143,41,289,188
test/Anger/0761.png,0,390,110,475,195
test/Surprise/1887.png,6,232,86,379,233
test/Fear/0332.png,2,175,76,260,161
"""
FOLDERS = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
FACES = CaersOptions(images="face", margin=0)


def write(root, each=10):
    """Scenes of 60 x 40 with a bright face in the middle, and the lists of boxes."""
    for part, n in (("train", each), ("test", 2)):
        lines = []
        for code, folder in enumerate(FOLDERS):
            for i in range(1, n + 1):
                scene = np.random.default_rng(1000 * code + i).integers(0, 100, (40, 60, 3), dtype=np.uint8)
                scene[10:30, 20:40] = 200
                name = f"{part}/{folder}/{i:04d}.png"
                write_picture(root / name, scene)
                lines.append(f"{name},{code},20,10,40,30")
        (root / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_lines_of_the_real_list(tmp_path):
    (tmp_path / "test.txt").write_text(REAL)
    classes = {line.split(".")[0]: FER7.index(line.split("/")[1]) for line in REAL.splitlines()}
    boxes = read_boxes(tmp_path / "test.txt", classes)
    assert boxes["test/Sad/0157"] == (191, 109, 293, 211)
    assert len(boxes) == 7


@pytest.mark.parametrize("inner", ["", "CAER-S"])
def test_scenes_and_faces(tmp_path, inner):
    root = write(tmp_path / "caers" / inner)
    samples = read_caers(str(tmp_path), size=20)
    counts = {part: len(samples.where(part)) for part in ("train", "validation", "test")}
    assert counts == {"train": 63, "validation": 7, "test": 14}
    assert samples.ids[0] == "train/Anger/0001"
    assert FER7.names[samples.targets["fer7"][0]] == "angry"
    assert samples.images[0].mean() < 100
    with (root / "train.txt").open() as file:
        listed = file.read().splitlines()
    (root / "train.txt").write_text("\n".join(listed[1:]) + "\n")
    faces = read_caers(str(tmp_path), FACES, size=20)
    assert faces.images[0].min() == 200
    assert len(faces) == 83
    assert "1 pictures have no face box, and are left out" in faces.notes


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("test/Sad/0158.png,7,191,109,293,211", "line 8: the class 7 is none of 0 to 6"),
        ("test/Sad/0157.png,5,191,109,293,211", "line 8: test/Sad/0157.png stands twice"),
        ("test/Sad/0158.png,5,191,109,293", "line 8: .* is no face box, such as"),
        ("test/Sad/0158.png,sad,191,109,293,211", "line 8: .* is no face box, such as"),
        ("test/Sad/0158.png,5,191,nan,293,211", "line 8: .* is no face box, such as"),
        ("test/Sad/0158.png,5,191,109,inf,211", "line 8: .* is no face box, such as"),
        ("test/Fear/0333.png,5,191,109,293,211", r"is of class 5 \(sad\), and in another's folder"),
    ],
)
def test_a_line_that_is_no_face_box(tmp_path, line, says):
    (tmp_path / "test.txt").write_text(f"{REAL}{line}\n")
    with pytest.raises(BadDataError, match=says) as caught:
        read_boxes(tmp_path / "test.txt", {"test/Fear/0333": FER7.index("fear")})
    assert "\n" not in str(caught.value)


def test_lists_with_other_slashes_and_of_other_pictures(tmp_path):
    root = write(tmp_path / "caers", each=3)
    for name in ("train.txt", "test.txt"):
        text = (root / name).read_text()
        (root / name).write_text(text.replace("/", "\\"))
    assert read_caers(str(tmp_path), FACES, size=20).images[0].min() == 200
    for name in ("train.txt", "test.txt"):
        (root / name).write_text("Anger/9999.png,0,20,10,40,30\n".replace("9999", name[:4]))
    with pytest.raises(BadDataError, match="none of 2 face boxes is of a picture here"):
        read_caers(str(tmp_path), FACES)


def test_folders_in_another_case_have_the_same_ids_and_boxes(tmp_path):
    before = read_caers(str(write(tmp_path / "a" / "caers", each=3)), FACES, size=20)
    other = write(tmp_path / "b" / "caers", each=3)
    (other / "train").rename(other / "Train")
    (other / "test").rename(other / "TEST")
    after = read_caers(str(other), FACES, size=20)
    assert after.ids.tolist() == before.ids.tolist()
    assert after.images[0].min() == 200


def test_two_folders_of_one_split_are_refused(tmp_path):
    root = write(tmp_path / "caers", each=1)
    (root / "Train").mkdir()
    with pytest.raises(BadDataError, match="the folders 'Train' and 'train' are both of the train split"):
        read_caers(str(root))


def test_what_is_not_caers(tmp_path):
    for part in ("train", "test"):
        write_picture(tmp_path / part / "angry" / "Training_3908.jpg")
    with pytest.raises(MissingDataError, match=r"pictures such as 0001.png in .*caer-dataset.github.io"):
        read_caers(str(tmp_path))
    root = write(tmp_path / "caers", each=2)
    (root / "train.txt").unlink()
    with pytest.raises(MissingDataError, match=r"no train.txt and test.txt with face boxes\..*images=scene"):
        read_caers(str(tmp_path), FACES)
    write_picture(root / "train" / "Bored" / "0001.png")
    with pytest.raises(BadDataError, match="not classes of fer7: 'Bored'"):
        read_caers(str(tmp_path))


def test_as_a_dataset(tmp_path):
    write(tmp_path / "caers")
    module = CaersDataModule("fer7", data_dir=str(tmp_path), image_size=32)
    assert module.class_counts(7).tolist() == [9] * 7
    assert next(iter(module.val_dataloader()))["image"].shape == (7, 3, 32, 32)
    said = "\n".join(report("caers", None, str(tmp_path), 0))
    assert "unverified: the reader was tried on the names and face boxes of a public list" in said


def test_a_box_that_is_not_finite_has_no_pixels():
    for corner in (np.nan, np.inf, -np.inf):
        assert pixels_of((corner, 0, 10, 10), 20, 20) is None
        assert pixels_of((0, 0, 10, corner), 20, 20) is None
