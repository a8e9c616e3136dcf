"""Scores of several labels: scikit-learn's definitions, resamples that are equal to them, and samples without an
answer.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from fer_bench.errors import RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.scoring.additive import of_predictions
from fer_bench.scoring.by_group import score_groups
from fer_bench.scoring.corrupted import score_corrupted
from fer_bench.scoring.multilabel import Categories, weighted_average_precision
from fer_bench.scoring.resampling import Units
from fer_bench.scoring.score import score

PROTOCOL = Protocol("toy", TASKS["emotic26"])
K = 26


def made(n=150, seed=0, groups=None, strength=0.4, **flags):
    generator = np.random.default_rng(0)
    targets = (generator.random((n, K)) < 0.15).astype(np.int8)
    targets[:, 5] = 0
    noise = np.random.default_rng(seed + 1).random((n, K))
    outputs = (strength * targets + (1 - strength) * noise).astype(np.float32)
    return Predictions(np.array([f"s{i:04d}" for i in range(n)]), targets, outputs, flags, groups)


def test_scores_are_scikit_learns():
    predictions = made()
    found = score(PROTOCOL, predictions)
    kept = [k for k in range(K) if k != 5]
    expected = [average_precision_score(predictions.targets[:, k], predictions.outputs[:, k]) for k in kept]
    assert found["map"] == pytest.approx(np.mean(expected))
    assert [found["average_precision"][k] for k in kept] == pytest.approx(expected)
    auc = [roc_auc_score(predictions.targets[:, k], predictions.outputs[:, k]) for k in kept]
    assert found["mean_auc"] == pytest.approx(np.mean(auc))
    assert found["average_precision"][5] is None
    assert found["reasons"] == {"average_precision.5": "no sample has this category"}
    low, high = found["intervals"]["map"]
    assert low < found["map"] < high
    assert found["intervals"]["average_precision.5"] is None
    assert found["per_class"]["support"] == predictions.targets.sum(axis=0).tolist()
    json.dumps(found, allow_nan=False)


def test_resamples_of_average_precision_are_scikit_learns_with_weights():
    generator = np.random.default_rng(3)
    targets = generator.random(80) < 0.3
    # Ties within and across both kinds of samples.
    ranking = np.round(0.3 * targets + generator.random(80), 1)
    weights = generator.integers(0, 4, size=(5, 80)).astype(float)
    expected = [average_precision_score(targets, ranking, sample_weight=each) for each in weights]
    assert weighted_average_precision(targets, ranking, weights.T) == pytest.approx(expected)
    none = np.where(targets, 0.0, 1.0)[:, None]
    assert np.isnan(weighted_average_precision(targets, ranking, none)).all()
    assert np.isnan(weighted_average_precision(np.zeros(80, dtype=bool), ranking, weights.T)).all()


def test_samples_of_one_photograph_are_drawn_together():
    groups = np.array([f"photo {i // 3}" for i in range(150)])
    alone, together = score(PROTOCOL, made()), score(PROTOCOL, made(groups=groups))
    assert together["map"] == alone["map"]
    assert together["n_groups"] == 50
    assert together["intervals"]["map"] != alone["intervals"]["map"]
    one = score(PROTOCOL, made(groups=np.full(150, "one")))
    assert one["intervals"]["map"] is None


def test_no_answer_is_last_in_every_category():
    predictions = made()
    outputs = predictions.outputs.copy()
    outputs[:20] = np.nan
    missing = Predictions(predictions.ids, predictions.targets, outputs)
    outputs = predictions.outputs.copy()
    outputs[20:] = 0.01 + 0.99 * outputs[20:]
    outputs[:20] = 0
    last = score(PROTOCOL, Predictions(predictions.ids, predictions.targets, outputs))
    found = score(PROTOCOL, missing)
    assert found["n_unanswered"] == 20
    assert found["map"] == pytest.approx(last["map"])
    assert found["map"] < score(PROTOCOL, predictions)["map"]


def test_duplicates_are_left_out_of_clean():
    flagged = np.arange(150) < 40
    found = score(PROTOCOL, made(duplicate=flagged))
    rest = made().select(~flagged)
    assert found["clean"]["n"] == 110
    assert found["clean"]["map"] == pytest.approx(score(PROTOCOL, rest)["map"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, o: (t, o[:, :5]), "do not fit 26 categories"),
        (lambda t, o: (t * 2, o), "target 2 of row 0 is neither 0 nor 1"),
        (lambda t, o: (t, o + 0.9), "no probability"),
        (lambda t, o: (t, np.where(np.arange(K) == 3, np.nan, o).astype(np.float32)), "no probability"),
    ],
)
def test_what_is_no_prediction_of_labels_is_refused(change, said):
    predictions = made()
    targets = predictions.targets.copy()
    targets[0, 0] = 1
    targets, outputs = change(targets, predictions.outputs)
    with pytest.raises(RecordError, match=said):
        score(PROTOCOL, Predictions(predictions.ids, targets, outputs))


def test_without_samples_nothing_is_defined():
    found = score(PROTOCOL, made().select(np.zeros(150, dtype=bool)))
    assert found["map"] is None
    assert found["reasons"]["map"] == "no samples"


def test_the_score_of_resamples_is_the_score():
    predictions = made(groups=np.array([f"g{i % 60}" for i in range(150)]))
    measured, answers = of_predictions(PROTOCOL, predictions)
    assert measured.of(answers) == pytest.approx(score(PROTOCOL, predictions)["map"])
    units = Units.of(150, predictions.groups)
    once = np.ones((1, units.n), dtype=np.int64)
    assert measured.drawn(answers, units, once)[0] == pytest.approx(measured.of(answers))
    rows = np.arange(0, 90)
    assert measured.drawn(answers, units, once, rows)[0] == pytest.approx(measured.of(answers, rows))


def test_groups_and_corruptions_are_scored_too():
    predictions = made()
    member = np.where(np.arange(150) < 70, "a", "b")
    found = score_groups(PROTOCOL, predictions, {name: np.flatnonzero(member == name) for name in "ab"})
    assert [group.value for group in found.groups] == [
        pytest.approx(score(PROTOCOL, predictions.select(member == name))["map"]) for name in "ab"
    ]
    assert found.gap is not None
    worse = np.stack([made(strength=0.1).outputs.astype(np.float64)] * 2)
    corrupted = score_corrupted(PROTOCOL, predictions, {"blur": worse})
    assert corrupted["drop"] > 0
    assert corrupted["intervals"]["blur"][0] < corrupted["mean"] < corrupted["intervals"]["blur"][1]
    assert Categories(predictions.targets, predictions.outputs).support[5] == 0
