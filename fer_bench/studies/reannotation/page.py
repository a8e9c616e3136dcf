"""The page of a re-annotation study: a pure function of its numbers and the names of its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fer_bench.escaping import markdown
from fer_bench.studies.reannotation import page_tables
from fer_bench.studies.reannotation.analysis import Analysis
from fer_bench.studies.reannotation.label_errors import error_table
from fer_bench.studies.reannotation.networks import EARLIER
from fer_bench.studies.reannotation.raters import same_per_rater
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.shift import TIE_RULES, TIE_TEXT, confusion

_TOP = 15


def render(analysis: Analysis, figures: dict[str, str], extra: Sequence[str] = ()) -> str:
    """Write the page.

    Args:
        analysis: the numbers.
        figures: figure name to file name, next to the page.
        extra: further sections in Markdown, put after the first one.

    Returns:
        Markdown.
    """
    sections = [
        _head(analysis),
        *extra,
        _labels(analysis, figures),
        _raters(analysis, figures),
        _affect(analysis, figures),
        page_tables.wheel(analysis, table, shown, _figure(figures, "wheel", "Answers on the wheel by distance")),
        page_tables.people(analysis, table),
    ]
    sections += [_networks(analysis, figures), _consensus(analysis), _errors(analysis, figures), _method(analysis)]
    return "\n\n".join(s for s in sections if s) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of plain texts."""
    lines = [[markdown(cell) for cell in line] for line in (header, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], ["---"] * len(header), *lines[1:]))


def shown(estimate: Estimate, at: int | tuple[int, ...] = (), percent: bool = False) -> str:
    """A statistic with its interval, such as ``0.52 [0.50, 0.54]``; a dash where it is undefined."""
    value, low, high = (float(part[at]) for part in estimate)
    if np.isnan(value):
        return "–"
    scale, form = (100, ".1f") if percent else (1, ".3f")
    interval = "" if np.isnan(low) else f" [{scale * low:{form}}, {scale * high:{form}}]"
    return f"{scale * value:{form}}{interval}"


def _head(analysis: Analysis) -> str:
    study = analysis.study
    raters = f"{len(study.raters)} raters" if study.raters else "raters not identified"
    rows: list[tuple[str, str]] = [("images", f"{len(study.ids):,}"), ("votes", f"{study.n_votes:,} ({raters})")]
    if "kept_votes" in analysis.votes:
        rows.append(("votes that kept the original label", shown(analysis.votes["kept_votes"], percent=True) + " %"))
        rows.append(
            (
                "images whose max vote is the original label (ties shared)",
                shown(analysis.votes["kept_max_split"], percent=True) + " %",
            )
        )
        rows.append(
            (
                "images whose original label got no vote at all",
                shown(analysis.votes["contradicted"], percent=True) + " %",
            )
        )
    if analysis.votes:
        rows.append(
            (
                "human ceiling: one vote against the majority of the others",
                shown(analysis.votes["ceiling"], percent=True) + " %",
            )
        )
        rows.append(
            ("share of votes of the most voted category, mean", shown(analysis.votes["top_share"], percent=True) + " %")
        )
        rows.append(("Krippendorff's alpha of expressions (nominal)", shown(analysis.votes["alpha"])))
    if analysis.fleiss is not None:
        value, images, votes = analysis.fleiss
        rows.append((f"Fleiss' kappa ({images:,} images with {votes} votes)", f"{value:.3f}"))
    if analysis.raters:
        rows.append(("rater-rater correlation of expressions, image by image", shown(analysis.raters["correlation"])))
        rows.append(
            (
                "rater-rater correlation of expression profiles (category totals)",
                shown(analysis.raters["profile_correlation"]),
            )
        )
    rows += [(f"rater-rater correlation of {name}", shown(e["correlation"])) for name, e in analysis.affect.items()]
    if study.catch[1]:
        rows.append(("catch trials answered as labelled", f"{study.catch[0]} of {study.catch[1]}"))
    notes = "\n".join(f"- {markdown(note)}" for note in study.notes)
    return f"# {markdown(study.title)}\n\n{notes}\n\n{table(('', 'value [95 % interval]'), rows)}"


def _labels(analysis: Analysis, figures: dict[str, str]) -> str:
    votes, study = analysis.votes, analysis.study
    if not votes:
        return ""
    labelled = "kept_votes" in votes
    n = len(study.label_set)
    header = [
        "category",
        "share of votes, %",
        "share of images by max vote, %",
        "one vote against the others' majority, %",
    ]
    header += ["share by original label, %", "shift, points", "votes kept, %", "max votes kept, %"] if labelled else []
    rows = []
    for k, name in enumerate(study.categories):
        row = [
            name,
            *(shown(votes[key], k, percent=True) for key in ("vote_share", "max_share", "ceiling_per_category")),
        ]
        if labelled:
            keys = ("original_share", "shift", "kept_votes_per_category", "kept_max_per_category")
            row += [shown(votes[key], k, percent=True) for key in keys] if k < n else ["–"] * 4
        rows.append(row)
    parts = [
        "## Votes against labels",
        _figure(figures, "votes", "Share of each category among the votes, next to the original labels"),
        table(header, rows),
    ]
    if labelled:
        ties = [[f"`{rule}`: {TIE_TEXT[rule]}", shown(votes[f"kept_max_{rule}"], percent=True)] for rule in TIE_RULES]
        parts += [
            _figure(figures, "confusion", "Original label to max vote"),
            "The most frequent moves, ties shared:",
            table(("from", "to", "images", "of that label, %"), _moves(analysis)),
            _figure(figures, "kept", "Votes and max votes that kept the label, and the human ceiling, per category"),
            "How ties between categories are broken changes how many images keep their label:",
            table(("tie rule", "images that keep their label, %"), ties),
        ]
    return "\n\n".join(p for p in parts if p)


def _moves(analysis: Analysis) -> list[list[str]]:
    cells = confusion(analysis.study)
    names = analysis.study.categories
    moves = [
        (cells[i, j], i, j) for i in range(len(cells)) for j in range(cells.shape[1]) if i != j and cells[i, j] > 0
    ]
    return [
        [names[i], names[j], f"{n:,.0f}", f"{100 * n / cells[i].sum():.1f}"]
        for n, i, j in sorted(moves, key=lambda m: (-m[0], m[1], m[2]))[:8]
    ]


def _raters(analysis: Analysis, figures: dict[str, str]) -> str:
    study = analysis.study
    if not analysis.raters and not analysis.affect:
        return ""
    header, columns = ["rater"], [list(study.raters)]
    places = range(len(study.raters))
    if analysis.raters:
        bias = analysis.raters["bias"]
        strongest = [int(np.nanargmax(np.abs(row))) for row in bias.value]
        header += ["agreement with the others' majority, %", "strongest leaning, points"]
        columns += [[shown(analysis.raters["ceiling_per_rater"], r, percent=True) for r in places]]
        columns += [[f"{study.categories[k]} {shown(bias, (r, k), percent=True)}" for r, k in enumerate(strongest)]]
        accuracies = analysis.consensus.accuracies() if analysis.consensus else None
        if accuracies is not None:
            header.append("accuracy by Dawid-Skene, %")
            columns.append([f"{100 * a:.1f}" for a in accuracies])
    for name, estimates in analysis.affect.items():
        header += [f"{name}: mean minus others'", f"{name}: spread"]
        columns += [
            [shown(estimates["offset"], r) for r in places],
            [f"{estimates['spread'].value[r]:.2f}" for r in places],
        ]
    if analysis.repeats:
        header.append("same expression again, %")
        columns.append(["–" if np.isnan(s) else f"{100 * s:.0f}" for s in same_per_rater(study)])
    below = "the original annotation and networks below the white line"
    parts = ["## Raters", _figure(figures, "raters", f"Correlations between raters; {below}")]
    for name, matrix in page_tables.matrices(analysis).items():
        if name.startswith("raters, "):
            kind = name.removeprefix("raters, ")
            parts += [f"Correlations of {kind}, as in the figure:", page_tables.matrix_table(*matrix, table)]
    parts += [
        _figure(figures, "bias", "Categories each rater prefers, and offsets of valence and arousal"),
        table(header, list(zip(*columns, strict=True))),
    ]
    if analysis.repeats and study.repeats is not None:
        parts.append(f"When an image was shown again ({len(study.repeats.rater)} pairs):")
        names = {
            "same": "same expression",
            "alpha": "alpha of first against second",
            "valence_correlation": "correlation of valence",
        }
        names |= {
            "valence_difference": "mean absolute difference of valence",
            "arousal_correlation": "correlation of arousal",
        }
        names |= {"arousal_difference": "mean absolute difference of arousal"}
        parts.append(
            table(
                ("measure", "value [95 % interval]"),
                [[names[k], shown(e)] for k, e in analysis.repeats.items() if not np.isnan(e.value)],
            )
        )
    return "\n\n".join(p for p in parts if p)


def _affect(analysis: Analysis, figures: dict[str, str]) -> str:
    if not analysis.affect:
        return ""
    names = {
        "correlation": "mean rater-rater correlation",
        "alpha": "Krippendorff's alpha (interval)",
        "icc21": "ICC(2,1), absolute agreement",
    }
    names |= {"icc31": "ICC(3,1), consistency", "ceiling": "human ceiling: CCC of a rater with the others' mean"}
    rows = [[text, *(shown(e[key]) for e in analysis.affect.values())] for key, text in names.items()]
    for kind in next(iter(analysis.icc.values())):
        found = [icc[kind] for icc in analysis.icc.values()]
        rows.append(
            [
                f"{kind}, F-based interval",
                *(f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}] ({i.n_items} images)" for i in found),
            ]
        )
    parts = ["## Valence and arousal", table(("measure", *analysis.affect), rows)]
    parts.append(
        _figure(figures, "affect", "Mean valence and arousal of each image, by max vote and by original label")
    )
    parts.append(
        _figure(
            figures, "affect_distributions", "Ratings of the answers that chose each expression; the line is the mean"
        )
    )
    parts.append(_figure(figures, "affect_spread", "Standard deviation over raters, by max vote"))
    parts.append(page_tables.spread_table(analysis, table))
    return "\n\n".join(p for p in parts if p)


def _networks(analysis: Analysis, figures: dict[str, str]) -> str:
    if not analysis.network_expressions and not analysis.network_affect and "patterns" not in figures:
        return ""
    earlier = any(n.name == EARLIER for n in analysis.networks)
    further = "Networks and the original annotation" if earlier else "Networks"
    parts = [f"## {further} as further raters" if analysis.networks else "## Voting patterns"]
    if analysis.network_expressions:
        images = {n.name: n.n_expressions for n in analysis.networks}
        keys = {"original": "original labels", "max_vote": "max vote", "one_vote": "one vote at random"}
        header = (
            "network",
            "images",
            *(f"agrees with {text}, %" for text in keys.values()),
            "pattern: people",
            "pattern: original labels",
        )
        rows = [
            [
                name,
                f"{images[name]:,}",
                *(shown(e[key], percent=True) for key in keys),
                shown(e["pattern_people"]),
                shown(e["pattern_original"]),
            ]
            for name, e in analysis.network_expressions.items()
        ]
        parts.append(table(header, rows))
    if analysis.network_affect:
        keys = {
            "raters": "mean correlation with raters",
            "pcc": "PCC with their mean",
            "ccc": "CCC with their mean",
            "rmse": "RMSE to their mean",
        }
        rows = [[name, what, *(shown(e[key]) for key in keys)] for (name, what), e in analysis.network_affect.items()]
        parts.append(table(("network", "", *keys.values()), rows))
    parts.append(_figure(figures, "patterns", "Shares of the classes among answers, and how these patterns correlate"))
    patterns = page_tables.matrices(analysis).get("voting patterns")
    if patterns is not None:
        parts.append("Correlations of these patterns, as in the figure:")
        parts.append(page_tables.matrix_table(*patterns, table))
    parts.append(_figure(figures, "affect_networks", "Networks against the mean of people"))
    if "pattern_correlation" in analysis.votes:
        correlation = analysis.votes["pattern_correlation"]
        even = (
            " (the original labels are spread evenly over the classes: undefined)"
            if np.isnan(correlation.value)
            else ""
        )
        parts.append(f"Correlation of the original labels' shares with those of the votes: {shown(correlation)}{even}.")
    return "\n\n".join(p for p in parts if p)


def _consensus(analysis: Analysis) -> str:
    consensus = analysis.consensus
    if consensus is None:
        return ""
    how = {
        "dawid-skene": (
            "Dawid and Skene's model, every rater with a confusion matrix; it takes raters' errors as independent, so"
            " its confidence is too high"
        ),
        "vote-posterior": (
            "the most voted category, as the votes do not say who gave them; confidence is its posterior share (one"
            " vote's worth of prior)"
        ),
    }[consensus.method]
    voted = consensus.labels >= 0
    sure = consensus.confidence[voted]
    differs = int((consensus.labels != analysis.max_vote)[voted].sum())
    return (
        f"## Consensus\n\nThe command writes one label per image to `consensus.csv`: {how}. "
        f"Mean confidence {sure.mean():.3f}; {100 * (sure < 0.5).mean():.1f} % of the images below 0.5. "
        f"It differs from the max vote (ties at random) on {differs:,} of {int(voted.sum()):,} images."
    )


def _errors(analysis: Analysis, figures: dict[str, str]) -> str:
    errors, consensus = analysis.errors, analysis.consensus
    if errors is None or consensus is None:
        return ""
    share, low, high = errors.share_flagged()
    header, rows = error_table(analysis.study, consensus, errors, analysis.networks)
    rows = _varied(rows)
    text = (
        f"The consensus is another category than the label for {len(errors.rows):,} of {errors.n_labelled:,} labelled"
        f" images; for {int(errors.not_a_class.sum()):,} of them it is not a class at all. Confident learning"
        f" (cleanlab, the consensus as probabilities) considers {int(errors.flagged.sum()):,} labels wrong:"
        f" {100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of those it can judge. The command writes them all"
        " to `label_errors.csv`, largest margin first; here are the first of them, at most two of each move:"
    )
    shown_images = _figure(figures, "examples", "Images whose original label the raters did not share")
    return "\n\n".join(part for part in ("## Likely label errors", shown_images, text, table(header, rows)) if part)


def _varied(rows: list[list[str]]) -> list[list[str]]:
    """The first rows, at most two with the same original and consensus label."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for row in rows:
        move = (row[2], row[3])
        seen[move] += 1
        if seen[move] <= 2:
            chosen.append(row)
    return chosen[:_TOP]


def _method(analysis: Analysis) -> str:
    return f"""## How to read the intervals

Brackets hold 95 % percentile intervals from {analysis.n_resamples:,} bootstrap resamples of the images (of the pairs,
for repeats), unless another kind is named. Raters are kept as they are: the intervals speak about other images, not
about other people, except where raters are resampled too. Labels from the consensus are not re-estimated in each
resample. The human ceiling compares one person with the majority (or mean) of the others; a tie shares the credit. The
correlation of expressions image by image treats votes as 0/1 indicators and equals (K p - 1) / (K - 1) for the share p
of equal answers; the profile correlation compares only how often each category was chosen."""


def _figure(figures: dict[str, str], name: str, alt: str) -> str:
    return f"![{alt}]({figures[name]})" if name in figures else ""
