from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.data.splits import hold_out


def names(n):
    return np.array([f"image_{i:05d}" for i in range(n)])


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), classes=st.integers(1, 8), share=st.floats(0.01, 0.9), seed=st.integers(0, 5))
def test_each_class_gives_its_share(n, classes, share, seed):
    strata = np.random.default_rng(seed).integers(classes, size=n)
    chosen = hold_out(names(n), strata, share, seed=seed)
    for stratum in np.unique(strata):
        size = int((strata == stratum).sum())
        taken = int(chosen[strata == stratum].sum())
        assert abs(taken - share * size) <= 1
        if size > 1:
            assert taken >= 1


def test_choice_does_not_depend_on_the_order_of_the_samples():
    ids, strata = names(200), np.arange(200) % 7
    order = np.random.default_rng(3).permutation(200)
    chosen = set(ids[hold_out(ids, strata, 0.2)])
    assert set(ids[order][hold_out(ids[order], strata[order], 0.2)]) == chosen


def test_a_sample_more_or_less_leaves_most_choices_alone():
    ids, strata = names(700), np.arange(700) % 7
    all_of_them = set(ids[hold_out(ids, strata, 0.2)])
    fewer = set(ids[1:][hold_out(ids[1:], strata[1:], 0.2)])
    assert len(all_of_them ^ fewer) <= 2


@pytest.mark.parametrize("change", [{"seed": 1}, {"salt": "test"}])
def test_seed_and_salt_choose_otherwise(change):
    ids, strata = names(200), np.zeros(200, dtype=np.int64)
    first, second = hold_out(ids, strata, 0.3), hold_out(ids, strata, 0.3, **change)
    assert first.sum() == second.sum() == 60
    assert (first != second).any()


def test_a_known_choice_stays_for_ever():
    # Records name their split by its checksum: another choice would take the rows of today out of the ranking.
    chosen = hold_out(names(40), np.arange(40) % 4, 0.25)
    assert np.flatnonzero(chosen).tolist() == [3, 5, 13, 15, 22, 24, 32, 38]


@settings(max_examples=60, deadline=None)
@given(people=st.integers(2, 40), share=st.floats(0.05, 0.6), seed=st.integers(0, 5))
def test_groups_are_never_torn_apart(people, share, seed):
    n = 200
    groups = np.array([f"p{i}" for i in np.random.default_rng(seed).integers(people, size=n)])
    chosen = hold_out(names(n), np.zeros(n, dtype=np.int64), share, groups=groups, seed=seed)
    assert not set(groups[chosen]) & set(groups[~chosen])
    largest = max(np.unique(groups, return_counts=True)[1])
    assert share * n <= chosen.sum() < share * n + largest
