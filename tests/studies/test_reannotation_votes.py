"""Votes, ties, ceilings, intervals: against hand calculation, scoring.agreement and theory."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.errors import BadDataError
from fer_bench.labels import FER7, FER8
from fer_bench.scoring.agreement import (
    krippendorff_alpha_from_counts,
    leave_one_out_confusion,
    mean_upper_triangle,
    nominal_rater_correlations,
    rater_correlations,
)
from fer_bench.studies.consensus import vote_posterior
from fer_bench.studies.reannotation.label_errors import error_table, find_label_errors
from fer_bench.studies.reannotation.networks import (
    NetworkOutputs,
    affect_agreement,
    expression_agreement,
    join,
    rater_matrix,
)
from fer_bench.studies.reannotation.raters import affect_estimates, expression_estimates, repeat_estimates, with_nan
from fer_bench.studies.reannotation.resample import resample_rows, resample_sums
from fer_bench.studies.reannotation.shift import TIE_RULES, confusion, max_vote, vote_estimates
from fer_bench.studies.reannotation.study import Reannotation, Repeats, count_votes, mean_over_raters, sd_over_raters

COUNTS = np.array(
    [[3, 1, 0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0], [0, 2, 2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
)
ORIGINAL = np.array([0, 1, 0, 5])


def small_study(**changes: object) -> Reannotation:
    fields: dict = {
        "title": "t",
        "ids": tuple("abcd"),
        "label_set": FER8,
        "categories": FER8.names,
        "original": ORIGINAL,
        "counts": COUNTS,
    }
    return Reannotation(**(fields | changes))


def random_study(seed: int = 0, n: int = 200, raters: int = 5) -> Reannotation:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 8, n)
    expression = np.where(rng.random((raters, n)) < 0.6, truth, rng.integers(0, 8, (raters, n)))
    expression[rng.random((raters, n)) < 0.1] = -1
    ratings = np.round(np.clip(rng.normal(0, 0.4, n) + rng.normal(0, 0.3, (2, raters, n)), -1, 1) * 4) / 4
    ratings[rng.random((2, raters, n)) < 0.1] = np.nan
    original = np.where(rng.random(n) < 0.5, truth, rng.integers(0, 8, n))
    return Reannotation(
        title="random",
        ids=tuple(f"{i:03d}" for i in range(n)),
        label_set=FER8,
        categories=FER8.names,
        original=original,
        counts=count_votes(expression, 8),
        raters=tuple(f"r{r}" for r in range(raters)),
        expression=expression,
        valence=ratings[0],
        arousal=ratings[1],
    )


def test_tie_rules_by_hand() -> None:
    assert max_vote(COUNTS, "split")[:, :3].tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]]
    assert max_vote(COUNTS, "first")[:, :3].tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert max_vote(COUNTS, "drop")[:, :3].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert max_vote(COUNTS, "original", ORIGINAL)[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 0]]
    chosen = np.mean([max_vote(COUNTS, "random", seed=s)[1, :2] for s in range(400)], axis=0)
    np.testing.assert_allclose(chosen, [0.5, 0.5], atol=0.08)
    with pytest.raises(ValueError, match="needs the original labels"):
        max_vote(COUNTS, "original")


def test_kept_shares_by_hand() -> None:
    votes = vote_estimates(small_study(), n_resamples=20)
    assert votes["kept_votes"].value == pytest.approx((3 + 2 + 0) / 12)
    assert votes["kept_max_split"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert votes["kept_max_first"].value == pytest.approx(1 / 3)
    assert votes["kept_max_drop"].value == pytest.approx(1.0)
    assert votes["kept_max_original"].value == pytest.approx(2 / 3)
    assert votes["contradicted"].value == pytest.approx(1 / 3)
    assert votes["vote_share"].value[:3] == pytest.approx([5 / 12, 5 / 12, 2 / 12])
    np.testing.assert_allclose(votes["shift"].value[:3], [1.5 / 3 - 2 / 3, 1 / 3 - 1 / 3, 0.5 / 3])
    assert np.isnan(votes["kept_votes_per_category"].value[5])
    cells = confusion(small_study())
    assert cells[0, :3].tolist() == [1, 0.5, 0.5]
    assert cells.sum() == 3


def test_vote_statistics_match_scoring() -> None:
    study = random_study()
    votes = vote_estimates(study, n_resamples=10)
    assert votes["alpha"].value == pytest.approx(krippendorff_alpha_from_counts(study.counts, "nominal"), abs=1e-12)
    table = leave_one_out_confusion(study.counts)
    assert votes["ceiling"].value == pytest.approx(np.trace(table) / table.sum())
    np.testing.assert_allclose(votes["ceiling_per_category"].value, np.diag(table) / table.sum(axis=1))
    top = study.counts.max(axis=1) / np.maximum(study.counts.sum(axis=1), 1)
    assert votes["top_share"].value == pytest.approx(top[study.counts.sum(axis=1) > 0].mean())
    for rule in TIE_RULES:
        assert votes[f"kept_max_{rule}"].low <= votes[f"kept_max_{rule}"].value <= votes[f"kept_max_{rule}"].high


def test_intervals_have_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    half = 1.96 * 2 / np.sqrt(400)
    sums = resample_sums({"x": values, "n": np.ones(400)}, lambda s: {"mean": s["x"] / s["n"]}, 2000)["mean"]
    rows = resample_rows(lambda x: {"mean": x.mean()}, (values,), 2000)["mean"]
    for estimate in (sums, rows):
        assert estimate.value == pytest.approx(values.mean())
        assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.12)
        assert estimate.covers(3)
        assert not estimate.covers(3 + 2 * half)
    undefined = resample_sums(
        {"x": values[:, None] * [1, 0]}, lambda s: {"r": np.where(s["x"] == 0, np.nan, s["x"])}, 50
    )["r"]
    assert np.isnan([undefined.value[1], undefined.low[1], undefined.high[1]]).all()
    assert undefined.low[0] < undefined.value[0] < undefined.high[0]


def test_rater_statistics_match_scoring() -> None:
    study = random_study()
    answers = with_nan(study.expression)
    expression = expression_estimates(study, n_resamples=5)
    assert expression["correlation"].value == pytest.approx(mean_upper_triangle(nominal_rater_correlations(answers, 8)))
    shares = np.stack([np.bincount(row[row >= 0], minlength=8) / (row >= 0).sum() for row in study.expression])
    assert expression["profile_correlation"].value == pytest.approx(mean_upper_triangle(np.corrcoef(shares)))
    np.testing.assert_allclose(expression["bias"].value[2], shares[2] - np.delete(shares, 2, axis=0).mean(axis=0))
    ratings = np.concatenate([study.valence, np.full((1, 200), np.nan)])
    affect = affect_estimates(ratings, n_resamples=5)
    assert affect["correlation"].value == pytest.approx(mean_upper_triangle(rater_correlations(study.valence.T)))
    means = np.nanmean(study.valence, axis=1)
    np.testing.assert_allclose(affect["offset"].value[:5], means - [np.delete(means, r).mean() for r in range(5)])
    assert np.isnan(affect["offset"].value[5])


def test_repeats_by_hand() -> None:
    expression = np.array([[1, 1], [1, 2], [3, 3], [0, -1]])
    valence = np.array([[0.0, 0.5], [1.0, 1.0], [-1.0, -0.5], [0.0, np.nan]])
    repeats = Repeats(np.array([0, 0, 1, 1]), expression, valence, np.full((4, 2), np.nan))
    found = repeat_estimates(repeats, n_resamples=20)
    assert found["same"].value == pytest.approx(2 / 3)
    assert found["valence_difference"].value == pytest.approx(1 / 3)
    assert found["valence_correlation"].value == pytest.approx(np.corrcoef(valence[:3, 0], valence[:3, 1])[0, 1])
    assert np.isnan(found["arousal_difference"].value)


def test_mean_and_spread_over_raters_with_holes() -> None:
    ratings = np.array([[0.0, np.nan, np.nan], [1.0, 0.5, np.nan], [0.5, np.nan, np.nan]])
    np.testing.assert_allclose(mean_over_raters(ratings), [0.5, 0.5, np.nan])
    np.testing.assert_allclose(sd_over_raters(ratings), [0.5, np.nan, np.nan])


def test_networks_join_by_id_and_class_name() -> None:
    study = random_study()
    ids = np.array(study.ids)[::-1][:150]
    right = np.eye(7)[[FER7.find(FER8.names[k]) or 0 for k in study.original[::-1][:150]]]
    affect = np.stack([mean_over_raters(study.arousal), mean_over_raters(study.valence)], axis=1)[::-1][:150]
    networks = join(
        study, {"seven": NetworkOutputs(ids, right, FER7.names), "va": (ids, affect, ("arousal", "valence"))}
    )
    seven, va = networks
    assert (seven.expression[:50] == -1).all()
    known = np.flatnonzero(
        (seven.expression >= 0) & (study.original != FER8.index("contempt")) & (study.original != FER8.index("anger"))
    )
    assert (seven.expression[known] == study.original[known]).all()
    agreement = expression_agreement(study, seven, n_resamples=10)
    judged = (seven.expression >= 0) & (study.counts.sum(axis=1) > 0)
    assert agreement["original"].value == pytest.approx((seven.expression == study.original)[judged].mean())
    one_vote = study.counts[judged, seven.expression[judged]] / study.counts[judged].sum(axis=1)
    assert agreement["one_vote"].value == pytest.approx(one_vote.mean())
    found = affect_agreement(study, va, "valence", n_resamples=10)
    assert found is not None
    assert found["ccc"].value == pytest.approx(1)
    assert found["rmse"].value == pytest.approx(0)
    assert 0.3 < found["raters"].value < 1
    names, matrix = rater_matrix(study, networks, "valence") or ([], np.empty(0))
    assert names == [*study.raters, "va"]
    assert mean_upper_triangle(matrix[:5, :5]) == pytest.approx(affect_estimates(study.valence, 2)["correlation"].value)
    assert matrix[5, :5].mean() == pytest.approx(found["raters"].value)


def test_networks_that_do_not_fit_are_refused() -> None:
    study = small_study()
    with pytest.raises(BadDataError, match=r"none of its 1 ids \(such as 'zz'\) is in the study \(such as 'a'\)"):
        join(study, {"n": NetworkOutputs(np.array(["zz"]), np.ones((1, 8)) / 8, FER8.names)})
    with pytest.raises(BadDataError, match="class 'trust' is not one of fer8"):
        join(study, {"n": NetworkOutputs(np.array(["a"]), np.ones((1, 2)) / 2, ("happy", "trust"))})
    with pytest.raises(BadDataError, match="8 outputs but 7 names"):
        join(study, {"n": NetworkOutputs(np.array(["a"]), np.ones((1, 8)) / 8, FER7.names)})


def test_label_errors_find_planted_ones() -> None:
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 8, 600)
    counts = np.stack([rng.multinomial(10, 0.85 * np.eye(8)[t] + 0.15 / 8) for t in truth])
    original = truth.copy()
    planted = rng.choice(600, 60, replace=False)
    original[planted] = (truth[planted] + 1 + rng.integers(0, 7, 60)) % 8
    study = small_study(
        ids=tuple(str(i) for i in range(600)),
        original=original,
        counts=np.concatenate([counts, np.zeros((600, 1), int)], axis=1),
        categories=(*FER8.names, "unknown"),
    )
    study.counts[0] = [0] * 8 + [10]
    consensus = vote_posterior(study.counts)
    errors = find_label_errors(study, consensus)
    expected = set(planted.tolist()) | {0}
    assert set(errors.rows.tolist()) == expected
    assert errors.not_a_class.tolist() == [True] + [False] * 599
    assert (np.diff(errors.margin) <= 0).all()
    flagged = set(np.flatnonzero(errors.flagged).tolist())
    # Confident learning is cautious by design: it estimates how many labels are wrong and takes the clearest.
    assert len(flagged & expected) >= 0.8 * len(expected)
    assert len(flagged - expected) <= 6
    share, low, high = errors.share_flagged()
    assert low < 60 / 599 < high
    assert share == len(flagged) / 599
    header, rows = error_table(study, consensus, errors)
    assert len(rows) == len(expected)
    assert dict(zip(header, rows[0], strict=True))["rank"] == "1"
