"""FindingEmo: photographs of people in social settings, annotated as a whole.

The images are not distributed, only links to them, and links rot: every copy is another subset. So what a copy holds is
counted, and identified by a hash, and both belong into every record.

Source: Mertens et al., FindingEmo (2024), sections 2 and 3.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_bench.data.file_names import stored_path
from fer_bench.datasets.findingemo.annotations import Annotation, is_run, read_annotations
from fer_bench.errors import MissingDataError
from fer_bench.registry import unknown_name

_FETCH = "`fer-bench download findingemo` fetches the images."
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
        """The image's whole path from its ``Run_*`` folder on: the same in every copy."""
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
        ambiguous: images left out because a copy without ``Run_*`` folders does not say which of two annotated images a
            file is.
        manifest: sha256 (hexadecimal) over the sorted ids and file sizes of the matched images.
    """

    annotated: int
    matched: int
    rejected: int
    incomplete: int
    repeated: int
    ambiguous: int
    manifest: str

    @property
    def missing(self) -> int:
        """Annotated images that were not found, ambiguous ones included."""
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
        ambiguous: those of them for which there is a file that may be another image, sorted.
        coverage: counts and manifest hash.
    """

    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
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
    """Match annotations with the images of a folder, by their whole paths from ``Run_*`` on.

    Where the folder has no ``Run_*`` folders, the last two components decide, and an image for which they are not
    enough is left out.

    Args:
        annotations: annotation file with one annotation per image (``annotations_single.ann``).
        root: folder that holds the images, at any depth.

    Returns:
        What was found, what is missing, what is ambiguous, and the counts.

    Raises:
        MissingDataError: the file, the folder or every image is missing.
        BadDataError: the annotation file is damaged.
    """
    rows = read_annotations(annotations)
    if not root.is_dir():
        problem = f"{root}: no such folder."
        raise MissingDataError(
            problem, f"It should hold FindingEmo's images, as Run_1/<folder>/<image>, at any depth. {_FETCH}"
        )
    kept = [row for row in rows if not row.rejected]
    complete = [row for row in kept if None not in (row.valence, row.arousal, row.emo24)]
    first = {row.image: row for row in reversed(complete)}
    twins = Counter(_short(image) for image in {row.image for row in rows})
    files, resolved = _files_by_short_name(root), root.resolve()
    samples, ambiguous = [], []
    for image in sorted(first):
        found = _choose(
            image, {path for name in (image, stored_path(image)) for path in files.get(_short(name), ())}, resolved
        )
        if found and not found.exact and (found.several or twins[_short(image)] > 1):
            ambiguous.append(image)
        elif found:
            samples.append(Sample(found.path, (root / found.path).stat().st_size, first[image]))
    if not samples:
        example = next(iter(first), "none")
        problem = f"{root}: none of the {len(first)} annotated images is there (for example {example})."
        raise MissingDataError(problem, f"Images are matched by Run_*, their folder's and their own name. {_FETCH}")
    coverage = Coverage(
        annotated=len(first),
        matched=len(samples),
        rejected=len(rows) - len(kept),
        incomplete=len(kept) - len(complete),
        repeated=len(complete) - len(first),
        ambiguous=len(ambiguous),
        manifest=manifest_hash((sample.id, sample.size) for sample in samples),
    )
    missing = first.keys() - {sample.id for sample in samples}
    return FindingEmoIndex(tuple(samples), tuple(sorted(missing)), tuple(ambiguous), coverage)


@dataclass(frozen=True)
class _Found:
    path: str
    exact: bool
    several: bool


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _files_by_short_name(root: Path) -> dict[str, list[str]]:
    """Files below a folder by the last two components of their whole path, in composed Unicode; relative to the
    folder.
    """
    found = defaultdict(list)
    for folder, _, names in os.walk(root):
        parent = unicodedata.normalize("NFC", Path(folder).resolve().name)
        relative = Path(folder).relative_to(root)
        for name in names:
            if (Path(folder) / name).is_file():
                found[f"{parent}/{unicodedata.normalize('NFC', name)}"].append((relative / name).as_posix())
    return found


def _choose(image: str, paths: Iterable[str], root: Path) -> _Found | None:
    """Of files with the image's name and folder, the one that shares most of its whole path's end; files of another
    ``Run_*`` are others.
    """
    wanted = (image.split("/")[::-1], stored_path(image).split("/")[::-1])

    def shared(path: str) -> int:
        # Where the root is itself the folder of a run or of the images, its name counts.
        own = unicodedata.normalize("NFC", (root / path).as_posix()).split("/")[::-1]
        if is_run(own[2]) and any(
            is_run(part[2]) and part[2].lower() != own[2].lower() for part in wanted if len(part) > 2
        ):
            return -1
        return max(sum(1 for _ in takewhile(_same, zip(own, parts, strict=False))) for parts in wanted)

    of = {path: shared(path) for path in paths}
    longest = max(of.values(), default=-1)
    if longest < 0:
        return None
    best = sorted((path for path in of if of[path] == longest), key=lambda path: (path.count("/"), path))
    several = any(not filecmp.cmp(root / best[0], root / other, shallow=False) for other in best[1:])
    return _Found(best[0], longest == len(wanted[0]), several)


def _same(pair: tuple[str, str]) -> bool:
    own, wanted = pair
    return own == wanted or (is_run(own) and own.lower() == wanted.lower())


def manifest_hash(entries: Iterable[tuple[str, int]]) -> str:
    """Sha256 over sorted ``id TAB size NEWLINE`` lines: equal for two copies that hold the same images."""
    lines = sorted(f"{path}\t{size}\n" for path, size in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def clean_split(
    ids: Sequence[str], emo8: npt.ArrayLike, seed: int = 0, test: float = 0.2, validation: float = 0.1
) -> npt.NDArray[np.str_]:
    """The paper's random split of each Emo8 class (80 % train, 20 % test; section 3), with a validation part held out
    of its train part, to select on, which the paper does on its test set.

    Within a class, ids are ordered by a hash of seed and id and the first become the test part, so that the split does
    not depend on the order of the ids, and a missing image moves few others.

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


def paper_split(ids: Sequence[str], emo8: npt.ArrayLike, seed: int = 0, test: float = 0.2) -> npt.NDArray[np.str_]:
    """The paper's random split of each Emo8 class (80 % train, 20 % test; section 3), which selects on test.

    Args:
        ids: N ids.
        emo8: class ids, shape (N,).
        seed: another seed, another split.
        test: fraction of each class.

    Returns:
        Shape (N,): "train" or "test"; the test part is that of :func:`clean_split`.
    """
    return _split(ids, emo8, seed, {TEST: test})


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
