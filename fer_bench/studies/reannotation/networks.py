"""Networks as further raters: their voting patterns and their valence and arousal next to those of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.data.sample_names import find_samples
from fer_bench.errors import BadDataError
from fer_bench.scoring.agreement import nominal_rater_correlations, rater_correlations
from fer_bench.scoring.regression import ccc, pcc, rmse
from fer_bench.scoring.undefined import divide
from fer_bench.studies.reannotation.raters import with_nan
from fer_bench.studies.reannotation.resample import Estimate, Sums, resample_rows, resample_sums
from fer_bench.studies.reannotation.shift import _correlation, max_vote
from fer_bench.studies.reannotation.study import AFFECT, Float, Int, NetworkOutputs, Reannotation, mean_over_raters

# The name under which who labelled the images before is compared with the raters.
EARLIER = "original annotation"


@dataclass(frozen=True)
class Network:
    """A network's answers in the order of the study.

    Args:
        name: of the network or run.
        expression: shape (N,), class id, -1 where it did not answer.
        probabilities: shape (N, C), of the study's classes, NaN where it did not answer; None for a network of valence
            and arousal.
        valence: shape (N,), NaN where it did not answer.
        arousal: shape (N,), as valence.
    """

    name: str
    expression: Int
    probabilities: Float | None
    valence: Float
    arousal: Float

    @property
    def n_expressions(self) -> int:
        """Number of the study's images that it classified."""
        return int((self.expression >= 0).sum())

    def affect(self, name: str) -> Float:
        """Its "valence" or "arousal", shape (N,)."""
        return self.valence if name == "valence" else self.arousal


def join(study: Reannotation, outputs: Mapping[str, NetworkOutputs]) -> tuple[Network, ...]:
    """Put networks' outputs into the order of the study.

    Args:
        study: gives ids and classes.
        outputs: name of each network to its outputs; a plain tuple (ids, values, names) will do.

    Returns:
        One network per entry.

    Raises:
        BadDataError: a network knows none of the study's images, or a class that the study does not have.
    """
    return tuple(_join(study, name, NetworkOutputs(*entry)) for name, entry in outputs.items())


def _join(study: Reannotation, name: str, outputs: NetworkOutputs) -> Network:
    known = [str(i) for i in outputs.ids]
    rows = find_samples(study.ids, known)
    if not (rows >= 0).any():
        rows = _by_their_ends(study.ids, known)
    if not (rows >= 0).any():
        problem = (
            f"predictions {name!r}: none of its {len(known)} ids (such as {next(iter(known), '')!r}) is in the study"
            f" (such as {study.ids[0]!r})."
        )
        raise BadDataError(problem, "Give predictions for the images of the study, under the same ids.")
    values = np.where(rows[:, None] >= 0, np.asarray(outputs.values, dtype=np.float64)[rows], np.nan)
    names = [n.lower() for n in outputs.names]
    if values.shape[1] != len(names):
        problem = f"predictions {name!r}: {values.shape[1]} outputs but {len(names)} names."
        raise BadDataError(problem)
    nothing = np.full(len(rows), np.nan)
    if set(names) <= set(AFFECT):
        valence, arousal = (values[:, names.index(n)] if n in names else nothing for n in AFFECT)
        return Network(name, np.full(len(rows), -1), None, valence, arousal)
    classes = [study.label_set.find(n) for n in names]
    if None in classes:
        problem = (
            f"predictions {name!r}: class {names[classes.index(None)]!r} is not one of {study.label_set.name}:"
            f" {', '.join(study.label_set.names)}."
        )
        raise BadDataError(problem, "Predictions and study must speak of the same classes.")
    answered = np.asarray(~np.isnan(values).any(axis=1))
    probabilities = np.zeros((len(rows), len(study.label_set)))
    np.add.at(probabilities.T, np.array(classes, dtype=np.int64), values.T)
    probabilities[~answered] = np.nan
    expression = np.where(answered, np.where(answered[:, None], probabilities, 0).argmax(axis=1), -1)
    return Network(name, expression, probabilities, nothing, nothing)


def _by_their_ends(ids: Sequence[str], known: Sequence[str]) -> Int:
    """Images found by the ends of longer paths, such as those below the folder of the study's images."""
    place: dict[str, int] = {}
    for i, path in enumerate(known):
        parts = path.replace("\\", "/").split("/")
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            place[end] = -1 if end in place else i
    return np.array([place.get(name, -1) for name in ids], dtype=np.int64)


def pattern(network: Network, n_classes: int) -> Float:
    """Share of each class among the network's answers, shape (C,)."""
    known = network.expression[network.expression >= 0]
    return divide(np.bincount(known, minlength=n_classes), len(known))


def expression_agreement(
    study: Reannotation, network: Network, n_resamples: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """A classifying network against labels and people, with bootstrap intervals over the images that it classified.

    Args:
        study: the study.
        network: with expressions.
        n_resamples: number of resamples.
        seed: of the resampling.

    Returns:
        ``original``: accuracy against the original labels; ``max_vote``: against the max vote, ties shared;
            ``one_vote``: probability to
        agree with a vote drawn at random; ``pattern_people`` and ``pattern_original``: PCC of the shares of the C
        classes among its answers with those among people's votes and among the original labels.
    """
    n_classes = len(study.label_set)
    rows = np.flatnonzero((network.expression >= 0) & (study.counts.sum(axis=1) > 0))
    own = np.eye(len(study.categories))[network.expression[rows]]
    counts, original = study.counts[rows], study.original[rows]
    labels = np.eye(n_classes + 1)[original][:, :n_classes] if len(rows) else np.zeros((0, n_classes))
    features = {
        "own": own[:, :n_classes],
        "votes": counts[:, :n_classes].astype(np.float64),
        "labels": labels,
        "hit": np.stack(
            [
                (own[:, :n_classes] * labels).sum(axis=1),
                (own * max_vote(counts, "split")).sum(axis=1),
                (own * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1),
                np.ones(len(rows)),
            ],
            axis=1,
        ),
    }

    def statistic(sums: Sums) -> dict[str, Float]:
        hits = sums["hit"]
        return {
            "original": divide(hits[:, 0], sums["labels"].sum(axis=-1)),
            "max_vote": divide(hits[:, 1], hits[:, 3]),
            "one_vote": divide(hits[:, 2], hits[:, 3]),
            "pattern_people": _correlation(sums["own"], sums["votes"]),
            "pattern_original": _correlation(sums["own"], sums["labels"]),
        }

    return resample_sums(features, statistic, n_resamples, seed)


def affect_agreement(
    study: Reannotation, network: Network, name: str, n_resamples: int = 1000, seed: int = 0
) -> dict[str, Estimate] | None:
    """A network of valence or arousal against people, with bootstrap intervals over images.

    Args:
        study: with ratings.
        network: with valence and arousal in [-1, 1].
        name: "valence" or "arousal".
        n_resamples: number of resamples.
        seed: of the resampling.

    Returns:
        ``raters``: mean PCC with each rater (the paper's last row of figure 7); ``pcc``, ``ccc``, ``rmse`` against the
            raters' mean. None
        where the study or the network has no such values.
    """
    ratings = study.affect(name)
    if ratings is None:
        return None
    rows = np.flatnonzero(~np.isnan(network.affect(name)) & ~np.isnan(ratings).all(axis=0))
    if len(rows) < 2:
        return None

    def statistic(own: Float, people: Float) -> dict[str, float]:
        mean = mean_over_raters(people.T)
        each = [
            pcc(people[known, r], own[known])
            for r in range(people.shape[1])
            for known in (~np.isnan(people[:, r]),)
            if known.sum() > 1
        ]
        defined = [value for value in each if not np.isnan(value)]
        return {
            "raters": float(np.mean(defined)) if defined else float("nan"),
            "pcc": pcc(mean, own),
            "ccc": ccc(mean, own),
            "rmse": rmse(mean, own),
        }

    return resample_rows(statistic, (network.affect(name)[rows], ratings[:, rows].T), n_resamples, seed)


def rater_matrix(study: Reannotation, networks: tuple[Network, ...], what: str) -> tuple[list[str], Float] | None:
    """Correlations between raters, the original labels and networks as further raters (figure 7 of the paper).

    Args:
        study: with rater identities.
        networks: those without answers of this kind are left out.
        what: "expression", "valence" or "arousal".

    Returns:
        Names of raters and networks, and their correlations, shape (R + M, R + M); None without ratings of this kind.
    """
    if what == "expression":
        if not study.expression.size:
            return None
        chosen = [n for n in networks if n.n_expressions]
        more = {EARLIER: study.original} if (study.original >= 0).any() else {}
        more |= {n.name: n.expression for n in chosen}
        answers = np.concatenate([with_nan(study.expression), *(with_nan(e[None]) for e in more.values())], axis=1)
        return [*study.raters, *more], nominal_rater_correlations(answers, len(study.categories))
    ratings = study.affect(what)
    if ratings is None:
        return None
    chosen = [n for n in networks if not np.isnan(n.affect(what)).all()]
    return [*study.raters, *(n.name for n in chosen)], rater_correlations(
        np.concatenate([ratings, *(n.affect(what)[None] for n in chosen)]).T
    )
