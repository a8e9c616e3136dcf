from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fer_bench.annotate.answers import Answer
from fer_bench.annotate.chosen import write_chosen
from fer_bench.annotate.export import read_answers, write_table
from fer_bench.annotate.images import list_images
from fer_bench.annotate.quality import consistency, matching_points, overlap_score
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import Expected, load_study
from fer_bench.errors import BadDataError, FerBenchError
from fer_bench.studies.reannotation.answers import _read_table

from .fakes import write_study

# FindingEmo's reference: keep/reject, value ranges, emotion leaf: four datapoints per image
KEEP = Expected(decision="keep", valence=(6, 9), arousal=(1, 5), wheel=("joy",))
REJECT = Expected(decision="reject")


def test_datapoints_of_one_image() -> None:
    assert matching_points(KEEP, Answer("keep", wheel="ecstasy", valence=6, arousal=5)) == (4, 4)
    assert matching_points(KEEP, Answer("keep", wheel="trust", valence=5, arousal=6)) == (1, 4)
    assert matching_points(KEEP, Answer("reject")) == (0, 4)
    assert matching_points(REJECT, Answer("reject", ("text",))) == (1, 1)
    assert matching_points(Expected(wheel=("none",)), Answer(wheel="none")) == (1, 1)
    assert matching_points(Expected(category=("happy", "surprise")), Answer(category="surprise")) == (1, 1)


def test_overlap_score_and_its_alternative() -> None:
    good, rejected = Answer("keep", wheel="joy", valence=7, arousal=3), Answer("reject")
    overlap = overlap_score(
        [
            (KEEP, good),
            (KEEP, good),
            (KEEP, rejected),
            (KEEP, Answer("keep", wheel="joy", valence=1, arousal=3)),
            (REJECT, rejected),
        ]
    )
    assert (overlap.matching, overlap.out_of) == (4 + 4 + 0 + 3 + 1, 17)
    assert overlap.score == pytest.approx(12 / 17)
    assert overlap.alternative == pytest.approx(12 / 13)  # without the image that was to be kept
    assert overlap_score([]).score is None
    assert overlap_score([(KEEP, rejected)]).alternative is None


def test_consistency() -> None:
    a, b = Answer(category="happy", valence=8, arousal=5), Answer(category="sad", valence=5, arousal=6)
    both = consistency([(a, a), (a, b)])
    assert (both.pairs, both.same_category, both.valence_difference, both.arousal_difference) == (2, 0.5, 1.5, 0.5)
    assert both.same_leaf is None


def test_long_format_round_trip(store: AnswerStore, tmp_path: Path) -> None:
    ((_, token),) = store.add_raters(["r001"])
    rater = store.rater(token)
    assert rater is not None
    store.agree(rater).result()
    for position in range(6):
        slot = store.slot(rater.rater_id, position)
        assert slot is not None
        answer = Answer(category="happy", valence=9 - position, arousal=1, age_groups=("young, old", "children"))
        store.save(
            slot, Answer() if position == 3 else answer, "skipped" if position == 3 else "answered", 0, 1000 + position
        ).result()
    table = read_answers(store.path)
    assert list(table["position"]) == list(range(6))
    assert table.loc[3, "status"] == "skipped"
    assert table["valence"].isna().tolist() == [False, False, False, True, False, False]
    assert table.loc[0, "age_groups"] == "young, old;children"
    assert set(table["study"]) == {"faces"}
    read_csv = pd.read_csv(write_table(table, tmp_path / "out.csv"), dtype={"study_version": "string"})
    read_parquet = pd.read_parquet(write_table(table, tmp_path / "out.parquet"))
    assert list(read_csv.columns) == list(read_parquet.columns) == list(table.columns)
    pd.testing.assert_frame_equal(read_parquet, table)
    assert read_csv["valence"].dropna().tolist() == table["valence"].dropna().tolist()
    assert not list(tmp_path.glob("*.part"))


def test_export_errors(store: AnswerStore, tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"unknown suffix '\.xlsx'"):
        write_table(read_answers(store.path), tmp_path / "out.xlsx")
    with pytest.raises(FerBenchError, match="cannot be written"):
        write_table(read_answers(store.path), tmp_path / "absent" / "out.csv")
    with pytest.raises(BadDataError, match="no such database"):
        read_answers(tmp_path / "absent.sqlite3")
    (tmp_path / "x.sqlite3").write_text("no database at all, really " * 50)
    with pytest.raises(BadDataError, match="cannot be read"):
        read_answers(tmp_path / "x.sqlite3")


def test_no_cell_of_the_tables_is_a_formula_and_the_suite_reads_them_back(tmp_path: Path) -> None:
    study_file = write_study(
        tmp_path,
        prescreen={"per_class": 3},
        form={"categories": ["=1+1", "@sad", "happy"], "valence": False, "arousal": False},
    )
    content = yaml.safe_load(study_file.read_text())
    (tmp_path / "images" / "happy").rename(tmp_path / "images" / "=HYPERLINK(1)")
    study_file.write_text(yaml.safe_dump({**content, "catch": [], "repeats": 0}))
    store = AnswerStore(load_study(study_file), tmp_path / "a.sqlite3")
    ((rater, token),) = store.add_raters(["r001"])
    known = store.rater(token)
    assert known is not None
    store.agree(known).result()
    slot = None
    for position in range(30):
        found = store.slot(1, position)
        if found is not None and store.images[found.item_id].label.startswith("="):
            slot = found
    assert slot is not None
    store.save(slot, Answer(category="=1+1"), "answered", 0, 900).result()
    item = next(item for item, image in store.images.items() if image.label.startswith("="))
    store.mark(item, "=HYPERLINK(1)", True, 3).result()
    write_chosen(store, tmp_path / "chosen.csv")
    store.close()
    table = read_answers(tmp_path / "a.sqlite3")
    write_table(table, tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["rater"], row["category"], row["original_label"]) for row in rows if row["status"] == "answered"} == {
        (rater, "'=1+1", "'=HYPERLINK(1)")
    }
    for name in ("answers.csv", "chosen.csv"):
        with (tmp_path / name).open(newline="") as file:
            assert not [cell for line in csv.reader(file) for cell in line if cell[:1] in "=+-@\t\r" and cell]
    assert [image.name for image in list_images(tmp_path / "images", tmp_path / "chosen.csv", "images")] == [
        store.images[item].name
    ]
    assert _read_table(tmp_path / "answers.csv")["original_label"].tolist().count("=HYPERLINK(1)") >= 1
