"""Labels from elsewhere (a consensus of raters, a corrected copy) as a file: ``id,label,confidence``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.atomic import write_atomically
from fer_bench.data.cache import file_sha256
from fer_bench.data.sample_names import find_samples
from fer_bench.data.samples import Samples
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.escaping import csv_text, csv_value
from fer_bench.labels import LABEL_SETS, LabelSet
from fer_bench.protocols import find_task

HEADER = ("id", "label", "confidence")


def write_labels(
    path: Path,
    ids: Sequence[str],
    labels: npt.NDArray[np.int64],
    confidence: npt.NDArray[np.float64],
    label_set: LabelSet,
) -> int:
    """Write a label file; images without a class are left out.

    Args:
        path: the CSV file, replaced as a whole.
        ids: N ids of the dataset.
        labels: shape (N,), class ids; -1 for "no class of this set".
        confidence: shape (N,), 0 to 1.
        label_set: gives the classes their names.

    Returns:
        Number of rows written.
    """
    rows = [
        (i, label_set.names[label], f"{c:.4f}")
        for i, label, c in zip(ids, labels.tolist(), confidence.tolist(), strict=True)
        if label >= 0
    ]
    write_atomically(path, csv_text(HEADER, *rows).encode())
    return len(rows)


def read_labels(path: Path, label_set: LabelSet) -> dict[str, int]:
    """Read a label file strictly: a wrong row is an error, never a guess.

    Args:
        path: CSV file with the header ``id,label,confidence``.
        label_set: the set that the labels must belong to (synonyms are forgiven).

    Returns:
        Id to class id; -1 for a class of another label set that this one does not have, such as contempt among FER7.

    Raises:
        MissingDataError: the file does not exist.
        BadDataError: a line is wrong; the message names file and line.
    """
    if not path.is_file():
        problem = f"{path}: no such label file."
        raise MissingDataError(problem, "`fer-bench study reannotation` writes one as consensus.csv.")
    labels: dict[str, int] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            for row in reader:
                if reader.line_num == 1:
                    _check(tuple(row) == HEADER, path, 1, f"the header is {','.join(row)!r}, not {','.join(HEADER)}")
                    continue
                _check(len(row) == len(HEADER), path, reader.line_num, f"{len(row)} value(s) instead of {len(HEADER)}")
                identifier, label, confidence = map(csv_value, row)
                found = label_set.find(label)
                _check(identifier != "", path, reader.line_num, "the id is empty")
                _check(identifier not in labels, path, reader.line_num, f"id {identifier!r} is listed twice")
                known = found is not None or any(LABEL_SETS[name].find(label) is not None for name in LABEL_SETS)
                _check(
                    known,
                    path,
                    reader.line_num,
                    f"label {label!r} is not one of {label_set.name}: {', '.join(label_set.names)}",
                )
                _check(
                    _is_share(confidence),
                    path,
                    reader.line_num,
                    f"confidence {confidence!r} is not a number from 0 to 1",
                )
                labels[identifier] = -1 if found is None else found
        except (csv.Error, UnicodeDecodeError) as error:
            problem = f"{path}, line {reader.line_num}: not readable as CSV in UTF-8 ({error})."
            raise BadDataError(problem) from None
    if not labels:
        problem = f"{path}: no labels in it."
        raise BadDataError(problem, "`fer-bench study reannotation` writes such a file.")
    return labels


def match_ids(
    ids: Sequence[str], labels: dict[str, int], path: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the samples that a label file names.

    Args:
        ids: N ids of the dataset.
        labels: as :func:`read_labels` returns them.
        path: of the label file, for the error.

    Returns:
        Positions of the samples named, ascending, and their labels, -1 for "no class of this set".

    Raises:
        BadDataError: none of the file's ids is one of the dataset's, or two of them are the same sample.
    """
    found = find_samples(list(labels), ids)
    at, values = found[found >= 0], np.array(list(labels.values()), dtype=np.int64)[found >= 0]
    if len(at) == 0:
        problem = (
            f"{path}: none of its {len(labels)} ids ({', '.join(list(labels)[:3])}, ...) is one of the dataset's"
            f" ({', '.join(list(ids)[:3])}, ...)."
        )
        raise BadDataError(problem, "Use the labels of the same dataset.")
    if len(np.unique(at)) < len(at):
        problem = f"{path}: several of its rows mean the same image, in folders of different classes."
        raise BadDataError(problem, "Leave one row per image.")
    order = np.argsort(at)
    return at[order], values[order]


def relabel_training(samples: Samples, task: str, path: Path) -> None:
    """Replace training labels by a file's: images that it does not name keep theirs, those without a class of the task
    are left out later.

    Args:
        samples: changed in place: the task's column, and ``facts["labels"]``.
        task: names a column of class ids.
        path: the label file.

    Raises:
        SpecError: the task is not one of classes.
        MissingDataError, BadDataError: as :func:`read_labels`.
    """
    label_set = find_task(task).labels
    if label_set is None:
        problem = f"labels: task {task!r} is not one of classes."
        raise SpecError(problem, "Leave the label file out, or choose a task of classes.")
    train = samples.where("train")
    at, values = match_ids([str(i) for i in samples.ids[train]], read_labels(path, label_set), path)
    column = samples.targets[task].copy()
    changed = int((column[train[at]] != values).sum())
    column[train[at]] = values
    samples.targets[task] = column
    samples.facts["labels"] = {
        "file": path.name,
        "sha256": file_sha256(path),
        "n_train_named": len(at),
        "n_train_changed": changed,
        "n_train_left_out": int((values < 0).sum()),
    }


def _check(right: bool, path: Path, line: int, problem: str) -> None:
    if not right:
        problem = f"{path}, line {line}: {problem}."
        raise BadDataError(problem, "Correct the line, or write the file again with `fer-bench study reannotation`.")


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
