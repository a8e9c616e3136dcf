"""Read vote counts without rater identities: FER+'s ten taggers per FER2013 face.

Only votes and labels are read: no pixels, and none of the packages that the FER+ datamodule needs.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import FER7, FER8, class_map
from fer_bench.studies.reannotation.study import Reannotation

VOTES_FILE = "fer2013new.csv"
LABEL_FILES = ("fer2013.csv", "icml_face_data.csv")
HEADER = (
    "Usage",
    "Image name",
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
CATEGORIES = (*FER8.names, "unknown", "not a face")


def is_vote_file(path: Path) -> bool:
    """Whether a path holds FER+'s votes: the file, or a folder with it."""
    file = path / VOTES_FILE if path.is_dir() else path
    if file.suffix != ".csv" or not file.is_file():
        return False
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        return tuple(c.strip() for c in next(csv.reader(stream), [])) == HEADER


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
    file = path / VOTES_FILE if path.is_dir() else path
    votes = pd.read_csv(file, encoding="utf-8-sig").rename(columns=str.strip)
    counts = votes[list(HEADER[2:])].apply(pd.to_numeric, errors="coerce")
    wrong = np.flatnonzero(counts.isna().any(axis=1) | (counts < 0).any(axis=1))
    if len(wrong):
        problem = f"{file}, line {wrong[0] + 2}: a vote count is missing, negative or not a number."
        raise BadDataError(problem, "Use the file as its owners distribute it.")
    labels_file = next((file.parent / name for name in LABEL_FILES if (file.parent / name).is_file()), None)
    if labels_file is None:
        problem = f"FER2013's labels are not next to {file}: looked for {' and '.join(LABEL_FILES)}."
        raise MissingDataError(problem, "Put fer2013.csv into the same folder: the votes are joined to it row by row.")
    # The header may carry blanks; the pixels are not read.
    labels = pd.read_csv(labels_file, usecols=lambda c: c.strip() in ("emotion", "Usage")).rename(columns=str.strip)
    different = len(labels) != len(votes) or bool((labels["Usage"].to_numpy() != votes["Usage"].to_numpy()).any())
    if different or not labels["emotion"].between(0, len(FER7) - 1).all():
        problem = (
            f"{labels_file} ({len(labels)} rows) and {file} ({len(votes)} rows) do not list the same faces in the same"
            " order."
        )
        raise BadDataError(problem, "Use both files as their owners distribute them.")
    table = counts.to_numpy(dtype=np.int64)
    sizes, images = np.unique(table.sum(axis=1), return_counts=True)
    return Reannotation(
        title="FER+ votes against FER2013 labels",
        ids=tuple(f"{i:05d}" for i in range(len(table))),
        label_set=FER8,
        categories=CATEGORIES,
        original=class_map(FER7, FER8)[labels["emotion"].to_numpy(dtype=np.int64)],
        counts=table,
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
