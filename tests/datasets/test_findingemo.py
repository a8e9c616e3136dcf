import itertools
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_bench.datasets.findingemo.annotations import (
    AROUSAL3_OF,
    RINGS,
    VALENCE3_OF,
    image_id,
    published,
    read_annotations,
)
from fer_bench.datasets.findingemo.reader import clean_split, index_findingemo
from fer_bench.errors import BadDataError, MissingDataError, UnknownNameError
from fer_bench.labels import EMO8, EMO24, EMO24_TO_EMO8
from tests.datasets import findingemo_lines

HEADER = "user,image_path,reject,tag,age,valence,arousal,emotion,dec_factors,ambiguity,fmri_candidate,datetime"


def row(
    image="Run_1/Sad people party/a.jpg",
    user="u1",
    reject="Keep",
    valence="-2",
    arousal="3",
    emotion="Grief",
    ambiguity="1",
):
    return (
        f"{user},/home/x/{image},{reject},,\"['Adults',"
        f" 'Youth']\",{valence},{arousal},{emotion},\"['Staging']\",{ambiguity},False,2022-01-01 10:00:00"
    )


@pytest.fixture
def write(tmp_path):
    def write(*rows, header=HEADER, index=False):
        if index:
            header, rows = "," + header, [f"{i},{r}" for i, r in enumerate(rows)]
        path = tmp_path / "annotations_single.ann"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("index", [False, True])
def test_reads_with_and_without_index_column(write, index):
    (a,) = read_annotations(write(row(), index=index))
    assert (a.line, a.user, a.image, a.rejected) == (2, "u1", "Run_1/Sad people party/a.jpg", False)
    assert (a.valence, a.arousal, a.ambiguity) == (-2, 3, 1)
    assert (EMO24.names[a.emo24], EMO8.names[a.emo8], a.ring) == ("grief", "sadness", 0)
    assert (a.valence3, a.arousal3) == (0, 1)


def test_bins_of_the_paper():
    assert [VALENCE3_OF[v] for v in range(-3, 4)] == [0, 0, 1, 1, 1, 2, 2]
    assert [AROUSAL3_OF[a] for a in range(7)] == [0, 0, 1, 1, 1, 2, 2]


def test_24_emotions_to_8_leaves():
    leaves = {EMO24.names[i]: EMO8.names[EMO24_TO_EMO8[i]] for i in range(24)}
    assert leaves["boredom"] == leaves["loathing"] == "disgust"
    assert leaves["pensiveness"] == "sadness"
    assert leaves["interest"] == leaves["vigilance"] == "anticipation"
    assert leaves["distraction"] == "surprise"
    assert Counter(leaves.values()) == dict.fromkeys(EMO8.names, 3)


def test_wheel_distances():
    d = {(a, b): EMO8.distances[EMO8.index(a)][EMO8.index(b)] for a, b in itertools.product(EMO8.names, repeat=2)}
    assert d["joy", "surprise"] == 3
    assert d["joy", "anger"] == 2
    for a, b in [("joy", "sadness"), ("trust", "disgust"), ("fear", "anger"), ("surprise", "anticipation")]:
        assert d[a, b] == d[b, a] == 4


def test_blanks_and_rejects(write):
    blank, rejected, floats = read_annotations(
        write(
            row(emotion="", valence="", ambiguity="nan"),
            row(reject="Reject", emotion="Undefined"),
            row(valence="2.0", emotion=" joy "),
        )
    )
    assert (blank.emo8, blank.valence3, blank.ambiguity) == (None, None, None)
    assert rejected.rejected
    assert (floats.valence, floats.emo8) == (2, 0)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"valence": "4"}, "valence is '4', not an integer from -3 to 3"),
        ({"arousal": "-1"}, "arousal is '-1'"),
        ({"arousal": "2.5"}, "arousal is '2.5'"),
        ({"ambiguity": "high"}, "ambiguity is 'high'"),
        ({"emotion": "Hangry"}, "'Hangry' is not on"),
        ({"reject": "Maybe"}, "neither Keep nor Reject"),
        ({"valence": "9" * 5000}, "valence is '9{40}', not an integer"),
        ({"arousal": "inf"}, "arousal is 'inf'"),
        ({"user": " "}, "user is blank"),
    ],
)
def test_a_bad_value_is_named_with_its_line(write, bad, says):
    path = write(row(), row(**bad), row())
    with pytest.raises(BadDataError, match=says) as error:
        read_annotations(path)
    assert f"{path}, line 3" in str(error.value)


def test_other_files_are_refused(write, tmp_path):
    with pytest.raises(BadDataError, match="'valence' is missing; found: user, image_path"):
        read_annotations(write(header="user,image_path"))
    with pytest.raises(BadDataError, match=r"every answer of an annotation study.*--format findingemo"):
        read_annotations(write(header="study,study_version,rater"))
    with pytest.raises(BadDataError, match="'valence' is there twice"):
        read_annotations(write(header=HEADER + ",valence"))
    with pytest.raises(BadDataError, match="line 2: the header has 12 columns"):
        read_annotations(write("a,b,c"))
    with pytest.raises(MissingDataError, match="pip install"):
        read_annotations(tmp_path / "none.ann")
    (tmp_path / "binary.ann").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(BadDataError):
        read_annotations(tmp_path / "binary.ann")


@pytest.fixture
def real(tmp_path):
    path = tmp_path / "annotations_single.ann"
    path.write_text(findingemo_lines.ANNOTATIONS, encoding="utf-8")
    return path


def test_reads_the_published_file(real):
    found = read_annotations(real)
    assert len(found) == 10
    first = found[0]
    assert (first.user, first.path) == ("5fd97d5b40332e276ea58209", "/Run_2/Loving toddlers sports/haiti-kids.jpg")
    assert (first.image, first.rejected, first.valence, first.arousal, first.ambiguity) == (
        "Run_2/Loving toddlers sports/haiti-kids.jpg",
        False,
        0,
        2,
        0,
    )
    assert (EMO24.names[first.emo24], EMO8.names[first.emo8]) == ("trust", "trust")
    assert [a.line for a in found] == list(range(2, 12))


@pytest.mark.parametrize(
    "change",
    ["semicolons", "tabs", "byte order mark", "carriage returns", "blank lines", "another order", "no other columns"],
)
def test_reads_the_published_file_saved_again(real, change):
    import pandas as pd

    before = read_annotations(real)
    table = pd.read_csv(real, dtype=str, keep_default_na=False)
    if change in ("semicolons", "tabs"):
        table.to_csv(real, index=False, sep=";" if change == "semicolons" else "\t")
    elif change == "byte order mark":
        real.write_text(real.read_text("utf-8"), encoding="utf-8-sig")
    elif change == "carriage returns":
        real.write_bytes(real.read_bytes().replace(b"\n", b"\r\n"))
    elif change == "blank lines":
        real.write_text(real.read_text("utf-8") + ",,,,,,,,,,\n\n", encoding="utf-8")
    elif change == "another order":
        table[table.columns[::-1]].to_csv(real)
    else:
        table[["user", "image_path", "valence", "arousal", "emotion", "ambiguity"]].to_csv(real, index=False)
    if change == "no other columns":
        before = [replace(a, ages=(), factors=(), tags=()) for a in before]
    assert read_annotations(real) == before


def test_reads_what_annotators_said_besides(real, write):
    found = read_annotations(real)
    assert found[0].ages == ("Children",)
    assert found[0].factors == ("body language", "facial expression")
    assert found[6].ages == ("Children", "Young Adults", "Adults")
    assert found[6].factors == ("body language", "context", "facial expression", "staging")
    assert [a.tags for a in found[7:9]] == [(), ("Text", "NA")]
    (older,) = read_annotations(write(row()))
    assert (older.ages, older.factors, older.tags) == (("Adults", "Youth"), ("staging",), ())


def test_every_name_of_the_whole_file_is_known():
    path = os.environ.get("FER_BENCH_FINDINGEMO_ANNOTATIONS")
    if not path:
        pytest.skip("FER_BENCH_FINDINGEMO_ANNOTATIONS names no annotations_single.ann")
    found = read_annotations(Path(path))
    assert len(found) == 25_869
    assert Counter(factor for a in found for factor in a.factors) == {
        "facial expression": 16_208,
        "body language": 15_601,
        "context": 10_874,
        "staging": 5_991,
        "neutral": 1_641,
        "conflict of context and person": 1_512,
    }
    assert Counter(age for a in found for age in a.ages) == {
        "Adults": 19_457,
        "Young Adults": 7_541,
        "Seniors": 5_561,
        "Children": 4_588,
        "Youth": 3_460,
    }
    assert Counter(RINGS[a.ring] for a in found)["inner, most intense"] == 5_553


def test_image_id_of_any_path():
    assert (
        image_id("/Run_1/a b/c d.jpg")
        == image_id("/home/x/Run_1/a b/c d.jpg")
        == image_id("D:\\x\\Run_1\\a b\\c d.jpg")
        == "Run_1/a b/c d.jpg"
    )
    assert image_id("/a/b/c d/e.jpg") == "a/b/c d/e.jpg"
    assert image_id("cafe\u0301/x.jpg") == image_id("caf\u00e9/x.jpg")


SHARED = "Adoring people protest/iStock-157726444.jpg"  # in both runs, with different labels
COLONS = (
    "Run_2/Accepting forty-something"
    " protest/1021680287_0:0:2904:1570_1000x541_80_0_0_67f6945c3df4ad8ceeb679553da6edc2.jpg"
)


def place(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_two_images_of_one_folder_and_name_are_told_by_their_run(real, tmp_path):
    root = tmp_path / "images"
    place(root, f"x/Run_1/{SHARED}", f"x/Run_2/{SHARED}")
    index = index_findingemo(real, root)
    assert index.ids == [f"Run_1/{SHARED}", f"Run_2/{SHARED}"]
    assert [sample.path for sample in index.samples] == [f"x/Run_1/{SHARED}", f"x/Run_2/{SHARED}"]
    assert [sample.annotation.arousal for sample in index.samples] == [2, 4]
    # The folder of one run, by its own name.
    assert index_findingemo(real, root / "x/Run_2").ids == [f"Run_2/{SHARED}"]
    assert not index.ambiguous


def test_without_runs_folder_and_name_decide_where_they_can(real, tmp_path):
    root = tmp_path / "images"
    place(root, SHARED, "Violent youth festival/1042373588.jpg", "Run_1/Loving toddlers sports/haiti-kids.jpg")
    index = index_findingemo(real, root)
    assert index.ids == ["Run_1/Violent youth festival/1042373588.jpg"]  # haiti-kids is of Run_2
    assert index.ambiguous == (f"Run_1/{SHARED}", f"Run_2/{SHARED}")
    assert index.coverage.ambiguous == 2
    assert set(index.ambiguous) < set(index.missing)
    # Two files that may be the image: the same bytes are the same image, others are not.
    place(root, "a/Violent youth festival/1042373588.jpg", "b/Violent youth festival/1042373588.jpg")
    (root / "Violent youth festival/1042373588.jpg").unlink()
    assert "Run_1/Violent youth festival/1042373588.jpg" in _ambiguous(real, root)
    (root / "b/Violent youth festival/1042373588.jpg").write_bytes(
        (root / "a/Violent youth festival/1042373588.jpg").read_bytes()
    )
    assert index_findingemo(real, root).ids == ["Run_1/Violent youth festival/1042373588.jpg"]


def _ambiguous(annotations, root):
    place(root, "Run_2/Loving toddlers sports/haiti-kids.jpg")
    found = index_findingemo(annotations, root).ambiguous
    (root / "Run_2/Loving toddlers sports/haiti-kids.jpg").unlink()
    return found


@pytest.mark.parametrize("stored", [COLONS, COLONS.replace(":", "%3A")])
def test_names_that_windows_cannot_store(real, tmp_path, stored):
    place(tmp_path / "images", stored)
    index = index_findingemo(real, tmp_path / "images")
    assert [(sample.id, sample.path) for sample in index.samples] == [(COLONS, stored)]


def test_a_broken_link_is_no_image(real, tmp_path):
    root = tmp_path / "images"
    place(root, f"Run_1/{SHARED}")
    (root / "Run_2/Loving toddlers sports").mkdir(parents=True)
    (root / "Run_2/Loving toddlers sports/haiti-kids.jpg").symlink_to(tmp_path / "none")
    assert index_findingemo(real, root).ids == [f"Run_1/{SHARED}"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The authors' package as pip installs it, with the real lines."""
    folder = tmp_path / "site-packages/findingemo_light"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('no code of the package is run')")
    (folder / "data/annotations_single.ann").write_text(findingemo_lines.ANNOTATIONS, encoding="utf-8")
    (folder / "data/dataset_urls_exploded.json").write_text(findingemo_lines.URLS, encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    return folder / "data"


def test_the_published_files_are_found_where_they_are_installed(installed):
    assert published("annotations_single.ann") == installed / "annotations_single.ann"
    assert published("dataset_urls_exploded.json") == installed / "dataset_urls_exploded.json"
    assert published("other.ann") is None


def test_the_published_files_are_found_nowhere(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "findingemo_light", raising=False)
    assert published("annotations_single.ann") is None


@pytest.fixture
def copy(tmp_path, write):
    """Annotations of six images, of which three are there."""
    path = write(
        row("Run_1/one/a.jpg"),
        row("Run_2/one/b.jpg", emotion="Joy", valence="3", arousal="6"),
        row("Run_2/two/a.jpg"),
        row("Run_2/two/gone.jpg"),
        row("Run_2/two/c.jpg", reject="Reject"),
        row("Run_2/two/d.jpg", emotion=""),
        row("Run_2/two/a.jpg", user="u2", emotion="Rage"),
    )
    root = tmp_path / "images"
    for name in ("Run_1/one/a.jpg", "Run_2/one/a.jpg", "one/b.jpg", "Run_2/two/a.jpg", "Run_2/two/d.jpg", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return path, root


def test_index_counts_what_is_there(copy):
    index = index_findingemo(*copy)
    assert index.ids == ["Run_1/one/a.jpg", "Run_2/one/b.jpg", "Run_2/two/a.jpg"]
    assert [s.path for s in index.samples] == ["Run_1/one/a.jpg", "one/b.jpg", "Run_2/two/a.jpg"]
    assert index.missing == ("Run_2/two/gone.jpg",)
    counts = index.coverage.as_dict()
    manifest = counts.pop("manifest")
    assert counts == {
        "annotated": 4,
        "matched": 3,
        "missing": 1,
        "rejected": 1,
        "incomplete": 1,
        "repeated": 1,
        "ambiguous": 0,
    }
    assert len(manifest) == 64
    assert index.targets("emo8").tolist() == [4, 0, 4]
    assert index.targets("valence3").tolist() == [0, 2, 0]
    assert index.targets("arousal3").tolist() == [1, 2, 1]
    with pytest.raises(UnknownNameError, match="emo8"):
        index.targets("emo9")


def test_manifest_changes_with_the_images_only(copy, tmp_path):
    annotations, root = copy
    before = index_findingemo(annotations, root).coverage.manifest
    (root / "unrelated.jpg").write_bytes(b"x")
    moved = root.rename(tmp_path / "elsewhere")
    assert index_findingemo(annotations, moved).coverage.manifest == before
    (moved / "one/b.jpg").write_bytes(b"another size")
    changed = index_findingemo(annotations, moved).coverage.manifest
    (moved / "one/b.jpg").unlink()
    assert len({before, changed, index_findingemo(annotations, moved).coverage.manifest}) == 3


def test_nothing_there(copy, tmp_path):
    annotations, _ = copy
    with pytest.raises(MissingDataError, match="no such folder"):
        index_findingemo(annotations, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="none of the 4 annotated images"):
        index_findingemo(annotations, tmp_path / "empty")


@pytest.fixture
def population():
    emo8 = np.repeat(np.arange(8), [100, 50, 30, 5, 40, 10, 1, 64])
    return [f"folder/{i}.jpg" for i in range(len(emo8))], emo8


def test_split_keeps_the_shares_of_each_class(population):
    ids, emo8 = population
    split = clean_split(ids, emo8, seed=3)
    assert np.bincount(emo8[split == "test"], minlength=8).tolist() == [20, 10, 6, 1, 8, 2, 0, 13]
    assert np.bincount(emo8[split == "validation"], minlength=8).tolist() == [10, 5, 3, 1, 4, 1, 0, 6]


def test_validation_is_held_out_of_train_alone(population):
    ids, emo8 = population
    without, held_out = clean_split(ids, emo8, seed=3, validation=0.0), clean_split(ids, emo8, seed=3)
    assert set(without) == {"train", "test"}
    assert ((without == "test") == (held_out == "test")).all()


def test_splits_depend_on_ids_and_seed_only(population):
    ids, emo8 = population
    split = dict(zip(ids, clean_split(ids, emo8, seed=1), strict=True))
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = [ids[i] for i in order]
    assert split == dict(zip(shuffled, clean_split(shuffled, emo8[order], seed=1), strict=True))
    assert split != dict(zip(ids, clean_split(ids, emo8, seed=2), strict=True))


def test_a_missing_image_moves_few_others(population):
    ids, emo8 = population
    split = dict(zip(ids, clean_split(ids, emo8), strict=True))
    fewer = dict(zip(ids[1:], clean_split(ids[1:], emo8[1:]), strict=True))
    assert sum(split[i] != fewer[i] for i in fewer) <= 2
