"""Folds as pure functions: disjoint by group, balanced, complete, the same in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.cross_validation import Folding, folding_of
from fer_bench.data.splits import deal, fold_split
from fer_bench.datasets.synthfaces import SynthFacesDataModule
from fer_bench.errors import BadDataError, SpecError


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=12, max_size=40), st.integers(2, 6), st.integers(0, 100))
def test_no_group_is_torn_apart(sizes, folds, seed):
    groups = np.random.default_rng(seed).permutation(np.repeat([f"g{i}" for i in range(len(sizes))], sizes))
    fold = deal(groups, folds)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    counts = np.bincount(fold, minlength=folds)
    assert counts.min() > 0
    assert counts.max() - counts.min() <= max(sizes)
    for k in range(folds):
        split = fold_split(groups, folds, k)
        assert ((split == "test") == (fold == k)).all()
        parts = [set(groups[split == name]) for name in ("train", "validation", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == len(set(groups))


def test_the_order_of_samples_does_not_matter():
    groups = np.repeat([f"g{i}" for i in range(20)], 3)
    shuffled = np.random.default_rng(0).permutation(len(groups))
    assert (deal(groups, 5)[shuffled] == deal(groups[shuffled], 5)).all()


def test_too_few_groups():
    with pytest.raises(BadDataError, match="3 groups cannot be assigned to 5 folds"):
        deal(np.array(["a", "b", "c"]), 5)
    with pytest.raises(BadDataError, match="leave nothing to train on"):
        fold_split(np.array(["a", "b"]), 2, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "at least two"),
        ({"fold": 5}, "numbered 0 to 4"),
        ({"fold_by": "scene"}, "identity, clip, photo, frame"),
        ({"folds": "five"}, "at least two"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(SpecError, match=said):
        folding_of(options)


def test_options():
    assert folding_of({"n_train": 5}) is None
    assert folding_of({"folds": 3}) == Folding("identity", 3, None)
    assert folding_of({"fold": 1, "fold_by": "clip"}) == Folding("clip", 5, 1)


def test_any_dataset_can_be_cut_into_folds(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    options = {"n_train": 60, "n_validation": 20, "n_test": 40, "folds": 3}
    plain = SynthFacesDataModule("va", options={k: v for k, v in options.items() if k != "folds"}).read_samples
    parts = [SynthFacesDataModule("va", options={**options, "fold": k}).read_samples for k in range(3)]
    tested = np.concatenate([samples.ids[samples.split == "test"] for samples in parts])
    assert sorted(tested) == sorted(plain.ids)
    assert len({samples.checksums["test"] for samples in parts} | {plain.checksums["test"]}) == 4
    assert len({samples.facts["fold"]["copy"] for samples in parts}) == 1
