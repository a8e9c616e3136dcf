"""Bootstrap over raters as well as over images: what other people would have said.

A resample takes raters with replacement. Pairs of a rater with a copy of itself are left out: they agree perfectly, and
say nothing about people. Resampling both, raters and images, gives intervals that are rather too wide than too narrow
(Owen, The pigeonhole bootstrap, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.scoring.resampling import percentiles
from fer_bench.scoring.undefined import divide
from fer_bench.studies.reannotation.networks import Network, pattern
from fer_bench.studies.reannotation.study import AFFECT, Float, Reannotation

_NONE = (float("nan"), float("nan"))


class Ranges(NamedTuple):
    """A statistic and its 95 % intervals; NaN where undefined."""

    value: float
    images: tuple[float, float]
    raters: tuple[float, float]
    both: tuple[float, float]


def over_people(
    study: Reannotation, networks: Sequence[Network] = (), n_resamples: int = 1000, seed: int = 0
) -> dict[str, Ranges]:
    """The study's main numbers, resampled over images, over raters, and over both.

    Args:
        study: with identified raters.
        networks: compared with the raters.
        n_resamples: of each.
        seed: of the resampling.

    Returns:
        By name, as far as the study has them: ``votes that kept the original label``, correlations between raters of
        expressions (image by image, and of profiles), valence and arousal, of voting patterns with the whole dataset
        and with networks, and of each network with the raters' valence and arousal. Empty below two raters.
    """
    n_raters, n_images = len(study.raters), len(study.ids)
    if n_raters < 2:
        return {}
    table = _Table(study, networks)
    rng = np.random.default_rng(seed)
    ones_images, ones_raters = np.ones((1, n_images)), np.ones((1, n_raters))
    images = rng.multinomial(n_images, np.full(n_images, 1 / n_images), n_resamples).astype(np.float64)
    raters = rng.multinomial(n_raters, np.full(n_raters, 1 / n_raters), n_resamples).astype(np.float64)
    value = table.statistics(ones_images, ones_raters)
    drawn = [table.statistics(*pair) for pair in ((images, ones_raters), (ones_images, raters), (images, raters))]
    found = {}
    for name, number in value.items():
        if not np.isnan(number[0]):
            ends = [percentiles(np.broadcast_to(d[name], n_resamples)) or _NONE for d in drawn]
            found[name] = Ranges(float(number[0]), *ends)
    return found


class _Table:
    """What each image adds to the sums that all statistics are functions of."""

    def __init__(self, study: Reannotation, networks: Sequence[Network]) -> None:
        self.study = study
        self.one, self.other = np.triu_indices(len(study.raters), k=1)
        self.features: dict[str, npt.NDArray[np.generic]] = {}
        self.affects = [name for name in AFFECT if study.affect(name) is not None]
        self.networks = [(n, name) for n in networks for name in self.affects if not np.isnan(n.affect(name)).all()]
        self.classifiers = [n for n in networks if n.n_expressions]
        self.voted = bool(study.expression.size and (study.expression >= 0).any())
        if self.voted:
            self._votes()
        for name in self.affects:
            ratings = study.valence if name == "valence" else study.arousal
            self._moments(name, ratings[self.one], ratings[self.other])
        for i, (network, name) in enumerate(self.networks):
            ratings = study.valence if name == "valence" else study.arousal
            self._moments(f"network {i}", ratings, np.broadcast_to(network.affect(name), ratings.shape))

    def _votes(self) -> None:
        study, n = self.study, len(self.study.categories)
        answers = study.expression
        one_hot = np.eye(n + 1)[answers][:, :, :n]  # -1 is the row that is cut off
        self.features["votes"] = one_hot.transpose(1, 0, 2)
        both = (answers[self.one] >= 0) & (answers[self.other] >= 0)
        self.features["both"] = both.T
        self.features["equal"] = (both & (answers[self.one] == answers[self.other])).T
        labelled = (answers >= 0) & (study.original >= 0)
        self.features["labelled"] = labelled.T
        self.features["kept"] = (labelled & (answers == study.original)).T

    def _moments(self, name: str, a: Float, b: Float) -> None:
        known = ~np.isnan(a) & ~np.isnan(b)
        x, y = np.where(known, a, 0.0), np.where(known, b, 0.0)
        for key, values in {"n": known, "a": x, "b": y, "aa": x * x, "bb": y * y, "ab": x * y}.items():
            self.features[f"{name}/{key}"] = values.T

    def statistics(self, images: Float, raters: Float) -> dict[str, Float]:
        """Every statistic, shape (B,) or (1,), for weights of images (B or 1, N) and of raters (B or 1, R)."""
        sums = {
            name: np.tensordot(images, np.asarray(values, dtype=np.float64), axes=(1, 0))
            for name, values in self.features.items()
        }
        pairs = raters[:, self.one] * raters[:, self.other]
        out: dict[str, Float] = {}
        if self.voted:
            out |= self._of_votes(sums, raters, pairs)
        for name in self.affects:
            out[f"rater-rater correlation of {name}"] = _weighted(_correlations(sums, name), pairs)
        for i, (network, name) in enumerate(self.networks):
            values = _weighted(_correlations(sums, f"network {i}"), raters)
            out[f"correlation of {network.name} with raters, {name}"] = values
        return out

    def _of_votes(self, sums: dict[str, Float], raters: Float, pairs: Float) -> dict[str, Float]:
        study, k, n = self.study, len(self.study.categories), len(self.study.label_set)
        votes = sums["votes"]
        shares = divide(votes, votes.sum(axis=-1, keepdims=True))
        centred = shares - shares.mean(axis=-1, keepdims=True)
        length = np.sqrt(np.square(centred).sum(axis=-1))
        profiles = divide(
            (centred[:, self.one] * centred[:, self.other]).sum(axis=-1), length[:, self.one] * length[:, self.other]
        )
        image_by_image = (k * divide(sums["equal"], sums["both"]) - 1) / (k - 1)
        out = {
            "votes that kept the original label": divide(
                (sums["kept"] * raters).sum(axis=-1), (sums["labelled"] * raters).sum(axis=-1)
            ),
            "rater-rater correlation of expressions, image by image": _weighted(image_by_image, pairs),
            "rater-rater correlation of expression profiles": _weighted(profiles, pairs),
        }
        people = (votes * raters[:, :, None]).sum(axis=1)[:, :n]
        others = {"the whole dataset": study.reference} if study.reference is not None else {}
        others |= {network.name: pattern(network, n) for network in self.classifiers}
        for name, share in others.items():
            out[f"correlation of people's voting pattern with that of {name}"] = _pcc(people, share)
        return out


def _correlations(sums: dict[str, Float], name: str) -> Float:
    n, a, b, aa, bb, ab = (sums[f"{name}/{key}"] for key in ("n", "a", "b", "aa", "bb", "ab"))
    spread = (n * aa - a * a) * (n * bb - b * b)
    # Sums of ratings are exact to some 1e-12: less spread than that is none.
    return divide(n * ab - a * b, np.sqrt(np.where(spread > 1e-9, spread, 0.0)))


def _weighted(values: Float, weights: Float) -> Float:
    """Means along the last axis of what is defined."""
    known = ~np.isnan(values)
    return divide((np.where(known, values, 0.0) * weights).sum(axis=-1), (known * weights).sum(axis=-1))


def _pcc(a: Float, b: Float) -> Float:
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean()
    return divide((a * b).sum(axis=-1), np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum()))
