"""A re-annotation study whose truth is known: raters with planted accuracies, biases and noise.

It shows that the analysis recovers what was planted; its numbers say nothing about real people.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_bench.labels import FER8
from fer_bench.scoring.agreement import leave_one_out
from fer_bench.studies.reannotation.study import AFFECT, Float, Int, NetworkOutputs

K = len(FER8)
_NEUTRAL, _HAPPY = FER8.index("neutral"), FER8.index("happiness")
# Where each class is on average, in FER8's order, and how far its images scatter.
_CENTRES = {
    "valence": np.array([0.0, 0.7, 0.1, -0.6, -0.6, -0.5, -0.5, -0.1]),
    "arousal": np.array([-0.3, 0.2, 0.6, -0.3, 0.5, 0.1, 0.6, -0.1]),
}
_SCATTER = 0.2
_POINTS = np.linspace(-1, 1, 9)
_HEADER = (
    "study",
    "study_version",
    "rater",
    "item",
    "image",
    "original_label",
    "presentation",
    "kind",
    "expression",
    "valence",
    "arousal",
    "response_ms",
    "skipped",
)


@dataclass(frozen=True)
class Crowd:
    """Raters as they were planted.

    Args:
        confusions: shape (R, K, K), P(answer | true category).
        offsets: name to shape (R,), added to every rating of a rater.
        noise: name to shape (R,), standard deviation of a rating.
        mix: shape (C, K), P(true category | original label).
    """

    confusions: Float
    offsets: dict[str, Float]
    noise: dict[str, Float]
    mix: Float

    def prior(self) -> Float:
        """Shape (K,), share of each true category."""
        share: Float = self.mix.mean(axis=0)
        return share


def make_crowd(n_raters: int = 13, seed: int = 0) -> Crowd:
    """Raters of different care and bias; most lean towards neutral, some towards happiness, as in the paper."""
    rng = np.random.default_rng([seed, 0])
    accuracy = rng.uniform(0.3, 0.85, n_raters)
    leaning = np.where(np.arange(n_raters) % 3 == 2, _HAPPY, _NEUTRAL)
    strength = rng.uniform(0.2, 0.9, n_raters)
    errors = strength[:, None] * np.eye(K)[leaning] + (1 - strength[:, None]) / K
    confusions = accuracy[:, None, None] * np.eye(K) + (1 - accuracy)[:, None, None] * errors[:, None, :]
    mix = 0.15 * np.eye(K) + 0.85 * (0.45 * np.eye(K)[_NEUTRAL] + 0.3 * np.eye(K)[_HAPPY] + 0.25 / K)
    return Crowd(
        confusions=confusions,
        offsets={"valence": rng.normal(0, 0.08, n_raters), "arousal": rng.normal(0, 0.25, n_raters)},
        noise={"valence": rng.uniform(0.15, 0.3, n_raters), "arousal": rng.uniform(0.3, 0.6, n_raters)},
        mix=mix,
    )


@dataclass(frozen=True)
class Simulation:
    """A simulated study.

    Args:
        crowd: the raters.
        ids: N ids, in sorted order.
        original: shape (N,), labels, as many of each class.
        truth: shape (N,), true categories.
        affect: name to shape (N,), true valence and arousal, not bounded.
        expression: shape (R, N), answers.
        ratings: name to shape (R, N), 1 to 9.
        repeated: image numbers shown a second time.
        again: shape (R, n), expressions given the second time.
        again_ratings: name to shape (R, n), 1 to 9.
        skipped: shape (R, N), images that a rater skipped.
    """

    crowd: Crowd
    ids: tuple[str, ...]
    original: Int
    truth: Int
    affect: dict[str, Float]
    expression: Int
    ratings: dict[str, Int]
    repeated: Int
    again: Int
    again_ratings: dict[str, Int]
    skipped: Float


def simulate(
    n_raters: int = 13, n_images: int = 800, seed: int = 0, n_repeats: int = 40, skip_rate: float = 0.005
) -> Simulation:
    """Simulate a study: labels, truth, and everybody's answers.

    Args:
        n_raters: R.
        n_images: N, a multiple of 8: as many per original label.
        seed: of everything.
        n_repeats: images shown twice to everybody.
        skip_rate: share of images that a rater skips.
    """
    crowd = make_crowd(n_raters, seed)
    rng = np.random.default_rng([seed, 1])
    original = np.repeat(np.arange(K), n_images // K)
    truth = _draw(crowd.mix[original], rng)
    affect = {name: _CENTRES[name][truth] + rng.normal(0, _SCATTER, len(truth)) for name in AFFECT}
    repeated = np.sort(rng.choice(len(truth), n_repeats, replace=False))
    first = _answers(crowd, truth, affect, rng)
    again = _answers(crowd, truth[repeated], {n: v[repeated] for n, v in affect.items()}, rng)
    skipped = (rng.random((n_raters, len(truth))) < skip_rate).astype(np.float64)
    ids = tuple(f"{i:04d}" for i in range(len(truth)))
    return Simulation(crowd, ids, original, truth, affect, first[0], first[1], repeated, again[0], again[1], skipped)


def write_answers(path: Path, simulation: Simulation) -> None:
    """Write the study in the long format that the annotation software exports, practice and catch trials included."""
    s = simulation
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_HEADER)
        for r in range(len(s.expression)):

            def row(
                i: int,
                kind: str,
                expression: int,
                valence: int,
                arousal: int,
                presentation: int = 1,
                skipped: bool = False,
                rater: str = f"r{r + 1:02d}",
            ) -> None:
                answer = ("", "", "", 900, 1) if skipped else (FER8.names[expression], valence, arousal, 2500, 0)
                writer.writerow(
                    (
                        "simulated",
                        "1",
                        rater,
                        s.ids[i],
                        s.ids[i],
                        FER8.names[s.original[i]],
                        presentation,
                        kind,
                        *answer,
                    )
                )

            row(0, "practice", 0, 5, 5)
            for i in range(len(s.ids)):
                row(
                    i,
                    "item",
                    s.expression[r, i],
                    s.ratings["valence"][r, i],
                    s.ratings["arousal"][r, i],
                    skipped=bool(s.skipped[r, i]),
                )
            for j, i in enumerate(s.repeated.tolist()):
                row(
                    i,
                    "repeat",
                    s.again[r, j],
                    s.again_ratings["valence"][r, j],
                    s.again_ratings["arousal"][r, j],
                    presentation=2,
                )


def networks(simulation: Simulation, seed: int = 0) -> dict[str, NetworkOutputs]:
    """Simulated networks: one that learned the original labels, one that sees the truth dimly, and one of valence and
    arousal.
    """
    rng = np.random.default_rng([seed, 2])
    ids = np.array(simulation.ids)
    noise = rng.gumbel(size=(2, len(ids), K))
    scores = [2.0 * np.eye(K)[simulation.original] + noise[0], 2.0 * np.eye(K)[simulation.truth] + noise[1]]
    probabilities = [np.exp(s) / np.exp(s).sum(axis=1, keepdims=True) for s in scores]
    affect = np.stack(
        [np.clip(0.8 * simulation.affect[name] + rng.normal(0, 0.2, len(ids)), -1, 1) for name in AFFECT], axis=1
    )
    return {
        "trained on labels": NetworkOutputs(ids, probabilities[0], FER8.names),
        "weakly trained": NetworkOutputs(ids, probabilities[1], FER8.names),
        "regression": NetworkOutputs(ids, affect, AFFECT),
    }


def planted(crowd: Crowd, seed: int = 0, n_drawn: int = 50_000) -> dict[str, Float]:
    """What the analysis should find with these raters and endlessly many images.

    All but the ceilings of expressions are exact; those come from many sampled images.

    Args:
        crowd: the raters.
        seed: of the sampled images.
        n_drawn: number of sampled images.

    Returns:
        By the names of the estimates: ``alpha``, ``correlation``, ``bias`` (R, K), ``same``, ``kept_votes``,
        ``vote_share`` (K,), ``ceiling_per_rater`` (R,); ``<name>_correlation``, ``_alpha``, ``_icc21``, ``_icc31``,
        ``_ceiling``, ``_offset`` (R,).
    """
    prior, confusions = crowd.prior(), crowd.confusions
    n_raters = len(confusions)
    shares = np.einsum("c,rck->rk", prior, confusions)
    agree = np.einsum("c,rck,sck->rs", prior, confusions, confusions)
    pairs = np.triu_indices(n_raters, k=1)
    rng = np.random.default_rng([seed, 3])
    truth = rng.choice(K, n_drawn, p=prior)
    drawn = np.stack([_draw(confusions[r][truth], rng) for r in range(n_raters)], axis=1)
    ceiling = leave_one_out(drawn, K)
    out: dict[str, Float] = {
        "alpha": np.asarray(1 - (1 - agree[pairs].mean()) / (1 - np.square(shares.mean(axis=0)).sum())),
        "correlation": np.asarray((K * agree[pairs].mean() - 1) / (K - 1)),
        "bias": shares - (shares.sum(axis=0) - shares) / (n_raters - 1),
        "same": np.asarray(np.diag(agree).mean()),
        "kept_votes": np.asarray(np.einsum("oc,rco->", crowd.mix, confusions) / (K * n_raters)),
        "vote_share": shares.mean(axis=0),
        "ceiling": np.asarray(ceiling.mean),
        "ceiling_per_rater": ceiling.per_rater,
    }
    for name in AFFECT:
        out |= {f"{name}_{key}": value for key, value in _planted_affect(crowd, name).items()}
    return out


def _planted_affect(crowd: Crowd, name: str) -> dict[str, Float]:
    from scipy.stats import norm

    grid = np.linspace(-2, 2, 4001)
    density = norm.pdf(grid[None], _CENTRES[name][:, None], _SCATTER)
    weight = crowd.prior() @ (density / density.sum(axis=1, keepdims=True))
    edges = np.concatenate([[-np.inf], (_POINTS[1:] + _POINTS[:-1]) / 2, [np.inf]])
    centre = grid[None, :] + crowd.offsets[name][:, None]
    below = norm.cdf((edges[:, None, None] - centre) / crowd.noise[name][:, None])
    chance = np.diff(below, axis=0)
    first = np.einsum("p,prt->rt", _POINTS, chance)
    second = np.einsum("p,prt,t->r", _POINTS**2, chance, weight)
    means = first @ weight
    covariance = (first * weight) @ first.T - np.outer(means, means)
    np.fill_diagonal(covariance, second - means**2)
    n = len(means)
    variance = np.diag(covariance)
    pairs = np.triu_indices(n, k=1)
    mean_covariance = covariance[pairs].mean()
    apart = (variance[:, None] + variance[None] - 2 * covariance + np.square(means[:, None] - means[None]))[
        pairs
    ].mean()
    pooled = second.mean() - means.mean() ** 2
    ceilings = []
    for r in range(n):
        others = np.delete(np.arange(n), r)
        mean, spread = means[others].mean(), covariance[np.ix_(others, others)].mean()
        ceilings.append(2 * covariance[r, others].mean() / (variance[r] + spread + (means[r] - mean) ** 2))
    return {
        "correlation": np.asarray((covariance / np.sqrt(np.outer(variance, variance)))[pairs].mean()),
        "alpha": np.asarray(1 - apart / (2 * pooled)),
        "icc21": np.asarray(mean_covariance / (variance.mean() + means.var(ddof=1))),
        "icc31": np.asarray(mean_covariance / variance.mean()),
        "ceiling": np.asarray(np.mean(ceilings)),
        "offset": means - (means.sum() - means) / (n - 1),
    }


def _answers(
    crowd: Crowd, truth: Int, affect: dict[str, Float], rng: np.random.Generator
) -> tuple[Int, dict[str, Int]]:
    expression = np.stack([_draw(confusion[truth], rng) for confusion in crowd.confusions])
    ratings = {}
    for name in AFFECT:
        felt = (
            affect[name] + crowd.offsets[name][:, None] + crowd.noise[name][:, None] * rng.normal(size=expression.shape)
        )
        ratings[name] = np.clip(np.round(felt * 4 + 5), 1, 9).astype(np.int64)
    return expression, ratings


def _draw(chances: Float, rng: np.random.Generator) -> Int:
    """One category per row of probabilities, shape (N, K) to (N,)."""
    edges = np.cumsum(chances, axis=1)
    drawn: Int = (rng.random((len(chances), 1)) > edges).sum(axis=1)
    return np.asarray(np.minimum(drawn, chances.shape[1] - 1))
