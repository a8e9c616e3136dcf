"""Aff-Wild2 with the folders, first lines, codes and names of videos that the challenges describe; no real file was at
hand, see its ``unverified``.
"""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.cli.audit import report
from fer_bench.datasets.affwild2 import AffWild2DataModule, read_affwild2, read_labels
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import EXPR8, FER7
from fer_bench.protocols.affwild2 import AffWild2Options
from tests.datasets.fakes_pictures import write_picture

SEVEN = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
EIGHT = f"{SEVEN},Other"
VA = "valence,arousal"
NEW = ("annotations/EXPR_Classification_Challenge", "annotations/VA_Estimation_Challenge", "Train_Set")
OLD = ("EXPR_Set", "VA_Set", "Training_Set")
TRAIN = ("8-30-1280x720", "52-30-1280x720_left", "52-30-1280x720_right", "4-30-1920x1080", "video66")
VAL = ("1-30-1280x720", "118-30-640x480")


def faces(root, videos, frames=12, crops="cropped_aligned", gap=5):
    for v, video in enumerate(videos):
        for n in range(1, frames + 1):
            if n != gap:
                write_picture(root / crops / video / f"{n:05d}.jpg", 100 * v + n)


def write(root, names=NEW, header=EIGHT, n_codes=8, frames=12):
    expr, va, train = names
    for video in (*TRAIN, *VAL):
        part = train if video in TRAIN else "Validation_Set"
        codes = [-1, *(i % n_codes for i in range(frames - 1))]
        values = ["-5,-5", *(f"{i / frames:.3f},{-i / frames:.3f}" for i in range(frames - 1))]
        for folder, first, lines in ((expr, header, codes), (va, VA, values)):
            path = root / folder / part / f"{video}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([first, *map(str, lines)]) + "\n")
    faces(root, (*TRAIN, *VAL), frames)
    return root


@pytest.fixture
def copy(tmp_path):
    return write(tmp_path / "affwild2")


def test_line_n_is_frame_n(copy):
    samples = read_affwild2(str(copy.parent))
    # Frame 1 has no label, frame 5 no face.
    assert samples.ids[samples.columns["clip"] == "8-30-1280x720"].tolist() == [
        f"8-30-1280x720/{n:05d}" for n in (2, 3, 4, 6, 7, 8, 9, 10, 11, 12)
    ]
    of_clip = samples.columns["clip"] == "8-30-1280x720"
    assert samples.columns["frame"][of_clip].tolist() == [2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    assert [EXPR8.names[i] for i in samples.targets["expr8"][of_clip][:3]] == ["neutral", "angry", "disgust"]
    assert [EXPR8.names[i] for i in samples.targets["expr8"][of_clip][6:7]] == ["other"]
    # FER7 has no class other.
    assert samples.targets["fer7"][of_clip][6] == -1
    assert FER7.names[samples.targets["fer7"][of_clip][0]] == "neutral"
    assert "5 labelled frames of train have no face, and are left out" in samples.notes
    assert len(read_affwild2(str(copy.parent), options=AffWild2Options(every=4))) == 7


def test_frames_that_are_skipped_are_not_faces_that_lack(copy):
    # Frame 1, the only one that is read, has no label.
    with pytest.raises(BadDataError, match=r"no frame has both a label and a face, .*every=50"):
        read_affwild2(str(copy.parent), options=AffWild2Options(every=50))


def test_both_people_of_a_video_are_in_one_split(copy):
    samples = read_affwild2(str(copy.parent), options=AffWild2Options(validation=0.4))
    for video in set(samples.groups):
        assert len(set(samples.split[samples.groups == video])) == 1
    assert set(samples.columns["clip"][samples.split == "test"]) == set(VAL)
    assert {str(part) for part in samples.split} == {"train", "validation", "test"}
    path = copy / NEW[0] / "Train_Set" / "52-30-1280x720_left.txt"
    path.rename(copy / NEW[0] / "Validation_Set" / path.name)
    with pytest.raises(BadDataError, match="video 52-30-1280x720 is in train and in validation"):
        read_affwild2(str(copy.parent))


def test_values(copy):
    samples = read_affwild2(str(copy.parent), "VA")
    assert set(samples.targets) == {"va"}
    np.testing.assert_allclose(samples.targets["va"][1], [1 / 12, -1 / 12], atol=1e-3)
    module = AffWild2DataModule("arousal", data_dir=str(copy.parent), image_size=16)
    assert module.targets("test").shape == (20, 1)


def test_older_releases_and_batches_of_faces(tmp_path):
    root = write(tmp_path / "affwild2", OLD, SEVEN, 7)
    (root / "cropped_aligned" / "video66").rename(root / "video66")
    (root / "cropped_aligned" / "batch2" / "cropped_aligned").mkdir(parents=True)
    (root / "video66").rename(root / "cropped_aligned" / "batch2" / "cropped_aligned" / "video66")
    # As Google Drive packs a folder.
    (root / "archive-001" / "annotations").mkdir(parents=True)
    lists = (root / OLD[0]).rename(root / "archive-001" / "annotations" / OLD[0])
    # The folder of an archive of its own, of videos that were added later.
    (root / "cropped_aligned" / VAL[0]).rename(root / VAL[0])
    (root / "cropped_aligned_new_50_vids").mkdir()
    (root / VAL[0]).rename(root / "cropped_aligned_new_50_vids" / VAL[0])
    samples = read_affwild2(str(tmp_path))
    assert set(samples.targets) == {"fer7"}
    assert {"video66", VAL[0]} <= set(samples.columns["clip"])
    module = AffWild2DataModule.reading("expr8", data_dir=str(tmp_path))
    with pytest.raises(SpecError, match=r"has no labels for the task 'expr8'.*fer7"):
        module.setup()
    (lists / "Validation_Set" / f"{VAL[0]}.txt").write_text(f"{EIGHT}\n0\n")
    with pytest.raises(BadDataError, match="some lists have seven classes and some have eight"):
        read_affwild2(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("EXPR", f"{EIGHT}\n0\n8\n", "line 3: the code 8 is none of -1 to 7"),
        ("EXPR", f"{SEVEN}\n0\n7\n", "line 3: the code 7 is none of -1 to 6"),
        ("EXPR", f"{SEVEN}\n0\n\n1\n", "line 3: '' is no code"),
        ("EXPR", f"{SEVEN}\n1.0\n", "line 2: '1.0' is no code"),
        ("EXPR", f"{VA}\n0.1,0.2\n", "line 1: 'valence,arousal' is not the first line of a list of expressions"),
        ("EXPR", "AU1,AU2,AU4\n0,0,1\n", "line 1: 'au1,au2,au4' is not the first line"),
        ("EXPR", "0\n1\n", "line 1: '0' is not the first line"),
        ("EXPR", "", "line 1: 'nothing' is not the first line"),
        ("VA", f"{VA}\n0.1\n", "line 2: '0.1' is no pair"),
        ("VA", f"{VA}\n0.1,1.2\n", "line 2: valence or arousal is outside -1 to 1"),
        ("VA", f"{VA}\nnan,0.2\n", "line 2: valence or arousal is outside -1 to 1"),
        ("VA", f"{EIGHT}\n1\n", "is not the first line of a list of valence and arousal"),
    ],
)
def test_a_list_of_something_else(tmp_path, kind, text, says):
    path = tmp_path / "video.txt"
    path.write_text(text)
    with pytest.raises(BadDataError, match=says) as caught:
        read_labels(path, kind)
    assert "\n" not in str(caught.value)


def test_what_is_missing(tmp_path, copy):
    with pytest.raises(MissingDataError, match=r"found no EXPR_\*/ with Train_Set/ and Validation_Set/.*on request"):
        read_affwild2(str(tmp_path / "nowhere"))
    (copy / "cropped_aligned" / TRAIN[0]).rename(tmp_path / "away")
    assert f"video {TRAIN[0]}: there are no faces of it" in read_affwild2(str(copy.parent)).notes
    (copy / "cropped_aligned").rename(copy / "elsewhere")
    with pytest.raises(MissingDataError, match="7 videos are annotated, and there are no faces of any"):
        read_affwild2(str(copy.parent))
    path = copy / NEW[0] / "Train_Set" / f"{VAL[0]}.txt"
    path.write_text(f"{EIGHT}\n0\n")
    with pytest.raises(BadDataError, match=f"video {VAL[0]} is in .* and in "):
        read_affwild2(str(copy.parent))


def test_as_a_dataset(copy):
    module = AffWild2DataModule("expr8", data_dir=str(copy.parent), image_size=32, options={"validation": 0.2})
    assert module.class_counts(8).sum() + len(module.targets("validation")) == 50
    assert next(iter(module.val_dataloader()))["image"].shape[1:] == (3, 32, 32)
    said = "\n".join(report("affwild2", None, str(copy.parent), 0))
    assert "unverified: the reader follows the folders, headers and codes" in said
