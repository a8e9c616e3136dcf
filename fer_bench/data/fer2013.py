"""FER2013 in the layouts in which it circulates: ``fer2013.csv``, ``icml_face_data.csv``, image folders.

35,887 grey faces of 48 x 48 px, seven expressions; Training, PublicTest and PrivateTest are train, validation and test (28,709 / 3,589 / 3,589).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data import files, folder
from fer_bench.data.base import AffectDataModule
from fer_bench.data.samples import SPLITS, Images, Samples, sample_digests, split_checksum
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7

READER_VERSION = "1"
SIDE = 48
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
OFFICIAL = {"train": 28709, "validation": 3589, "test": 3589}
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
_NAMED_BY_ROW = re.compile(r"/(\w+?)_0*(\d+)\.\w+$")
HOW_TO_GET = "FER2013 is the data of Kaggle's 'Challenges in Representation Learning: Facial Expression Recognition Challenge'; fer2013.csv is in its archive."


class FER2013DataModule(AffectDataModule):
    """FER2013 with its official splits and its own seven labels."""

    dataset = "fer2013"

    def read(self) -> Samples:
        """Read whichever layout is there."""
        return read_fer2013(self.data_dir)


def read_fer2013(data_dir: str | None) -> Samples:
    """Read FER2013.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.

    Returns:
        Samples with ids of five digits (the row of ``fer2013.csv``) and the target ``fer7``. For image folders the ids are file names, unless the copy is
        complete and every file is named by its row (``Training_00017.png``): then the samples are those of the CSV, in its order.

    Raises:
        MissingDataError: no known layout was found.
        BadDataError: a malformed row, a label out of range, an image of another size, an empty class.
    """
    folders = files.candidates("fer2013", data_dir)
    if path := find_csv(data_dir):
        return _from_csv(path)
    for place in folders:
        if folder.has_class_folders(place, FER7):
            return _by_row(folder.read_folder("fer2013", place, FER7, side=SIDE, official=OFFICIAL))
    raise files.missing("fer2013", (*CSV_NAMES, "train/ and test/ with class folders"), folders, HOW_TO_GET)


def find_csv(data_dir: str | None) -> Path | None:
    """The first of the known CSV files in the first folder that has one."""
    return next((path for place in files.candidates("fer2013", data_dir) for name in CSV_NAMES if (path := place / name).is_file()), None)


def _from_csv(path: Path) -> Samples:
    key = f"{READER_VERSION}-{files.file_sha256(path)}"
    arrays, facts = files.cached("fer2013", key, lambda: _parse(path))
    usage = np.array(SPLITS)[arrays["split"]]
    n = len(usage)
    return Samples(
        ids=np.array([f"{row:05d}" for row in range(n)]),
        images=arrays["images"],
        split=usage,
        targets={"fer7": np.asarray(arrays["label"], dtype=np.int64)},
        layout=path.name,
        columns={"row": np.arange(n)},
        notes=list(facts["notes"]),
        checksums=facts["checksums"],
        key=f"fer2013-{key}",
    )


def _parse(path: Path) -> tuple[files.Arrays, dict[str, Any]]:
    pixels: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    split: list[int] = []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = [name.strip().lower() for name in file.readline().rstrip("\r\n").split(",")]
        if not {"emotion", "pixels", "usage"} <= set(header):
            problem = f"{path}, line 1: expected the columns emotion, pixels and Usage, found {', '.join(header)[:80]!r}."
            raise BadDataError(problem, files_hint())
        at = {name: header.index(name) for name in ("emotion", "pixels", "usage")}
        for number, line in enumerate(file, start=2):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            cells = line.rstrip("\r\n").split(",")
            if len(cells) != len(header):
                problem = f"{where}: {len(cells)} columns instead of {len(header)}; the file is truncated or malformed."
                raise BadDataError(problem, files_hint())
            labels.append(_label(cells[at["emotion"]], where))
            pixels.append(_pixels(cells[at["pixels"]], where))
            split.append(_usage(cells[at["usage"]], where))
    if not labels:
        problem = f"{path}: the file has a header and no rows."
        raise BadDataError(problem, files_hint())
    arrays: files.Arrays = {"images": np.stack(pixels), "label": np.array(labels, dtype=np.int8), "split": np.array(split, dtype=np.int8)}
    return arrays, _facts(arrays, path)


def files_hint() -> str:
    """What to do about a file that is not as its format says."""
    return "Download or unpack it again."


def _label(cell: str, where: str) -> int:
    try:
        label = int(cell)
    except ValueError:
        label = -1
    if not 0 <= label < len(FER7):
        problem = f"{where}: the label {cell.strip()!r} is outside 0 to {len(FER7) - 1}."
        raise BadDataError(problem, files_hint())
    return label


def _pixels(cell: str, where: str) -> npt.NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            values = np.fromstring(cell, dtype=np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            problem = f"{where}: the pixels hold something that is no number."
            raise BadDataError(problem, files_hint()) from None
    if values.size != SIDE * SIDE:
        problem = f"{where}: {values.size} pixels instead of {SIDE} x {SIDE} = {SIDE * SIDE}."
        raise BadDataError(problem, files_hint())
    if values.min() < 0 or values.max() > 255:
        problem = f"{where}: a pixel value is outside 0 to 255."
        raise BadDataError(problem, files_hint())
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _usage(cell: str, where: str) -> int:
    usage = USAGES.get(cell.strip())
    if usage is None:
        problem = f"{where}: Usage {cell.strip()!r} is none of {', '.join(USAGES)}."
        raise BadDataError(problem, files_hint())
    return SPLITS.index(usage)


def _facts(arrays: files.Arrays, path: Path) -> dict[str, Any]:
    counts = {name: int((arrays["split"] == i).sum()) for i, name in enumerate(SPLITS)}
    notes = [] if counts == OFFICIAL else [f"{path.name} holds {counts}, not the official {OFFICIAL}."]
    for i, name in enumerate(SPLITS):
        present = np.unique(arrays["label"][arrays["split"] == i])
        if 0 < len(present) < len(FER7):
            absent = [FER7.names[c] for c in range(len(FER7)) if c not in present]
            problem = f"{path}: {name} has no image of {', '.join(absent)}."
            raise BadDataError(problem, "A class without images cannot be learnt or scored; use a complete copy.")
    return {"notes": notes, "checksums": _checksums(arrays["images"], arrays["label"], np.array(SPLITS)[arrays["split"]])}


def _checksums(images: Images | npt.NDArray[np.uint8], labels: npt.NDArray[np.int8], split: npt.NDArray[np.str_]) -> dict[str, str]:
    digests = sample_digests(images, labels)
    # Several published copies differ in the encoding of the faces that FER+ gives no name; they identify no copy.
    named = np.ones(len(digests), dtype=bool)
    if {name: int((split == name).sum()) for name in SPLITS} == OFFICIAL:
        named[UNNAMED_ROWS] = False
    return {name: split_checksum(digests[named & (split == name)]) for name in SPLITS if (split == name).any()}


def _by_row(samples: Samples) -> Samples:
    """Class folders as the CSV that they were unpacked from, where the file names still carry its rows; as they are otherwise."""
    names = [_NAMED_BY_ROW.search(str(name)) for name in samples.ids]
    rows = np.array([int(name[2]) if name else -1 for name in names])
    if sorted(rows) != list(range(sum(OFFICIAL.values()))):
        return samples
    if any(USAGES.get(name[1]) != split for name, split in zip(names, samples.split, strict=True) if name):
        return samples
    ordered = samples.select(np.argsort(rows))
    ordered.ids = np.array([f"{row:05d}" for row in range(len(rows))])
    ordered.columns = {"row": np.arange(len(rows))}
    ordered.checksums = _checksums(ordered.images, ordered.targets["fer7"].astype(np.int8), ordered.split)
    ordered.key = f"{samples.key}-by-row"
    return ordered


def _unnamed_rows() -> npt.NDArray[np.int64]:
    text = (Path(__file__).with_name("fer2013_unnamed_rows.txt")).read_text()
    return np.array([int(row) for row in text.split()], dtype=np.int64)


UNNAMED_ROWS = _unnamed_rows()
