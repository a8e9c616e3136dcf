"""Vote counts without rater identities: FER+'s ten taggers per FER2013 face, as a study.

Only votes and labels are read, no pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fer_bench.datasets.fer2013.csv_file import parse_labels
from fer_bench.datasets.fer2013.location import CSV_NAMES, find_csv
from fer_bench.datasets.ferplus.votes import VOTES_NAME, is_votes, read_votes
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7, FER8, class_map
from fer_bench.studies.reannotation.study import Reannotation

CATEGORIES = (*FER8.names, "unknown", "not a face")


def is_vote_file(path: Path) -> bool:
    """Whether a path holds FER+'s votes: the file, or a folder with it."""
    file = _file(path)
    return file.suffix == ".csv" and file.is_file() and is_votes(file)


def read_ferplus(path: Path) -> Reannotation:
    """Read FER+'s votes and, row by row next to them, FER2013's labels.

    Args:
        path: ``fer2013new.csv`` or the folder that holds it together with ``fer2013.csv`` (or ``icml_face_data.csv``).

    Returns:
        The study; ids are the row numbers of ``fer2013.csv`` with five digits, from 00000, as in the readers of both
        datasets.

    Raises:
        MissingDataError: the labels are not next to the votes.
        BadDataError: the two files do not list the same rows, or a line is wrong.
    """
    file = _file(path)
    counts, usage = read_votes(file)
    labels_file = find_csv(str(file.parent))
    if labels_file is None:
        problem = f"FER2013's labels are not next to {file}: looked for {' and '.join(CSV_NAMES)}."
        raise MissingDataError(problem, "Put fer2013.csv into the same folder: the votes are joined to it row by row.")
    labels, split = parse_labels(labels_file)
    if not np.array_equal(usage, split):
        problem = (
            f"{labels_file} ({len(labels)} rows) and {file} ({len(counts)} rows) do not list the same faces in the same"
            " order."
        )
        raise BadDataError(problem, "Use both files as their owners distribute them.")
    sizes, images = np.unique(counts.sum(axis=1), return_counts=True)
    return Reannotation(
        title="FER+ votes against FER2013 labels",
        ids=tuple(f"{i:05d}" for i in range(len(counts))),
        label_set=FER8,
        categories=CATEGORIES,
        original=class_map(FER7, FER8)[labels],
        counts=counts,
        notes=(
            (
                f"Read as vote counts from `{file.name}`, joined to `{labels_file.name}` by row; ids are row numbers"
                " from 00000."
            ),
            "Votes per image: "
            + ", ".join(f"{size} ({n} images)" for size, n in zip(sizes.tolist(), images.tolist(), strict=True))
            + ".",
            (
                "The votes do not say which tagger gave them: rater-rater correlations, ICC and Dawid-Skene are not"
                " possible."
            ),
        ),
    )


def _file(path: Path) -> Path:
    return path / VOTES_NAME if path.is_dir() else path
