"""Predictions of a network in a table, such as ``fer-bench predict --csv`` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_bench.errors import BadDataError
from fer_bench.escaping import csv_value
from fer_bench.studies.reannotation.study import AFFECT, NetworkOutputs
from fer_bench.value_sets import scale_from_text

_IMAGE = ("image", "id", "item", "file", "path", "name")
_NO_OUTPUT = {"prediction", "error", "sha256", "scale"}
# A network can leave the scale a little; one that leaves it by more was trained on another.
_FURTHEST = 1.5


def check_once(path: Path, images: pd.Series[str]) -> None:
    """Refuse a table that has an image twice: which of the two rows counts would be chance.

    Args:
        path: of the table, for the message.
        images: its column of images, after a header line.

    Raises:
        BadDataError: names the line.
    """
    again = np.flatnonzero(images.duplicated())
    if len(again):
        row = int(again[0])
        problem = f"{path}, line {row + 2}: {images.iloc[row]!r} is there twice."
        raise BadDataError(problem, "Keep one row for each image.")


def read_outputs(path: Path) -> NetworkOutputs:
    """Read a table of predictions.

    Args:
        path: a CSV with a column of images and a column per class (probabilities), or ``valence`` and ``arousal`` or
            one of them (-1 to 1, or on the scale that a column ``scale`` says).

    Returns:
        The outputs; images without numbers are left out.

    Raises:
        BadDataError: it is no such table, has an image twice, or its values are on another scale.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").map(csv_value)
    except (ValueError, OSError) as error:
        problem = f"{path}: not readable as CSV ({str(error).splitlines()[0]})."
        raise BadDataError(problem) from None
    image = next((name for name in _IMAGE if name in table.columns), None)
    names = [name for name in table.columns if name != image and name not in _NO_OUTPUT]
    values = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    known = ~np.isnan(values).any(axis=1) if names else np.zeros(len(table), dtype=bool)
    if image is None or not known.any():
        problem = f"{path}: needs a column of images and numbers per class, or of valence and arousal."
        raise BadDataError(problem, "`fer-bench predict FOLDER --run RUN --csv FILE` writes such a table.")
    check_once(path, table[image])
    if set(names) <= set(AFFECT) and "scale" in table.columns:
        values = _on_unit_scale(path, values, table["scale"])
    if set(names) <= set(AFFECT) and (furthest := float(np.abs(values[known]).max())) > _FURTHEST:
        said = f"values of {' and '.join(names)} reach {furthest:.4g}"
        problem = f"{path}: {said}, but those of a table are on the scale -1 to 1."
        raise BadDataError(problem, "Map them from the scale of the network's dataset to -1 to 1.")
    return NetworkOutputs(table[image].to_numpy(dtype=str)[known], values[known], tuple(names))


def _on_unit_scale(path: Path, values: npt.NDArray[np.float64], told: pd.Series[str]) -> npt.NDArray[np.float64]:
    """Values, shape (N, D), from the scale that each row says to -1 to 1."""
    scales = [(-1.0, 1.0) if not text else scale_from_text(text) for text in told]
    if (wrong := next((i for i, scale in enumerate(scales) if scale is None), None)) is not None:
        problem = f"{path}, line {wrong + 2}: {told.iloc[wrong]!r} is no scale."
        raise BadDataError(problem, "Write `from -10 to 10`, or leave the column out.")
    low, high = np.array(scales, dtype=np.float64).T[:, :, np.newaxis]
    return np.asarray((values - low) / (high - low) * 2 - 1)
