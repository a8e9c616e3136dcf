from collections import Counter
from pathlib import Path

import pytest
import yaml

from fer_bench.labels import LABEL_SETS

REPORTED = Path(__file__).parents[1] / "leaderboards" / "reported" / "findingemo.yaml"

# Where the mean over classes of what is printed by class is printed.
WHOLE = [("per_class", "Table 7", "macro_f1"), ("train_per_class", "Table 6", "train_macro_f1")]


@pytest.fixture(scope="module")
def rows():
    return yaml.safe_load(REPORTED.read_text(encoding="utf-8"))["rows"]


def test_every_table_is_there(rows):
    # Table 5: 14 models x 2 losses x 3 tasks; Table 7: 14 x 3; Table 12: 9 models x 2 settings x 3 tasks, four
    # unreadable. Table 6: as Table 7, three unreadable; Tables 8 and 9: 13 models, 10 and 11: 13 x 2, as far as they
    # can be read.
    assert Counter(row["location"] for row in rows) == {
        "Table 5": 84,
        "Table 6": 39,
        "Table 7": 42,
        "Table 8": 11,
        "Table 9": 11,
        "Table 10": 19,
        "Table 11": 19,
        "Table 12": 50,
    }
    assert {row["protocol"] for row in rows} == {"findingemo-emo8", "findingemo-arousal3", "findingemo-valence3"}
    assert all("selected on test" in row["notes"] for row in rows)
    values = [value for row in rows for value in row.get("metrics", {}).values()]
    assert all(0 < value["mean"] < 1 and 0 < value["std"] < 0.1 for value in values)


def test_classes_are_those_of_the_task_and_their_numbers_fit(rows):
    of_classes = [(row, row[key]) for row in rows for key in ("per_class", "train_per_class") if key in row]
    assert len(of_classes) == 60
    for row, classes in of_classes:
        assert ("train_per_class" in row) == (row["location"] in ("Table 8", "Table 10"))
        assert set(classes) <= set(LABEL_SETS[row["protocol"].removeprefix("findingemo-")].names)
        for scores in classes.values():
            recall, precision, f1 = (scores[name]["mean"] for name in ("recall", "precision", "f1"))
            assert abs(2 * recall * precision / (recall + precision) - f1) < 0.04


def test_the_mean_f1_of_all_classes_is_the_macro_f1_of_the_other_tables(rows):
    whole = {(row["protocol"], row["model"], row["location"]): row.get("metrics", {}) for row in rows}
    compared = 0
    for row in rows:
        for key, table, name in WHOLE:
            classes, printed = row.get(key, {}), whole.get((row["protocol"], row["model"], table), {})
            if len(classes) == len(LABEL_SETS[row["protocol"].removeprefix("findingemo-")]) and name in printed:
                mean = sum(scores["f1"]["mean"] for scores in classes.values()) / len(classes)
                assert abs(mean - printed[name]["mean"]) < 0.011, row
                compared += 1
    assert compared > 40


def test_table_7_repeats_the_better_loss_of_table_5(rows):
    of_table_5 = {}
    for row in rows:
        if row["location"] == "Table 5":
            of_table_5.setdefault((row["protocol"], row["model"]), []).append(row["metrics"])
    for row in rows:
        if row["location"] == "Table 7":
            candidates = of_table_5[row["protocol"], row["model"]]
            here = {name: row["metrics"][name] for name in ("weighted_f1", "macro_ap")}
            assert here in candidates
