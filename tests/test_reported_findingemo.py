from collections import Counter
from pathlib import Path

import pytest
import yaml

REPORTED = Path(__file__).parents[1] / "leaderboards" / "reported" / "findingemo.yaml"


@pytest.fixture(scope="module")
def rows():
    return yaml.safe_load(REPORTED.read_text(encoding="utf-8"))["rows"]


def test_every_table_is_there(rows):
    # Table 5: 14 models x 2 losses x 3 tasks; Table 7: 14 x 3; Table 12: 9 models x 2 settings x 3 tasks, four
    # unreadable.
    assert Counter(row["location"] for row in rows) == {"Table 5": 84, "Table 7": 42, "Table 12": 50}
    assert {row["protocol"] for row in rows} == {"findingemo-emo8", "findingemo-arousal3", "findingemo-valence3"}
    assert all("selected on test" in row["notes"] for row in rows)
    assert all(0 < value["mean"] < 1 and 0 < value["std"] < 0.1 for row in rows for value in row["metrics"].values())


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
