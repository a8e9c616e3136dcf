"""``fer-bench study reannotation``: from answers to page, figures, consensus and label errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from fer_bench.errors import BadDataError
from fer_bench.labels import LabelSet
from fer_bench.scoring.undefined import divide
from fer_bench.studies.consensus import write_consensus
from fer_bench.studies.reannotation.analysis import Analysis, analyse
from fer_bench.studies.reannotation.answers import Scale, read_answers
from fer_bench.studies.reannotation.figures import draw_all
from fer_bench.studies.reannotation.label_errors import error_table, write_error_table
from fer_bench.studies.reannotation.page import render
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.study import NetworkOutputs, Reannotation
from fer_bench.studies.reannotation.votes import is_vote_file, read_ferplus

PAGE = "README.md"


def study_reannotation(
    answers: Path,
    out: Path,
    predictions: Mapping[str, NetworkOutputs] | None = None,
    label_set: LabelSet | None = None,
    scale: Scale | None = None,
    reference: Mapping[str, float] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    extra: Callable[[Analysis], Sequence[str]] = lambda analysis: (),
) -> Path:
    """Analyse a re-annotation study.

    Writes ``README.md``, its figures, ``results.json``, ``consensus.csv`` and ``label_errors.csv``; either all of them
    or none.

    Args:
        answers: answers in the long format (CSV, Parquet), or FER+'s ``fer2013new.csv`` or a folder with it next to
            ``fer2013.csv``.
        out: folder for the results, made if needed.
        predictions: name of each network to (ids, values, names); names are classes, or "valence" and "arousal".
        label_set: classes of the answers; by default inferred. Not for vote counts.
        scale: "sam9" or "unit" for valence and arousal; by default inferred.
        reference: class name to number of images in the whole dataset, plotted next to the votes.
        n_resamples: of every bootstrap interval.
        seed: of resampling and random ties.
        extra: gives further sections of the page.

    Returns:
        The page.

    Raises:
        MissingDataError: a file is missing.
        BadDataError: a file does not hold what its format says.
        MissingPackageError: an optional package is not installed.
    """
    study = (
        read_ferplus(answers) if is_vote_file(answers) or answers.is_dir() else read_answers(answers, label_set, scale)
    )
    if reference is not None:
        study = replace(study, reference=_shares(study, reference))
    analysis = analyse(study, predictions, n_resamples, seed)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out, prefix=".part-") as part:
        write_results(analysis, Path(part), extra(analysis))
        # The page goes last: where it is new, everything it shows is.
        for file in sorted(Path(part).iterdir(), key=lambda f: f.name == PAGE):
            file.replace(out / file.name)
    return out / PAGE


def write_results(analysis: Analysis, folder: Path, extra: Sequence[str] = ()) -> None:
    """Write figures, tables and page of an analysis into an existing folder."""
    study, consensus, errors = analysis.study, analysis.consensus, analysis.errors
    figures = draw_all(analysis, folder)
    if consensus is not None:
        write_consensus(folder / "consensus.csv", study.ids, consensus, study.label_set)
    if consensus is not None and errors is not None:
        write_error_table(folder / "label_errors.csv", *error_table(study, consensus, errors, analysis.networks))
    (folder / "results.json").write_text(json.dumps(results(analysis), indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(render(analysis, figures, extra), encoding="utf-8")


def results(analysis: Analysis) -> dict[str, object]:
    """Every estimate as plain types: ``{"value", "low", "high"}``, null where undefined."""

    def plain(estimates: Mapping[str, Estimate]) -> dict[str, object]:
        return {name: {part: _plain(values) for part, values in e._asdict().items()} for name, e in estimates.items()}

    study = analysis.study
    return {
        "images": len(study.ids),
        "votes_total": study.n_votes,
        "categories": list(study.categories),
        "raters": list(study.raters),
        "n_resamples": analysis.n_resamples,
        "votes": plain(analysis.votes),
        "expression": plain(analysis.raters),
        **{name: plain(e) for name, e in analysis.affect.items()},
        "repeats": plain(analysis.repeats),
        "networks": {name: plain(e) for name, e in analysis.network_expressions.items()},
        "networks_affect": {f"{name}, {what}": plain(e) for (name, what), e in analysis.network_affect.items()},
        "label_errors": (
            None
            if analysis.errors is None
            else {"differ": len(analysis.errors.rows), "flagged": int(analysis.errors.flagged.sum())}
        ),
    }


def _plain(values: npt.NDArray[np.float64]) -> object:
    rounded = np.round(np.asarray(values, dtype=np.float64), 6)
    return json.loads(json.dumps(rounded.tolist()).replace("NaN", "null"))


def _shares(study: Reannotation, reference: Mapping[str, float]) -> npt.NDArray[np.float64]:
    counts = np.zeros(len(study.label_set))
    for name, count in reference.items():
        if count < 0:
            problem = f"reference: {count} images of {name!r} is less than none."
            raise BadDataError(problem)
        counts[study.label_set.index(name)] += count
    return divide(counts, counts.sum())
