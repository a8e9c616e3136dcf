"""Distances between training and test images, and whether they differ: against a plain bootstrap."""

import numpy as np
import pytest

from fer_bench.leaderboard.compare import compare
from fer_bench.leaderboard.generalization_gap import compare_gaps
from fer_bench.results.record import pack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row
from tests.leaderboard.fake_records import put, record, run

N_TRAIN, N_TEST = 4000, 1000


def fitted(row, train, test, seed=0, **fields):
    """A record that answers these shares rightly; who answers what is drawn anew for every row and seed."""
    generator = np.random.default_rng(sum(map(ord, row)) + seed)
    right = {
        split: generator.random(n) < share for split, n, share in (("train", N_TRAIN, train), ("test", N_TEST, test))
    }
    on_train = {"n": N_TRAIN, "accuracy": float(right["train"].mean()), "outcomes": pack_outcomes(right["train"])}
    fields = {"training": {"on_train": on_train}} | fields
    return right, record(row=row, seed=seed, n_scored=N_TEST, outcomes=pack_outcomes(right["test"]), **fields)


def test_against_a_plain_bootstrap():
    (a, of_a), (b, of_b) = fitted("a", 0.80, 0.70), fitted("b", 0.78, 0.71)
    found = compare_gaps(Row("a", (of_a,)), Row("b", (of_b,)))
    gaps = [right["train"].mean() - right["test"].mean() for right in (a, b)]
    assert (found.gap_a, found.gap_b) == pytest.approx(gaps, abs=1e-12)
    generator = np.random.default_rng(0)
    gains = {split: a[split].astype(float) - b[split] for split in a}
    drawn = [
        np.subtract(
            *(
                gains[split][generator.integers(len(gains[split]), size=len(gains[split]))].mean()
                for split in ("train", "test")
            )
        )
        for _ in range(2000)
    ]
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.006)
    assert found.p > 0.05
    assert found.text().startswith("Neither overfits significantly more")
    assert found.text().endswith("paired bootstrap of the networks as they are).")


def test_a_clear_difference_names_the_one_that_overfits():
    rows = [
        Row(name, tuple(fitted(name, train, 0.7, seed)[1] for seed in range(n)))
        for name, train, n in (("a", 0.95, 1), ("b", 0.75, 2))
    ]
    found = compare_gaps(*rows)
    assert found.p < 0.01
    assert found.text().startswith("The first overfits more")
    back = compare_gaps(*rows[::-1])
    assert back.text().startswith("The second overfits more")
    assert back.gap_a == found.gap_b


def test_nothing_is_said_of_what_was_not_measured_alike():
    measured, unmeasured = fitted("a", 0.8, 0.7)[1], fitted("b", 0.8, 0.7, training={})[1]
    elsewhere = fitted("c", 0.8, 0.7, data={"checksums": {"train": "other"}})[1]
    for other in (unmeasured, elsewhere):
        assert compare_gaps(Row("a", (measured,)), Row("o", (other,))) is None


def test_compare_carries_it(tmp_path):
    store = Store(tmp_path)
    made = put(store, run(0.7, row="aaa"), run(0.6, row="bbb"))
    assert compare(store, "aaa", "bbb").gaps is None
    for each, accuracy in zip(made, (0.9, 0.6), strict=True):
        right = np.arange(500) < 500 * accuracy
        on_train = {"n": 500, "accuracy": accuracy, "outcomes": pack_outcomes(right)}
        store.amend(each.model_copy(update={"training": {"on_train": on_train}}))
    gaps = compare(store, "aaa", "bbb").gaps
    assert (gaps.gap_a, gaps.gap_b) == pytest.approx((0.2, 0.0), abs=1e-9)
