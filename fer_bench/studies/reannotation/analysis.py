"""All numbers of a re-annotation study, before they become figures and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fer_bench.scoring.agreement import Reliability, fleiss_kappa
from fer_bench.studies.consensus import Consensus, dawid_skene, vote_posterior
from fer_bench.studies.reannotation.label_errors import LabelErrors, find_label_errors
from fer_bench.studies.reannotation.networks import Network, affect_agreement, expression_agreement, join
from fer_bench.studies.reannotation.people import Ranges, over_people
from fer_bench.studies.reannotation.raters import (
    affect_estimates,
    expression_estimates,
    icc_intervals,
    repeat_estimates,
)
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.shift import max_vote_labels, vote_estimates
from fer_bench.studies.reannotation.study import AFFECT, Int, NetworkOutputs, Reannotation
from fer_bench.studies.reannotation.wheel import wheel_estimates

Estimates = dict[str, Estimate]


@dataclass(frozen=True)
class Analysis:
    """What was found.

    Args:
        study: the study.
        networks: networks as further raters.
        max_vote: shape (N,), most voted category of each image, ties at random, -1 where nobody voted.
        votes: see :func:`~fer_bench.studies.reannotation.shift.vote_estimates`; empty where no expression was asked.
        fleiss: Fleiss' kappa, and the number of images and votes per image that it is over; None where too few share a
            number.
        raters: see :func:`~fer_bench.studies.reannotation.raters.expression_estimates`; empty without identities.
        affect: "valence" and "arousal" to :func:`~fer_bench.studies.reannotation.raters.affect_estimates`.
        icc: "valence" and "arousal" to intraclass correlations.
        repeats: see :func:`~fer_bench.studies.reannotation.raters.repeat_estimates`; empty without repeats.
        consensus: labels from the votes; None where no expression was asked.
        errors: likely label errors; None without original labels.
        network_expressions: network to its agreement with people.
        network_affect: (network, "valence" or "arousal") to its agreement with people.
        people: main numbers with intervals over raters, see :func:`~fer_bench.studies.reannotation.people.over_people`.
        wheel: see :func:`~fer_bench.studies.reannotation.wheel.wheel_estimates`; empty where nobody was asked.
        n_resamples: of every bootstrap interval.
    """

    study: Reannotation
    networks: tuple[Network, ...]
    max_vote: Int
    votes: Estimates
    fleiss: tuple[float, int, int] | None
    raters: Estimates
    affect: dict[str, Estimates]
    icc: dict[str, dict[str, Reliability]]
    repeats: Estimates
    consensus: Consensus | None
    errors: LabelErrors | None
    network_expressions: dict[str, Estimates]
    network_affect: dict[tuple[str, str], Estimates]
    people: dict[str, Ranges]
    wheel: Estimates
    n_resamples: int


def analyse(
    study: Reannotation, outputs: Mapping[str, NetworkOutputs] | None = None, n_resamples: int = 1000, seed: int = 0
) -> Analysis:
    """Compute everything.

    Args:
        study: the study.
        outputs: networks by name.
        n_resamples: of every bootstrap interval.
        seed: of resampling and random ties.

    Returns:
        The numbers.

    Raises:
        BadDataError: a network does not fit the study.
        MissingPackageError: an optional package is not installed.
    """
    networks = join(study, outputs or {})
    voted = study.n_votes > 0
    identified = bool((study.expression >= 0).any()) and len(study.raters) > 1
    consensus = None
    if voted:
        consensus = dawid_skene(study.expression, len(study.categories)) if identified else vote_posterior(study.counts)
    affect = {name: ratings for name in AFFECT if (ratings := study.affect(name)) is not None and len(ratings) > 1}
    agreement = {
        (n.name, name): affect_agreement(study, n, name, n_resamples, seed) for n in networks for name in affect
    }
    return Analysis(
        study=study,
        networks=networks,
        max_vote=max_vote_labels(study, seed),
        votes=vote_estimates(study, n_resamples, seed) if voted else {},
        fleiss=_fleiss(study),
        raters=expression_estimates(study, n_resamples, seed) if identified else {},
        affect={name: affect_estimates(ratings, n_resamples, seed) for name, ratings in affect.items()},
        icc={name: icc_intervals(ratings) for name, ratings in affect.items()},
        repeats=repeat_estimates(study.repeats, n_resamples, seed) if study.repeats else {},
        consensus=consensus,
        errors=find_label_errors(study, consensus) if consensus is not None and (study.original >= 0).any() else None,
        network_expressions={
            n.name: expression_agreement(study, n, n_resamples, seed) for n in networks if n.n_expressions and voted
        },
        network_affect={key: value for key, value in agreement.items() if value is not None},
        people=over_people(study, networks, n_resamples, seed),
        wheel=wheel_estimates(study, n_resamples, seed),
        n_resamples=n_resamples,
    )


def _fleiss(study: Reannotation) -> tuple[float, int, int] | None:
    per_image = study.counts.sum(axis=1)
    sizes, images = np.unique(per_image[per_image > 1], return_counts=True)
    if not len(sizes):
        return None
    most = int(sizes[images.argmax()])
    return fleiss_kappa(study.counts[per_image == most]), int(images.max()), most
