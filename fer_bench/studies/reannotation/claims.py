"""What the paper found, next to what a study finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.figures import named_patterns, pattern_correlations
from fer_bench.studies.reannotation.networks import EARLIER
from fer_bench.studies.reannotation.page import shown, table
from fer_bench.studies.reannotation.resample import Estimate


@dataclass(frozen=True)
class Claim:
    """One number of a paper.

    Args:
        measure: a key of :func:`measured`.
        text: what it is, in words.
        value: as printed.
        location: in the paper.
        notes: what a reader must know before comparing.
        paper: short name.
    """

    measure: str
    text: str
    value: float
    location: str
    notes: str = ""
    paper: str = ""


def measured(analysis: Analysis, measure: str) -> list[str]:
    """What a study says of a claim's measure, as text; empty where it does not have it.

    Args:
        analysis: of the study.
        measure: ``changed_votes``; ``expression.correlation`` or ``.profile_correlation``; ``valence.correlation``,
            ``arousal.correlation``; ``network.valence`` or ``network.arousal``, mean correlation of each network with
            the raters; ``pattern.whole_dataset``, of people's votes with the whole dataset.
    """
    kind, _, name = measure.partition(".")
    if measure == "changed_votes" and "kept_votes" in analysis.votes:
        kept = analysis.votes["kept_votes"]
        return [shown(Estimate(1 - kept.value, 1 - kept.high, 1 - kept.low))]
    if kind == "expression" and name in analysis.raters:
        return [shown(analysis.raters[name])]
    if kind in analysis.affect and name in analysis.affect[kind]:
        return [shown(analysis.affect[kind][name])]
    if kind == "network":
        found = {net: e for (net, what), e in analysis.network_affect.items() if what == name and net != EARLIER}
        return [f"{net}: {shown(e['raters'])}" for net, e in found.items()]
    if measure == "pattern.whole_dataset":
        patterns = named_patterns(analysis)
        if "whole dataset" in patterns:
            names = list(patterns)
            value = pattern_correlations(patterns)[names.index("people"), names.index("whole dataset")]
            return [f"{value:.3f}"]
    return []


def beside_the_paper(analysis: Analysis, claims: Sequence[Claim]) -> Sequence[str]:
    """The page's section; empty where the study has none of the measures."""
    rows = [
        (claim.text, f"{claim.value:.4g}", "; ".join(found), f"{claim.paper}, {claim.location}", claim.notes)
        for claim in claims
        if (found := measured(analysis, claim.measure))
    ]
    if not rows:
        return ()
    return (
        "## Beside the paper",
        table(("measure", "printed", "this study [95 % interval]", "where", ""), rows),
        "The printed numbers are of the paper's own images, raters and networks, which are not published.",
    )
