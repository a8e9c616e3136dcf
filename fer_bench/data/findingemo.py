"""FindingEmo: photographs of people in social settings, annotated as a whole.

The images are not distributed, only links to them, and links rot: every copy is another subset. So what a copy holds is
counted, and identified by a hash, and both belong into every record.

Source: Mertens et al., FindingEmo (2024), sections 2 and 3.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data.findingemo_annotations import Annotation, image_id, read_annotations
from fer_bench.errors import MissingDataError
from fer_bench.registry import unknown_name

TRAIN, VALIDATION, TEST = "train", "validation", "test"

TASKS: dict[str, Callable[[Annotation], int | None]] = {
    "emo8": lambda a: a.emo8,
    "emo24": lambda a: a.emo24,
    "arousal3": lambda a: a.arousal3,
    "valence3": lambda a: a.valence3,
}


@dataclass(frozen=True)
class Sample:
    """An image that is there, and its annotation.

    Args:
        path: of the image, relative to the root folder.
        size: of the file, in bytes.
        annotation: a complete one: valence, arousal and emotion are not None.
    """

    path: str
    size: int
    annotation: Annotation

    @property
    def id(self) -> str:
        """The last two components of the image's path: the same in every copy."""
        return self.annotation.image


@dataclass(frozen=True)
class Coverage:
    """How much of the annotated data a copy holds.

    Args:
        annotated: images with a complete annotation.
        matched: those of them found below the root folder.
        rejected: rows left out because the annotator rejected the image.
        incomplete: rows left out because valence, arousal or emotion is blank.
        repeated: rows left out because an earlier one annotates the same image.
        manifest: sha256 (hexadecimal) over the sorted ids and file sizes of the matched images.
    """

    annotated: int
    matched: int
    rejected: int
    incomplete: int
    repeated: int
    manifest: str

    @property
    def missing(self) -> int:
        """Annotated images that were not found."""
        return self.annotated - self.matched

    def as_dict(self) -> dict[str, int | str]:
        """Plain types, for a record."""
        return asdict(self) | {"missing": self.missing}


@dataclass(frozen=True)
class FindingEmoIndex:
    """What of FindingEmo is there.

    Args:
        samples: images with their annotations, sorted by id.
        missing: ids of annotated images that were not found, sorted.
        coverage: counts and manifest hash.
    """

    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    coverage: Coverage

    @property
    def ids(self) -> list[str]:
        """Ids of the samples, in their order."""
        return [sample.id for sample in self.samples]

    def targets(self, task: str) -> npt.NDArray[np.int64]:
        """Class ids of a task.

        Args:
            task: ``emo8``, ``emo24``, ``arousal3`` or ``valence3``.

        Returns:
            Shape (N,), in the order of ``samples``; the label set of the same name gives their meaning.

        Raises:
            UnknownNameError: another task.
        """
        if task not in TASKS:
            kind = "FindingEmo task"
            raise unknown_name(kind, task, TASKS)
        return np.array([TASKS[task](sample.annotation) for sample in self.samples], dtype=np.int64)


def index_findingemo(annotations: Path, root: Path) -> FindingEmoIndex:
    """Match annotations with the images of a folder by the last two components of their paths.

    Args:
        annotations: annotation file with one annotation per image (``annotations_single.ann``).
        root: folder that holds the images, at any depth.

    Returns:
        What was found, what is missing, and the counts.

    Raises:
        MissingDataError: the file, the folder or every image is missing.
        BadDataError: the annotation file is damaged.
    """
    rows = read_annotations(annotations)
    if not root.is_dir():
        problem = f"{root}: no such folder."
        raise MissingDataError(problem, "It should hold FindingEmo's images, as <folder>/<image>, at any depth.")
    kept = [row for row in rows if not row.rejected]
    complete = [row for row in kept if None not in (row.valence, row.arousal, row.emo24)]
    first = {row.image: row for row in reversed(complete)}
    files = _files_by_id(root)
    samples = []
    for image in sorted(first.keys() & files.keys()):
        path = _closest(files[image], first[image].path)
        samples.append(Sample(path, (root / path).stat().st_size, first[image]))
    if not samples:
        example = next(iter(first), "none")
        problem = f"{root}: none of the {len(first)} annotated images is there (for example {example})."
        raise MissingDataError(problem, "Images are matched by their folder's and their own name.")
    coverage = Coverage(
        annotated=len(first),
        matched=len(samples),
        rejected=len(rows) - len(kept),
        incomplete=len(kept) - len(complete),
        repeated=len(complete) - len(first),
        manifest=manifest_hash((sample.id, sample.size) for sample in samples),
    )
    return FindingEmoIndex(tuple(samples), tuple(sorted(first.keys() - files.keys())), coverage)


def _files_by_id(root: Path) -> dict[str, list[str]]:
    found = defaultdict(list)
    for folder, _, names in os.walk(root):
        relative = Path(folder).relative_to(root)
        for name in names:
            path = (relative / name).as_posix()
            # Where the root is itself the folder of the images, its name is part of the id.
            found[image_id(f"{Path(folder).resolve().name}/{name}" if "/" not in path else path)].append(path)
    return found


def _closest(paths: list[str], annotated: str) -> str:
    """Of several files with the same id, the one that shares most of the annotated path's end."""
    end = annotated.replace("\\", "/").split("/")[::-1]

    def shared(path: str) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(path.split("/")[::-1], end, strict=False)))

    return max(sorted(paths), key=shared)


def manifest_hash(entries: Iterable[tuple[str, int]]) -> str:
    """Sha256 over sorted ``id TAB size NEWLINE`` lines: equal for two copies that hold the same images."""
    lines = sorted(f"{path}\t{size}\n" for path, size in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def paper_split(ids: Sequence[str], emo8: npt.ArrayLike, seed: int = 0, test: float = 0.2) -> npt.NDArray[np.str_]:
    """The paper's split: random, 80 % train and 20 % test, in each Emo8 class (section 3).

    There is no validation part: the paper selects on its test set. Within a class, ids are ordered by a hash of seed and id
    and the first become the test part, so that the split does not depend on the order of the ids, and a missing image moves
    few others.

    Args:
        ids: N ids.
        emo8: class ids, shape (N,).
        seed: another seed, another split.
        test: fraction of each class.

    Returns:
        Shape (N,): "train" or "test".
    """
    return _split(ids, emo8, seed, {TEST: test})


def clean_split(ids: Sequence[str], emo8: npt.ArrayLike, seed: int = 0, test: float = 0.2, validation: float = 0.1) -> npt.NDArray[np.str_]:
    """The paper's split with a validation part carved from its train part, to select on; the test part stays the same.

    Args:
        ids: N ids.
        emo8: class ids, shape (N,).
        seed: another seed, another split.
        test: fraction of each class.
        validation: fraction of each class.

    Returns:
        Shape (N,): "train", "validation" or "test".
    """
    return _split(ids, emo8, seed, {TEST: test, VALIDATION: validation})


def _split(ids: Sequence[str], classes: npt.ArrayLike, seed: int, parts: dict[str, float]) -> npt.NDArray[np.str_]:
    of_class = np.asarray(classes)
    keys = np.array([hashlib.sha256(f"findingemo/{seed}/{i}".encode()).hexdigest() for i in ids])
    result = np.full(len(of_class), TRAIN, dtype="<U10")
    for c in np.unique(of_class):
        members = np.flatnonzero(of_class == c)
        members = members[np.argsort(keys[members])]
        start = 0
        for name, fraction in parts.items():
            stop = start + int(len(members) * fraction + 0.5)
            result[members[start:stop]] = name
            start = stop
    return result
