"""Predict single images with a trained network, through the very input that it was trained with."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data.decoding import SUFFIXES, read_image
from fer_bench.errors import MissingDataError
from fer_bench.predictions import write_atomically
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

BATCH = 64


@dataclass(frozen=True)
class Row:
    """One image's prediction.

    Args:
        path: of the image.
        names: classes, or values.
        outputs: shape (C,); NaN for an image that cannot be read.
        error: why there is no prediction.
        classes: whether outputs are probabilities.
    """

    path: Path
    names: tuple[str, ...]
    outputs: npt.NDArray[np.float32]
    error: str = ""
    classes: bool = True

    @property
    def label(self) -> str:
        """The likeliest class, or nothing."""
        return self.names[int(self.outputs.argmax())] if self.classes and not self.error else ""

    def line(self) -> str:
        """For people."""
        if self.error:
            return f"{self.path}: {self.error}"
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in zip(self.names, self.outputs, strict=True))
        return f"{self.path}: {self.label + '  ' if self.classes else ''}({numbers})"


def find_images(places: Sequence[Path]) -> list[Path]:
    """Files as they are, folders searched for images, in order.

    Raises:
        MissingDataError: a place does not exist, or nothing was found.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
        elif place.is_file():
            found.append(place)
        else:
            problem = f"there is no file or folder {place}."
            raise MissingDataError(problem, "Check the name.")
    if not found:
        problem = f"found no image in {', '.join(map(str, places))}."
        raise MissingDataError(problem, f"Images end in {', '.join(sorted(SUFFIXES))}.")
    return found


def predict_files(store: Store, run: str, places: Sequence[Path], accelerator: str = "auto") -> list[Row]:
    """Predict images.

    Args:
        store: where the run's record lies.
        run: its reference.
        places: files and folders.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """
    import torch

    from fer_bench.spec import build
    from fer_bench.training import machine
    from fer_bench.training.trained import load_any

    files = find_images(places)
    execution = build({"execution": {"accelerator": accelerator}}, "the command line").execution
    trained = load_any(store, run, execution)
    device = machine.resolve(RunSpec(execution=execution)).device
    task = trained.task.to(device)
    labels = trained.protocol.task.labels
    names = labels.names if labels else ("valence", "arousal")
    rows: list[Row] = []
    for start in range(0, len(files), BATCH):
        block = files[start : start + BATCH]
        images = [read_image(path, trained.native_size) for path in block]
        readable = [image for image in images if image is not None]
        outputs: list[npt.NDArray[np.float32]] = []
        if readable:
            with torch.inference_mode():
                batch = torch.from_numpy(np.stack(readable)).unsqueeze(1).to(device)
                outputs = list(task.predict_step({"image": batch}).float().cpu().numpy())
        answers = iter(outputs)
        for path, image in zip(block, images, strict=True):
            if image is None:
                rows.append(Row(path, names, np.full(len(names), np.nan, dtype=np.float32), "cannot be read as an image", labels is not None))
            else:
                rows.append(Row(path, names, next(answers), "", labels is not None))
    return rows


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write a CSV file: image, prediction, one column per class or value, error."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "prediction", *rows[0].names, "error"])
    for row in rows:
        writer.writerow([row.path, row.label, *("" if row.error else f"{value:.6f}" for value in row.outputs), row.error])
    write_atomically(path, text.getvalue().encode())
