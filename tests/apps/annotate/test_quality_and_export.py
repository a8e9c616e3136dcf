from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fer_bench.apps.annotate.answers import Answer
from fer_bench.apps.annotate.export import read_answers, write_table
from fer_bench.apps.annotate.quality import consistency, matching_points, overlap_score
from fer_bench.apps.annotate.store import Store
from fer_bench.apps.annotate.study import Expected
from fer_bench.errors import BadDataError, FerBenchError

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
    overlap = overlap_score([(KEEP, good), (KEEP, good), (KEEP, rejected), (KEEP, Answer("keep", wheel="joy", valence=1, arousal=3)), (REJECT, rejected)])
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


def test_long_format_round_trip(store: Store, tmp_path: Path) -> None:
    ((_, token),) = store.add_raters(["r001"])
    rater = store.rater(token)
    assert rater is not None
    store.agree(rater).result()
    for position in range(6):
        place = store.place(rater.rater_id, position)
        assert place is not None
        answer = Answer(category="happy", valence=9 - position, arousal=1, age_groups=("young, old", "children"))
        store.save(place, Answer() if position == 3 else answer, "skipped" if position == 3 else "answered", 0, 1000 + position).result()
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


def test_export_errors(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"unknown suffix '\.xlsx'"):
        write_table(read_answers(store.path), tmp_path / "out.xlsx")
    with pytest.raises(FerBenchError, match="cannot be written"):
        write_table(read_answers(store.path), tmp_path / "absent" / "out.csv")
    with pytest.raises(BadDataError, match="no such database"):
        read_answers(tmp_path / "absent.sqlite3")
    (tmp_path / "x.sqlite3").write_text("no database at all, really " * 50)
    with pytest.raises(BadDataError, match="cannot be read"):
        read_answers(tmp_path / "x.sqlite3")
