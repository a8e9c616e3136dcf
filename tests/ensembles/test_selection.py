import dataclasses
import inspect

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from fer_bench.ensembles import choice, ridge, selection, stacking, strategies
from fer_bench.ensembles.choice import choose, join
from fer_bench.ensembles.ridge import fit_ridge_stacker
from fer_bench.ensembles.selection import ValidationSet, greedy, metric_of, order_by_validation
from fer_bench.ensembles.stacking import PENALTIES, Stacker, features, fit_stacker
from fer_bench.ensembles.votes import combine
from fer_bench.errors import RecordError, SpecError


def library(seed, n_members=5, n=60, n_classes=3, skill=1.0):
    generator = np.random.default_rng(seed)
    targets = generator.integers(n_classes, size=n)
    logits = generator.normal(size=(n_members, n, n_classes))
    logits[:, np.arange(n), targets] += skill * generator.random(n_members)[:, None]
    outputs = np.exp(logits)
    return ValidationSet(tuple("abcdefghij"[:n_members]), targets, outputs / outputs.sum(axis=2, keepdims=True))


def naive_greedy(validation, max_steps, initial):
    """Lists of members, each scored from scratch."""

    def value(taken):
        return accuracy_score(
            validation.targets, np.mean([validation.outputs[m] for m in taken], axis=0).argmax(axis=1)
        )

    order = sorted(range(len(validation.names)), key=lambda m: (-value([m]), validation.names[m]))
    beginnings = [order[:k] for k in range(1, initial + 1)]
    taken = list(max(beginnings, key=lambda members: (value(members), -len(members))))
    kept = list(taken)
    while len(taken) < max_steps:
        taken = [*taken, max(order, key=lambda m: (value([*taken, m]), -order.index(m)))]
        if value(taken) > value(kept):
            kept = list(taken)
    return np.bincount(kept, minlength=len(order))


@pytest.mark.parametrize("seed", range(12))
def test_greedy_equals_a_naive_search(seed):
    validation = library(seed)
    np.testing.assert_array_equal(greedy(validation, max_steps=9, initial=3), naive_greedy(validation, 9, 3))


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_greedy_is_never_worse_on_validation_than_its_best_member(metric):
    for seed in range(5):
        validation = library(seed, n_members=7, n_classes=4)
        joint = np.tensordot(greedy(validation, metric), validation.outputs, axes=1).argmax(axis=1)
        reference = {"accuracy": accuracy_score, "macro_f1": lambda y, p: f1_score(y, p, average="macro")}[metric]
        alone = max(reference(validation.targets, output.argmax(axis=1)) for output in validation.outputs)
        assert reference(validation.targets, joint) >= alone - 1e-12


def test_bags_repeat_themselves_and_differ_by_seed():
    validation = library(1, n_members=8)
    counts = greedy(validation, bags=6, seed=1)
    np.testing.assert_array_equal(counts, greedy(validation, bags=6, seed=1))
    assert counts.sum() >= 6
    assert any((greedy(validation, bags=6, seed=seed) != counts).any() for seed in range(2, 6))
    for nonsense in ({"bags": -1}, {"bag_fraction": 0.0}, {"max_steps": 0}, {"initial": 0}):
        with pytest.raises(SpecError, match="makes no sense"):
            greedy(validation, **nonsense)


def test_metric_of_and_order():
    validation = library(2)
    outputs = validation.outputs.copy()
    outputs[1, :10] = np.nan  # no answer is wrong
    values = metric_of(outputs, validation.targets)
    assert values[1] == pytest.approx((outputs[1, 10:].argmax(axis=1) == validation.targets[10:]).sum() / 60)
    assert values[0] == pytest.approx(accuracy_score(validation.targets, outputs[0].argmax(axis=1)))
    order = order_by_validation(validation)
    assert (np.diff(metric_of(validation.outputs, validation.targets)[order]) <= 0).all()
    twins = ValidationSet(("z", "a"), validation.targets, validation.outputs[[0, 0]])
    assert order_by_validation(twins) == [1, 0]


def test_no_selection_can_be_handed_test_predictions():
    """Every selection takes a ValidationSet and, besides options, nothing that could hold predictions; none can open a
    store."""
    fields = {field.name for field in dataclasses.fields(ValidationSet)}
    assert fields == {"names", "targets", "outputs", "middle", "groups"}
    for function in (greedy, order_by_validation, fit_stacker, fit_ridge_stacker, choice.choose):
        parameters = list(inspect.signature(function).parameters.values())
        assert parameters[0].annotation == "ValidationSet"
        for parameter in parameters[1:]:
            assert parameter.annotation in {
                "str",
                "int",
                "float",
                "int | None",
                "TopK",
                "Rule",
                "Sequence[int] | None",
                "Selection | None",
            }, parameter
    for module in (selection, stacking, ridge, choice):
        names = set(vars(module))
        assert not names & {"Store", "Predictions", "load_split", "load_validation"}, module


def test_a_stacker_trusts_the_member_that_knows():
    validation = library(0, n_members=3, n=300, skill=0.0)
    outputs = validation.outputs.copy()
    outputs[1] = 0.05
    outputs[1, np.arange(300), (validation.targets + 1) % 3] = (
        0.9  # always wrong in the same way: a rotation to be learned
    )
    stacker = fit_stacker(ValidationSet(validation.names, validation.targets, outputs), seed=0)
    joint = stacker.apply(outputs)
    assert accuracy_score(validation.targets, joint.argmax(axis=1)) > 0.98
    assert joint.sum(axis=1) == pytest.approx(np.ones(300))
    assert stacker.penalty in PENALTIES
    np.testing.assert_array_equal(Stacker.from_json(stacker.to_json()).apply(outputs), joint)


def test_a_stacker_is_scikit_learns_regression():
    validation = library(4, n_members=2, n=200)
    stacker = fit_stacker(validation, seed=3)
    x = features(validation.outputs)
    reference = LogisticRegression(C=stacker.penalty, solver="newton-cholesky", tol=1e-8).fit(x, validation.targets)
    np.testing.assert_allclose(stacker.apply(validation.outputs), reference.predict_proba(x), atol=1e-9)


def test_a_stacker_with_classes_that_validation_lacks():
    validation = library(5, n_members=2, n=120, n_classes=4)
    three = ValidationSet(
        validation.names, np.where(validation.targets == 2, 0, validation.targets), validation.outputs
    )
    assert (fit_stacker(three).apply(three.outputs)[:, 2] == 0).all()
    two = ValidationSet(validation.names, validation.targets % 2, validation.outputs)
    stacker = fit_stacker(two)
    reference = LogisticRegression(C=stacker.penalty, solver="newton-cholesky", tol=1e-8).fit(
        features(two.outputs), two.targets
    )
    np.testing.assert_allclose(
        Stacker.from_json(stacker.to_json()).apply(two.outputs)[:, :2],
        reference.predict_proba(features(two.outputs)),
        atol=1e-9,
    )
    with pytest.raises(SpecError, match="cannot be learned"):
        fit_stacker(ValidationSet(validation.names, np.zeros(120, dtype=np.int64), validation.outputs))


def test_a_stacker_answers_where_any_member_does():
    validation = library(6, n_members=2, n=100)
    outputs = validation.outputs.copy()
    outputs[0, :5], outputs[:, 7] = np.nan, np.nan
    joint = fit_stacker(validation).apply(outputs)
    assert np.isnan(joint).all(axis=1).tolist() == [i == 7 for i in range(100)]


def test_a_damaged_stacker_is_refused():
    with pytest.raises(RecordError, match="cannot be read"):
        Stacker.from_json({"coefficients": [[0.0]]})
    with pytest.raises(RecordError, match="intercepts"):
        Stacker.from_json({"coefficients": [[0.0]], "intercept": [0.0, 1.0], "penalty": 1.0})


def test_held_out_scores_see_no_sample_that_the_choice_saw(monkeypatch):
    validation = library(3, n_members=4, n=100)
    chosen_on, joined = [], []
    choose, join = strategies.choose, strategies.join
    monkeypatch.setattr(strategies, "choose", lambda part, *rest: chosen_on.append(part) or choose(part, *rest))
    monkeypatch.setattr(
        strategies, "join", lambda choice, rule, outputs: joined.append(outputs) or join(choice, rule, outputs)
    )
    strategies.held_out_score(validation, "accuracy", strategies.Way("soft"))
    assert len(chosen_on) == len(joined) == 5
    for seen, unseen in zip(chosen_on, joined, strict=True):
        assert seen.outputs.shape[1] + unseen.shape[1] == 100
        rows = {row.tobytes() for row in seen.outputs.transpose(1, 0, 2)}
        order = order_by_validation(seen)
        back = unseen[np.argsort(order)]
        assert not rows & {row.tobytes() for row in np.ascontiguousarray(back.transpose(1, 0, 2))}


def test_held_out_scores_of_ways_that_choose_nothing_are_the_plain_ones():
    validation = library(4, n_members=5, n=90)
    for rule in ("majority", "soft"):
        expected = accuracy_score(validation.targets, combine(rule, list(validation.outputs)).argmax(axis=1))
        assert strategies.held_out_score(validation, "accuracy", strategies.Way(rule)) == pytest.approx(expected)


def test_held_out_scores_do_not_flatter_a_selection_from_noise():
    generator = np.random.default_rng(0)
    outputs = generator.dirichlet([1, 1, 1], size=(40, 300))
    noise = ValidationSet(tuple(f"m{i:02d}" for i in range(40)), generator.integers(3, size=300), outputs)
    way = strategies.Way("soft", selection="greedy")
    choice = choose(noise, "accuracy", way.top_k, way.rule, None, way.selection)
    fitted = accuracy_score(noise.targets, join(choice, "soft", outputs[choice.members]).argmax(axis=1))
    assert fitted > 0.42
    assert abs(strategies.held_out_score(noise, "accuracy", way, repeats=3) - 1 / 3) < 0.06
