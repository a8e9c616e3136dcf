"""CK+: the official tree as its authors describe it, and CK+48 with names of a real copy; the pictures are made up."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.datasets.ckplus import CkPlusDataModule, read_ckplus, read_emotion
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import CK7, FER8
from fer_bench.protocols.ckplus import CkPlusOptions
from tests.datasets.fakes_pictures import write_picture

# As the authors' description quotes one, for S005/001: disgust.
QUOTED = "3.00000000e+00\n"
# Names of a real copy of CK+48, by class.
COPY = {
    "anger": ("S010_004_00000017",),
    "contempt": ("S138_008_00000007", "S138_008_00000008", "S138_008_00000009", "S139_002_00000011"),
    "disgust": ("S005_001_00000009",),
    "fear": ("S502_004_00000050",),
    "happy": ("S010_006_00000013", "S011_006_00000013"),
    "sadness": ("S014_002_00000016",),
    "surprise": (),
}


def sequence(root, clip, frames, emotion=None, landmarks=False):
    """A sequence of the official tree; its frame n is grey 10 * n, and brighter where the face is."""
    folder = f"{clip[:4]}/{clip[5:]}"
    for n in range(1, frames + 1):
        image = np.full((49, 64, 3), 10 * n, np.uint8)
        image[10:30, 20:40] += 100
        write_picture(root / f"cohn-kanade-images/{folder}/{clip}_{n:08d}.png", image)
        if landmarks:
            path = root / f"Landmarks/{folder}/{clip}_{n:08d}_landmarks.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            points = [(20 + 19 * (i % 2), 10 + 19 * (i // 2 % 2)) for i in range(68)]
            path.write_text("\n".join(f"   {x:.7e}   {y:.7e}" for x, y in points) + "\n")
    if emotion is not None:
        path = root / f"Emotion/{folder}/{clip}_{frames:08d}_emotion.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"   {emotion:.7e}\n" if isinstance(emotion, int) else emotion)


def copy(root, names=None):
    number = 0
    for folder, stems in (names or COPY).items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for stem in stems:
            number += 1
            write_picture(root / folder / f"{stem}.png", number)
    return root


def test_the_official_tree(tmp_path):
    root = tmp_path / "ckplus"
    sequence(root, "S005_001", 11, QUOTED)
    sequence(root, "S010_002", 2, 2)
    sequence(root, "S011_003", 5)
    samples = read_ckplus(str(tmp_path), size=16)
    found = {
        name: (CK7.names[a] if a >= 0 else None, FER8.names[b])
        for name, a, b in zip(samples.ids, samples.targets["ck7"], samples.targets["fer8"], strict=True)
    }
    assert found == {
        "S005_001_00000009": ("disgust", "disgust"),
        "S005_001_00000010": ("disgust", "disgust"),
        "S005_001_00000011": ("disgust", "disgust"),
        "S005_001_00000001": (None, "neutral"),
        "S010_002_00000002": ("contempt", "contempt"),
        "S010_002_00000001": (None, "neutral"),
    }
    # FER7 has no contempt.
    assert samples.targets["fer7"][list(samples.ids).index("S010_002_00000002")] == -1
    assert set(samples.columns["identity"]) == {"S005", "S010"}
    assert samples.columns["frame"].tolist()[:2] == [9, 10]
    assert any("no landmarks" in note for note in samples.notes)
    assert any("labels of 2 sequences, the complete one of 327" in note for note in samples.notes)
    assert len(read_ckplus(str(tmp_path), CkPlusOptions(last=1))) == 4


def test_what_a_mac_leaves_on_a_foreign_disk_is_no_label(tmp_path):
    root = tmp_path / "ckplus"
    sequence(root, "S005_001", 11, QUOTED)
    folder = root / "Emotion/S005/001"
    for name in ("._S005_001_00000011_emotion.txt", ".DS_Store"):
        (folder / name).write_bytes(b"\x00\x05\x16\x07\x00\x02\xb0\xff")
    assert len(read_ckplus(str(tmp_path), size=16)) == 4
    (folder / "S005_001_00000011_emotion.txt").write_bytes(b"\xff\xfe3\x00")
    with pytest.raises(BadDataError, match=r"S005_001_00000011_emotion.txt: not UTF-8 text"):
        read_ckplus(str(tmp_path))


def test_faces_are_cut_out_by_their_landmarks(tmp_path):
    sequence(tmp_path / "ckplus", "S005_001", 4, 3, landmarks=True)
    samples = read_ckplus(str(tmp_path), CkPlusOptions(margin=0, last=1), size=16)
    assert "faces by landmarks" in samples.layout
    assert samples.images[0].min() == 140
    (tmp_path / "ckplus/Landmarks/S005/001/S005_001_00000001_landmarks.txt").write_text("1 2\n")
    with pytest.raises(BadDataError, match=r"S005_001_00000001_landmarks.txt: there are no 68 landmarks"):
        read_ckplus(str(tmp_path))


@pytest.mark.parametrize("inner", ["", "CK+48", "ck/CK+48"])
def test_names_of_the_copy_that_circulates(tmp_path, inner):
    copy(tmp_path / "ckplus" / inner)
    samples = read_ckplus(str(tmp_path))
    assert samples.layout == "CK+48, class folders"
    assert [CK7.names[label] for label in samples.targets["ck7"][:2]] == ["angry", "contempt"]
    assert set(samples.targets) == {"ck7"}
    assert sorted(set(samples.groups)) == ["S005", "S010", "S011", "S014", "S138", "S139", "S502"]
    assert "this copy has 10, the complete one 981" in samples.notes
    assert "no picture of surprise" in samples.notes


def test_nobody_is_in_two_folds(tmp_path):
    names = {
        folder: [f"S{10 * i + k:03d}_001_{n:08d}" for k in range(3) for n in (7, 8, 9)] for i, folder in enumerate(COPY)
    }
    copy(tmp_path / "ckplus", names)
    tested = []
    for fold in range(10):
        options = {"fold": fold, "folds": 10, "fold_by": "identity"}
        module = CkPlusDataModule.reading("ck7", data_dir=str(tmp_path), options=options)
        module.setup()
        samples = module.read_samples
        assert not set(samples.groups[samples.split == "test"]) & set(samples.groups[samples.split != "test"])
        tested += samples.ids[samples.split == "test"].tolist()
    assert len(tested) == len(set(tested)) == 63
    module = CkPlusDataModule.reading("fer7", data_dir=str(tmp_path))
    with pytest.raises(SpecError, match=r"has no labels for the task 'fer7'.*ck7"):
        module.setup()
    said = "\n".join(report("ckplus", None, str(tmp_path), 0))
    assert "unverified: the reader of the official tree" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8.0000000e+00\n", r"the code 8.0000000e\+00 is none of 0 to 7"),
        ("-1\n", "the code -1 is none"),
        ("1.5\n", "the code 1.5 is none"),
        ("nan\n", "the code nan is none"),
        ("happy\n", "the code happy is none"),
        ("1 2\n", "2 values, where one code is expected"),
        ("", "0 values"),
        ("\xff", "not UTF-8"),
    ],
)
def test_what_is_no_emotion_file(tmp_path, text, says):
    path = tmp_path / "S005_001_00000011_emotion.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadDataError, match=says) as caught:
        read_emotion(path)
    assert "\n" not in str(caught.value)


def test_what_is_neither(tmp_path):
    with pytest.raises(MissingDataError, match=r"cohn-kanade-images/ with Emotion/ or CK\+48/ .*on request"):
        read_ckplus(str(tmp_path))
    (tmp_path / "ckextended.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(BadDataError, match="names no people"):
        read_ckplus(str(tmp_path))
    sequence(tmp_path, "S005_001", 1, 3)
    (tmp_path / "cohn-kanade-images").rename(tmp_path / "pictures")
    with pytest.raises(MissingDataError, match="found no cohn-kanade-images/"):
        read_ckplus(str(tmp_path))


@pytest.mark.parametrize(
    ("folder", "stem", "says"),
    [
        ("anger", "face_17", "the name says no person"),
        ("bored", "S010_004_00000018", "not classes of ck7: 'bored'"),
        ("happy", "S010_004_00000017", "is there twice, in anger/"),
    ],
)
def test_a_copy_that_is_not_it(tmp_path, folder, stem, says):
    copy(tmp_path / "ckplus")
    write_picture(tmp_path / "ckplus" / folder / f"{stem}.png")
    with pytest.raises(BadDataError, match=says):
        read_ckplus(str(tmp_path))
