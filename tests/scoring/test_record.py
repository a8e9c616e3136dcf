from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fer_bench
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import unpack_outcomes
from fer_bench.scoring.record import scored, scored_on_train, without_scores
from fer_bench.scoring.score import correct, score
from tests.leaderboard.fake_records import PROTOCOL, predictions, record

VALUES = Protocol("toy", TASKS["va"])


def values(n=40):
    generator = np.random.default_rng(0)
    targets = generator.uniform(-1, 1, size=(n, 2))
    return Predictions(
        np.array([f"s{i}" for i in range(n)]), targets, (targets + generator.normal(size=(n, 2)) / 3).astype(np.float32)
    )


def test_a_record_says_what_follows_from_its_predictions():
    test, validation = predictions(0.7, 1), predictions(0.6, 2, n=90)
    made = scored(record(notes=["kept"]), PROTOCOL, {"test": test, "validation": validation})
    assert (made.metrics, made.validation_metrics, made.n_scored) == (
        score(PROTOCOL, test),
        score(PROTOCOL, validation),
        len(test),
    )
    assert unpack_outcomes(made.outcomes, len(test)).tolist() == correct(test).tolist()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made.created)
    assert made.notes == ["kept"]


def test_nothing_of_a_former_result_stays():
    former = scored(
        record(),
        PROTOCOL,
        {"test": predictions(0.7, 1), "validation": predictions(0.6, 2, n=90)},
        created="2020-01-01T00:00:00+00:00",
    )
    made = scored(former, PROTOCOL, {"test": predictions(0.5, 3)})
    assert made.validation_metrics == {}
    assert made.metrics != former.metrics
    assert made.outcomes != former.outcomes
    assert made.created > former.created == "2020-01-01T00:00:00+00:00"


def test_values_have_no_outcomes():
    made = scored(record(protocol=VALUES), VALUES, {"test": values()})
    assert (made.outcomes, made.n_scored) == ("", 40)
    assert made.metrics == score(VALUES, values())


def test_a_run_without_a_loss_says_why():
    made = without_scores(record(), "train/loss became nan")
    assert (made.status, made.message, made.metrics, made.outcomes) == ("nan", "train/loss became nan", {}, "")
    assert made.created


def test_scores_on_the_training_split():
    found = scored_on_train(PROTOCOL, predictions(0.7, 1))
    assert found["accuracy"] == pytest.approx(unpack_outcomes(found["outcomes"], found["n"]).mean())
    found = scored_on_train(VALUES, values())
    assert found["ccc"] == pytest.approx(score(VALUES, values())["ccc"])
    assert np.array(found["sums"]).shape == (2, 7)


@pytest.mark.parametrize("call", [r"(?<!def )\bpack_outcomes\b", r"\"validation_metrics\":"])
def test_records_are_composed_in_one_place(call):
    package = Path(fer_bench.__file__).parent
    users = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if re.search(call, path.read_text())
    }
    assert users == {"scoring/record.py"}
