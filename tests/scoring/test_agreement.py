from __future__ import annotations

import math
from itertools import combinations

import krippendorff
import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics
from statsmodels.stats.inter_rater import fleiss_kappa as reference_fleiss

from fer_bench.errors import BadDataError
from fer_bench.scoring import agreement
from fer_bench.scoring.agreement import (
    fleiss_kappa,
    icc21,
    icc31,
    krippendorff_alpha,
    krippendorff_alpha_from_counts,
    leave_one_out,
    leave_one_out_confusion,
    leave_one_out_numeric,
    mean_upper_triangle,
    nominal_rater_correlations,
    rater_correlations,
    vote_counts,
)
from fer_bench.scoring.classification import scores_from_confusion
from fer_bench.scoring.regression import ccc

NAN = math.nan
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": four observers, twelve units.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
# Shrout and Fleiss 1979: six targets, four judges.
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def labels(n=120, raters=6, classes=5, missing=0.2, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(classes, size=(n, 1))
    answers = np.where(
        generator.random((n, raters)) < 0.6, truth, generator.integers(classes, size=(n, raters))
    ).astype(float)
    answers[generator.random((n, raters)) < missing] = NAN
    return answers


def ratings(n=40, raters=4, missing=0.0, seed=0):
    generator = np.random.default_rng(seed)
    answers = (
        generator.normal(size=(n, 1))
        + 0.3 * generator.normal(size=(1, raters))
        + 0.7 * generator.normal(size=(n, raters))
    )
    answers[generator.random((n, raters)) < missing] = NAN
    return answers


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_published(level, published):
    assert krippendorff_alpha(OBSERVERS, level) == pytest.approx(published, abs=5e-4)
    counts = vote_counts(OBSERVERS - 1, 5)
    assert krippendorff_alpha_from_counts(counts, level, values=[1, 2, 3, 4, 5]) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_equals_the_package(level, seed):
    answers = labels(seed=seed, missing=0.5)
    expected = krippendorff.alpha(reliability_data=answers.T, level_of_measurement=level)
    assert krippendorff_alpha(answers, level) == pytest.approx(expected, abs=1e-12)
    assert krippendorff_alpha_from_counts(vote_counts(answers, 5), level, values=range(5)) == pytest.approx(
        expected, abs=1e-12
    )


def test_interval_alpha_of_real_numbers_equals_the_package():
    answers = ratings(missing=0.3)
    assert krippendorff_alpha(answers, "interval") == pytest.approx(
        krippendorff.alpha(reliability_data=answers.T, level_of_measurement="interval")
    )


@given(
    arrays(np.int64, st.tuples(st.integers(2, 12), st.integers(2, 5)), elements=st.integers(0, 3)),
    st.floats(0.5, 3),
    st.floats(-5, 5),
)
@settings(max_examples=60, deadline=None)
def test_alpha_invariants(answers, factor, offset):
    values = answers.astype(float)
    if len(np.unique(values)) == 1:
        assert all(math.isnan(krippendorff_alpha(values, level)) for level in ("nominal", "ordinal", "interval"))
        return
    interval = krippendorff_alpha(values, "interval")
    assert interval <= 1 + 1e-12
    assert interval == pytest.approx(krippendorff_alpha(factor * values + offset, "interval"), abs=1e-9)
    # Ranks know no distances, names know no order.
    assert krippendorff_alpha(values, "ordinal") == pytest.approx(
        krippendorff_alpha(np.exp(values), "ordinal"), abs=1e-9
    )
    assert krippendorff_alpha(values, "nominal") == pytest.approx(
        krippendorff_alpha((values * 3) % 4, "nominal"), abs=1e-9
    )
    shuffled = values[:, ::-1]
    assert krippendorff_alpha(values, "nominal") == pytest.approx(krippendorff_alpha(shuffled, "nominal"), abs=1e-12)


def test_alpha_of_perfect_and_of_no_agreement():
    assert krippendorff_alpha([[0, 0], [1, 1], [2, 2]], "nominal") == 1.0
    assert math.isnan(krippendorff_alpha([[0, NAN], [NAN, 1]], "nominal"))
    assert math.isnan(krippendorff_alpha(np.full((3, 2), NAN), "interval"))
    assert math.isnan(krippendorff_alpha(np.full((3, 2), NAN), "ordinal"))
    with pytest.raises(BadDataError):
        krippendorff_alpha_from_counts([[1, 1]], "interval")


def test_icc_published():
    # Shrout and Fleiss 1979: .29 and .71; the intervals as R's psych prints them for these data.
    assert icc21(JUDGES) == (
        pytest.approx(0.290, abs=5e-4),
        pytest.approx(0.019, abs=5e-4),
        pytest.approx(0.761, abs=5e-4),
        6,
    )
    assert icc31(JUDGES) == (
        pytest.approx(0.715, abs=5e-4),
        pytest.approx(0.342, abs=5e-4),
        pytest.approx(0.946, abs=5e-4),
        6,
    )


@pytest.mark.parametrize("seed", range(3))
def test_icc_equals_pingouin(seed):
    answers = ratings(seed=seed)
    n, k = answers.shape
    table = pd.DataFrame(
        {"item": np.repeat(np.arange(n), k), "rater": np.tile(np.arange(k), n), "score": answers.ravel()}
    )
    expected = pingouin.intraclass_corr(table, "item", "rater", "score")
    interval = next(column for column in expected if column.startswith("CI95"))
    for row, ours in ((1, icc21(answers)), (2, icc31(answers))):
        assert ours.value == pytest.approx(expected["ICC"].iloc[row], abs=1e-9)
        # pingouin rounds its intervals to two digits.
        assert (ours.low, ours.high) == pytest.approx(tuple(expected[interval].iloc[row]), abs=5.1e-3)


def test_icc_leaves_incomplete_items_out():
    answers = ratings(missing=0.1)
    complete = answers[~np.isnan(answers).any(axis=1)]
    assert len(complete) < 40
    assert icc21(answers) == icc21(complete)
    assert icc31(answers).n_items == len(complete)


def test_icc_covers_the_truth():
    # Items and error of equal variance: ICC(3,1) is 0.5.
    inside = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        found = icc31(generator.normal(size=(25, 1)) + generator.normal(size=(25, 3)))
        inside += found.low <= 0.5 <= found.high
    assert 0.915 <= inside / 300 <= 0.985


def test_icc_of_raters_that_differ_by_offsets_only():
    items = np.random.default_rng(0).normal(size=(10, 1))
    assert icc31(items + np.array([0.1, 0.7])).value == 1.0
    found = icc21(items + np.array([0.1, 0.7]))
    assert 0 < found.value < 1
    assert math.isnan(found.low)
    assert icc21(np.repeat(items, 3, axis=1)) == (1.0, 1.0, 1.0, 10)
    assert math.isnan(icc31(np.full((5, 2), 0.3)).value)
    assert math.isnan(icc31([[1.0, 2.0]]).value)


def test_fleiss_published():
    # Fleiss 1971's method on the worked table of ten subjects, fourteen raters and five classes.
    table = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]]
    table += [[7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    assert fleiss_kappa(table) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(table) == pytest.approx(reference_fleiss(np.array(table)))


def test_fleiss_equals_statsmodels_and_refuses_unequal_counts():
    counts = vote_counts(labels(missing=0), 5)
    assert fleiss_kappa(counts) == pytest.approx(reference_fleiss(counts))
    assert math.isnan(fleiss_kappa([[3, 0], [3, 0]]))
    for wrong in ([[2, 1], [1, 1]], [[1, 0]], np.empty((0, 3))):
        with pytest.raises(BadDataError):
            fleiss_kappa(wrong)


def test_correlations_of_numbers_equal_pandas():
    answers = ratings(missing=0.3)
    matrix = rater_correlations(answers)
    np.testing.assert_allclose(matrix, pd.DataFrame(answers).corr().to_numpy(), atol=1e-12)
    assert mean_upper_triangle(matrix) == pytest.approx(np.mean([matrix[a, b] for a, b in combinations(range(4), 2)]))


def test_pairs_without_a_correlation_leave_the_mean():
    answers = np.array([[1, 2, 5, NAN], [2, 4, 5, NAN], [3, 5, 5, NAN], [NAN, NAN, NAN, 1.0]])
    matrix = rater_correlations(answers)
    assert np.isnan(matrix[0, 2:]).all()
    assert mean_upper_triangle(matrix) == pytest.approx(np.corrcoef([1, 2, 3], [2, 4, 5])[0, 1])
    assert math.isnan(mean_upper_triangle([[1.0]]))


def test_correlations_of_labels_are_those_of_the_indicators():
    answers = labels()
    matrix = nominal_rater_correlations(answers, 5)
    for a, b in combinations(range(6), 2):
        both = ~np.isnan(answers[:, a]) & ~np.isnan(answers[:, b])
        one_hot = [np.eye(5)[answers[both, r].astype(int)].ravel() for r in (a, b)]
        assert matrix[a, b] == pytest.approx(np.corrcoef(*one_hot)[0, 1])
        assert matrix[b, a] == matrix[a, b]
    assert np.diagonal(matrix) == pytest.approx(1.0)


def test_raters_who_never_agree_are_correlated_negatively():
    opposite = np.array([[0, 1], [1, 0], [0, 1], [1, 0], [0, 0.0]])
    assert nominal_rater_correlations(opposite, 3)[0, 1] < 0


def plain_majority(votes):
    top = [k for k, v in enumerate(votes) if v == max(votes)]
    return {k: 1 / len(top) for k in top}


def test_leave_one_out_equals_a_plain_loop():
    answers = labels(n=60, missing=0.4)
    found = leave_one_out(answers, 5)
    for r in range(6):
        credits = []
        for item in answers:
            others = [int(v) for s, v in enumerate(item) if s != r and not math.isnan(v)]
            if not math.isnan(item[r]) and others:
                credits.append(plain_majority([others.count(k) for k in range(5)]).get(int(item[r]), 0.0))
        assert found.per_rater[r] == pytest.approx(np.mean(credits))
    assert found.mean == pytest.approx(found.per_rater.mean())


def test_leave_one_out_of_numbers():
    answers = ratings(missing=0.3)
    found = leave_one_out_numeric(answers)
    for r in range(4):
        frame = pd.DataFrame(answers)
        rest = frame.drop(columns=r).mean(axis=1)
        both = frame[r].notna() & rest.notna()
        assert found.per_rater[r] == pytest.approx(ccc(rest[both], frame[r][both]))
    assert leave_one_out_numeric(answers, "rmse").mean > 0
    alone = leave_one_out_numeric(np.c_[answers, np.full(40, NAN)])
    assert math.isnan(alone.per_rater[4])
    assert alone.mean == pytest.approx(found.mean)


def test_leave_one_out_confusion_equals_drawing_every_vote():
    counts = vote_counts(labels(n=50, raters=9, missing=0.3), 5)
    counts[0], counts[1] = [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]
    credits = []
    for votes in counts.tolist():
        if sum(votes) < 2:
            continue
        drawn = []
        for k in (k for k, v in enumerate(votes) for _ in range(v)):
            remaining = [v - (j == k) for j, v in enumerate(votes)]
            drawn.append(plain_majority(remaining).get(k, 0.0))
        credits.append(np.mean(drawn))
    confusion = leave_one_out_confusion(counts)
    assert confusion.sum() == pytest.approx(len(credits))
    assert scores_from_confusion(confusion)["accuracy"] == pytest.approx(np.mean(credits))


@pytest.mark.parametrize(
    ("votes", "expected"),
    # By hand: 10 of one kind; a lone dissenter among ten; a tie of two, where the drawn vote is then outvoted; three
    # different ones.
    [
        ([10, 0, 0], 1.0),
        ([9, 1, 0], 0.9),
        ([5, 5, 0], 0.0),
        ([1, 1, 1], 0.0),
        ([2, 1, 0], 2 / 3 * 1 / 2),
        ([2, 1, 1], 1 / 2 * 1 / 3),
    ],
)
def test_leave_one_out_confusion_by_hand(votes, expected):
    assert np.trace(leave_one_out_confusion([votes])) == pytest.approx(expected)


def test_leave_one_out_confusion_equals_simulation():
    generator = np.random.default_rng(0)
    votes = np.array([3, 2, 2])
    confusion = leave_one_out_confusion([votes])
    simulated = np.zeros((3, 3))
    for _ in range(20_000):
        k = generator.choice(3, p=votes / 7)
        remaining = votes - np.eye(3, dtype=int)[k]
        simulated[generator.choice(np.flatnonzero(remaining == remaining.max())), k] += 1 / 20_000
    np.testing.assert_allclose(confusion, simulated, atol=0.015)


def test_nobody_to_compare_with():
    assert leave_one_out_confusion([[1, 0], [0, 1]]).sum() == 0
    assert math.isnan(leave_one_out([[0.0], [1.0]], 2).mean)
    assert math.isnan(agreement.krippendorff_alpha_from_counts([[1, 0], [0, 1]], "nominal"))


def test_vote_counts():
    answers = labels()
    counts = vote_counts(answers, 5)
    assert counts.tolist() == [[int((item == k).sum()) for k in range(5)] for item in answers]
    labels_a, labels_b = answers[:, 0], answers[:, 1]
    both = ~np.isnan(labels_a) & ~np.isnan(labels_b)
    pair = vote_counts(answers[both][:, :2], 5)
    assert (pair.max(axis=1) == 2).mean() == pytest.approx(metrics.accuracy_score(labels_a[both], labels_b[both]))
    for wrong in ([[5.0]], [[-1.0]], [[0.5]], [0.0], [[math.inf]]):
        with pytest.raises(BadDataError):
            vote_counts(wrong, 5)
    for wrong in ([[1, -1]], [[0.5, 1]], [[NAN, 1]], [1, 2]):
        with pytest.raises(BadDataError):
            leave_one_out_confusion(wrong)
