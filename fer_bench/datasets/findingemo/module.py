"""findingemo: FindingEmo's photographs as batches, over the index that the reader makes of a copy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.decoding import decode, load_image
from fer_bench.data.letterbox import letterbox
from fer_bench.data.samples import ATTRIBUTE, SEVERAL, SPLITS, Samples, content_order, split_checksum
from fer_bench.datasets.findingemo.annotations import ANNOTATIONS, RINGS, Annotation, published, value_targets
from fer_bench.datasets.findingemo.reader import (
    TASKS,
    FindingEmoIndex,
    clean_split,
    index_findingemo,
    paper_split,
)
from fer_bench.datasets.findingemo.subset import Subset
from fer_bench.errors import BadDataError
from fer_bench.image_files import UnreadableImageError, read_content
from fer_bench.protocols.findingemo import FINDINGEMO, FindingEmoOptions
from fer_bench.protocols.scene_values import SCALES

MAX_BAD_SHARE = 0.01


class FindingEmoDataModule(AffectDataModule):
    """Looks for ``annotations_single.ann`` and the images, at any depth, in ``<data root>/findingemo`` or in the data
    root itself.

    Where there is no such file, the annotations of the installed package ``findingemo-light`` are taken.

    Its options are :class:`fer_bench.protocols.findingemo.FindingEmoOptions`.
    """

    dataset = "findingemo"

    def read(self) -> Samples:
        """Match annotations and images; nothing is decoded but once per copy, to find unreadable files."""
        options = self.chosen(FindingEmoOptions)
        folders = cache.candidates(self.name, self.data_dir)
        annotations, folder = self._find(folders)
        index = index_findingemo(annotations, folder)
        subset = Subset.read(paths.expanded(options.manifest)) if options.manifest else None
        if subset is not None:
            index = subset.of(index)
        samples = read_findingemo(index, folder, options, values=self.task in SCALES)
        if subset is not None:
            subset.state(samples, index, folder)
        if annotations.parent != folder:
            samples.notes.append("annotations of the installed package findingemo-light")
        return samples

    def _find(self, folders: list[Path]) -> tuple[Path, Path]:
        for folder in folders:
            if (folder / ANNOTATIONS).is_file():
                return folder / ANNOTATIONS, folder
        installed = published(ANNOTATIONS)
        images = next((folder for folder in folders if folder.is_dir()), None)
        if installed and images:
            return installed, images
        if installed:
            raise cache.missing(
                self.name,
                ("images",),
                folders,
                "The annotations are installed; `fer-bench download findingemo` fetches the images.",
            )
        how = f"{FINDINGEMO.how_to_get} `fer-bench download findingemo` fetches the images."
        raise cache.missing(self.name, (ANNOTATIONS,), folders, how)


class Photographs:
    """Images of a copy, decoded and framed when asked for: (height, width, 3) uint8, RGB.

    Args:
        root: the images' folder.
        names: N paths below it.
        options: the frame, and how a file is decoded.
        contents: shape (N, K), digests of the files.
    """

    def __init__(
        self, root: Path, names: list[str], options: FindingEmoOptions, contents: npt.NDArray[np.uint8]
    ) -> None:
        # As one array: a list is copied page by page into every loader process.
        self.root, self.names, self.contents = root, np.array(names), contents
        self.width, self.height, self.fit, self.reduced = options.width, options.height, options.fit, options.reduced

    @property
    def form(self) -> str:
        """What the pixels depend on besides the files."""
        return f"{self.width} x {self.height} px, {self.fit}, {'reduced' if self.reduced else 'full'}, 1"

    def rows(self) -> npt.NDArray[np.uint8]:
        """As :meth:`fer_bench.data.packed.FromFiles.rows`."""
        return self.contents

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        path = self.root / str(self.names[int(index)])
        # The frame's longer side: what fits into it is at most so large.
        rgb = load_image(path, side=max(self.width, self.height) if self.reduced else None)
        if self.fit == "letterbox":
            return letterbox(rgb, self.width, self.height)
        return np.asarray(cv2.resize(rgb, (self.width, self.height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def read_findingemo(index: FindingEmoIndex, root: Path, options: FindingEmoOptions, *, values: bool = False) -> Samples:
    """Samples of an indexed copy.

    Args:
        index: what is there.
        root: the images' folder.
        options: the frame and the split.
        values: whether valence and arousal are wanted as they were annotated, and are part of what the copy is.

    Returns:
        Samples with emo8, emo24, arousal3, valence3, and with valence, arousal and va where values are wanted; the
        split is the paper's, or the paper's test share with a validation part held out of its train part.

    Raises:
        BadDataError: more than 1 % of the images cannot be decoded.
    """
    names = [sample.path for sample in index.samples]
    listing = cache.listing_sha256(root, [root / name for name in names])
    arrays, facts = cache.cached(
        "findingemo", cache.text_sha256(f"2-{listing}-{index.coverage.manifest}"), lambda: _inspect(root, names)
    )
    readable = np.asarray(arrays["readable"])
    bad = [(str(name), str(reason)) for name, reason in facts["unreadable"]]
    if len(bad) > MAX_BAD_SHARE * len(names):
        problem = f"{root}: {len(bad)} of {len(names)} images cannot be decoded; the first is {bad[0][0]}: {bad[0][1]}."
        raise BadDataError(
            problem, "Delete them, or fetch them again with `fer-bench download findingemo --retry-gone`."
        )
    targets = {task: index.targets(task) for task in TASKS}
    rated = np.array([(sample.annotation.valence, sample.annotation.arousal) for sample in index.samples])
    coverage = index.coverage
    as_paper = options.split == "paper"
    shares = "80/20, stopping and choosing on test," if as_paper else "70/10/20"
    notes = [
        f"{coverage.matched} of {coverage.annotated} annotated images are there",
        f"split {shares} per Emo8 class, seed {options.split_seed}",
    ]
    if index.ambiguous:
        unclear = (
            f"{coverage.ambiguous} left out: without Run_* folders a file may be one of several annotated images, for"
            f" example {index.ambiguous[0]}"
        )
        notes.insert(1, unclear)
    digests = np.stack(
        [
            _named(digest, i, row)
            for digest, i, row in zip(arrays["digests"], index.ids, np.stack(list(targets.values()), 1), strict=True)
        ]
    )
    samples = Samples(
        ids=np.array(index.ids),
        images=Photographs(root, names, options, np.asarray(arrays["digests"])),
        split=(paper_split if as_paper else clean_split)(index.ids, targets["emo8"], options.split_seed),
        selects_on_test=as_paper,
        targets={name: np.asarray(column) for name, column in targets.items()}
        | (value_targets(*rated.T) if values else {}),
        layout=f"{ANNOTATIONS} and images",
        columns={"digest": digests, **_attributes([sample.annotation for sample in index.samples])},
        notes=notes,
        facts={"coverage": coverage.as_dict()},
        quarantined=bad,
    ).select(readable)
    kept = samples.columns.pop("digest").astype(np.uint8)
    frame = f"{options.width}x{options.height} {options.fit}"
    samples.pictures = cache.text_sha256(f"{frame} {content_order(kept)}")
    samples.checksums = {name: split_checksum(kept[samples.where(name)]) for name in SPLITS}
    if values:
        # The classes are coarser than the values that they are made of.
        own = rated.astype(np.int64)[readable]
        exact = np.stack([_named(digest, "", row) for digest, row in zip(kept, own, strict=True)])
        samples.checksums = {name: split_checksum(exact[samples.where(name)]) for name in SPLITS}
    return samples


def _attributes(annotations: Sequence[Annotation]) -> dict[str, npt.NDArray[np.generic]]:
    """What annotators said of the images besides labels, by which scores can be grouped."""
    said = {
        "ambiguity": ["" if a.ambiguity is None else str(a.ambiguity) for a in annotations],
        "ring": ["" if a.ring is None else RINGS[a.ring] for a in annotations],
        "deciding_factor": [SEVERAL.join(a.factors) for a in annotations],
        "age_group": [SEVERAL.join(a.ages) for a in annotations],
        "tag": [SEVERAL.join(a.tags) for a in annotations],
    }
    return {ATTRIBUTE + name: np.array(column) for name, column in said.items()}


def _named(digest: npt.NDArray[np.uint8], name: str, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    content = digest.tobytes() + name.encode() + labels.astype(np.int64).tobytes()
    return np.frombuffer(hashlib.sha1(content, usedforsecurity=False).digest(), dtype=np.uint8)


def _inspect(root: Path, names: list[str]) -> tuple[cache.Arrays, dict[str, Any]]:
    digests = np.zeros((len(names), 20), dtype=np.uint8)
    readable = np.ones(len(names), dtype=bool)
    bad: list[tuple[str, str]] = []
    for i, name in enumerate(names):
        try:
            content = read_content(root / name)
            digests[i] = np.frombuffer(hashlib.sha1(content, usedforsecurity=False).digest(), dtype=np.uint8)
            decode(content, gray=False, shrink=8)
        except UnreadableImageError as error:
            bad.append((name, error.reason))
            readable[i] = False
    return {"digests": digests, "readable": readable}, {"unreadable": bad}
