"""``fer-bench study reannotation``: from answers to page, figures, consensus and label errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from fer_bench.data.sample_names import find_samples
from fer_bench.errors import BadDataError
from fer_bench.labels import LabelSet
from fer_bench.scoring.undefined import divide
from fer_bench.studies.consensus import write_consensus
from fer_bench.studies.reannotation.analysis import Analysis, analyse
from fer_bench.studies.reannotation.answers import read_answers
from fer_bench.studies.reannotation.claims import Claim, beside_the_paper
from fer_bench.studies.reannotation.figures import draw_all
from fer_bench.studies.reannotation.label_errors import error_table, write_error_table
from fer_bench.studies.reannotation.networks import EARLIER
from fer_bench.studies.reannotation.page import render
from fer_bench.studies.reannotation.page_tables import matrices
from fer_bench.studies.reannotation.people import Ranges
from fer_bench.studies.reannotation.references import References
from fer_bench.studies.reannotation.resample import Estimate
from fer_bench.studies.reannotation.scales import Scale
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
    references: References | None = None,
    claims: Sequence[Claim] = (),
    images: Path | None = None,
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
        scale: "sam9", "unit" or "findingemo" for valence and arousal; by default inferred.
        reference: class name to number of images in the whole dataset, plotted next to the votes.
        n_resamples: of every bootstrap interval.
        seed: of resampling and random ties.
        extra: gives further sections of the page.
        references: what was known of the images before: see
            :func:`~fer_bench.studies.reannotation.references.read_references`.
        claims: numbers of a paper, shown next to the study's.
        images: folder with the study's images, of which some are shown.

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
    outputs = dict(predictions or {})
    if references is not None:
        study, outputs = _with_references(study, outputs, references)
        reference = reference or references.counts or None
    if reference is not None:
        study = replace(study, reference=_shares(study, reference))
    analysis = analyse(study, outputs, n_resamples, seed)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out, prefix=".part-") as part:
        write_results(analysis, Path(part), [*extra(analysis), *beside_the_paper(analysis, claims)], images)
        # The page goes last: where it is new, everything it shows is.
        for file in sorted(Path(part).iterdir(), key=lambda f: f.name == PAGE):
            file.replace(out / file.name)
    return out / PAGE


def write_results(analysis: Analysis, folder: Path, extra: Sequence[str] = (), images: Path | None = None) -> None:
    """Write figures, tables and page of an analysis into an existing folder."""
    study, consensus, errors = analysis.study, analysis.consensus, analysis.errors
    figures = draw_all(analysis, folder, images)
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
        "over_people": {name: _ranges(r) for name, r in analysis.people.items()},
        "wheel": plain(analysis.wheel),
        "correlations": {
            name: {"names": names, "matrix": _plain(values)} for name, (names, values) in matrices(analysis).items()
        },
        "label_errors": (
            None
            if analysis.errors is None
            else {"differ": len(analysis.errors.rows), "flagged": int(analysis.errors.flagged.sum())}
        ),
    }


def _ranges(ranges: Ranges) -> object:
    return {key: _plain(np.asarray(value)) for key, value in ranges._asdict().items()}


def _with_references(
    study: Reannotation, outputs: dict[str, NetworkOutputs], references: References
) -> tuple[Reannotation, dict[str, NetworkOutputs]]:
    """The original labels where the answers do not have them, and the earlier annotator as one more rater."""
    names = list(references.labels)
    if names:
        rows = find_samples(study.ids, names)
        codes = [study.label_set.find(references.labels[name]) for name in names]
        known = np.array([-1 if code is None else code for code in codes], dtype=np.int64)
        found = np.where(rows >= 0, known[rows], -1)
        study = replace(study, original=np.where(study.original >= 0, study.original, found))
    if references.ratings is not None:
        outputs = {EARLIER: references.ratings, **outputs}
    return replace(study, notes=(*study.notes, *references.notes)), outputs


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
