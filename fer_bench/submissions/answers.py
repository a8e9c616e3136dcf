"""From the columns of a file to answers: probabilities, classes or values, by the names of the columns alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.counting import counted
from fer_bench.errors import BadDataError
from fer_bench.labels import LabelSet, plain
from fer_bench.protocols import Protocol
from fer_bench.submissions.tables import Table, is_empty, is_finite, number
from fer_bench.untrusted import shown
from fer_bench.value_sets import scale_from_text, scale_text

# Names of the column that says which image a row is about.
NAMED_BY = ("id", "ids", "sample", "sample_id", "image", "images", "image_id", "file", "filename", "file_name", "path")
DIGESTS = ("sha256", "digest", "image_sha256")
# Columns of `fer-bench predict --csv` and of `fer-bench template` that are no answers.
ASIDE = ("prediction", "error", "class", "scale")
_ANSWER = ("class", "prediction")
# What rows of probabilities may lose to rounding; the scores allow the same.
SUM_TOLERANCE = 1e-2
_TEMPLATE = "`fer-bench template` writes a file with the right columns."


@dataclass(frozen=True)
class Answers:
    """What a file answers, row by row.

    Args:
        table: the rows of the file that answer anything: an image that could not be read may be any image.
        names: by which each row names its image.
        by_digest: whether these are digests.
        outputs: shape (N, C) probabilities, of classes or of each category, or (N, D) values.
        what: ``probabilities``, ``classes`` or ``values``.
        also: names of the images in further columns, by column; empty where a row has none.
    """

    table: Table
    names: list[str]
    by_digest: bool
    outputs: npt.NDArray[np.float32]
    what: str
    also: dict[str, list[str]]


def read_answers(table: Table, protocol: Protocol, asked: LabelSet | None = None) -> Answers:
    """Find the answers that a protocol asks for among the columns of a file.

    Args:
        table: as :func:`fer_bench.submissions.tables.read_table` gives it. Of classes it has one column per class, in
            any order and in any spelling that is known, or one column ``class``; where both are there, probabilities
            count, and the class must be the most probable one. Of values it has one column per dimension.
        protocol: says which.
        asked: the classes, where answers have others than the protocol; None: its own.

    Raises:
        BadDataError: a column is missing, unknown or there twice, or a cell is no answer; names the first such row.
    """
    labels = asked or protocol.task.labels
    taken = labels.find if labels is not None else (lambda name: 0 if plain(name) in protocol.task.dimensions else None)
    keys = _id_columns(table, [name for name in table.columns if taken(name) is None])
    key = keys[0]
    names = [_name(table, i, cell) for i, cell in enumerate(table.columns[key])]
    others = {name: cells for name, cells in table.columns.items() if name not in keys}
    kind = "probabilities" if protocol.task.kind == "labels" else "values"
    outputs, what = (
        (_values(table, others, protocol), kind) if labels is None else _classes(table, others, labels, protocol.name)
    )
    answered = np.flatnonzero(~np.isnan(outputs).all(axis=1)).tolist()
    if not answered:
        problem = f"{table.path}: none of its {len(table)} rows answers anything."
        raise BadDataError(problem, "Fill in the columns beside the ids.")
    kept = table.select(answered)
    also = {name: [_text(cell) for cell in kept.columns[name]] for name in keys[1:] if plain(name) not in DIGESTS}
    names = [names[i] for i in answered]
    return Answers(kept, names, plain(key) in DIGESTS, outputs[answered].astype(np.float32), what, also)


def id_column(names: Iterable[str]) -> str:
    """What the column of ids is called beside columns of some names."""
    used = {plain(name) for name in names}
    return next(name for name in NAMED_BY if name not in used)


def _id_columns(table: Table, names: list[str]) -> list[str]:
    """Columns that say which image a row is about, that which counts first."""
    known = {plain(name): name for name in names}
    found = [known[name] for name in (*NAMED_BY, *DIGESTS) if name in known]
    if not found:
        has = ", ".join(shown(name, 40) for name in list(table.columns)[:8])
        problem = f"{table.path}: no column says which image a row is about; the columns are {has}."
        raise BadDataError(
            problem, f"Call it id, file or sha256, and separate columns by commas, semicolons or tabs. {_TEMPLATE}"
        )
    return found


def _name(table: Table, i: int, cell: Any) -> str:
    if is_empty(cell) or (isinstance(cell, float) and not is_finite(cell)):
        problem = f"{table.where(i)}: the row names no image."
        raise BadDataError(problem, "Give every row the id of its image.")
    return _text(cell)


def _text(cell: Any) -> str:
    # Programs that read ids as numbers write 17 as 17.0.
    whole = isinstance(cell, float) and cell.is_integer()
    return "" if cell is None else str(int(cell)) if whole else str(cell).strip()


def _classes(
    table: Table, others: dict[str, list[Any]], labels: LabelSet, protocol: str
) -> tuple[npt.NDArray[np.float64], str]:
    places: dict[int, str] = {}
    aside: dict[str, list[Any]] = {}
    for name, cells in others.items():
        at = labels.find(name)
        if at is None and plain(name) in ASIDE:
            aside[plain(name)] = cells
        elif at is None:
            problem = (
                f"{table.path}: the column {shown(name, 40)!r} is no class of {protocol} ({', '.join(labels.names)})."
            )
            raise BadDataError(
                problem, "Predictions of another label set cannot be scored here; remove columns that are no classes."
            )
        elif at in places:
            problem = f"{table.path}: the columns {places[at]!r} and {name!r} both mean {labels.names[at]}."
            raise BadDataError(problem, "Leave one of them out.")
        else:
            places[at] = name
    if not places:
        given = [name for name in _ANSWER if name in aside]
        if not given:
            problem = f"{table.path}: there is no column of a class, and none called 'class'."
            raise BadDataError(problem, f"{protocol} asks for {', '.join(labels.names)}. {_TEMPLATE}")
        if len(given) > 1:
            # Of many programs one of them is the label.
            problem = f"{table.path}: the columns {' and '.join(map(repr, given))} both could be the answers."
            raise BadDataError(problem, "Leave one of them out; labels are not asked for.")
        single = aside[given[0]]
        return _one_hot(table, single, labels, protocol), "classes"
    missing = [name for i, name in enumerate(labels.names) if i not in places]
    if missing:
        problem = f"{table.path}: no column for {', '.join(missing)}; {protocol} has {len(labels)} classes."
        raise BadDataError(problem, f"Give the probability of every class. {_TEMPLATE}")
    outputs = _numbers(table, [(name, others[name]) for _, name in sorted(places.items())])
    _check_probabilities(table, outputs)
    # Beside a prediction the class is the label, which nobody asks for.
    if told := [name for name in ("prediction", "class") if name in aside]:
        _check_told(table, outputs, told[0], aside[told[0]], labels)
    return outputs, "probabilities"


def _check_told(
    table: Table, outputs: npt.NDArray[np.float64], column: str, cells: list[Any], labels: LabelSet
) -> None:
    """A class beside probabilities must be the most probable one: else columns have each other's names, or it is the
    label.
    """
    told = [None if is_empty(cell) else labels.find(str(cell)) for cell in cells]
    unknown = next((i for i, at in enumerate(told) if at is None and not is_empty(cells[i])), None)
    if unknown is not None:
        problem = f"{table.where(unknown)}: {column} is {shown(str(cells[unknown]), 40)}, which is no class."
        hint = f"The probabilities count: leave the column {column} out, or name classes ({', '.join(labels.names)})."
        raise BadDataError(problem, hint)
    wrong = np.array(
        [at is not None and row[at] < row.max() - SUM_TOLERANCE for at, row in zip(told, outputs, strict=True)]
    )
    if wrong.any():
        i = int(wrong.argmax())
        most = labels.names[int(outputs[i].argmax())]
        problem = (
            f"{table.where(i)}: {column} is {shown(str(cells[i]), 40)}, and the most probable class is"
            f" {most}{_more(wrong)}."
        )
        raise BadDataError(
            problem,
            f"Probabilities count: check the names of their columns, or leave out {column}; labels are not asked for.",
        )


def _one_hot(table: Table, cells: list[Any], labels: LabelSet, protocol: str) -> npt.NDArray[np.float64]:
    outputs = np.full((len(cells), len(labels)), np.nan)
    for i, cell in enumerate(cells):
        if is_empty(cell):
            continue
        at = labels.find(str(cell))
        if at is None:
            problem = f"{table.where(i)}: {shown(str(cell), 40)!r} is no class of {protocol}."
            raise BadDataError(problem, f"Its classes, by name and not by number, are {', '.join(labels.names)}.")
        outputs[i] = 0.0
        outputs[i, at] = 1.0
    return outputs


def _check_probabilities(table: Table, outputs: npt.NDArray[np.float64]) -> None:
    answered = ~np.isnan(outputs).all(axis=1)
    negative = np.asarray(answered & (outputs < 0).any(axis=1))
    total = outputs.sum(axis=1)
    wrong = np.asarray(negative | (answered & (np.abs(total - 1) > SUM_TOLERANCE)))
    if not wrong.any():
        return
    i = int(wrong.argmax())
    what = f"holds {outputs[i].min():.4g}, less than 0" if negative[i] else f"sums to {total[i]:.6g}, not to 1"
    problem = f"{table.where(i)}: the row of probabilities {what}{_more(wrong)}."
    raise BadDataError(problem, "Give probabilities (a softmax's outputs), not scores, logits or per cent.")


def _values(table: Table, others: dict[str, list[Any]], protocol: Protocol) -> npt.NDArray[np.float64]:
    wanted = protocol.task.dimensions
    found = {plain(name): name for name in others}
    unknown = [name for key, name in found.items() if key not in (*wanted, *ASIDE)]
    missing = [name for name in wanted if name not in found]
    if missing or unknown:
        what = f"no column {missing[0]!r}" if missing else f"the column {shown(unknown[0], 40)!r} is not asked for"
        problem = f"{table.path}: {what}; {protocol.name} asks for {', '.join(wanted)}."
        raise BadDataError(problem, f"Leave other columns out. {_TEMPLATE}")
    outputs = _numbers(table, [(found[name], others[found[name]]) for name in wanted])
    if protocol.task.kind == "labels":
        _check_labels(table, outputs)
        return outputs
    low, high = protocol.scale
    if "scale" in found:
        _check_scale(table, others[found["scale"]], protocol)
    if (wrong := far_outside(outputs, protocol.scale)).any():
        i = int(wrong.argmax())
        problem = (
            f"{table.where(i)}: a value is far outside the scale of {protocol.name}, {low:g} to {high:g}{_more(wrong)}."
        )
        raise BadDataError(problem, "Give values in the units of the dataset.")
    return outputs


def far_outside(outputs: npt.NDArray[np.floating[Any]], scale: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which rows, of shape (N, D), hold a value that is outside the scale by more than half its length; NaN is not."""
    low, high = scale
    slack = (high - low) / 2
    return np.asarray(((outputs < low - slack) | (outputs > high + slack)).any(axis=1))


def _check_scale(table: Table, cells: list[Any], protocol: Protocol) -> None:
    """Values that say themselves on which scale they are must be on the protocol's."""
    for i, cell in enumerate(cells):
        if not is_empty(cell) and scale_from_text(str(cell).strip()) != protocol.scale:
            told, wanted = shown(str(cell), 40), scale_text(protocol.scale)
            problem = f"{table.where(i)}: the values are on the scale {told}, those of {protocol.name} {wanted}."
            raise BadDataError(problem, "Map them to the scale of the dataset, and leave the column out.")


def _check_labels(table: Table, outputs: npt.NDArray[np.float64]) -> None:
    wrong = np.asarray(((outputs < 0) | (outputs > 1)).any(axis=1))
    if wrong.any():
        i = int(wrong.argmax())
        value = next(value for value in outputs[i] if not 0 <= value <= 1)
        problem = f"{table.where(i)}: {value:.4g} is not a probability{_more(wrong)}."
        raise BadDataError(problem, "Give the probability of each category, from 0 to 1 (a sigmoid's outputs).")


def _numbers(table: Table, columns: list[tuple[str, list[Any]]]) -> npt.NDArray[np.float64]:
    """Cells as numbers, shape (N, len(columns)); a row that is empty in all of them is NaN."""
    outputs = np.full((len(table), len(columns)), np.nan)
    for i in range(len(table)):
        cells = [cells[i] for _, cells in columns]
        if all(is_empty(cell) for cell in cells):
            continue
        for j, cell in enumerate(cells):
            value = number(cell)
            if value is None or not is_finite(value):
                text = "empty" if is_empty(cell) else f"{shown(str(cell), 40)}, not a number"
                problem = f"{table.where(i)}: {columns[j][0]} is {text}."
                raise BadDataError(problem, "An image without an answer has no row, or an empty cell in every column.")
            outputs[i, j] = value
    return outputs


def _more(wrong: npt.NDArray[np.bool_]) -> str:
    n = int(wrong.sum()) - 1
    return f" ({counted(n, 'more such row')})" if n else ""
