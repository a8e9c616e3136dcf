"""EMOTIC (Kosti et al. 2019): 34,320 people in photographs of everyday life.

The pictures are at ``<folder>/<filename>`` below the dataset's folder or a folder ``emotic`` in it. A copy that
circulates holds NumPy arrays of shrunken pictures instead (``annots_arrs``, ``img_arrs``); it is recognised, and
refused.

Unverified: see :mod:`fer_bench.datasets.emotic.annotations`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.images import FileImages, pixels_of
from fer_bench.data.samples import ATTRIBUTE, SPLITS, Samples, split_checksum
from fer_bench.datasets.emotic.annotations import SPLITS as SPLIT_NAMES
from fer_bench.datasets.emotic.annotations import Person, read_csv, read_mat
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.image_files import UnreadableImageError, read_content, read_header
from fer_bench.protocols.emotic import EmoticOptions
from fer_bench.protocols.tasks import EMOTIC26

SIDE = 128
MATS = ("Annotations/Annotations.mat", "Annotations.mat", "annotations/Annotations.mat")
TABLES = ("emotic_pre", "annotations", "Annotations", "")
PICTURES = ("emotic", "images", "", "emotic/emotic")
ARRAYS = "annots_arrs"
MAX_ABSENT_SHARE = 0.01
_ABSENT = "annotated, and not there"
_START = 65_536


class EmoticDataModule(AffectDataModule):
    """EMOTIC; its options are :class:`fer_bench.protocols.emotic.EmoticOptions`."""

    dataset = "emotic"

    def read(self) -> Samples:
        """Read whichever layout is there; pictures are decoded when they are asked for."""
        return read_emotic(self.data_dir, self.chosen(EmoticOptions), size=self.image_size or SIDE)


def read_emotic(data_dir: str | None, options: EmoticOptions | None = None, *, size: int = SIDE) -> Samples:
    """Read EMOTIC.

    Args:
        data_dir: the data root, or the dataset's folder.
        options: which part of a photograph is read.
        size: side of the images in pixels.

    Returns:
        One sample a person, with ids ``<folder>/<filename>#<number>``, the targets ``emotic26`` (N, 26; -1 where no
        category was given), ``vad`` (N, 3) and ``va`` (N, 2; NaN where none was given), in groups by photograph.

    Raises:
        MissingDataError: no known layout is there, or annotations without their pictures.
        BadDataError: an entry that is none, the copy of arrays, or more than 1 % of the pictures are absent.
    """
    options = options or EmoticOptions()
    root, layout, people = _find(data_dir)
    pictures = _pictures(root, people)
    used, left_out = _usable(pictures, people, options.images)
    ids = np.array([person.name for person in used])
    if len(np.unique(ids)) != len(ids):
        problem = f"{root}: some photographs are listed twice."
        raise BadDataError(problem, "Use one of the copies of the annotations.")
    categories = np.full((len(used), len(EMOTIC26)), -1, dtype=np.int8)
    for row, person in enumerate(used):
        if person.categories:
            categories[row] = [k in person.categories for k in range(len(EMOTIC26))]
    values = np.array([person.values for person in used], dtype=np.float32).reshape(-1, 3)
    boxes = np.array([person.box for person in used]).reshape(-1, 4)
    if options.images == "scene":
        boxes = np.full_like(boxes, -1.0)
    files = [person.photograph for person in used]
    unique, photograph = np.unique(files, return_inverse=True)
    content = cache.file_digests(pictures, [pictures / name for name in unique])[photograph]
    digests = np.stack([_digest(*row) for row in zip(ids, categories, values, boxes, content, strict=True)])
    split = np.array([person.split for person in used], dtype="<U10")
    checksums = {name: split_checksum(digests[split == name]) for name in SPLITS if (split == name).any()}
    key = f"emotic-{options.images}-{hashlib.sha256(digests.tobytes()).hexdigest()[:16]}"
    return Samples(
        ids=ids,
        images=FileImages(pictures, files, size, boxes, key if options.cache else "", contents=content),
        split=split,
        targets={"emotic26": categories, "vad": values, "va": values[:, :2]},
        layout=f"{layout}, {options.images}",
        groups=np.array(files),
        columns={
            f"{ATTRIBUTE}{name}": np.array([getattr(person, name) or "unknown" for person in used])
            for name in ("gender", "age")
        },
        notes=list(_across(files, split)),
        quarantined=left_out,
        checksums=checksums,
        key=key,
    )


def _find(data_dir: str | None) -> tuple[Path, str, list[Person]]:
    places = cache.candidates("emotic", data_dir)
    for root in places:
        for name in MATS:
            if (root / name).is_file():
                return root, name, read_mat(root / name)
        for folder in TABLES:
            files = {split: root / folder / f"{name}.csv" for name, split in SPLIT_NAMES.items()}
            if files["train"].is_file():
                there = [(path, split) for split, path in files.items() if path.is_file()]
                people = [person for path, split in there for person in read_csv(path, split)]
                return root, f"{folder or '.'}/*.csv", people
        if (root / ARRAYS).is_dir():
            problem = f"{root / ARRAYS}: this is the copy of arrays, whose pictures are shrunk and have no files."
            raise BadDataError(problem, "Use Annotations.mat and the pictures of the authors' archives.")
    raise cache.missing("emotic", (MATS[0], f"{TABLES[0]}/train.csv"), places)


def _pictures(root: Path, people: Sequence[Person]) -> Path:
    """The folder of pictures: the first in which some are."""
    tried = [person.photograph for person in people[:: max(len(people) // 20, 1)]]
    for name in PICTURES:
        if any((root / name / photograph).is_file() for photograph in tried):
            return root / name
    where = f" (first {tried[0]})" if tried else ""
    problem = f"{root}: {len(people)} people are annotated, and none of their photographs is there{where}."
    raise MissingDataError(problem, "Unpack the pictures beside the annotations, into the folder emotic.")


def _usable(root: Path, people: Sequence[Person], images: str) -> tuple[list[Person], list[tuple[str, str]]]:
    sizes: dict[str, tuple[int, int] | str] = {}
    used, left_out = [], []
    for person in people:
        if person.photograph not in sizes:
            sizes[person.photograph] = _size(root / person.photograph)
        size = sizes[person.photograph]
        if isinstance(size, str):
            left_out.append((person.name, size))
        elif images == "person" and pixels_of(np.array(person.box), *size) is None:
            left_out.append((person.name, "the box of the body is outside the picture"))
        else:
            used.append(person)
    absent = sum(reason == _ABSENT for _, reason in left_out)
    if absent > MAX_ABSENT_SHARE * len(people):
        first = next(name for name, reason in left_out if reason == _ABSENT)
        problem = f"{root}: the pictures of {absent} of {len(people)} people are absent, the first is {first}."
        raise BadDataError(problem, "Unpack all archives again.")
    return used, left_out


def _size(path: Path) -> tuple[int, int] | str:
    """Width and height of a picture, or why it cannot be used."""
    if not path.is_file():
        return _ABSENT
    try:
        # The size is near the beginning, unless a thumbnail is before it.
        found = read_header(read_content(path, _START)) or read_header(read_content(path))
    except UnreadableImageError as error:
        return error.reason
    return (found.width, found.height) if found is not None and found.pixels else "not a readable image"


def _across(files: Sequence[str], split: npt.NDArray[np.str_]) -> Iterator[str]:
    where: dict[str, set[str]] = {}
    for name, part in zip(files, split.tolist(), strict=True):
        where.setdefault(name, set()).add(part)
    several = sorted(name for name, parts in where.items() if len(parts) > 1)
    if several:
        yield f"{len(several)} of {len(where)} photographs are in more than one split ({several[0]}, ...)"


def _digest(
    name: str,
    categories: npt.NDArray[np.int8],
    values: npt.NDArray[np.float32],
    box: npt.NDArray[np.float64],
    content: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint8]:
    text = f"{name} {categories.tolist()} {values.tolist()} {box.tolist()} ".encode() + content.tobytes()
    return np.frombuffer(hashlib.sha1(text, usedforsecurity=False).digest(), dtype=np.uint8)
