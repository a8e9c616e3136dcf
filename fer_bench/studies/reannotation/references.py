"""What was known of a study's images before it: the shares of the classes in the whole dataset, and the ratings of the
earlier annotator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.escaping import csv_value
from fer_bench.studies.reannotation.outputs import check_once
from fer_bench.studies.reannotation.scales import SCALES, Scale, fitting
from fer_bench.studies.reannotation.study import AFFECT, NetworkOutputs

_IMAGE = ("image", "item", "id", "path", "file", "subDirectory_filePath", "image_path")
_LABEL = ("original_label", "label", "expression", "class", "category", "emotion")
_NUMBER = ("images", "count", "n", "number")
# AffectNet's lists have numbers for classes; the others are no expressions.
_AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
_NO_VALUE = -2.0  # AffectNet's


@dataclass(frozen=True)
class References:
    """What is known.

    Args:
        counts: class to number of images in the whole dataset; empty where that is not known.
        labels: image to original label.
        ratings: the earlier annotator's valence and arousal in [-1, 1]; None where there are none.
        notes: how the files were read.
    """

    counts: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ratings: NetworkOutputs | None = None
    notes: tuple[str, ...] = ()


def read_references(paths: Iterable[Path], scale: Scale | None = None, likely: Scale | None = None) -> References:
    """Read tables of classes (a label and a number of images) and of images (label, valence, arousal, as there are);
    AffectNet's own lists are both.

    Args:
        paths: of CSV files.
        scale: of valence and arousal; by default inferred.
        likely: that of the answers: of several scales that a reference may be on, it is on this one.

    Returns:
        All of them together; of two that say the same, the later one counts.

    Raises:
        MissingDataError: a file does not exist.
        BadDataError: it is neither.
    """
    found = References()
    for path in paths:
        new = _read(path, scale, likely)
        found = References(
            new.counts or found.counts,
            found.labels | new.labels,
            new.ratings or found.ratings,
            (*found.notes, *new.notes),
        )
    return found


def _read(path: Path, scale: Scale | None, likely: Scale | None) -> References:
    if not path.is_file():
        problem = f"{path}: no such reference."
        raise MissingDataError(problem, "Give a CSV of classes (label,images) or of images (image,label,valence,...).")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").map(csv_value)
    except (ValueError, OSError) as error:
        problem = f"{path}: not readable as CSV ({str(error).splitlines()[0]})."
        raise BadDataError(problem) from None
    table.columns = [str(name).strip() for name in table.columns]
    image, label, number = (_first(table.columns, names) for names in (_IMAGE, _LABEL, _NUMBER))
    if image is None and label and number:
        counts = pd.to_numeric(table[number], errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero(~(counts >= 0))
        if len(wrong):
            shown = table[number].iloc[int(wrong[0])]
            problem = f"{path}, line {wrong[0] + 2}: {number} is {shown!r}, not a number of images."
            raise BadDataError(problem)
        return References(counts=dict(zip(table[label].str.strip(), counts.tolist(), strict=True)))
    affect = [name for name in AFFECT if name in table.columns]
    if image is None or not (label or affect):
        problem = (
            f"{path}, line 1: needs a class and its number of images, or an image and one of label, valence, arousal;"
            f" found: {', '.join(table.columns)[:200]}."
        )
        raise BadDataError(problem, "Such as label,images or image,label,valence,arousal.")
    names = table[image].str.strip().tolist()
    check_once(path, table[image].str.strip())
    labels = _labels(table[label].str.strip().tolist()) if label else [""] * len(names)
    numbered = bool(label) and labels != table[label].str.strip().tolist()
    ratings, notes = _ratings(path, table, affect, names, (scale, likely)) if affect else (None, ())
    # A list of AffectNet's is the whole dataset; a table of the study's images is not.
    counts_of = dict(Counter(name for name in labels if name)) if numbered else {}
    return References(
        {name: float(n) for name, n in counts_of.items()},
        {name: text for name, text in zip(names, labels, strict=True) if text},
        ratings,
        notes,
    )


def _first(columns: Iterable[str], names: Sequence[str]) -> str | None:
    there = set(columns)
    return next((name for name in names if name in there), None)


def _labels(texts: list[str]) -> list[str]:
    """Names of classes; numbers are AffectNet's."""
    if not all(text.isascii() and text.isdigit() for text in texts):
        return texts
    return [_AFFECTNET[int(text)] if int(text) < len(_AFFECTNET) else "" for text in texts]


def _ratings(
    path: Path, table: pd.DataFrame, affect: list[str], names: list[str], scales: tuple[Scale | None, Scale | None]
) -> tuple[NetworkOutputs | None, tuple[str, ...]]:
    scale, likely = scales
    values = np.full((2, len(table)), np.nan)
    for name in affect:
        values[AFFECT.index(name)] = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
    # Of both, or of the only one: FindingEmo's valence can be -2, its arousal cannot.
    none = (values[[AFFECT.index(name) for name in affect]] == _NO_VALUE).all(axis=0)
    if len(affect) > 1 or "findingemo" not in (scale, likely):
        values[:, none] = np.nan
    known = ~np.isnan(values).all(axis=0)
    if not known.any():
        return None, ()
    fits = [scale] if scale and SCALES[scale].holds(values).all() else [] if scale else fitting(values)
    fits.sort(key=lambda name: name != likely)
    if not fits:
        problem = f"{path}: valence and arousal are not {SCALES[scale].about if scale else 'on a known scale'}."
        raise BadDataError(problem, f"Scales: {'; '.join(f'{name}: {s.about}' for name, s in SCALES.items())}.")
    unit = SCALES[fits[0]].unit(values)[:, known].T
    columns = [AFFECT.index(name) for name in affect]
    ids = np.array(names)[known]
    note = f"The earlier annotator's valence and arousal are read from `{path.name}` (scale {fits[0]})."
    return NetworkOutputs(ids, unit[:, columns], tuple(affect)), (note,)
