import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fer_bench.datasets.findingemo.annotations import read_annotations
from fer_bench.errors import BadDataError, FerBenchError, MissingDataError
from fer_bench.labels import EMO8, EMO24
from fer_bench.studies.findingemo import study_findingemo
from fer_bench.studies.findingemo_comparison import compare, is_published
from fer_bench.studies.findingemo_figures import _bars
from fer_bench.studies.findingemo_printed import TABLE_2, TABLE_4
from fer_bench.studies.findingemo_statistics import agreement, emotion_distance, emotion_table, overlap_scores
from tests.datasets import findingemo_lines

HEADER = ",user,image_path,reject,tag,age,valence,arousal,emotion,dec_factors,ambiguity,fmri_candidate,datetime"


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        """Rows of (user, image, emotion or None for a reject, valence, arousal)."""
        lines = [HEADER]
        for i, (user, image, emotion, valence, arousal) in enumerate(rows):
            verdict, values = ("Reject", ",,") if emotion is None else ("Keep", f"{valence},{arousal},{emotion}")
            ambiguity = "" if emotion is None else i % 7
            lines.append(
                f"{i},{user},/Run/x/{image}.jpg,{verdict},,\"['Adults']\",{values},\"['Staging']\",{ambiguity},False,2022-01-01"
            )
        path = tmp_path / "annotations.ann"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def several(write):
    return write(
        ("u1", "a", "Joy", 3, 4),
        ("u2", "a", "Serenity", 2, 2),
        ("u3", "a", "Interest", 2, 1),
        ("u1", "b", "Joy", 3, 6),
        ("u2", "b", "Grief", -3, 0),
        ("u1", "c", None, 0, 0),
        ("u2", "c", "Fear", -1, 3),
        ("u1", "d", None, 0, 0),
        ("u2", "d", None, 0, 0),
        ("u3", "e", "Rage", -2, 5),
        ("u3", "e", "Joy", 3, 5),  # a second time by the same annotator: does not count for agreement
        ("u1", "f", "Trust", 1, 2),
        ("u2", "f", "Trust", 1, 2),
        ("u3", "f", None, 0, 0),
    )


def test_tables(several):
    kept = [a for a in read_annotations(several) if not a.rejected]
    joy = emotion_table(kept, leaves=True)[EMO8.index("joy")]
    assert (joy.name, joy.count, joy.share) == ("joy", 4, 4 / 10)
    assert (joy.valence.mean, joy.valence.std) == (np.mean([3, 2, 3, 3]), pytest.approx(np.std([3, 2, 3, 3], ddof=1)))
    assert joy.arousal.mean == np.mean([4, 2, 6, 5])
    serenity = emotion_table(kept, leaves=False)[EMO24.index("serenity")]
    assert (serenity.count, serenity.arousal.mean, math.isnan(serenity.arousal.std)) == (1, 2, True)
    empty = emotion_table(kept, leaves=True)[EMO8.index("disgust")]
    assert (empty.count, math.isnan(empty.valence.mean)) == (0, True)


def test_agreement(several):
    found = agreement(read_annotations(several))
    assert found.annotators == {1: 1, 2: 3, 3: 2}
    assert found.verdicts == {"keep": 3, "reject": 1, "undecided": 1}
    assert found.labels8 == {1: 1, 2: 2}
    assert found.labels24 == {1: 1, 2: 1, 3: 1}
    # a: joy and anticipation, one step; b: joy and sadness, opposite
    assert found.distance8 == {1: 1, 4: 1}
    # a: joy to interest, a leaf and a ring; b: joy to grief, four leaves and a ring
    assert found.distance24 == {4: 1, 13: 1}
    assert found.pairs == {(0, 7): 1, (0, 4): 1}
    assert (found.arousal.mean, found.valence.mean) == (pytest.approx((3 + 6 + 0) / 3), pytest.approx((1 + 6 + 0) / 3))
    assert {n: s.mean for n, s in found.arousal_by_n.items()} == {2: 3, 3: 3}
    assert {n: s.n for n, s in found.valence_by_n.items()} == {2: 2, 3: 1}


def test_distance_of_emotions():
    def distance(a, b):
        return emotion_distance(EMO24.index(a), EMO24.index(b))

    assert distance("joy", "boredom") == pytest.approx(3 + 1 / 3)  # the paper's example, figure 13
    assert distance("ecstasy", "serenity") == pytest.approx(2 / 3)
    assert distance("rage", "terror") == 4
    assert distance("joy", "joy") == 0


def test_overlap_scores(write):
    rows = [(f"u{i}", image, "Joy", 2, 3) for i in range(4) for image in ("a", "b")]
    rows += [("odd", "a", "Rage", 2, 6), ("odd", "b", None, 0, 0), ("alone", "c", "Joy", 1, 1)]
    scores = overlap_scores(read_annotations(write(*rows)))
    assert set(scores) == {"u0", "u1", "u2", "u3", "odd"}
    # a: kept and valence right, arousal and leaf wrong: 2 of 4. b: rejected what the others keep: 0 of 4, or ignored.
    assert (scores["odd"].images, scores["odd"].score, scores["odd"].alternative) == (2, 2 / 8, 2 / 4)
    assert scores["u0"].score == scores["u0"].alternative == 1


def test_overlap_score_of_a_rejected_image(write):
    scores = overlap_scores(
        read_annotations(write(("u1", "a", None, 0, 0), ("u2", "a", None, 0, 0), ("u3", "a", "Joy", 1, 1)))
    )
    assert {user: s.score for user, s in scores.items()} == {"u3": 0.0}  # for the others, one keeps and one rejects


@pytest.mark.draws
def test_page_and_figures(several, tmp_path):
    page = study_findingemo(several, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    pngs = sorted(p.name for p in page.parent.iterdir() if p != page)
    assert len(pngs) == 9
    for name in pngs:
        assert f"]({name})" in text
        with Image.open(page.parent / name) as image:
            image.load()
            assert image.format == "PNG"
    assert "| joy | 4 | 40.0% | 4.25 ± 1.71 | 2.75 ± 0.50 |" in text
    assert "| joy, anticipation | 1 |" in text
    assert "| images | 1 | 3 | 2 |" in text
    assert "14 annotations of 6 images by 3 annotators" in text
    assert "nan" not in text


def test_single_annotations_have_no_agreement_and_remove_its_figures(several, write, tmp_path):
    page = study_findingemo(several, tmp_path / "out")
    assert (page.parent / "distances.png").exists()
    single = write(("u1", "a", "Joy", 3, 4), ("u1", "b", "Fear", -3, 4))
    study_findingemo(single, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "there is no agreement to measure" in text
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "README.md",
        "emotions.png",
        "scales.png",
        "valence_arousal.png",
    ]
    assert "distances.png" not in text
    again = study_findingemo(single, tmp_path / "again").parent
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in page.parent.iterdir()}


def test_the_published_header(tmp_path):
    path = tmp_path / "annotations_single.ann"
    path.write_text(findingemo_lines.ANNOTATIONS, encoding="utf-8")
    text = study_findingemo(path, tmp_path / "out").read_text(encoding="utf-8")
    assert (
        "10 annotations of 10 images by 8 annotators. No annotation rejects its image. None of the images have several"
        " annotators." in text
    )
    assert "| joy | 3 | 30.0% | 3.00 ± 1.00 | 1.67 ± 1.15 | 2.00 ± 1.73 |" in text
    assert "What agrees" not in text
    assert not any(user in text for user in findingemo_lines.ANNOTATIONS.replace(",", "\n").split() if len(user) == 24)


def test_what_is_printed_is_complete():
    assert list(TABLE_2) == list(EMO8.names)
    assert set(EMO24.names) - set(TABLE_4) == {"serenity"}
    assert sum(row.count for row in TABLE_2.values()) == 25_869
    for leaf, row in TABLE_2.items():
        members = [name for i, name in enumerate(EMO24.names) if i // 3 == EMO8.index(leaf)]
        known = sum(TABLE_4[name].count for name in members if name in TABLE_4)
        assert row.count - known == (1972 if leaf == "joy" else 0)
    # The paper's own mistake: of every column, both deviations are the same.
    assert all(row.arousal[1] == row.valence[1] for row in (*TABLE_2.values(), *TABLE_4.values()))


def test_a_difference_from_the_paper_is_named(several):
    rows = read_annotations(several)
    assert not is_published(rows)
    kept = [a for a in rows if not a.rejected]
    lines = list(compare(kept, emotion_table(kept, leaves=True), emotion_table(kept, leaves=False)))
    assert "- Annotators: 3 user ids; the paper says 655 (sections 2.1 and A.4)." in lines
    assert any(
        line.startswith("- Annotations per emotion (Tables 2 and 4): 0 of 31 agree; not Table 2, joy (4 for 7,026)")
        for line in lines
    )


@pytest.mark.skipif(
    "FER_BENCH_FINDINGEMO_ANNOTATIONS" not in os.environ,
    reason="FER_BENCH_FINDINGEMO_ANNOTATIONS does not name the published file",
)
def test_the_committed_study_is_that_of_the_published_annotations(tmp_path):
    page = study_findingemo(Path(os.environ["FER_BENCH_FINDINGEMO_ANNOTATIONS"]), tmp_path)
    committed = Path(__file__).parents[2] / "leaderboards/studies/findingemo"
    assert page.read_bytes() == (committed / "README.md").read_bytes()
    assert sorted(p.name for p in page.parent.iterdir()) == sorted(p.name for p in committed.iterdir())


def test_errors_leave_nothing(write, tmp_path):
    with pytest.raises(BadDataError, match="no row keeps"):
        study_findingemo(write(("u1", "a", None, 0, 0)), tmp_path / "out")
    with pytest.raises(BadDataError, match="line 2: valence"):
        study_findingemo(write(("u1", "a", "Joy", 9, 0)), tmp_path / "out")
    with pytest.raises(MissingDataError):
        study_findingemo(tmp_path / "none.ann", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FerBenchError, match="cannot write"):
        study_findingemo(write(("u1", "a", "Joy", 3, 4)), tmp_path / "file")


def test_is_torch_free():
    code = (
        "import sys, fer_bench.studies.findingemo; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in"
        " sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_few_images_are_counted_in_whole_numbers() -> None:
    axes = Figure().subplots()
    _bars(axes, {2: 3}, "annotators", "images")
    ticks = [round(tick, 3) for tick in axes.get_yticks()]
    assert ticks == [int(tick) for tick in ticks]
