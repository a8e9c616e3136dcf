"""Read a study's answers, one row per rater and image, from CSV or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.escaping import csv_value
from fer_bench.labels import EMO8, EMO24, EMO24_TO_EMO8, FER7, FER8, LABEL_SETS, LabelSet
from fer_bench.studies.reannotation.scales import NOTES, SCALES, Scale, fitting
from fer_bench.studies.reannotation.study import AFFECT, Float, Int, Reannotation, Repeats, count_votes

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
    """Read the long format: columns ``rater``, ``image`` (or ``item``) and at least one of ``expression``, ``wheel``,
    ``valence``, ``arousal``.

    ``original_label``, ``presentation``, ``kind`` (item, repeat, catch, practice), ``skipped``, ``study``,
    ``study_version`` and ``response_ms`` are optional. A second presentation to the same rater counts as a repeat.
    Practice and skipped rows are left out. Where there is no expression but an emotion on Plutchik's wheel, its leaf
    counts as the expression. ``scale`` is that of a row's valence and arousal.

    Args:
        path: CSV (UTF-8, one header line) or Parquet.
        label_set: classes of ``expression`` and ``original_label``; by default FER8, FER7 or the smallest set that
            knows all labels.
        scale: "sam9" for ratings 1 to 9 (mapped to [-1, 1]), "findingemo" for valence -3 to 3 and arousal 0 to 6,
            "unit" for [-1, 1]; by default what the rows say, else inferred.

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
    wheel, table = _wheel(path, table, label_set)
    table, ignored = _without_foreign_labels(table, label_set)
    labels = label_set or _fitting_set(path, table)
    categories, expression = _categories(path, table["expression"], labels)
    original = _classes(path, table["original_label"], labels, "original_label")
    affect, used = _ratings(path, table, scale)
    notes = [f"Read as one answer per row from `{path.name}`; label set {labels.name}.", *used, *ignored]
    catch = (table["kind"] == "catch").to_numpy()
    asked = catch & (original >= 0) & (expression >= 0)
    return _assemble(
        _title(table),
        table[~catch],
        labels,
        categories,
        expression[~catch],
        wheel[~catch],
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
    wheel: Int,
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
        wheel=np.asarray(matrix(wheel, -1), dtype=np.int64) if (wheel >= 0).any() else np.empty((0, 0), dtype=np.int64),
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
    if lacking or not {"expression", "wheel", *AFFECT} & set(table.columns):
        problem = (
            f"{path}, line 1: needs the columns rater, image and one of expression, wheel, valence, arousal; found:"
            f" {', '.join(table.columns)[:200]}."
        )
        raise BadDataError(problem, "Export the answers with `fer-bench annotate export`.")
    optional = ("expression", "wheel", *AFFECT, "scale", "original_label", "presentation", "kind", "skipped", "study")
    for column in optional:
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
    named = ",".join(sorted(found)[:3])
    raise BadDataError(problem, f"Known sets: {', '.join(LABEL_SETS)}; or name all classes: --label-set {named},...")


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
    """Valence and arousal, shape (2, rows), in [-1, 1], and notes on the scales they were given in."""
    values = np.empty((2, len(table)))
    for k, name in enumerate(AFFECT):
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero(np.isnan(numbers) & (table[name] != "").to_numpy())
        if len(wrong):
            _fail(path, table.index[wrong[0]], f"{name} is {table[name].iloc[wrong[0]]!r}, not a number")
        values[k] = numbers
    rated = ~np.isnan(values).all(axis=0)
    stated = np.array([scale] * len(table) if scale else table["scale"].str.lower().to_numpy(dtype=str))
    out, notes = values.copy(), []
    for name in sorted(set(stated[rated].tolist())):
        rows = np.flatnonzero(rated & (stated == name))
        if name and name not in SCALES:
            _fail(path, table.index[rows[0]], f"scale is {name!r}, not one of {', '.join(SCALES)}")
        named: list[Scale] = [known for known in SCALES if known == name]
        chosen = named[0] if named else _inferred(path, table, values[:, rows], rows)
        off = rows[~SCALES[chosen].holds(values[:, rows]).all(axis=0)]
        if len(off):
            _off_scale(path, table, values, int(off[0]), f"not {SCALES[chosen].about}")
        out[:, rows] = SCALES[chosen].unit(values[:, rows])
        notes.append(NOTES[chosen])
    return out, notes


def _inferred(path: Path, table: pd.DataFrame, values: Float, rows: Int) -> Scale:
    """The scale that some rows' ratings, shape (2, M), are on."""
    fits = fitting(values)
    if not fits:
        # The likeliest scale is the one that most rows are on.
        held = {name: scale.holds(values).all(axis=0) for name, scale in SCALES.items()}
        bad = rows[~max(held.values(), key=np.sum)]
        whole = np.full((2, len(table)), np.nan)
        whole[:, rows] = values
        scales = "; ".join(f"{name}: {scale.about}" for name, scale in SCALES.items())
        _off_scale(path, table, whole, int(bad[0]), f"ratings fit no scale ({scales})")
    if fits[:2] == ["unit", "sam9"]:
        problem = f"{path}: every rating is 1, which is on several scales."
        raise BadDataError(
            problem, "Say which one: --scale sam9 (1 to 9), unit (-1 to 1) or findingemo (-3 to 3, 0 to 6)."
        )
    return fits[0]


def _off_scale(path: Path, table: pd.DataFrame, values: Float, row: int, what: str) -> NoReturn:
    shown = ", ".join(
        f"{name} {value:g}" for name, value in zip(AFFECT, values[:, row], strict=True) if not np.isnan(value)
    )
    _fail(path, table.index[row], f"{shown}: {what}")


def _wheel(path: Path, table: pd.DataFrame, label_set: LabelSet | None) -> tuple[Int, pd.DataFrame]:
    """Class ids on Plutchik's wheel of each row, -1 where none, and the table with leaves as expressions where it has
    no others.
    """
    given = table["wheel"]
    codes = {value: EMO24.find(value) for value in given.unique()}
    for value, code in codes.items():
        if code is None and value and value.lower() not in UNKNOWN:
            _fail(path, int(table.index[(given == value).to_numpy()][0]), f"wheel is {value!r}, which is not on it")
    emotions = np.array([-1 if codes[value] is None else codes[value] for value in given], dtype=np.int64)
    if (table["expression"] == "").all() and (given != "").any():
        whole = label_set is EMO24

        def name(value: str) -> str:
            code = codes[value]
            return value if whole or code is None else EMO8.names[EMO24_TO_EMO8[code]]

        table = table.assign(expression=[name(value) for value in given])
        if not whole:
            found = {value: EMO24.find(value) for value in table["original_label"].unique()}
            # Folders may be named after emotions of any ring.
            of_leaf = {value: EMO8.names[EMO24_TO_EMO8[code]] for value, code in found.items() if code is not None}
            table = table.assign(original_label=table["original_label"].replace(of_leaf))
    return emotions, table


def _without_foreign_labels(table: pd.DataFrame, label_set: LabelSet | None) -> tuple[pd.DataFrame, list[str]]:
    """Original labels are often the names of folders: where none of them is a class, they are none at all."""
    given = [value for value in table["original_label"].unique() if value]
    sets = [label_set] if label_set else [LABEL_SETS[name] for name in LABEL_SETS]
    if not given or any(labels.find(value) is not None for labels in sets for value in given):
        return table, []
    shown = ", ".join(given[:3])
    return table.assign(original_label=""), [f"The original labels ({shown}) are no classes, and were left out."]


def _title(table: pd.DataFrame) -> str:
    names = [n for n in table["study"].unique() if n]
    return f"Re-annotation study {', '.join(names)}" if names else "Re-annotation study"
