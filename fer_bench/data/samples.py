"""Samples: the return value of every reader, for any layout on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "validation", "test")
# Prefix of custom columns, such as gender or camera, among the columns of samples.
ATTRIBUTE = "attribute:"
# Between the values of a sample that has several of one attribute, such as the age groups in a photograph.
SEVERAL = "\x1f"


class Images(Protocol):
    """A sequence of images, decoded on access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """One image: uint8, (H, W) grey or (H, W, 3) RGB."""
        ...


@dataclass
class Samples:
    """A dataset as read.

    Args:
        ids: shape (N,), text, unique.
        images: N images.
        split: shape (N,), one of ``train``, ``validation``, ``test``.
        targets: named label columns: (N,) ids with -1 for "has none", (N, C) distributions,
            (N, K) whether each sample has each category (integers; a row of -1 for "has none"), or (N, D) values.
        layout: which of the known layouts the files were in.
        groups: shape (N,), text: the person or clip of each sample; None where unknown.
        columns: further data per sample (landmarks, votes, clip, ...).
        notes: remarks about this copy for readers of the results.
        quarantined: files that could not be read, with the reason.
        checksums: identity of each split, by which rows on different copies are distinguished; ``all`` where the reader
            makes no splits.
        facts: further facts for the record, JSON-serialisable.
        pictures: identity of the images in their order, however they are split; empty: nothing is known of it but what
            the splits' checksums and the options say.
        selects_on_test: there is no validation split: the test split stands for it.
        key: identity of the source files, for what is computed once per source; empty where there is none.
    """

    ids: npt.NDArray[np.str_]
    images: Images
    split: npt.NDArray[np.str_]
    targets: dict[str, npt.NDArray[np.generic]]
    layout: str
    groups: npt.NDArray[np.str_] | None = None
    columns: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)
    key: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: str = ""
    selects_on_test: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the samples of one split."""
        return np.flatnonzero(self.split == ("test" if split == "validation" and self.selects_on_test else split))

    def select(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Samples:
        """The samples of a mask or of positions, in that order."""
        at: npt.NDArray[np.int64] = np.flatnonzero(keep) if keep.dtype == bool else keep.astype(np.int64)
        return Samples(
            ids=self.ids[at],
            images=Subset(self.images, at),
            split=self.split[at],
            targets={name: column[at] for name, column in self.targets.items()},
            layout=self.layout,
            groups=None if self.groups is None else self.groups[at],
            columns={name: column[at] for name, column in self.columns.items()},
            notes=list(self.notes),
            quarantined=list(self.quarantined),
            checksums=dict(self.checksums),
            key=self.key,
            facts=dict(self.facts),
            selects_on_test=self.selects_on_test,
        )


class Subset:
    """Some images of a sequence, by position."""

    def __init__(self, images: Images, positions: npt.NDArray[np.int64]) -> None:
        # Nested subsets are flattened, so that reading an image takes one index operation.
        self._images: Images = images._images if isinstance(images, Subset) else images
        self._positions: npt.NDArray[np.int64] = (
            images._positions[positions] if isinstance(images, Subset) else positions
        )

    @property
    def images(self) -> Images:
        """The whole sequence."""
        return self._images

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """Where these are in it, shape (N,)."""
        return self._positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return self._images[int(self._positions[index])]


def stack_images(images: Images, index: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Several images of one size, (N, H, W) or (N, H, W, 3); in one step where all are in one array."""
    if isinstance(images, Subset) and isinstance(images._images, np.ndarray):
        return np.asarray(images._images[images._positions[index]])
    if isinstance(images, Subset) and (stack := getattr(images._images, "stack", None)) is not None:
        return np.asarray(stack(images._positions[index]))
    return np.stack([np.asarray(images[i]) for i in index])


def content_order(digests: npt.NDArray[np.uint8]) -> str:
    """Identity of the order of samples, independent of their ids: in another order a seed splits them differently.

    Args:
        digests: shape (N, 20), one SHA-1 per sample, as :func:`sample_digests` makes them.

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(np.ascontiguousarray(digests).tobytes()).hexdigest()[:16]


def names_digest(names: Iterable[object]) -> str:
    """Sixteen hexadecimal digits that identify names in their order."""
    return hashlib.sha256("\n".join(map(str, names)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def split_checksum(digests: npt.NDArray[np.uint8]) -> str:
    """Identity of a set of samples, independent of their order.

    Args:
        digests: shape (N, 20), one SHA-1 per sample, as :func:`sample_digests` makes them.

    Returns:
        16 hexadecimal digits.
    """
    order = np.lexsort(digests.T[::-1])
    return hashlib.sha256(np.ascontiguousarray(digests[order]).tobytes()).hexdigest()[:16]


def sample_digests(images: Images | npt.NDArray[np.uint8], labels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """SHA-1 over pixels and label of every sample.

    Args:
        images: N images.
        labels: shape (N,) or (N, D).

    Returns:
        Shape (N, 20), uint8.
    """
    digests = np.empty((len(labels), 20), dtype=np.uint8)
    for i in range(len(labels)):
        content = hashlib.sha1(np.ascontiguousarray(images[i]).tobytes(), usedforsecurity=False)
        content.update(np.ascontiguousarray(labels[i]).tobytes())
        digests[i] = np.frombuffer(content.digest(), dtype=np.uint8)
    return digests
