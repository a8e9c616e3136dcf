"""Predict single images with a trained network, through the very input that it was trained with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.atomic import write_atomically
from fer_bench.data.decoding import SUFFIXES, images_below, load_image
from fer_bench.deploy.model_card import Card
from fer_bench.deploy.predictor import OverClips, open_predictor
from fer_bench.errors import MissingDataError, Notice
from fer_bench.escaping import csv_text, one_line
from fer_bench.image_files import UnreadableImageError, kind_of
from fer_bench.results.store import Store
from fer_bench.value_sets import scale_text

BATCH = 64
# Of several labels, those that a line shows; a table has all.
LIKELIEST = 5


@dataclass(frozen=True)
class PredictionRow:
    """One image's prediction.

    Args:
        path: of the image.
        names: classes, or values.
        outputs: shape (C,); NaN for an image that cannot be read.
        error: why there is no prediction.
        kind: of the outputs, as of :class:`~fer_bench.deploy.model_card.Card`.
        scale: (low, high) that values are on.
    """

    path: Path
    names: tuple[str, ...]
    outputs: npt.NDArray[np.float32]
    error: str = ""
    kind: str = "classes"
    scale: tuple[float, float] = (-1.0, 1.0)

    @property
    def label(self) -> str:
        """The likeliest class, or nothing."""
        return self.names[int(self.outputs.argmax())] if self.kind == "classes" and not self.error else ""

    def line(self) -> str:
        """For people."""
        if self.error:
            return f"{one_line(self.path)}: {self.error}"
        shown = (
            range(len(self.names)) if self.kind != "labels" else np.argsort(-self.outputs, kind="stable")[:LIKELIEST]
        )
        numbers = ", ".join(f"{self.names[i]} {self.outputs[i]:.3f}" for i in shown)
        return f"{one_line(self.path)}: {self.label + '  ' if self.label else ''}({numbers})"


def find_images(places: Sequence[Path]) -> list[Path]:
    """Files as they are, folders searched for images, in natural order.

    Raises:
        MissingDataError: a place does not exist, or nothing was found.
    """
    found: list[Path] = []
    for place in places:
        kind = kind_of(place)
        if kind == "folder":
            found += images_below(place)
        elif kind == "file":
            found.append(place)
        else:
            problem = f"there is no file or folder {place}."
            raise MissingDataError(problem, "Check the name.")
    if not found:
        problem = f"found no image in {', '.join(map(str, places))}."
        raise MissingDataError(problem, f"Images end in {', '.join(sorted(SUFFIXES))}.")
    return found


def predict_files(store: Store, run: str, places: Sequence[Path], accelerator: str = "auto") -> list[PredictionRow]:
    """Predict images; for a temporal model the images of one folder are the frames of one clip, in the order of their
    names.

    Args:
        store: where the run's record is.
        run: its reference, or the path of an exported file (``.onnx``).
        places: files and folders.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """
    files = find_images(places)
    predictor = open_predictor(store, run, accelerator)
    card = predictor.card
    ask = predictor.features if isinstance(predictor, OverClips) else predictor.predict
    found: list[npt.NDArray[np.float32] | str] = []
    for start in range(0, len(files), BATCH):
        images = [_fitted(card, path) for path in files[start : start + BATCH]]
        batch = card.batch([image for image in images if not isinstance(image, str)])
        answers = iter(ask(batch))
        found += [image if isinstance(image, str) else next(answers) for image in images]
    if isinstance(predictor, OverClips):
        found = _as_clips(predictor, files, found)
    nothing = np.full(len(card.names), np.nan, dtype=np.float32)
    return [
        PredictionRow(path, card.names, nothing, one, card.kind, card.scale)
        if isinstance(one, str)
        else PredictionRow(path, card.names, one, "", card.kind, card.scale)
        for path, one in zip(files, found, strict=True)
    ]


def _as_clips(
    predictor: OverClips, files: Sequence[Path], found: Sequence[npt.NDArray[np.float32] | str]
) -> list[npt.NDArray[np.float32] | str]:
    """Outputs of a temporal model from the features of frames; what cannot be read is in no clip."""
    answered = list(found)
    folders = list(dict.fromkeys(path.parent for path in files))
    clips = "one clip" if len(folders) == 1 else f"a clip, {len(folders)} in all"
    warnings.warn(
        f"a temporal model: the images of each folder are taken as the frames of {clips}, in the order of their names.",
        Notice,
        stacklevel=3,
    )
    for folder in folders:
        frames = {i: one for i, one in enumerate(found) if files[i].parent == folder and not isinstance(one, str)}
        if frames:
            answered_here = predictor.clip(np.stack(list(frames.values())))
            for i, outputs in zip(frames, answered_here, strict=True):
                answered[i] = outputs
    return answered


def _fitted(card: Card, path: Path) -> npt.NDArray[np.uint8] | str:
    """An image as the network takes it, or why it cannot be read."""
    try:
        return card.fit_image(load_image(path, gray=card.channels == 1))
    except UnreadableImageError as error:
        return error.reason


def write_table(rows: Sequence[PredictionRow], path: Path) -> None:
    """Write a CSV file: image, prediction, one column per class or value, the scale of values, error."""
    scale = ["scale"] if rows[0].kind == "values" else []
    lines = (
        [
            row.path,
            row.label,
            *("" if row.error else f"{value:.6f}" for value in row.outputs),
            *(scale_text(row.scale) for _ in scale),
            row.error,
        ]
        for row in rows
    )
    write_atomically(path, csv_text(["image", "prediction", *rows[0].names, *scale, "error"], *lines).encode())
