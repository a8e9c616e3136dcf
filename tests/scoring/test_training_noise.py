"""The test of recipes keeps its level over test samples and trainings, and ranks hold together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from fer_bench.scoring.training_noise import (
    Noises,
    TrainingNoise,
    half_width,
    rank_ranges,
    two_sided,
    variance_of_difference,
)

N, DRAWS = 400, 600
FIRST, SECOND = np.array([0]), np.array([1])


def trained(generator, recipe, seeds, together):
    """Which samples some trainings of a recipe answer rightly: some change by themselves, and many at once."""
    shift = together * generator.standard_normal((seeds, 1))
    return (recipe + shift + generator.standard_normal((seeds, len(recipe))) > 0).astype(np.float64)


def parts(right):
    centred = (right - right.mean(axis=1, keepdims=True)) / right.shape[1]
    return right.mean(axis=1), centred @ centred.T, centred.mean(axis=0)


def p_values(seeds, others, together):
    """Of two rows of one recipe: of the recipes, and of the networks as they are."""
    generator = np.random.default_rng(seeds + 10 * len(others))
    found = []
    for _ in range(DRAWS):
        recipe = 1.2 + 2 * generator.standard_normal(N)
        a, b = (parts(trained(generator, recipe, seeds, together)) for _ in range(2))
        pool = [a, b] + [
            parts(trained(generator, recipe + 0.7 * generator.standard_normal(N), n, together)) for n in others
        ]
        noise = TrainingNoise.pooled((scores, covariance) for scores, covariance, _ in pool)
        over_samples = np.array([((a[2] - b[2]) ** 2).sum()])
        variance, df = variance_of_difference(over_samples, Noises.of([noise] * 2, [seeds] * 2), FIRST, SECOND)
        difference = np.array([a[0].mean() - b[0].mean()])
        narrow = 2 * special.ndtr(-abs(difference[0]) / np.sqrt(over_samples[0]))
        found.append((two_sided(difference, variance, df)[0], narrow))
    return np.array(found)


@pytest.mark.parametrize(("seeds", "others"), [(1, (3, 3, 3)), (1, (2,)), (2, ()), (3, ()), (5, ())])
@pytest.mark.parametrize("together", [0.0, 0.1])
def test_two_rows_of_one_recipe_rarely_differ(seeds, others, together):
    p = p_values(seeds, others, together)
    # 6 %, and what chance adds to it in this many draws.
    assert (p[:, 0] < 0.05).mean() <= 0.06 + 2 * np.sqrt(0.06 * 0.94 / DRAWS)
    if together and seeds > 1:
        # The test is needed: without training, the level is far off; and it is no rubber stamp.
        assert (p[:, 1] < 0.05).mean() > 0.12
        assert (p[:, 0] < 0.05).mean() > 0.02


def test_recipes_that_differ_are_found():
    generator = np.random.default_rng(5)
    noise = TrainingNoise(variance=0.004**2, flips=0.003**2, df=8, n_rows=4)
    recipe = 1.2 + 2 * generator.standard_normal(3000)
    a, b = (parts(trained(generator, recipe + gain, 3, 0.0)) for gain in (0.3, 0.0))
    variance, df = variance_of_difference(
        np.array([((a[2] - b[2]) ** 2).sum()]), Noises.of([noise] * 2, [3, 3]), FIRST, SECOND
    )
    difference = np.array([a[0].mean() - b[0].mean()])
    assert difference[0] > 0.02
    assert two_sided(difference, variance, df)[0] < 0.001
    assert half_width(float(variance[0]), float(df[0])) < difference[0]


def test_pooling_follows_the_definition():
    generator = np.random.default_rng(0)
    rows = [parts(trained(generator, generator.standard_normal(200), n, 0.2)) for n in (3, 1, 2)]
    noise = TrainingNoise.pooled((scores, covariance) for scores, covariance, _ in rows)
    by_hand = (2 * np.var(rows[0][0], ddof=1) + np.var(rows[2][0], ddof=1)) / 3
    assert noise.variance == pytest.approx(by_hand)
    assert (noise.df, noise.n_rows) == (3, 2)
    pairs = [(0, 0, 1), (0, 0, 2), (0, 1, 2), (2, 0, 1)]
    half = [(rows[r][1][s, s] + rows[r][1][t, t]) / 2 - rows[r][1][s, t] for r, s, t in pairs]
    assert noise.flips == pytest.approx((2 * np.mean(half[:3]) + half[3]) / 3)
    assert TrainingNoise.pooled([(scores, covariance) for scores, covariance, _ in rows[1:2]]) is None


def test_networks_are_given_where_no_noise_is_known():
    variance, df = variance_of_difference(np.array([0.04]), Noises.of([None, None], [1, 1]), FIRST, SECOND)
    assert (variance[0], df[0]) == (0.04, np.inf)
    assert two_sided(np.array([0.392]), variance, df)[0] == pytest.approx(0.05, abs=1e-3)
    nothing = np.array([0.0])
    assert two_sided(np.array([0.0, 0.1]), np.repeat(nothing, 2), np.array([np.inf, 3.0])).tolist() == [1.0, 0.0]


def test_two_pools_are_added_as_satterthwaite_does():
    one, other = TrainingNoise(4.0, 0.0, 6, 2), TrainingNoise(9.0, 0.0, 3, 2)
    variance, df = variance_of_difference(np.array([0.0]), Noises.of([one, other], [2, 1]), FIRST, SECOND)
    assert variance[0] == pytest.approx(2 + 9)
    assert df[0] == pytest.approx(11**2 / (2**2 / 6 + 9**2 / 3))


def test_all_ranks_hold_together():
    """Of boards of ten equal rows, and of two groups, one in twenty at most has a rank outside its range."""
    generator = np.random.default_rng(3)
    k, missed = 10, 0
    truth = np.where(np.arange(k) < 5, 0.7, 0.64)
    last = np.where(truth == 0.7, 5, 10)
    first = np.where(truth == 0.7, 1, 6)
    narrow = 0
    for _ in range(60):
        seeds = np.full(k, 3)
        noise_std, over_samples = 0.004, 0.006
        scores = truth + over_samples * generator.standard_normal(k)
        runs = scores[:, None] + noise_std * generator.standard_normal((k, 3))
        covariance = over_samples**2 * np.eye(k)
        noise = TrainingNoise(float(runs.var(axis=1, ddof=1).mean()), 0.0, 2 * k, k)
        ranges = rank_ranges(runs.mean(axis=1), covariance, Noises.of([noise] * k, seeds))
        # Rows of a group are equal: each may truthfully have any rank of its group.
        missed += any(low > f or high < m for (low, high), f, m in zip(ranges, first, last, strict=True))
        narrow += ranges[0][1] < k
    assert missed <= 6
    assert narrow > 40, "ranges that say nothing hold as well"


def test_ranges_do_not_depend_on_the_order_of_rows():
    generator = np.random.default_rng(1)
    values = np.array([0.7, 0.69, 0.6, 0.5])
    root = generator.standard_normal((4, 50)) / 3000
    noise = Noises.of([TrainingNoise(1e-5, 1e-6, 6, 3)] * 4, [1, 2, 3, 1])
    ranges = rank_ranges(values, root @ root.T, noise)
    assert ranges[3] == (4, 4)
    assert ranges[0][0] == 1
    assert rank_ranges(values[:1], root[:1] @ root[:1].T, Noises.of([None], [1])) == [(1, 1)]
