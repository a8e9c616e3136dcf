"""Read a study's answers, one row per rater and image, from CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.escaping import csv_value
from fer_bench.labels import FER7, FER8, LABEL_SETS, LabelSet
from fer_bench.studies.reannotation.study import AFFECT, Float, Int, Reannotation, Repeats, count_votes

Scale = Literal["sam9", "unit"]

OTHER_NAMES = {
    "category": "expression",
    "label": "original_label",
    "item_id": "item",
    "rater_id": "rater",
    "status": "skipped",
}
UNKNOWN = {
    "unknown": "unknown",
    "uncertain": "unknown",
    "none": "unknown",
    "nf": "not a face",
    "no-face": "not a face",
    "not a face": "not a face",
}
KINDS = {"item": "item", "main": "item", "": "item", "repeat": "repeat", "catch": "catch", "practice": "practice"}
_TRUE, _FALSE = {"1", "true", "yes", "skipped"}, {"", "0", "false", "no", "answered"}


def read_answers(path: Path, label_set: LabelSet | None = None, scale: Scale | None = None) -> Reannotation:
    """Read the long format: columns ``rater``, ``image`` (or ``item``) and at least one of ``expression``, ``valence``,
    ``arousal``.

    ``original_label``, ``presentation``, ``kind`` (item, repeat, catch, practice), ``skipped``, ``study``,
    ``study_version`` and ``response_ms`` are optional. A second presentation to the same rater counts as a repeat.
    Practice and skipped rows are left out.

    Args:
        path: CSV (UTF-8, one header line) or Parquet.
        label_set: classes of ``expression`` and ``original_label``; by default FER8, FER7 or the smallest set that
            knows all labels.
        scale: "sam9" for ratings 1 to 9 (mapped to [-1, 1]), "unit" for [-1, 1]; by default inferred.

    Returns:
        The study.

    Raises:
        MissingDataError: the file does not exist.
        BadDataError: a column is missing, or a line is wrong; the message names the line.
    """
    table = _read_table(path)
    kind = _mapped(path, table["kind"], KINDS, "kind")
    skipped = (
        _mapped(path, table["skipped"], {**dict.fromkeys(_TRUE, "1"), **dict.fromkeys(_FALSE, "0")}, "skipped") == "1"
    )
    table = table.assign(kind=kind)[((kind != "practice") & ~skipped).to_numpy()]
    for column in ("rater", "image"):
        empty = np.flatnonzero((table[column] == "").to_numpy())
        if len(empty):
            _fail(path, table.index[empty[0]], f"{column} is empty")
    if table.empty:
        problem = f"{path}: no answers in it other than to practice and skipped images."
        raise BadDataError(problem, "Export the answers again when raters have answered.")
    labels = label_set or _fitting_set(path, table)
    categories, expression = _categories(path, table["expression"], labels)
    original = _classes(path, table["original_label"], labels, "original_label")
    affect, used = _ratings(path, table, scale)
    notes = [f"Read as one answer per row from `{path.name}`; label set {labels.name}.", *used]
    catch = (table["kind"] == "catch").to_numpy()
    asked = catch & (original >= 0) & (expression >= 0)
    return _assemble(
        _title(table),
        table[~catch],
        labels,
        categories,
        expression[~catch],
        original[~catch],
        affect[:, ~catch],
        (int((expression[asked] == original[asked]).sum()), int(asked.sum())),
        notes,
    )


def _assemble(
    title: str,
    table: pd.DataFrame,
    labels: LabelSet,
    categories: tuple[str, ...],
    expression: Int,
    original: Int,
    affect: Float,
    catch: tuple[int, int],
    notes: list[str],
) -> Reannotation:
    ids, image = np.unique(table["image"].to_numpy(dtype=str), return_inverse=True)
    raters, rater = np.unique(table["rater"].to_numpy(dtype=str), return_inverse=True)
    presentation = pd.to_numeric(table["presentation"], errors="coerce").fillna(1).to_numpy()
    # Of several answers to one image, the first that was not meant as a repeat is the answer, the next one the repeat.
    order = np.lexsort((np.arange(len(table)), presentation, (table["kind"] == "repeat").to_numpy(), image, rater))
    cell = rater[order] * len(ids) + image[order]
    first = np.r_[True, cell[1:] != cell[:-1]]
    second = np.r_[False, first[:-1]] & ~first
    rows, again, before = order[first], order[second], order[np.flatnonzero(second) - 1]

    def matrix(values: Int | Float, empty: float) -> Any:
        out: Any = np.full((len(raters), len(ids)), empty, dtype=values.dtype)
        out[rater[rows], image[rows]] = values[rows]
        return out

    per_image = np.full(len(ids), -1, dtype=np.int64)
    per_image[image[::-1]] = original[::-1]
    expressions = np.asarray(matrix(expression, -1), dtype=np.int64)
    pairs = np.stack([before, again], axis=1) if len(again) else np.empty((0, 2), dtype=np.int64)
    return Reannotation(
        title=title,
        ids=tuple(ids.tolist()),
        label_set=labels,
        categories=categories,
        original=per_image,
        counts=count_votes(expressions, len(categories)),
        raters=tuple(raters.tolist()),
        expression=expressions,
        valence=np.asarray(matrix(affect[0], np.nan)),
        arousal=np.asarray(matrix(affect[1], np.nan)),
        repeats=Repeats(rater[again], expression[pairs], affect[0][pairs], affect[1][pairs]) if len(again) else None,
        catch=catch,
        notes=tuple(notes),
    )


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        problem = f"{path}: no such file of answers."
        raise MissingDataError(
            problem,
            "Give the CSV or Parquet file that `fer-bench annotate export` wrote, or a folder with fer2013new.csv.",
        )
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).map(lambda value: "" if pd.isna(value) else str(value))
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").map(csv_value)
    except (ValueError, OSError) as error:
        problem = (
            f"{path}: not readable as {'Parquet' if path.suffix == '.parquet' else 'CSV'}"
            f" ({str(error).splitlines()[0]})."
        )
        raise BadDataError(problem, "Export the answers again.") from None
    table.columns = [
        OTHER_NAMES.get(c.strip(), c.strip()) if OTHER_NAMES.get(c.strip()) not in table.columns else c.strip()
        for c in table.columns
    ]
    if "image" not in table.columns and "item" in table.columns:
        table["image"] = table["item"]
    lacking = [c for c in ("rater", "image") if c not in table.columns]
    if lacking or not {"expression", *AFFECT} & set(table.columns):
        problem = (
            f"{path}, line 1: needs the columns rater, image and one of expression, valence, arousal; found:"
            f" {', '.join(table.columns)[:200]}."
        )
        raise BadDataError(problem, "Export the answers with `fer-bench annotate export`.")
    for column in ("expression", *AFFECT, "original_label", "presentation", "kind", "skipped", "study"):
        if column not in table.columns:
            table[column] = ""
    stripped: pd.DataFrame = table.apply(lambda column: column.str.strip())
    return stripped


def _fail(path: Path, row: int, problem: str) -> NoReturn:
    problem = f"{path}, line {row + 2}: {problem}."
    raise BadDataError(problem, "Correct the line or export the answers again.")


def _mapped(path: Path, column: pd.Series[str], known: dict[str, str], name: str) -> pd.Series[str]:
    out = column.str.lower().map(known)
    wrong = np.flatnonzero(out.isna())
    if len(wrong):
        _fail(
            path, int(wrong[0]), f"{name} is {column.iloc[wrong[0]]!r}, not one of {', '.join(k for k in known if k)}"
        )
    return out


def _fitting_set(path: Path, table: pd.DataFrame) -> LabelSet:
    found = {
        v.lower() for c in ("expression", "original_label") for v in table[c].unique() if v and v.lower() not in UNKNOWN
    }
    for labels in (
        FER8 if found & {"contempt", "contemptuous"} else FER7,
        FER8,
        *sorted((LABEL_SETS[name] for name in LABEL_SETS), key=len),
    ):
        if all(labels.find(label) is not None for label in found):
            return labels
    problem = f"{path}: no label set has all the labels found: {', '.join(sorted(found))[:300]}."
    raise BadDataError(problem, f"Known sets: {', '.join(LABEL_SETS)}.")


def _categories(path: Path, column: pd.Series[str], labels: LabelSet) -> tuple[tuple[str, ...], Int]:
    extras = [UNKNOWN[v.lower()] for v in column.unique() if labels.find(v) is None and v.lower() in UNKNOWN]
    categories = (*labels.names, *sorted(set(extras), reverse=True))
    codes = {v: labels.find(v) for v in column.unique()}
    for value, code in codes.items():
        if code is None and value:
            if value.lower() not in UNKNOWN:
                _fail(
                    path,
                    int(column.index[(column == value).to_numpy()][0]),
                    f"expression {value!r} is not one of {', '.join(categories)}",
                )
            codes[value] = categories.index(UNKNOWN[value.lower()])
    return categories, np.array([-1 if codes[v] is None else codes[v] for v in column], dtype=np.int64)


def _classes(path: Path, column: pd.Series[str], labels: LabelSet, name: str) -> Int:
    codes = {v: labels.find(v) for v in column.unique()}
    for value, code in codes.items():
        if code is None and value and value.lower() not in UNKNOWN:
            _fail(
                path,
                int(column.index[(column == value).to_numpy()][0]),
                f"{name} {value!r} is not one of {', '.join(labels.names)}",
            )
    return np.array([-1 if codes[v] is None else codes[v] for v in column], dtype=np.int64)


def _ratings(path: Path, table: pd.DataFrame, scale: Scale | None) -> tuple[Float, list[str]]:
    """Valence and arousal, shape (2, rows), in [-1, 1], and a note on the scale they were given in."""
    values = np.empty((2, len(table)))
    for k, name in enumerate(AFFECT):
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero(np.isnan(numbers) & (table[name] != "").to_numpy())
        if len(wrong):
            _fail(path, table.index[wrong[0]], f"{name} is {table[name].iloc[wrong[0]]!r}, not a number")
        values[k] = numbers
    known = values[~np.isnan(values)]
    if known.size == 0:
        return values, []
    is_sam = bool(((known >= 1) & (known <= 9) & (known == np.round(known))).all())
    is_unit = bool((np.abs(known) <= 1).all())
    if scale is None and is_sam and is_unit:
        problem = f"{path}: every rating is 1, which is on both scales."
        raise BadDataError(problem, "Say which one: --scale sam9 (1 to 9) or --scale unit (-1 to 1).")
    chosen = scale or ("unit" if is_unit else "sam9")
    if not (is_sam if chosen == "sam9" else is_unit):
        allowed = ((values >= 1) & (values <= 9)) if chosen == "sam9" else (np.abs(values) <= 1)
        bad = np.flatnonzero((~allowed & ~np.isnan(values)).any(axis=0))
        row = int(bad[0]) if len(bad) else 0
        _fail(
            path,
            table.index[row],
            f"valence {values[0, row]:g}, arousal {values[1, row]:g}: ratings fit neither integers from 1 to 9 nor -1"
            " to 1",
        )
    if chosen == "sam9":
        return (values - 5) / 4, [
            "Ratings are on the 9-point SAM scale, mapped from 1..9 to -1..1 as (rating - 5) / 4."
        ]
    return values, ["Ratings are on the scale -1..1 as given."]


def _title(table: pd.DataFrame) -> str:
    names = [n for n in table["study"].unique() if n]
    return f"Re-annotation study {', '.join(names)}" if names else "Re-annotation study"
