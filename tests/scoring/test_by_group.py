"""Scores from sums, by group and on corrupted images: the numbers are those of the plain scores, and so are the
intervals."""

import numpy as np
import pytest

from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol, own_values
from fer_bench.results.corruptions import against_clean
from fer_bench.scoring.additive import of_predictions
from fer_bench.scoring.by_group import score_groups
from fer_bench.scoring.classification import confusion_matrix, confusion_statistic, predicted_classes
from fer_bench.scoring.corrupted import score_corrupted
from fer_bench.scoring.regression import ccc
from fer_bench.scoring.score import correct, resampled_by_sample, score
from fer_bench.value_sets import ValueSet
from tests.plain_bootstrap import bootstrap, mean_over_dimensions

N = 200
CLASSES = Protocol("toy", TASKS["fer7"])
UNEVEN = Protocol("toy", TASKS["emo8"])
VALUES = Protocol("toy", TASKS["va"])


def of_classes(n_classes=7, groups=None):
    draw = np.random.default_rng(0)
    outputs = draw.dirichlet(np.ones(n_classes), N).astype(np.float32)
    outputs[3] = np.nan
    targets = np.where(draw.random(N) < 0.5, np.nan_to_num(outputs).argmax(axis=1), draw.integers(n_classes, size=N))
    return Predictions(np.array([f"s{i:03d}" for i in range(N)]), targets, outputs, {}, groups)


def of_values(groups=None):
    draw = np.random.default_rng(1)
    targets = draw.uniform(-1, 1, (N, 2)).astype(np.float32)
    outputs = (0.6 * targets + 0.2 * draw.standard_normal((N, 2))).astype(np.float32)
    return Predictions(np.array([f"s{i:03d}" for i in range(N)]), targets, outputs, {}, groups)


HALVES = np.where(np.arange(N) < 90, "a", "b")


def members(of, names=("a", "b")):
    return {name: np.flatnonzero(of == name) for name in names}


def test_scores_from_sums_are_the_scores():
    for protocol, predictions in ((CLASSES, of_classes()), (UNEVEN, of_classes(8)), (VALUES, of_values())):
        found, answers = of_predictions(protocol, predictions)
        assert found.of(answers) == pytest.approx(score(protocol, predictions)[protocol.primary], abs=1e-9)


def test_groups_of_classes():
    predictions = of_classes()
    found = score_groups(CLASSES, predictions, members(HALVES))
    right = correct(predictions)
    assert [group.value for group in found.groups] == pytest.approx([right[:90].mean(), right[90:].mean()])
    assert found.whole == pytest.approx(right.mean())
    difference = lambda hit, first: hit[first].mean() - hit[~first].mean()  # noqa: E731
    first = found.gap.best == HALVES
    assert found.gap.difference == pytest.approx(difference(right, first))
    assert found.gap.interval == pytest.approx(bootstrap(difference, (right, first)))
    assert found.unit == "samples"


def test_groups_of_values_and_whole_clips():
    clips = np.array([f"c{i // 5}" for i in range(N)])
    predictions = of_values(clips)
    found = score_groups(VALUES, predictions, members(HALVES))
    values = [
        mean_over_dimensions(ccc, predictions.targets[name == HALVES], predictions.outputs[name == HALVES])
        for name in "ab"
    ]
    assert [group.value for group in found.groups] == pytest.approx(values, abs=1e-6)
    own = lambda t, o, first: mean_over_dimensions(ccc, t[first], o[first])  # noqa: E731
    expected = bootstrap(own, (predictions.targets, predictions.outputs, HALVES == "a"), groups=clips)
    assert found.groups[0].interval == pytest.approx(expected, abs=1e-6)
    assert found.unit == "clips or people"


def test_of_errors_the_smaller_group_is_best():
    rmse = own_values(ValueSet(("valence", "arousal"), primary="rmse"))
    predictions = of_values()
    predictions.outputs[HALVES == "b"] += 0.5
    gap = score_groups(Protocol("toy", rmse), predictions, members(HALVES)).gap
    assert (gap.best, gap.worst) == ("a", "b")
    assert 0 < gap.interval[0] < gap.difference < gap.interval[1]


def test_intervals_of_classes_resample_whole_groups():
    people = np.array([f"p{i // 8}" for i in range(N)])
    predictions = of_classes(groups=people)
    found = score(CLASSES, predictions)
    assert found["n_groups"] == N // 8
    right = correct(predictions)
    assert found["intervals"]["accuracy"] == pytest.approx(bootstrap(np.mean, (right,), groups=people))
    answers = predicted_classes(predictions.outputs)
    macro_f1 = lambda t, p: float(confusion_statistic(confusion_matrix(t, p, 7), "macro_f1"))  # noqa: E731
    expected = bootstrap(macro_f1, (predictions.targets, answers), groups=people)
    assert found["intervals"]["macro_f1"] == pytest.approx(expected)
    # Records that do not say how many groups there are keep the intervals that they were given.
    old = score(CLASSES, predictions, by_sample=True)
    assert old == score(CLASSES, of_classes())
    assert resampled_by_sample(old)
    assert not resampled_by_sample(found)
    one = score(CLASSES, of_classes(groups=np.full(N, "p")))
    assert (one["n_groups"], one["intervals"]["accuracy"]) == (1, None)
    assert one["reasons"]["intervals"] == "all samples are of one group"


def test_small_groups_are_shown_and_not_compared():
    member = np.where(np.arange(N) < 19, "small", np.where(np.arange(N) < 100, "a", "b"))
    found = score_groups(CLASSES, of_classes(), members(member, ["small", "a", "b"]))
    assert [(group.name, group.n, group.large, group.interval is None) for group in found.groups] == [
        ("small", 19, False, True), ("a", 81, True, False), ("b", 100, True, False),
    ]  # fmt: skip
    assert {found.gap.best, found.gap.worst} == {"a", "b"}
    assert score_groups(CLASSES, of_classes(), members(np.where(np.arange(N) < 185, "a", "b"))).gap is None


def test_a_group_that_is_one_person_is_resampled_by_sample():
    people = np.where(np.arange(N) < 100, "p", "q")
    found = score_groups(CLASSES, of_classes(groups=people), members(people, ["p", "q"]))
    assert found.unit == "samples"
    assert found.groups[0].interval[0] < found.groups[0].value < found.groups[0].interval[1]


def test_scores_on_corrupted_images():
    predictions = of_classes()
    answers = predictions.outputs.copy()
    own = np.where(np.isnan(answers).any(axis=1), -1, np.nan_to_num(answers).argmax(axis=1))
    half = np.where(np.arange(N) % 2, own, -1)
    found = score_corrupted(CLASSES, predictions, {"jpeg": np.stack([own] * 5), "rotation": np.stack([half] * 5)})
    right = correct(predictions)
    kept = right & (np.arange(N) % 2 == 1)
    assert found["scores"] == {"jpeg": pytest.approx([right.mean()] * 5), "rotation": pytest.approx([kept.mean()] * 5)}
    assert found["mean"] == pytest.approx((right.mean() + kept.mean()) / 2)
    assert found["drop"] == pytest.approx(1 - found["mean"] / right.mean())
    assert found["intervals"]["rotation"] == pytest.approx(bootstrap(np.mean, (kept,)))
    drop = lambda a, b: (a.mean() - (a.mean() + b.mean()) / 2) / a.mean()  # noqa: E731
    assert found["intervals"]["drop"] == pytest.approx(bootstrap(drop, (right, kept)))


def test_no_drop_from_a_score_that_is_not_above_zero():
    predictions = of_values()
    worthless = Predictions(predictions.ids, predictions.targets, -predictions.outputs)
    found = score_corrupted(VALUES, worthless, {"jpeg": np.stack([predictions.outputs] * 5)})
    assert found["clean"] < 0
    assert found["drop"] is None
    assert found["intervals"]["drop"] is None


def test_what_grows_is_above_clean():
    assert against_clean(0.123) == "12.3 % below clean"
    assert against_clean(-1e-17, (-1e-17, 0.0)) == "0.0 % below clean (95 % interval 0.0 to 0.0)"
    assert against_clean(0.123, (0.1, 0.15)) == "12.3 % below clean (95 % interval 10.0 to 15.0)"
    assert against_clean(-0.3, (-0.4, 0.1)) == "30.0 % above clean (95 % interval -10.0 to 40.0)"
