from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fer_bench.errors import RecordError
from fer_bench.metrics import names
from fer_bench.scoring.classification import (
    NO_ANSWER,
    confusion_matrix,
    confusion_statistics,
    predicted_classes,
    scores_from_confusion,
)
from fer_bench.scoring.probabilities import Probabilities, probability_scores, reliability


def answers(n=400, classes=7, seed=0, lowest=0):
    generator = np.random.default_rng(seed)
    targets = generator.integers(classes, size=n)
    return targets, np.where(generator.random(n) < 0.6, targets, generator.integers(lowest, classes, size=n))


def softmax(n=400, classes=7, seed=0):
    generator = np.random.default_rng(seed)
    targets = generator.integers(classes, size=n)
    logits = generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[targets]
    exponentials = np.exp(logits)
    return targets, exponentials / exponentials.sum(axis=1, keepdims=True)


def reference(targets, predicted):
    return {
        "accuracy": metrics.accuracy_score(targets, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(targets, predicted),
        "macro_f1": metrics.f1_score(targets, predicted, average="macro"),
        "weighted_f1": metrics.f1_score(targets, predicted, average="weighted"),
        "cohen_kappa": metrics.cohen_kappa_score(targets, predicted),
        "mcc": metrics.matthews_corrcoef(targets, predicted),
    }


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_scikit_learns(seed):
    targets, predicted = answers(seed=seed)
    confusion = confusion_matrix(targets, predicted, 7)
    assert confusion[:, :7].tolist() == metrics.confusion_matrix(targets, predicted, labels=range(7)).tolist()
    assert confusion[:, 7].tolist() == [0] * 7
    scores = scores_from_confusion(confusion)
    for name, value in reference(targets, predicted).items():
        assert scores[name] == pytest.approx(value, abs=1e-14)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(targets, predicted, labels=range(7))
    for name, values in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        assert scores["per_class"][name] == pytest.approx(values.tolist())
    assert scores["reasons"] == {}


def test_no_answer_is_wrong_and_stays_in_every_total():
    targets, predicted = answers(lowest=NO_ANSWER)
    unanswered = int((predicted == NO_ANSWER).sum())
    assert unanswered > 10
    scores = scores_from_confusion(confusion_matrix(targets, predicted, 7))
    assert (scores["n"], scores["n_unanswered"]) == (400, unanswered)
    assert scores["accuracy"] == pytest.approx(float((targets == predicted).mean()))
    assert scores["balanced_accuracy"] == pytest.approx(
        metrics.recall_score(targets, predicted, labels=range(7), average="macro")
    )
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(targets, predicted, labels=range(7), average="macro"))
    assert scores["weighted_f1"] == pytest.approx(
        metrics.f1_score(targets, predicted, labels=range(7), average="weighted")
    )
    assert scores["cohen_kappa"] == pytest.approx(metrics.cohen_kappa_score(targets, predicted))
    assert scores["mcc"] == pytest.approx(metrics.matthews_corrcoef(targets, predicted))


def test_agreement_beyond_chance_equals_torchmetrics():
    torch, functional = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.functional.classification")
    targets, predicted = answers(seed=3)
    scores = scores_from_confusion(confusion_matrix(targets, predicted, 7))
    given = torch.from_numpy(predicted), torch.from_numpy(targets)
    assert scores["cohen_kappa"] == pytest.approx(
        functional.multiclass_cohen_kappa(*given, num_classes=7).item(), abs=1e-6
    )
    assert scores["mcc"] == pytest.approx(
        functional.multiclass_matthews_corrcoef(*given, num_classes=7).item(), abs=1e-6
    )


@pytest.mark.parametrize(
    ("targets", "predicted", "kappa", "mcc"),
    [
        ([0, 1, 2], [0, 1, 2], 1.0, 1.0),
        ([0, 1], [1, 0], -1.0, -1.0),
        ([0, 0, 1, 1], [0, 0, 0, 0], 0.0, None),
        ([0, 0, 0], [0, 1, 2], 0.0, None),
        ([0, 0, 0], [0, 0, 0], None, None),
        ([0, 1, 2], [-1, -1, -1], 0.0, None),
    ],
)
def test_agreement_beyond_chance_where_one_side_is_constant(targets, predicted, kappa, mcc):
    scores = scores_from_confusion(confusion_matrix(targets, predicted, 3))
    assert scores["cohen_kappa"] == (None if kappa is None else pytest.approx(kappa))
    assert scores["mcc"] == (None if mcc is None else pytest.approx(mcc))
    undefined = {name for name in ("cohen_kappa", "mcc") if scores[name] is None}
    assert {name for name in scores["reasons"] if not name.startswith("per_class")} == undefined
    assert all("of one class" in scores["reasons"][name] for name in undefined)


def test_undefined_scores_are_none_with_a_reason_and_leave_the_means():
    # Class 1 has samples but no prediction, class 2 has neither, class 3 a prediction but no sample.
    scores = scores_from_confusion(confusion_matrix([0, 0, 1, 1], [0, 3, 0, 0], 4))
    assert scores["per_class"]["precision"] == [pytest.approx(1 / 3), None, None, 0.0]
    assert scores["per_class"]["recall"] == [0.5, 0.0, None, None]
    assert scores["per_class"]["f1"] == [pytest.approx(0.4), 0.0, None, 0.0]
    assert set(scores["reasons"]) == {
        "per_class.precision.1",
        "per_class.precision.2",
        "per_class.recall.2",
        "per_class.recall.3",
        "per_class.f1.2",
    }
    expected = reference([0, 0, 1, 1], [0, 3, 0, 0])
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_no_samples_have_no_scores():
    scores = scores_from_confusion(confusion_matrix(np.empty(0, int), np.empty(0, int), 3))
    assert [scores[name] for name in names("confusion")] == [None] * len(names("confusion"))
    assert set(names("confusion")) <= set(scores["reasons"])
    empty = probability_scores(np.empty(0, int), np.empty((0, 3)))
    assert empty["nll"] is None
    assert empty["reasons"]["nll"] == "no samples"
    json.dumps([scores, empty], allow_nan=False)


def test_a_batch_of_matrices_scores_as_each_alone():
    batch = np.stack([confusion_matrix(*answers(seed=s, lowest=NO_ANSWER), 7) for s in range(6)]).reshape(2, 3, 7, 8)
    together = confusion_statistics(batch)
    for i, j in np.ndindex(2, 3):
        alone = confusion_statistics(batch[i, j])
        for name, values in alone.items():
            np.testing.assert_array_equal(together[name][i, j], values)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=60), st.permutations(range(5)))
@settings(max_examples=60, deadline=None)
def test_scores_do_not_depend_on_the_numbering_of_classes(pairs, numbering):
    targets, predicted = np.array(pairs).T
    renumbered = np.array([*numbering, NO_ANSWER])
    before = scores_from_confusion(confusion_matrix(targets, predicted, 5))
    after = scores_from_confusion(confusion_matrix(renumbered[targets], renumbered[predicted], 5))
    for name in names("confusion"):
        if before[name] is None:
            assert after[name] is None
            continue
        assert (-1 if name in ("cohen_kappa", "mcc") else 0) <= before[name] <= 1
        assert before[name] == pytest.approx(after[name], abs=1e-12)


@pytest.mark.parametrize(
    ("targets", "predicted"),
    [([0, 3], [0, 0]), ([0, -1], [0, 0]), ([0, 1], [0, 3]), ([0, 1], [0, -2]), ([0, 1], [0]), ([0.0, 1.0], [0, 1])],
)
def test_ids_that_are_not_classes_are_refused(targets, predicted):
    with pytest.raises(RecordError):
        confusion_matrix(targets, predicted, 3)


def test_predicted_classes():
    outputs = [[0.1, 0.9], [0.5, 0.5], [math.nan, math.nan], [3.0, -2.0]]
    assert predicted_classes(outputs).tolist() == [1, 0, NO_ANSWER, 0]
    with pytest.raises(RecordError, match="row 1"):
        predicted_classes([[0.1, 0.9], [math.nan, 0.5]])


@pytest.mark.parametrize("seed", range(3))
def test_probability_scores_equal_scikit_learns(seed):
    targets, probabilities = softmax(seed=seed)
    scores = probability_scores(targets, probabilities)
    one_hot = np.eye(7)[targets]
    assert scores["macro_ap"] == pytest.approx(metrics.average_precision_score(one_hot, probabilities, average="macro"))
    assert scores["nll"] == pytest.approx(metrics.log_loss(targets, probabilities))
    assert scores["brier"] == pytest.approx(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))
    assert (scores["n_clipped"], scores["reasons"]) == (0, {})


def test_brier_of_two_classes_is_twice_scikit_learns():
    targets, probabilities = softmax(classes=2)
    assert probability_scores(targets, probabilities)["brier"] == pytest.approx(
        2 * metrics.brier_score_loss(targets, probabilities[:, 1])
    )


def test_calibration_error_equals_a_plain_loop():
    targets, probabilities = softmax()
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    gap = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            gap += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert probability_scores(targets, probabilities)["ece"] == pytest.approx(gap)
    diagram = reliability(targets, probabilities)
    assert diagram["count"].sum() == 400
    assert np.nansum(diagram["count"] * diagram["accuracy"]) == pytest.approx(correct.sum())
    assert len(diagram["edges"]) == 16


def test_bins_are_closed_above():
    diagram = reliability([0, 0], [[1.0, 0.0], [0.5, 0.5]], bins=2)
    assert diagram["count"].tolist() == [1, 1]
    assert diagram["confidence"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("decimals", [1, 2, 16])
@pytest.mark.parametrize("n", [1, 2, 7, 150, 3000])
def test_average_precision_is_scikit_learns_bit_for_bit(n, decimals):
    """With ties and with samples without an answer."""
    rng = np.random.default_rng(n)
    targets, probabilities = rng.integers(3, size=n), rng.dirichlet(np.ones(3), size=n)
    probabilities[:, :2] = np.round(probabilities[:, :2] / 2, decimals)
    probabilities[:, 2] = 1 - probabilities[:, :2].sum(axis=1)
    probabilities[5::9] = np.nan
    ranking = np.where(np.isnan(probabilities), -1, probabilities)
    expected = [
        metrics.average_precision_score(targets == c, ranking[:, c]) if (targets == c).any() else None for c in range(3)
    ]
    assert probability_scores(targets, probabilities)["average_precision"] == expected


def test_average_precision_leaves_out_classes_without_samples():
    targets, probabilities = np.array([0, 0, 1]), np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.3, 0.4, 0.3]])
    scores = probability_scores(targets, probabilities)
    expected = [metrics.average_precision_score(targets == c, probabilities[:, c]) for c in (0, 1)]
    assert scores["average_precision"] == [*expected, None]
    assert scores["macro_ap"] == pytest.approx(np.mean(expected))
    assert list(scores["reasons"]) == ["average_precision.2"]


def test_a_sample_without_an_answer_lowers_every_probability_score():
    targets, probabilities = softmax()
    missing = probabilities.copy()
    missing[:40] = np.nan
    whole, part = probability_scores(targets, probabilities), probability_scores(targets, missing)
    assert part["n_unanswered"] == 40
    assert part["macro_ap"] < whole["macro_ap"]
    assert part["nll"] == pytest.approx(
        (-np.log(probabilities[np.arange(40, 400), targets[40:]]).sum() + 40 * math.log(7)) / 400
    )
    uniform = reliability([0], [[math.nan] * 4])
    assert np.nansum(uniform["accuracy"]) == 0
    assert np.nansum(uniform["confidence"]) == 0.25


def test_a_sample_without_an_answer_ranks_last():
    # As the uniform distribution, at 1/3, it would rank before the two others of its class.
    probabilities = [[0.3, 0.6, 0.1], [0.2, 0.1, 0.7], [math.nan] * 3]
    scores = probability_scores([1, 2, 0], probabilities)
    assert scores["average_precision"] == [pytest.approx(1 / 3), 1.0, 1.0]


def test_a_certain_mistake_is_clipped_and_counted():
    scores = probability_scores([0, 1], [[0.0, 1.0], [0.0, 1.0]])
    assert scores["n_clipped"] == 1
    assert scores["nll"] == pytest.approx(metrics.log_loss([0, 1], [[0.0, 1.0], [0.0, 1.0]]))


@pytest.mark.parametrize(
    "rows", [[[2.0, -1.0]], [[0.4, 0.4]], [[0.5, math.nan]], [0.5, 0.5], [[math.inf, 0.0]], [[0.5, 0.5]] * 2]
)
def test_what_is_not_a_distribution_is_refused(rows):
    with pytest.raises(RecordError):
        probability_scores([0], rows)


def test_half_precision_probabilities_are_accepted():
    targets, probabilities = softmax()
    full, half = (
        probability_scores(targets, probabilities),
        probability_scores(targets, probabilities.astype(np.float16)),
    )
    assert half["nll"] == pytest.approx(full["nll"], rel=1e-3)


@pytest.mark.parametrize("ids", [range(7), [0], [1, 4]], ids=str)
def test_average_precision_is_that_of_each_class_alone(ids):
    rng = np.random.default_rng(1)
    targets, unanswered = rng.choice(list(ids), size=60), rng.random(60) < 0.2
    outputs = rng.dirichlet(np.ones(7), size=60)
    made = Probabilities(targets, outputs, unanswered)
    ranking = np.where(unanswered[:, None], -1.0, outputs)
    alone = [
        metrics.average_precision_score(targets == c, ranking[:, c]) if (targets == c).any() else np.nan
        for c in range(7)
    ]
    np.testing.assert_array_equal(made.average_precision, alone)
