"""The empty file that a program fills in, and the test images that it answers."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from fer_bench.atomic import write_atomically
from fer_bench.data.sample_names import picture_names
from fer_bench.errors import BadDataError, FerBenchError
from fer_bench.escaping import csv_text
from fer_bench.submissions.answers import id_column
from fer_bench.submissions.ids import image_digest
from fer_bench.submissions.questions import Questions

IMAGES = "images"
TABLE = "images.csv"
# In a folder that is not complete yet; it says of what.
UNFINISHED = "unfinished.txt"


def write_template(questions: Questions, path: Path) -> int:
    """Write a CSV with the ids of all test samples and empty cells for the answers.

    Args:
        questions: of the protocol.
        path: of a file that does not exist yet; ``.csv``.

    Returns:
        Number of samples.

    Raises:
        FerBenchError: there is a file of that name, or it is named after another format.
    """
    if path.suffix.lower() != ".csv":
        problem = f"{path}: the ids are written as CSV."
        raise FerBenchError(problem, "Give a name that ends in .csv; `submit` reads .parquet and .npz, too.")
    if path.exists():
        problem = f"{path}: exists."
        raise FerBenchError(problem, "Give another name, so that no answers are lost.")
    names = questions.columns
    lines = ([identifier, *("" for _ in names)] for identifier in questions.ids.tolist())
    write_atomically(path, csv_text([id_column(names), *names], *lines).encode())
    return len(questions.ids)


def write_images(questions: Questions, out: Path) -> int:
    """Write all test images as ``images/<id>.png`` and a table ``images.csv`` of ``id``, ``file`` and ``sha256``. A
    folder that a killed call has left is completed.

    The digest is of the pixels, see :func:`fer_bench.submissions.ids.image_digest`. No label is written, but ids
    of class folders are paths that hold it.

    Args:
        questions: of the protocol, with images.
        out: a folder that does not exist yet, is empty, or was begun with the same images.

    Returns:
        Number of images.

    Raises:
        FerBenchError: the folder has something in it.
        BadDataError: the images are not on this machine.
    """
    if questions.images is None:
        problem = f"{questions.protocol.name}: its images are not on this machine."
        raise BadDataError(problem, "Name the dataset's folder with --data-dir.")
    _begin(questions, out)
    lines, taken = [], set[str]()
    for i, (identifier, name) in enumerate(
        zip(questions.ids.tolist(), picture_names(questions.ids.tolist()), strict=True)
    ):
        image = np.asarray(questions.images[i])
        file = _inside(name)
        if file in taken:
            file = f"{i}-{file.rpartition('/')[2]}"
        taken.add(file)
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        path = out / IMAGES / file
        write_atomically(path, content.getvalue())
        lines.append([identifier, f"{IMAGES}/{file}", image_digest(image)])
    # Last, so that a folder with it is whole.
    write_atomically(out / TABLE, csv_text(["id", "file", "sha256"], *lines).encode())
    (out / UNFINISHED).unlink(missing_ok=True)
    return len(lines)


def _begin(questions: Questions, out: Path) -> None:
    """Mark a folder as unfinished; it must be empty, or be marked already by the same images."""
    marker = out / UNFINISHED
    names = hashlib.sha256("\n".join(questions.ids.tolist()).encode()).hexdigest()[:16]
    mark = f"{questions.protocol.name} {len(questions.ids)} {names}\n".encode()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        begun = marker.read_bytes() if marker.is_file() else None
        if begun != mark:
            what = "exists and is not an empty folder" if begun is None else "holds a part of other images"
            problem = f"{out}: {what}."
            raise FerBenchError(problem, "Give another folder.")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(marker, mark)


def _inside(name: str) -> str:
    """A sample's name as that of a file below a folder: no part of it leads out."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts or ["_"]) + ".png"
