from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.ensembles.votes import RULES, combine, prefixes
from fer_bench.errors import RecordError, SpecError
from fer_bench.scoring.classification import predicted_classes

# Eighths, and weights in quarters, are exact in floating point: ties are ties.
UNANSWERED = None


def winner_by_brute_force(rule, rows, weights):
    """The rule in fractions, one sample at a time; rows: one distribution in eighths per member, or None."""
    rows = [(row, weight) for row, weight in zip(rows, weights, strict=True) if row is not UNANSWERED]
    if not rows:
        return -1
    n_classes = len(rows[0][0])
    mean = [sum(Fraction(row[c], 8) for row, _ in rows) / len(rows) for c in range(n_classes)]
    if rule == "soft":
        return max(range(n_classes), key=lambda c: (mean[c], -c))
    votes = Counter()
    for row, weight in rows:
        votes[max(range(n_classes), key=lambda c: (row[c], -c))] += weight if rule == "weighted" else 1
    return max(range(n_classes), key=lambda c: (votes[c], mean[c], -c))


def as_outputs(samples):
    """One array (N, 3) per member."""
    rows = [
        [[np.nan] * 3 if row is UNANSWERED else [value / 8 for value in row] for row in sample] for sample in samples
    ]
    return [np.array(member) for member in zip(*rows, strict=True)]


@st.composite
def eighths(draw):
    first = draw(st.integers(0, 8))
    second = draw(st.integers(0, 8 - first))
    return (first, second, 8 - first - second)


members = st.integers(1, 5).flatmap(
    lambda m: st.lists(st.lists(st.one_of(st.none(), eighths()), min_size=m, max_size=m), min_size=1, max_size=6)
)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=100, deadline=None)
@given(samples=members, data=st.data())
def test_rules_equal_brute_force_also_in_single_precision(rule, samples, data):
    n = len(samples[0])
    quarters = data.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))
    weights = [Fraction(q, 4) for q in quarters]
    joint = combine(rule, as_outputs(samples), [float(w) for w in weights] if rule == "weighted" else None)
    expected = [winner_by_brute_force(rule, sample, weights) for sample in samples]
    if rule == "soft":
        # A mean in thirds is not exact: there the answer may be any class that is as likely.
        answers = predicted_classes(joint)
        assert [answer if answer < 0 else joint[i, answer] for i, answer in enumerate(answers)] == pytest.approx(
            [e if e < 0 else joint[i, e] for i, e in enumerate(expected)], abs=1e-12
        )
    else:
        assert predicted_classes(joint.astype(np.float32)).tolist() == expected
    answered = ~np.isnan(joint).all(axis=1)
    assert np.isnan(joint[~answered]).all()
    assert (joint[answered] >= 0).all()
    assert joint[answered].sum(axis=1) == pytest.approx(np.ones(answered.sum()), abs=1e-12)


@pytest.mark.parametrize("rule", ["majority", "soft"])
@settings(max_examples=60, deadline=None)
@given(samples=members, random=st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(rule, samples, random):
    outputs = as_outputs(samples)
    np.testing.assert_allclose(combine(rule, outputs), combine(rule, random.sample(outputs, len(outputs))), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(samples=members)
def test_equal_weights_are_a_majority_and_doubling_the_members_changes_nothing(samples):
    outputs = as_outputs(samples)
    once = combine("majority", outputs)
    np.testing.assert_allclose(combine("weighted", outputs, [0.7] * len(outputs)), once, atol=1e-12)
    np.testing.assert_allclose(combine("majority", outputs * 2), once, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(samples=members)
def test_weights_of_soft_are_repetitions(samples):
    outputs = as_outputs(samples)
    counts = [m % 3 + 1 for m in range(len(outputs))]
    repeated = [output for output, count in zip(outputs, counts, strict=True) for _ in range(count)]
    np.testing.assert_allclose(
        combine("soft", outputs, [float(c) for c in counts]), combine("soft", repeated), atol=1e-12
    )


def test_two_members_that_disagree_are_decided_by_their_confidence():
    sure, unsure = np.array([[0.0, 0.1, 0.9]]), np.array([[0.5, 0.4, 0.1]])
    assert combine("majority", [unsure, sure]).argmax() == 2
    # Of the classes 0 and 2, which are voted for, none is likelier: the lower id, though class 1 is as likely as
    # either.
    assert combine("majority", [np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.3, 0.5]])]).argmax() == 0


def test_sums_of_weights_that_differ_by_rounding_are_a_tie():
    one, other = np.array([[0.9, 0.1]]), np.array([[0.45, 0.55]])
    assert 0.1 + 0.2 > 0.3  # in floating point; in truth a tie, which goes to the likelier class
    assert combine("weighted", [one, other, other], [0.3, 0.1, 0.2]).argmax() == 0


def test_votes_are_shares_and_the_winner_always_leads():
    outputs = [np.array([[0.6, 0.4, 0.0]]), np.array([[0.0, 1.0, 0.0]]), np.array([[0.0, 0.9, 0.1]])]
    np.testing.assert_allclose(combine("majority", outputs), [[1 / 3, 2 / 3, 0]], atol=2e-6)
    # Worthless votes leave every class tied, and the likeliest wins.
    np.testing.assert_allclose(combine("weighted", outputs, [0.0, 0.0, 0.0]), [[1 / 3] * 3], atol=2e-6)
    assert combine("weighted", outputs, [0.0, 0.0, 0.0]).argmax() == 1


def test_prefixes_are_the_ensembles_of_the_first_members():
    generator = np.random.default_rng(0)
    outputs = list(generator.dirichlet(np.ones(4), size=(6, 30)))
    weights = generator.random(6).tolist()
    for rule in RULES:
        given_weights = weights if rule == "weighted" else None
        for k, joint in enumerate(prefixes(rule, outputs, given_weights), start=1):
            np.testing.assert_array_equal(joint, combine(rule, outputs[:k], given_weights and given_weights[:k]))


def test_refusals():
    good = np.array([[0.5, 0.5]])
    with pytest.raises(RecordError, match=r"member 1: row 0 .* not a probability distribution"):
        combine("soft", [good, np.array([[3.0, -1.0]])])
    with pytest.raises(RecordError, match=r"member 1 has outputs of shape \(2, 2\)"):
        combine("soft", [good, np.repeat(good, 2, axis=0)])
    with pytest.raises(RecordError, match=r"not \(samples, classes\)"):
        combine("soft", [np.zeros(3)])
    with pytest.raises(SpecError, match="needs a weight"):
        combine("weighted", [good])
    with pytest.raises(SpecError, match="takes no weights"):
        combine("majority", [good], [1.0])
    with pytest.raises(SpecError, match="weights must be 1 finite"):
        combine("soft", [good], [-1.0])
    with pytest.raises(SpecError, match="needs members"):
        combine("soft", [])
    with pytest.raises(SpecError, match="unknown rule 'median'"):
        combine("median", [good])
