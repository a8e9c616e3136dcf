from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pandas as pd
import pingouin
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fer_bench.errors import RecordError
from fer_bench.metrics import names
from fer_bench.scoring import agreement
from fer_bench.scoring.regression import (
    answer_missing,
    ccc,
    icc31,
    mae,
    pcc,
    rmse,
    sagr,
    va_scores,
)
from tests.plain_bootstrap import bootstrap, mean_over_dimensions

NUMBERS = st.lists(st.tuples(st.integers(-10, 10), st.integers(-10, 10)), min_size=2, max_size=40)


def pair(n=300, seed=0, bias=0.2, noise=0.3):
    generator = np.random.default_rng(seed)
    targets = generator.uniform(-1, 1, n)
    return targets, 0.6 * targets + bias + noise * generator.normal(size=n)


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_references(seed):
    t, o = pair(seed=seed)
    assert pcc(t, o) == pytest.approx(scipy.stats.pearsonr(t, o).statistic)
    assert rmse(t, o) == pytest.approx(metrics.root_mean_squared_error(t, o))
    assert mae(t, o) == pytest.approx(metrics.mean_absolute_error(t, o))
    # Lin 1989, by way of the scale shift and the location shift.
    scale, shift = o.std() / t.std(), (t.mean() - o.mean()) / math.sqrt(t.std() * o.std())
    assert ccc(t, o) == pytest.approx(pcc(t, o) * 2 / (scale + 1 / scale + shift**2))
    assert sagr(t, o) == pytest.approx(sum((a > 0) == (b > 0) for a, b in zip(t, o, strict=True)) / 300)


def test_ccc_takes_population_moments():
    # By hand: means 2 and 3, variances 2/3 and 8/3, covariance 4/3 with ddof 0; ddof 1 would give 4/6.
    assert ccc([1, 2, 3], [1, 3, 5]) == pytest.approx((8 / 3) / (2 / 3 + 8 / 3 + 1))
    assert ccc([1, 2, 3], [1, 3, 5]) == pytest.approx(8 / 13)


@pytest.mark.parametrize("seed", range(3))
def test_icc31_is_the_anovas_icc_of_two_raters(seed):
    t, o = pair(n=60, seed=seed)
    assert icc31(t, o) == pytest.approx(agreement.icc31(np.stack([t, o], axis=1)).value)
    table = {"item": np.tile(np.arange(60), 2), "rater": np.repeat([0, 1], 60), "score": np.r_[t, o]}
    reference = pingouin.intraclass_corr(pd.DataFrame(table), "item", "rater", "score")["ICC"]
    assert icc31(t, o) == pytest.approx(reference.iloc[2], abs=1e-9)


@given(NUMBERS, st.floats(-3, 3), st.floats(0.1, 5))
@settings(max_examples=80, deadline=None)
def test_invariants(pairs, offset, factor):
    t, o = np.array(pairs, dtype=float).T
    for score in (ccc, pcc, icc31):
        value = score(t, o)
        if math.isnan(value):
            assert math.isnan(score(o, t))
            continue
        assert -1 - 1e-12 <= value <= 1 + 1e-12
        assert value == pytest.approx(score(o, t), abs=1e-12)
        assert value == pytest.approx(score(factor * t + offset, factor * o + offset), abs=1e-9)
    # A bias moves neither PCC nor ICC(3,1); the CCC never exceeds either.
    if not math.isnan(pcc(t, o)):
        assert pcc(t, o) == pytest.approx(pcc(t, o + offset), abs=1e-9)
        assert icc31(t, o) == pytest.approx(icc31(t, o + offset), abs=1e-9)
        assert abs(ccc(t, o)) <= abs(icc31(t, o)) + 1e-12 <= abs(pcc(t, o)) + 2e-12
    assert mae(t, o) <= rmse(t, o) + 1e-12


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 1e6 / 7, -2.0])
def test_a_constant_prediction(constant):
    t, _ = pair()
    o = np.full(300, constant)
    assert math.isnan(pcc(t, o))
    assert ccc(t, o) == 0.0
    assert icc31(t, o) == 0.0
    assert math.isnan(pcc(o, o))
    assert math.isnan(ccc(o, o))
    assert ccc(o, o + 1) == 0.0


def test_nearly_constant_predictions_still_correlate():
    t, _ = pair()
    assert pcc(t, 0.5 + 1e-6 * t) == pytest.approx(1.0, abs=1e-6)


def test_exact_zeros_agree_only_with_exact_zeros():
    assert sagr([0, 0, 1, -1, 1], [0, 0.01, 0, -3, 2]) == pytest.approx(3 / 5)
    assert sagr([0.0], [-0.0]) == 1.0


def test_nothing_has_no_score():
    for score in (ccc, pcc, icc31, rmse, mae, sagr):
        assert math.isnan(score([], []))


@pytest.mark.parametrize(("t", "o"), [([1, 2], [1]), ([[1, 2]], [[1, 2]])])
def test_shapes_that_do_not_fit_are_refused(t, o):
    with pytest.raises(RecordError):
        ccc(t, o)


def test_va_scores():
    valence, arousal = pair(seed=1), pair(seed=2, bias=-0.1)
    t, o = np.stack([valence[0], arousal[0]], axis=1) * 10, np.stack([valence[1], arousal[1]], axis=1) * 10
    scores = va_scores(t, o, scale=(-10, 10))
    assert set(scores) == {"valence", "arousal", "mean", "n", "n_unanswered", "reasons"}
    assert (scores["n"], scores["n_unanswered"], scores["reasons"]) == (300, 0, {})
    for d, name in enumerate(("valence", "arousal")):
        assert tuple(scores[name]) == names("values", "signs")
        for function in (ccc, pcc, icc31, rmse, mae, sagr):
            assert scores[name][function.__name__] == function(t[:, d], o[:, d])
        assert scores[name]["rmse_scaled"] == pytest.approx(rmse(t[:, d] / 10, o[:, d] / 10))
        assert scores[name]["mae_scaled"] == pytest.approx(mae(t[:, d] / 10, o[:, d] / 10))
    for key in names("values", "signs"):
        assert scores["mean"][key] == pytest.approx((scores["valence"][key] + scores["arousal"][key]) / 2)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert mean_over_dimensions(ccc, t, o) == pytest.approx(scores["mean"]["ccc"])
    low, high = bootstrap(partial(mean_over_dimensions, ccc), [t, o], 200)
    assert low < scores["mean"]["ccc"] < high


def test_dimensions_of_different_scales():
    # FindingEmo: valence -3..3 and arousal 0..6, whose neutral is 3. Then one more as wide as neither.
    t, o = np.array([[-3.0, 3.0], [0.0, 5.0], [2.0, 0.0]]), np.array([[-1.0, 3.0], [0.5, 4.0], [1.0, 4.0]])
    scores = va_scores(t, o, scale=[(-3, 3), (0, 6)])
    assert scores["valence"]["sagr"] == pytest.approx(2 / 3)
    assert scores["arousal"]["sagr"] == pytest.approx(2 / 3)
    assert scores["arousal"]["rmse_scaled"] == pytest.approx(math.sqrt(17 / 3) / 3)
    assert scores["mean"]["rmse"] == pytest.approx((scores["valence"]["rmse"] + scores["arousal"]["rmse"]) / 2)
    unequal = va_scores(t, o, scale=[(-3, 3), (0, 8)])
    assert unequal["mean"]["rmse"] is None
    assert unequal["reasons"] == dict.fromkeys(["mean.rmse", "mean.mae"], "the dimensions have different units")
    assert unequal["mean"]["rmse_scaled"] == pytest.approx(
        (unequal["valence"]["rmse"] / 3 + unequal["arousal"]["rmse"] / 4) / 2
    )


def test_undefined_scores_are_none_with_a_reason():
    t = np.stack([pair()[0], pair(seed=1)[0]], axis=1)
    o = np.stack([np.full(300, 0.1), pair(seed=1)[1]], axis=1)
    scores = va_scores(t, o)
    assert scores["valence"]["pcc"] is None
    assert scores["mean"]["pcc"] is None
    assert scores["valence"]["ccc"] == 0.0
    assert scores["reasons"] == {
        "valence.pcc": "the predictions are constant",
        "mean.pcc": "undefined for at least one dimension",
    }
    assert va_scores(o, t)["reasons"]["valence.pcc"] == "the targets are constant"
    assert va_scores(o, o)["reasons"]["valence.ccc"] == "targets and predictions are constant"
    empty = va_scores(np.empty((0, 2)), np.empty((0, 2)))
    assert empty["reasons"]["arousal.rmse"] == "no samples"
    json.dumps([scores, empty], allow_nan=False)


def test_no_answer_is_a_wrong_answer():
    t, o = np.stack([pair()[0]] * 2, axis=1) + 3.0, np.stack([pair()[1]] * 2, axis=1) + 3.0
    o[:30, 0] = np.nan
    t[0] = 3.0
    scores = va_scores(t, o, scale=(2.0, 4.0))
    assert (scores["n"], scores["n_unanswered"]) == (300, 30)
    filled = answer_missing(o, (2.0, 4.0))
    assert (filled[:30] == 3.0).all()
    assert (filled[30:] == o[30:]).all()
    assert scores["arousal"]["ccc"] == ccc(t[:, 1], filled[:, 1])
    assert scores["arousal"]["sagr"] == pytest.approx(((t[30:, 1] > 3) == (o[30:, 1] > 3)).sum() / 300)


@pytest.mark.parametrize(
    ("t", "o", "scale"),
    [
        ([[1.0, math.nan]], [[1.0, 1.0]], (-1, 1)),
        ([[1.0, 1.0]], [[1.0, math.inf]], (-1, 1)),
        ([[1.0]], [[1.0]], (-1, 1)),
        ([1.0, 1.0], [1.0, 1.0], (-1, 1)),
        ([[1.0, 1.0]], [[1.0, 1.0]], (1, -1)),
        ([[1.0, 1.0]], [[1.0, 1.0]], [(-1, 1)] * 3),
    ],
)
def test_what_cannot_be_scored_is_refused(t, o, scale):
    with pytest.raises(RecordError):
        va_scores(t, o, scale=scale)
