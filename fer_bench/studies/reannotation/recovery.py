"""The simulated study end to end: does the analysis find what was planted?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fer_bench.labels import FER8
from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.page import shown, table
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.run import study_reannotation
from fer_bench.studies.reannotation.simulate import Simulation, networks, planted, simulate, write_answers
from fer_bench.studies.reannotation.study import AFFECT, Float

_NAMES = {
    "alpha": "alpha of expressions",
    "correlation": "rater-rater correlation of expressions",
    "ceiling": "human ceiling of expressions",
    "same": "same expression when repeated",
    "kept_votes": "votes that kept the label",
    "vote_share": "share of votes per category",
    "ceiling_per_rater": "each rater against the others' majority",
    "bias": "each rater's leaning to each category",
}
_KEYS = {
    "correlation": "rater-rater correlation",
    "alpha": "alpha",
    "icc21": "ICC(2,1)",
    "icc31": "ICC(3,1)",
    "ceiling": "human ceiling (CCC)",
    "offset": "each rater's offset",
}
_NAMES |= {f"{name}_{key}": f"{text}, {name}" for name in AFFECT for key, text in _KEYS.items()}


def study_simulated(out: Path, n_raters: int = 13, n_images: int = 800, n_resamples: int = 1000, seed: int = 0) -> Path:
    """Simulate a study, analyse it from its answers file on, and show planted next to recovered values.

    Args:
        out: folder for the results.
        n_raters: R.
        n_images: N, a multiple of 8.
        n_resamples: of every bootstrap interval.
        seed: of everything.

    Returns:
        The page.
    """
    simulation = simulate(n_raters, n_images, seed)
    prior = simulation.crowd.prior()
    with TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.csv"
        write_answers(answers, simulation)
        reference = {name: float(prior[k]) for k, name in enumerate(FER8.names)}
        return study_reannotation(
            answers,
            out,
            networks(simulation, seed),
            reference=reference,
            n_resamples=n_resamples,
            seed=seed,
            extra=lambda analysis: sections(analysis, simulation),
        )


def recovered(analysis: Analysis, truth: dict[str, Float]) -> dict[str, tuple[Float, Estimate]]:
    """Planted values and the estimates that should cover them, by name; of one shape, see
    :func:`fer_bench.studies.reannotation.simulate.planted`.
    """
    found = {"same": analysis.repeats["same"], **analysis.votes, **analysis.raters}
    found |= {f"{name}_{key}": e for name, estimates in analysis.affect.items() for key, e in estimates.items()}
    return {name: (value, found[name]) for name, value in truth.items()}


def sections(analysis: Analysis, simulation: Simulation) -> Sequence[str]:
    """The section that shows how well the planted values were found."""
    rows, several = [], []
    for name, (value, estimate) in recovered(analysis, planted(simulation.crowd)).items():
        inside = estimate.covers(value)
        if value.ndim:
            several.append(
                [_NAMES[name], str(value.size), f"{int(inside.sum())}", f"{np.abs(estimate.value - value).mean():.3f}"]
            )
        else:
            rows.append([_NAMES[name], f"{float(value):.3f}", shown(estimate), "yes" if inside else "no"])
    consensus = analysis.consensus
    text = ""
    accuracies = consensus.accuracies() if consensus else None
    if consensus is not None and accuracies is not None:
        real = np.einsum("k,rkk->r", simulation.crowd.prior(), simulation.crowd.confusions)
        right = [
            float((labels == simulation.truth).mean())
            for labels in (consensus.labels, analysis.max_vote, simulation.original)
        ]
        text = (
            f"The consensus is the true category for {100 * right[0]:.1f} % of the images, the max vote for"
            f" {100 * right[1]:.1f} %, the original label for {100 * right[2]:.1f} %. Dawid and Skene's accuracies of"
            f" the raters correlate with the planted ones at {np.corrcoef(real, accuracies)[0, 1]:.3f} (largest error"
            f" {100 * np.abs(real - accuracies).max():.1f} points)."
        )
    return (
        (
            "**Simulated answers: these numbers say nothing about people.** Raters were given known accuracies,"
            " leanings, offsets and noise; the table compares what was planted (over endlessly many images) with what"
            " the analysis found in this sample."
        ),
        "## Planted and recovered",
        table(("measure", "planted", "found [95 % interval]", "inside"), rows),
        table(("measures", "number", "inside their interval", "mean absolute error"), several),
        text,
    )
