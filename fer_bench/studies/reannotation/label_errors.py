"""Original labels that people contradict, most certain first."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.atomic import write_atomically
from fer_bench.errors import MissingPackageError
from fer_bench.escaping import csv_text
from fer_bench.scoring.intervals import wilson
from fer_bench.studies.consensus import Consensus
from fer_bench.studies.reannotation.networks import Network
from fer_bench.studies.reannotation.study import Float, Int, Reannotation

_COLUMNS = (
    "rank",
    "id",
    "original",
    "consensus",
    "confidence",
    "original_posterior",
    "votes_for_original",
    "votes_for_consensus",
    "votes",
    "confident_learning",
)


@dataclass(frozen=True)
class LabelErrors:
    """Likely label errors.

    Args:
        rows: shape (E,), images whose consensus is another category than the label, by falling margin.
        margin: shape (E,), posterior of the consensus minus that of the label, above 0 to 1.
        flagged: shape (N,), which labels confident learning (Northcutt et al. 2021) holds for wrong; an image that
            people call no expression at all cannot be judged by it.
        not_a_class: shape (N,), the consensus is no class of the set ("unknown", "not a face").
        n_labelled: number of images with a label and votes.
    """

    rows: Int
    margin: Float
    flagged: npt.NDArray[np.bool_]
    not_a_class: npt.NDArray[np.bool_]
    n_labelled: int

    def share_flagged(self) -> tuple[float, float, float]:
        """Share of labels that confident learning holds for wrong, with Wilson's interval over the images that it could
        judge.
        """
        n = self.n_labelled - int(self.not_a_class.sum())
        low, high = wilson(int(self.flagged.sum()), n) or (np.nan, np.nan)
        return int(self.flagged.sum()) / max(1, n), low, high


def find_label_errors(study: Reannotation, consensus: Consensus) -> LabelErrors:
    """Compare the original labels with the consensus of people.

    Args:
        study: with original labels.
        consensus: posteriors, shape (N, K).

    Returns:
        The likely errors; all labels without votes are left out.

    Raises:
        MissingPackageError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        problem = "The search for label errors needs the package cleanlab."
        raise MissingPackageError(problem, 'Install it with `pip install "fer_bench[study]"`.') from None
    n_classes = len(study.label_set)
    labelled = (study.original >= 0) & (consensus.labels >= 0)
    not_a_class = labelled & (consensus.labels >= n_classes)
    of_original = consensus.posterior[np.arange(len(study.ids)), np.maximum(study.original, 0)]
    margin = np.where(labelled, consensus.confidence - of_original, 0)
    rows = np.flatnonzero(labelled & (consensus.labels != study.original) & (margin > 0))
    rows = rows[np.lexsort((rows, -margin[rows]))]
    judged = np.flatnonzero(labelled & ~not_a_class)
    flagged = np.zeros(len(study.ids), dtype=bool)
    if len(judged) and len(np.unique(study.original[judged])) > 1:
        classes = consensus.posterior[judged, :n_classes]
        with warnings.catch_warnings():
            # Of a class with few examples it says that it may miss some.
            warnings.simplefilter("ignore", UserWarning)
            flagged[judged] = find_label_issues(
                study.original[judged], classes / classes.sum(axis=1, keepdims=True), n_jobs=1
            )
    return LabelErrors(rows, margin[rows], flagged, not_a_class, int(labelled.sum()))


def error_table(
    study: Reannotation, consensus: Consensus, errors: LabelErrors, networks: tuple[Network, ...] = ()
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the list, for the page and for ``label_errors.csv``.

    Args:
        study: the study.
        consensus: its consensus.
        errors: what was found.
        networks: each adds a column: its probability of the original label.
    """
    classifiers = [n for n in networks if n.probabilities is not None]
    labels, confidence = consensus.labels, consensus.confidence
    header = [*_COLUMNS, *(f"p_original_{n.name}" for n in classifiers)]
    table = []
    for rank, i in enumerate(errors.rows.tolist(), start=1):
        label, best = int(study.original[i]), int(labels[i])
        row = [
            str(rank),
            study.ids[i],
            study.categories[label],
            study.categories[best],
            f"{confidence[i]:.3f}",
            f"{consensus.posterior[i, label]:.3f}",
        ]
        row += [
            str(int(study.counts[i, label])),
            str(int(study.counts[i, best])),
            str(int(study.counts[i].sum())),
            "yes" if errors.flagged[i] else "no",
        ]
        probabilities = [n.probabilities[i, label] for n in classifiers if n.probabilities is not None]
        table.append([*row, *("" if np.isnan(p) else f"{p:.3f}" for p in probabilities)])
    return header, table


def write_error_table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write ``label_errors.csv``, replaced as a whole."""
    write_atomically(path, csv_text(header, *rows).encode())
