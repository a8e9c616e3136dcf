"""What a copy of AffectNet holds before any label is judged, and which files are in a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter_name

COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)


@dataclass(frozen=True)
class RawIndex:
    """Every row whose image is there, before any label is judged.

    Args:
        release: "lists", "2021", or "folder" (one images/ and one annotations/ folder of the 2021 kind, as courses hand
            them out).
        root: the folder that ``paths`` are relative to.
        ids: shape (N,).
        paths: shape (N,).
        is_train: shape (N,); of a "folder" all False where it is the release's validation set, and all True where
            nothing says what it is.
        expression: shape (N,), AffectNet's code, -1 where missing.
        valence: shape (N,), as stored, NaN where missing.
        arousal: shape (N,), as stored, NaN where missing.
        boxes: shape (N, 4), x, y, width, height as stored, -1 where missing.
        landmarks: shape (N, 68, 2), NaN where missing.
        missing: reason to number of rows that could not become a row here.
    """

    release: str
    root: Path
    ids: npt.NDArray[np.str_]
    paths: npt.NDArray[np.str_]
    is_train: npt.NDArray[np.bool_]
    expression: npt.NDArray[np.int64]
    valence: npt.NDArray[np.float32]
    arousal: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    missing: dict[str, int]


ARRAYS = tuple(f.name for f in fields(RawIndex) if f.name not in ("release", "root", "missing"))


def codes_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Expression codes as integers; -1, which is none, for what is not a whole number: it must not become another
    code.
    """
    whole = np.isfinite(values) & (values == np.floor(values))
    return np.where(whole, values, -1).astype(np.int64)


def names_in(folder: Path) -> set[str]:
    """Names of the files of a folder, without what file managers leave behind."""
    with os.scandir(folder) as entries:
        return {e.name for e in entries if not e.is_dir() and not is_clutter_name(e.name)}
