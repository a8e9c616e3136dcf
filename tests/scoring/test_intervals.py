from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.proportion import proportion_confint

from fer_bench.errors import RecordError
from fer_bench.metrics import names
from fer_bench.scoring.classification import confusion_matrix, confusion_statistics
from fer_bench.scoring.intervals import (
    bootstrap,
    bootstrap_confusion,
    mcnemar,
    mean_std,
    paired_bootstrap,
    paired_bootstrap_confusion,
    paired_bootstrap_statistic,
    wilson,
)
from fer_bench.scoring.regression import ccc

GOLDEN_CONFUSION = (0.7604166666666666, 0.90625)
GOLDEN_BOOTSTRAP = (20.2845, 28.7505)
GOLDEN_GROUPED = (15.0, 33.5)


def answers(n, classes, accuracy, seed, lowest=0):
    generator = np.random.default_rng(seed)
    targets = generator.integers(classes, size=n)
    return targets, np.where(generator.random(n) < accuracy, targets, generator.integers(lowest, classes, size=n))


def test_mean_std():
    assert mean_std([0.7, 0.72, 0.74]) == (pytest.approx(0.72), pytest.approx(0.02))
    assert mean_std([0.7]) == (0.7, None)
    assert mean_std([]) == (None, None)


@pytest.mark.parametrize(
    # Newcombe 1998, Statistics in Medicine 17: the score method on his four examples.
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published(k, n, low, high):
    assert wilson(k, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(
    st.integers(1, 4000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95, 0.99])
)
@settings(max_examples=60, deadline=None)
def test_wilson_equals_statsmodels(counts, confidence):
    k, n = counts
    low, high = wilson(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1
    assert (low, high) == pytest.approx(proportion_confint(k, n, alpha=1 - confidence, method="wilson"), abs=1e-12)


def test_wilson_of_nothing():
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(3, 9), (0, 4), (12, 12), (1, 0), (5, 20), (20, 4), (24, 0), (121, 59), (13, 12)]
)
def test_mcnemar_equals_statsmodels(only_a, only_b):
    a = np.r_[np.ones(only_a), np.zeros(only_b), np.ones(50), np.zeros(7)]
    b = np.r_[np.zeros(only_a), np.ones(only_b), np.ones(50), np.zeros(7)]
    expected = reference_mcnemar([[50, only_a], [only_b, 7]], exact=only_a + only_b < 25, correction=True)
    statistic, p = mcnemar(a, b)
    assert statistic == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue)


def test_mcnemar_of_equal_and_of_evenly_different_models():
    assert mcnemar([True, False], [True, False]) == (0.0, 1.0)
    # The continuity correction must not turn no difference into one.
    assert mcnemar([1] * 20 + [0] * 20, [0] * 20 + [1] * 20) == (0.0, 1.0)
    with pytest.raises(RecordError):
        mcnemar([True], [True, False])


def test_resampled_confusion_matrices_equal_resampled_samples():
    targets, predicted = answers(300, 4, 0.6, 1, lowest=-1)
    fast = bootstrap_confusion(confusion_matrix(targets, predicted, 4), names("confusion"), n_resamples=3000)
    for name in names("confusion"):

        def statistic(t, p, name=name):
            return confusion_statistics(confusion_matrix(t, p, 4))[name].item()

        slow = bootstrap(statistic, [targets, predicted], n_resamples=3000)
        assert fast[name] == pytest.approx(slow, abs=0.006)
        assert fast[name][0] < statistic(targets, predicted) < fast[name][1]


def test_bootstrap_equals_scipys():
    generator = np.random.default_rng(3)
    targets = generator.normal(size=300)
    outputs = targets + generator.normal(size=300)
    ours = bootstrap(ccc, [targets, outputs], n_resamples=3000)
    theirs = scipy.stats.bootstrap(
        (targets, outputs),
        ccc,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=3000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.006)


def test_one_seed_gives_one_interval_for_ever():
    # Literal figures: whoever verifies a record next year must get these bits.
    confusion = np.array([[50, 10, 0], [5, 30, 1]])
    assert bootstrap_confusion(confusion, ["accuracy"], 500, seed=7) == bootstrap_confusion(
        confusion, ["accuracy"], 500, seed=7
    )
    assert bootstrap_confusion(confusion, ["accuracy"], 500, seed=7) != bootstrap_confusion(
        confusion, ["accuracy"], 500, seed=8
    )
    assert bootstrap_confusion(confusion, ["accuracy"], 500, seed=7)["accuracy"] == pytest.approx(
        GOLDEN_CONFUSION, abs=1e-12
    )
    values = np.arange(50.0)
    assert bootstrap(np.mean, [values], 500, seed=7) == pytest.approx(GOLDEN_BOOTSTRAP, abs=1e-12)
    assert bootstrap(np.mean, [values], 500, seed=7, groups=values // 5) == pytest.approx(GOLDEN_GROUPED, abs=1e-12)


def test_blocks_cover_every_resample(monkeypatch):
    from fer_bench.scoring import intervals

    confusion = np.array([[50, 10, 0], [5, 30, 1]])
    whole = bootstrap_confusion(confusion, ["macro_f1"], 500)
    monkeypatch.setattr(intervals, "_BLOCK", 35)
    assert bootstrap_confusion(confusion, ["macro_f1"], 500) == whole


def test_coverage_of_the_bootstrap():
    # 400 test sets of a model that is right with probability 0.7: about 95 % of the intervals must hold it.
    inside = 0
    for seed in range(400):
        right = np.random.default_rng(seed).binomial(300, 0.7)
        low, high = bootstrap_confusion([[right, 300 - right], [0, 0]], ["accuracy"], 400, seed=seed)["accuracy"]
        inside += low <= 0.7 <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_frames_of_a_clip_are_resampled_together():
    groups = np.repeat(["b", "a", "c", "d"], [3, 1, 5, 2])
    order = np.random.default_rng(0).permutation(len(groups))
    seen = []
    bootstrap(lambda rows: seen.append(rows.copy()) or 0.0, [order], n_resamples=200, groups=groups[order])
    sizes = {"b": 3, "a": 1, "c": 5, "d": 2}
    for rows in seen:
        rows_per_group = {name: [int((rows == r).sum()) for r in np.flatnonzero(groups == name)] for name in sizes}
        assert all(len(set(times)) == 1 for times in rows_per_group.values())
        assert sum(times[0] for times in rows_per_group.values()) == 4
    drawn = {tuple(sorted(rows)) for rows in seen}
    assert len(drawn) > 20


def test_repeated_frames_do_not_narrow_a_grouped_interval():
    generator = np.random.default_rng(5)
    clips = generator.normal(size=60)
    frames, clip = np.repeat(clips, 20), np.repeat(np.arange(60), 20)

    def width(interval):
        return interval[1] - interval[0]

    grouped, clipwise = bootstrap(np.mean, [frames], groups=clip), bootstrap(np.mean, [clips])
    assert width(grouped) == pytest.approx(width(clipwise), rel=0.1)
    assert width(bootstrap(np.mean, [frames])) < 0.4 * width(grouped)


def test_undefined_resamples():
    assert bootstrap(lambda x: None, [np.arange(5.0)], 50) is None
    assert bootstrap(np.mean, [np.empty(0)], 50) is None
    assert bootstrap_confusion(np.zeros((3, 4)), ["accuracy"], 50) == {"accuracy": None}
    # Undefined now and then: the interval is that of the rest.
    low, high = bootstrap(lambda x: x.mean() if (x > 0).any() else math.nan, [np.array([0.0, 0, 0, 1, 1, 1])], 500)
    assert 0 < low < high <= 1
    with pytest.raises(RecordError):
        bootstrap(np.mean, [np.zeros(3), np.zeros(4)], 10)


def test_paired_bootstrap_tells_a_difference_and_its_absence():
    generator = np.random.default_rng(2)
    hard = generator.random(2000)
    a, b = hard < 0.72, hard < 0.68
    found = paired_bootstrap(a, b)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert 0 < found.low < found.difference < found.high
    assert found.p == 2 / 2001
    assert paired_bootstrap(a, a) == (0.0, 0.0, 0.0, 1.0)
    back = paired_bootstrap(b, a)
    assert (back.difference, back.low, back.high, back.p) == pytest.approx(
        (-found.difference, -found.high, -found.low, found.p)
    )
    with pytest.raises(RecordError):
        paired_bootstrap([], [])


def test_paired_bootstrap_agrees_with_mcnemar_and_holds_its_level():
    p_bootstrap, p_mcnemar = [], []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        a, b = generator.random(200) < 0.7, generator.random(200) < 0.7
        p_bootstrap.append(paired_bootstrap(a, b, n_resamples=300, seed=seed).p)
        p_mcnemar.append(mcnemar(a, b)[1])
    assert np.corrcoef(p_bootstrap, p_mcnemar)[0, 1] > 0.97
    assert 0.015 <= np.mean(np.array(p_bootstrap) < 0.05) <= 0.095
    assert 0.4 < np.mean(p_bootstrap) < 0.65


def test_ties_of_averages_over_seeds_count_as_ties():
    third = np.array([0.1 + 0.2, 0.3] * 50)
    assert paired_bootstrap(third, third[::-1], 200).p > 0.5
    assert paired_bootstrap(np.full(100, 0.1 + 0.2), np.full(100, 0.3), 200).p == 1.0


@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_paired_forms_agree(name):
    targets, a = answers(400, 4, 0.62, 1, lowest=-1)
    b = np.where(targets == 2, -1, np.where(np.random.default_rng(9).random(400) < 0.85, a, 0))

    def statistic(t, p):
        return confusion_statistics(confusion_matrix(t, p, 4))[name].item()

    fast = paired_bootstrap_confusion(targets, a, b, 4, name, n_resamples=2000)
    slow = paired_bootstrap_statistic(statistic, targets, a, b, n_resamples=2000)
    assert fast.difference == pytest.approx(statistic(targets, a) - statistic(targets, b))
    assert fast.difference == slow.difference
    assert (fast.low, fast.high, fast.p) == pytest.approx((slow.low, slow.high, slow.p), abs=0.006)
    if name == "accuracy":
        by_values = paired_bootstrap(targets == a, targets == b, n_resamples=2000)
        assert fast == pytest.approx(by_values, abs=0.006)


def test_paired_statistic_with_groups_and_undefined():
    generator = np.random.default_rng(4)
    targets = generator.normal(size=(200, 2))
    good, bad = targets + 0.3 * generator.normal(size=(200, 2)), targets + generator.normal(size=(200, 2))

    def mean_ccc(t, o):
        return (ccc(t[:, 0], o[:, 0]) + ccc(t[:, 1], o[:, 1])) / 2

    found = paired_bootstrap_statistic(mean_ccc, targets, good, bad, 300, groups=np.repeat(np.arange(20), 10))
    assert found.low > 0
    assert found.p == 2 / 301
    assert paired_bootstrap_statistic(lambda t, o: None, targets, good, bad, 20) is None
    assert paired_bootstrap_confusion(np.empty(0, int), np.empty(0, int), np.empty(0, int), 3, "accuracy") is None


def test_p_and_interval_tell_the_same_story():
    for seed in range(40):
        generator = np.random.default_rng(seed)
        found = paired_bootstrap(generator.normal(0.14, 1, 100), np.zeros(100), 999, seed)
        if not 0.04 < found.p < 0.06:
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
        assert 0 < found.p <= 1
