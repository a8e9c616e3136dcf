"""Reading answers and votes: what is accepted, what is refused and with which line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_bench.datasets.ferplus.votes import COLUMNS
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7, FER8
from fer_bench.studies.reannotation.answers import read_answers
from fer_bench.studies.reannotation.votes import is_vote_file, read_ferplus

LONG = """study,study_version,rater,item,image,original_label,presentation,kind,expression,valence,arousal,response_ms,skipped
s,1,anna,i1,a.jpg,happy,1,practice,fear,1,1,900,0
s,1,anna,i1,a.jpg,happy,1,item,happy,9,5,900,0
s,1,anna,i2,b.jpg,contempt,1,item,neutral,5,1,900,0
s,1,anna,i1,a.jpg,happy,2,repeat,happy,7,5,900,0
s,1,anna,i9,c.jpg,sad,1,catch,sad,2,5,900,0
s,1,ben,i2,b.jpg,contempt,1,item,,,,100,1
s,1,ben,i1,a.jpg,happy,2,item,neutral,3,5,900,0
s,1,ben,i1,a.jpg,happy,1,item,unknown,4,5,900,0
s,1,ben,i9,c.jpg,sad,1,catch,fear,2,5,900,0
"""  # noqa: E501


def write(tmp_path: Path, text: str, name: str = "answers.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_long_format(tmp_path: Path) -> None:
    study = read_answers(write(tmp_path, LONG))
    assert study.title == "Re-annotation study s"
    assert study.label_set is FER8
    assert study.categories == (*FER8.names, "unknown")
    assert study.ids == ("a.jpg", "b.jpg")
    assert study.raters == ("anna", "ben")
    assert study.original.tolist() == [FER8.index("happy"), FER8.index("contempt")]
    # Ben's first presentation is his answer although it stands later; his second one is a repeat; his skipped image is
    # none.
    assert study.expression.tolist() == [[1, 0], [8, -1]]
    assert study.valence.tolist()[0] == [1.0, 0.0]
    assert study.valence[1, 0] == -0.25
    assert np.isnan(study.valence[1, 1])
    assert study.counts.sum(axis=1).tolist() == [2, 1]
    assert study.repeats is not None
    assert study.repeats.rater.tolist() == [0, 1]
    assert study.repeats.expression.tolist() == [[1, 1], [8, 0]]
    assert study.repeats.valence.tolist() == [[1.0, 0.5], [-0.25, -0.5]]
    assert study.catch == (1, 2)
    assert "9-point SAM scale" in study.notes[1]


def test_few_columns_and_unit_scale(tmp_path: Path) -> None:
    study = read_answers(write(tmp_path, "rater,item,valence\na,x,-0.5\nb,x,1\n"))
    assert study.ids == ("x",)
    assert study.valence[:, 0].tolist() == [-0.5, 1.0]
    assert study.affect("arousal") is None
    assert study.n_votes == 0
    assert "-1..1 as given" in study.notes[1]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    csv = read_answers(write(tmp_path, LONG))
    table = pd.read_csv(tmp_path / "answers.csv")
    table.to_parquet(tmp_path / "answers.parquet")
    parquet = read_answers(tmp_path / "answers.parquet")
    np.testing.assert_array_equal(csv.expression, parquet.expression)
    np.testing.assert_array_equal(csv.valence, parquet.valence)
    assert csv.ids == parquet.ids


def test_label_set_is_told_by_the_labels(tmp_path: Path) -> None:
    assert read_answers(write(tmp_path, "rater,image,expression\na,x,happy\n")).label_set is FER7
    assert read_answers(write(tmp_path, "rater,image,expression\na,x,trust\n")).label_set.name == "emo8"
    assert read_answers(write(tmp_path, "rater,image,expression\na,x,happy\n"), FER8).label_set is FER8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,expression\nx,happy\n", r"line 1: needs the columns rater, image and one of"),
        ("rater,image,note\na,x,1\n", r"line 1: needs the columns"),
        ("rater,image,expression\na,x,happy\n,x,happy\n", r"line 3: rater is empty"),
        ("rater,image,kind,expression\na,x,practice,happy\na,x,itm,happy\n", r"line 3: kind is 'itm'"),
        ("rater,image,expression,skipped\na,x,happy,maybe\n", r"line 2: skipped is 'maybe'"),
        ("rater,image,expression\na,x,happy\na,y,furious\n", r"no label set has all the labels found: furious, happy"),
        ("rater,image,expression,valence\na,x,practice,high\n", r"no label set|line 2"),
        ("rater,image,valence\na,x,5\na,y,high\n", r"line 3: valence is 'high', not a number"),
        ("rater,image,valence\na,x,5\na,y,10\n", r"line 3: valence 10: ratings fit no scale"),
        ("rater,image,valence\na,x,5\na,y,-1\n", r"ratings fit no scale"),
        ("rater,image,valence\na,x,1\na,y,1\n", r"every rating is 1, which is on several scales.*--scale sam9"),
        ("rater,image,kind,expression\na,x,practice,happy\n", r"no answers in it"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        read_answers(write(tmp_path, text))


def test_a_label_outside_the_given_set_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "rater,image,expression,original_label\na,x,happy,sad\nb,x,contempt,sad\n")
    with pytest.raises(BadDataError, match="line 3: expression 'contempt' is not one of angry"):
        read_answers(path, FER7)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no such file of answers"):
        read_answers(tmp_path / "none.csv")


def write_ferplus(
    folder: Path,
    rows: list[tuple[str, int, list[int]]],
    labels: str = "fer2013.csv",
    header: str = "emotion,pixels,Usage",
) -> None:
    order = [c.strip() for c in header.split(",")]
    cells = [{"emotion": str(label), "pixels": "0 1 2", "Usage": usage} for usage, label, _ in rows]
    (folder / labels).write_text("\n".join([header, *(",".join(cell[c] for c in order) for cell in cells)]) + "\n")
    lines = [f"{usage},fer{i:07d}.png,{','.join(map(str, votes))}" for i, (usage, _, votes) in enumerate(rows)]
    (folder / "fer2013new.csv").write_text("\n".join([",".join(("Usage", "Image name", *COLUMNS)), *lines]) + "\n")


FER_ROWS = [
    ("Training", 0, [1, 0, 0, 0, 9, 0, 0, 0, 0, 0]),
    ("PublicTest", 3, [4, 6, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("PrivateTest", 6, [0, 0, 0, 0, 0, 0, 0, 1, 9, 0]),
]


@pytest.mark.parametrize(
    ("name", "header"), [("fer2013.csv", "emotion,pixels,Usage"), ("icml_face_data.csv", "emotion, Usage, pixels")]
)
def test_ferplus_is_joined_by_row_and_by_name(tmp_path: Path, name: str, header: str) -> None:
    write_ferplus(tmp_path, FER_ROWS, name, header)
    study = read_ferplus(tmp_path)
    assert [FER8.names[i] for i in study.original] == ["anger", "happiness", "neutral"]
    assert study.counts.tolist() == [votes for _, _, votes in FER_ROWS]
    assert study.ids == ("00000", "00001", "00002")
    assert is_vote_file(tmp_path)
    assert is_vote_file(tmp_path / "fer2013new.csv")
    assert not is_vote_file(tmp_path / name)


def test_ferplus_errors(tmp_path: Path) -> None:
    write_ferplus(tmp_path, FER_ROWS)
    votes = (tmp_path / "fer2013new.csv").read_text()
    (tmp_path / "fer2013new.csv").write_text(votes.replace("PublicTest,fer0000001.png,4", "PublicTest,fer0000001.png,"))
    with pytest.raises(BadDataError, match="line 3: a count of votes is not an integer"):
        read_ferplus(tmp_path)
    (tmp_path / "fer2013new.csv").write_text(votes.replace("PublicTest", "Training"))
    with pytest.raises(BadDataError, match="do not list the same faces"):
        read_ferplus(tmp_path)
    (tmp_path / "fer2013.csv").unlink()
    with pytest.raises(MissingDataError, match=r"looked for fer2013\.csv and icml_face_data\.csv"):
        read_ferplus(tmp_path)


def test_real_ferplus_counts() -> None:
    folder = os.environ.get("FER_BENCH_TEST_FER2013")
    if not folder:
        pytest.skip("FER_BENCH_TEST_FER2013 does not name a folder with fer2013.csv and fer2013new.csv")
    study = read_ferplus(Path(folder))
    assert len(study.ids) == 35887
    assert study.n_votes == 358869
    assert study.counts.sum(axis=0).tolist() == [107485, 91446, 41490, 47446, 28468, 5391, 12174, 6062, 16964, 1943]
    assert np.bincount(study.original, minlength=8).tolist() == [6198, 8989, 4002, 6077, 4953, 547, 5121, 0]
