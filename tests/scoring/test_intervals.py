from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from fer_bench.metrics import names
from fer_bench.scoring.classification import confusion_matrix, confusion_statistic
from fer_bench.scoring.intervals import bootstrap_confusion, mean_std, wilson
from fer_bench.scoring.moments import bootstrap_values
from fer_bench.scoring.regression import ccc
from fer_bench.scoring.resampling import Units, draw_of, draws, percentiles, two_sided_p
from tests.plain_bootstrap import bootstrap, resamples

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


def test_resampled_confusion_matrices_equal_resampled_samples():
    targets, predicted = answers(300, 4, 0.6, 1, lowest=-1)
    fast = bootstrap_confusion(confusion_matrix(targets, predicted, 4), names("confusion"), n_resamples=3000)
    for name in names("confusion"):

        def statistic(t, p, name=name):
            return confusion_statistic(confusion_matrix(t, p, 4), name).item()

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
    for groups, golden in ((None, GOLDEN_BOOTSTRAP), (values // 5, GOLDEN_GROUPED)):
        units = Units.of(50, groups)
        weights = np.concatenate(list(units.blocks(500, seed=7)))
        assert percentiles(weights @ units.total(values) / 50) == pytest.approx(golden, abs=1e-12)
        assert bootstrap(np.mean, [values], 500, seed=7, groups=groups) == pytest.approx(golden, abs=1e-12)


def test_blocks_cover_every_resample(monkeypatch):
    from fer_bench.scoring import resampling

    confusion = np.array([[50, 10, 0], [5, 30, 1]])
    whole = bootstrap_confusion(confusion, ["macro_f1"], 500)
    monkeypatch.setattr(resampling, "_BLOCK", 35)
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
    groups = np.repeat(["b", "a", "c", "d"], [3, 1, 5, 2])[np.random.default_rng(0).permutation(11)]
    units = Units.of(len(groups), groups)
    weights = np.concatenate(list(units.blocks(200)))
    assert (weights.sum(axis=1) == 4).all()
    assert len(np.unique(weights, axis=0)) > 20
    plain = np.stack([np.bincount(rows, minlength=11) for rows in resamples(11, 200, 0, groups)])
    assert (weights[:, units.member] == plain).all()
    assert (units.total(np.ones((11, 2))) == np.array([1, 3, 5, 2])[:, None]).all()


def test_blocks_count_what_draws_draw(monkeypatch):
    from fer_bench.scoring import resampling

    expected = [np.bincount(rows, minlength=7).tolist() for rows in draws(7, draw_of(3), 20)]
    monkeypatch.setattr(resampling, "_BLOCK", 30)
    blocks = list(Units(7).blocks(20, seed=3))
    assert [len(block) for block in blocks] == [4] * 5
    assert np.concatenate(blocks).tolist() == expected
    assert list(Units(0).blocks(20)) == []


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
    assert bootstrap_confusion(np.zeros((3, 4)), ["accuracy"], 50) == {"accuracy": None}
    # Undefined now and then: the interval is that of the rest.
    half = np.r_[np.full(50, math.nan), np.linspace(0, 1, 50)]
    assert percentiles(half) == pytest.approx(percentiles(half[50:]))
    for drawn in (np.empty(0), np.full(9, math.nan), half[:-1]):
        assert percentiles(drawn) is None
        assert two_sided_p(drawn) is None


@pytest.mark.parametrize(
    ("below", "ties", "p"),
    [(0, 0, 2 / 1001), (24, 0, 50 / 1001), (20, 4, 50 / 1001), (500, 0, 1.0), (990, 0, 22 / 1001)],
)
def test_p_counts_the_rarer_side_twice(below, ties, p):
    drawn = np.concatenate([np.full(below, -0.1), np.zeros(ties), np.full(1000 - below - ties, 0.1)])
    assert two_sided_p(drawn) == pytest.approx(p, abs=1e-12)


def test_what_rounding_leaves_of_a_difference_is_a_tie():
    assert two_sided_p(np.full(200, 0.1 + 0.2 - 0.3)) == 1.0


def test_p_and_interval_tell_the_same_story():
    for seed in range(40):
        drawn = np.random.default_rng(seed).normal(0.14, 0.07, 999)
        p, (low, high) = two_sided_p(drawn), percentiles(drawn)
        if not 0.04 < p < 0.06:
            assert (p < 0.05) == (low > 0 or high < 0)
        assert 0 < p <= 1


@pytest.mark.parametrize(("clips", "covered"), [(10, 0.85), (50, 0.91)])
def test_of_few_clips_intervals_are_too_narrow_by_as_much_as_the_documentation_says(clips, covered):
    generator = np.random.default_rng(1)
    truth, spread = 0.7**2 + 0.5**2, 0.4**2
    real = 2 * 0.6 * truth / (truth + 0.36 * truth + 2 * spread)
    groups, hits, draws = np.repeat(np.arange(clips).astype(str), 30), 0, 400
    for seed in range(draws):
        target = 0.7 * generator.normal(size=(clips, 1)) + 0.5 * generator.normal(size=(clips, 30))
        own = 0.4 * generator.normal(size=(clips, 1)) + 0.4 * generator.normal(size=(clips, 30))
        answer = 0.6 * target + own
        low, high = bootstrap_values(target.reshape(-1, 1), answer.reshape(-1, 1), ("v",), groups, 300, seed % 3)["ccc"]
        hits += low <= real <= high
    assert hits / draws == pytest.approx(covered, abs=0.045)
