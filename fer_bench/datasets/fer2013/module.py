"""FER2013 in the layouts in which it circulates: ``fer2013.csv``, ``icml_face_data.csv``, image folders.

35,887 grey faces of 48 x 48 px, seven expressions; Training, PublicTest and PrivateTest are train, validation and test
(28,709 / 3,589 / 3,589).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, Images, Samples, sample_digests, split_checksum
from fer_bench.datasets.fer2013.csv_file import parse, split_of
from fer_bench.datasets.fer2013.folders import find_folders, read_class_folders
from fer_bench.datasets.fer2013.location import CSV_NAMES, explain, find_csv
from fer_bench.errors import BadDataError
from fer_bench.labels import FER7

READER_VERSION = "1"
OFFICIAL = {"train": 28709, "validation": 3589, "test": 3589}
_NAMED_BY_ROW = re.compile(r"(?:^|/)([A-Za-z]+)_0*(\d+)\.\w+$")


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
        Samples with ids of five digits (the row of ``fer2013.csv``) and the target ``fer7``. For image folders the ids
        are file names, unless the copy is complete and every file is named by its row (``Training_00017.png``): then
        the samples are those of the CSV, in its order.

    Raises:
        MissingDataError: no known layout was found.
        BadDataError: a malformed row, a label out of range, an image of another size, an empty class.
    """
    folders = cache.candidates("fer2013", data_dir)
    if path := find_csv(data_dir):
        return _from_csv(path)
    for place in folders:
        if root := find_folders(place):
            return _identified(read_class_folders(root))
    raise explain(folders) or cache.missing("fer2013", (*CSV_NAMES, "train/ and test/ with class folders"), folders)


def _from_csv(path: Path) -> Samples:
    key = f"{READER_VERSION}-{cache.file_sha256(path)}"
    arrays, facts = cache.cached("fer2013", key, lambda: _parse(path))
    usage = np.array(SPLITS)[arrays["split"]]
    n = len(usage)
    return Samples(
        ids=np.array([f"{row:05d}" for row in range(n)]),
        images=arrays["images"],
        split=usage,
        targets={"fer7": np.asarray(arrays["label"], dtype=np.int64)},
        layout=f"{path.name} ({facts['spelling']})" if facts.get("spelling") else path.name,
        columns={"row": np.arange(n)},
        notes=list(facts["notes"]),
        checksums=facts["checksums"],
        key=f"fer2013-{key}",
    )


def _parse(path: Path) -> tuple[cache.Arrays, dict[str, Any]]:
    table = parse(path)
    arrays: cache.Arrays = {"images": table.images, "label": table.label, "split": table.split}
    return arrays, {**_facts(arrays, path), "spelling": table.spelling}


def _facts(arrays: cache.Arrays, path: Path) -> dict[str, Any]:
    notes = _incomplete(np.array(SPLITS)[arrays["split"]], path.name)
    for i, name in enumerate(SPLITS):
        present = np.unique(arrays["label"][arrays["split"] == i])
        if 0 < len(present) < len(FER7):
            absent = [FER7.names[c] for c in range(len(FER7)) if c not in present]
            problem = f"{path}: {name} has no image of {', '.join(absent)}."
            raise BadDataError(problem, "A class without images cannot be learnt or scored; use a complete copy.")
    return {
        "notes": notes,
        "checksums": _checksums(arrays["images"], arrays["label"], np.array(SPLITS)[arrays["split"]]),
    }


def _checksums(
    images: Images | npt.NDArray[np.uint8], labels: npt.NDArray[np.int8], split: npt.NDArray[np.str_]
) -> dict[str, str]:
    digests = sample_digests(images, labels)
    # Several published copies differ in the encoding of the faces that FER+ gives no name; they identify no copy.
    named = np.ones(len(digests), dtype=bool)
    if _counts(split) == OFFICIAL:
        named[UNNAMED_ROWS] = False
    return {name: split_checksum(digests[named & (split == name)]) for name in SPLITS if (split == name).any()}


def _counts(split: npt.NDArray[np.str_]) -> dict[str, int]:
    return {name: int((split == name).sum()) for name in SPLITS}


def _incomplete(split: npt.NDArray[np.str_], name: str) -> list[str]:
    counts = _counts(split)
    return [] if counts == OFFICIAL else [f"{name} holds {counts}, not the official {OFFICIAL}."]


def _identified(samples: Samples) -> Samples:
    """Class folders as the CSV that they were unpacked from, where the file names still carry its rows; as they are
    otherwise.
    """
    samples.notes += _incomplete(samples.split, "this copy")
    names = [_NAMED_BY_ROW.search(str(name)) for name in samples.ids]
    rows = np.array([int(name[2]) if name else -1 for name in names])
    if sorted(rows) != list(range(sum(OFFICIAL.values()))):
        return samples
    if any(split_of(name[1]) != split for name, split in zip(names, samples.split, strict=True) if name):
        return samples
    ordered = samples.select(np.argsort(rows))
    ordered.ids = np.array([f"{row:05d}" for row in range(len(rows))])
    ordered.columns = {"row": np.arange(len(rows))}
    ordered.checksums = _checksums(ordered.images, ordered.targets["fer7"].astype(np.int8), ordered.split)
    ordered.key = f"{samples.key}-by-row"
    return ordered


def _unnamed_rows() -> npt.NDArray[np.int64]:
    text = (Path(__file__).with_name("unnamed_rows.txt")).read_text()
    return np.array([int(row) for row in text.split()], dtype=np.int64)


UNNAMED_ROWS = _unnamed_rows()
