"""Weights by likelihood, against another solver and on cases whose answer is known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from fer_bench.ensembles.build import build_ensemble
from fer_bench.ensembles.mixture import mixture_weights
from fer_bench.ensembles.selection import ValidationSet
from fer_bench.leaderboard.verify import verify
from fer_bench.results.store import Store
from tests.ensembles.stored import PROTOCOL, fill
from tests.ensembles.test_selection import library


def loss(weights, validation):
    own = validation.outputs[:, np.arange(len(validation.targets)), validation.targets]
    return -np.log(np.maximum(weights @ own, 1e-12)).mean()


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_the_most_likely_ones(seed):
    validation = library(seed, n_members=4, n=200, skill=2.0)
    weights = mixture_weights(validation)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    start = np.full(4, 0.25)
    reference = minimize(
        loss,
        start,
        (validation,),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
    )
    assert loss(weights, validation) <= reference.fun + 1e-4


def test_a_member_that_says_nothing_gets_no_weight():
    validation = library(5, n_members=3, n=400, skill=3.0)
    silent = np.full((1, *validation.outputs.shape[1:]), 1 / 3)
    sure = np.eye(3)[validation.targets][None] * 0.97 + 0.01
    both = ValidationSet(("silent", "sure"), validation.targets, np.concatenate([silent, sure]))
    np.testing.assert_array_equal(mixture_weights(both), [0, 1])


def test_a_sample_without_an_answer_counts_as_undecided():
    validation = library(6, n_members=2, n=100)
    outputs = validation.outputs.copy()
    outputs[0, :40] = np.nan
    uniform = outputs.copy()
    uniform[0, :40] = 1 / 3
    a, b = (
        mixture_weights(ValidationSet(validation.names, validation.targets, values)) for values in (outputs, uniform)
    )
    np.testing.assert_array_equal(a, b)


def test_a_mixture_is_a_row_like_any_other():
    store = Store()
    fill(store, 4)
    record = build_ensemble(store, PROTOCOL, selection="mixture")
    assert record.recipe.startswith("mixture of ")
    members = record.training["members"]
    assert sum(member["weight"] for member in members) == pytest.approx(1)
    validation, test = (store.predictions(record, split) for split in ("validation", "test"))
    joint = sum(
        m["weight"]
        * store.predictions(store.find(PROTOCOL.name, m["model"], m["run_id"]), "test").outputs.astype(np.float64)
        for m in members
    )
    np.testing.assert_allclose(test.outputs, joint, atol=1e-6)
    assert record.validation_metrics["nll"] == pytest.approx(
        -np.log(validation.outputs[range(len(validation)), validation.targets]).mean(), abs=1e-5
    )
    assert verify(store).ok
