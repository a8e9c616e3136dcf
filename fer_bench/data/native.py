"""Images of any size, decoded one at a time: identified by what they are, kept at the size that a network is fed
with.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_bench import paths
from fer_bench.data.decoding import load_image, resize
from fer_bench.data.samples import Images
from fer_bench.errors import BadDataError, HardwareError
from fer_bench.image_files import UnreadableImageError

# Where nobody names a size: no larger than what most networks were designed for.
_LARGEST = 224
_SMALLEST = 48
_STEP = 16
_THREADS = min(8, os.cpu_count() or 1)
_BLOCK = 64
_IN_MEMORY = 2**30
_NOTHING = np.empty((0, 0), dtype=np.uint8)
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")


@dataclass(frozen=True)
class Decoded:
    """Images as they are kept.

    Args:
        kept: shape (M,), positions of the images that could be read.
        images: uint8, M of (side, side), or of (side, side, 3) RGB where one of them has a colour; an array, or decoded
            when they are asked for.
        digests: uint8 (M, 20), SHA-1 over the pixels at their native size and the label, as
            :func:`fer_bench.data.samples.sample_digests`.
        pixels: uint8 (M, 20), SHA-1 over the pixels alone.
        bad: positions of the others, with the reason.
        facts: number of images in colour and native sizes, ready for JSON.
    """

    kept: npt.NDArray[np.int64]
    images: Images | npt.NDArray[np.uint8]
    digests: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8]
    bad: list[tuple[int, str]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """An image, its SHA-1 with and without its label, and how it is in the file."""

    image: npt.NDArray[np.uint8]
    digest: bytes
    pixels: bytes
    height: int
    width: int
    colour: bool


def decode_images(
    files: Sequence[Path],
    labels: npt.NDArray[Any],
    side: int | None = None,
    *,
    gray: bool | None = None,
    exact: bool = False,
    reduced: bool = False,
) -> Decoded:
    """Decode images, several at once, without ever holding more than a few at their native size.

    Args:
        files: N image files.
        labels: shape (N,) or (N, D); part of the digests, in their own type.
        side: what every image is resized to; None: :func:`common_side`.
        gray: True makes all of them grey; False keeps three channels of all; None keeps three where an image has a
            colour: one whose channels are equal is grey.
        exact: refuse images that are not of that side.
        reduced: what is kept of a JPEG is decoded at reduced scale where ``side`` is half of it or less.

    Raises:
        BadDataError: with ``exact``, an image of another size; names it.
    """
    target = side or common_side(files)
    store = _Store(len(files), target, colour=gray is False)
    kept, bad, digests, pixels, sizes = [], [], [], [], []
    for at, seen in enumerate(seen_images(files, labels, target, gray, reduced=reduced)):
        if isinstance(seen, str):
            bad.append((at, seen))
            continue
        if exact and (seen.height, seen.width) != (target, target):
            problem = f"{files[at]}: the image is {seen.width} x {seen.height} px, not {target} x {target}."
            raise BadDataError(problem, "This is another dataset or a rescaled copy; use it as --dataset folder:NAME.")
        store.add(seen.image)
        kept.append(at)
        digests.append(seen.digest)
        pixels.append(seen.pixels)
        sizes.append((seen.width, seen.height, seen.colour))
    return Decoded(
        np.array(kept, dtype=np.int64),
        store.images(),
        _rows(digests),
        _rows(pixels),
        bad,
        facts_of(np.array(sizes, dtype=np.int64)),
    )


def decode_grey(
    files: Sequence[Path], side: int, hint: str
) -> tuple[list[int], list[npt.NDArray[np.uint8]], list[tuple[int, str]]]:
    """Decode grey images that all must have one size.

    Args:
        files: N image files.
        side: of every image, in pixels.
        hint: what to do about an image of another size.

    Returns:
        Positions of those that could be read, their pixels, uint8 (side, side), and positions of the others with the
        reason.

    Raises:
        BadDataError: an image of another size.
    """
    kept: list[int] = []
    images: list[npt.NDArray[np.uint8]] = []
    bad: list[tuple[int, str]] = []
    for at, path in enumerate(files):
        try:
            image = load_image(path, gray=True)
        except UnreadableImageError as error:
            bad.append((at, error.reason))
            continue
        if image.shape != (side, side):
            problem = f"{path}: the image is {image.shape[1]} x {image.shape[0]} px, not {side} x {side}."
            raise BadDataError(problem, hint)
        kept.append(at)
        images.append(image)
    return kept, images, bad


def common_side(files: Sequence[Path]) -> int:
    """A side for images of which none is named: what most of them have, or a middling one, and at most 224 px.

    Args:
        files: images, of which only the first bytes are read.

    Returns:
        The shorter side of at least half of the images; where they differ more, the median of it, rounded down to a
        multiple of 16 px.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        sides = np.array([side for side in pool.map(_shorter_side, files) if side], dtype=np.int64)
    if not len(sides):
        return _SMALLEST
    values, counts = np.unique(sides, return_counts=True)
    if 2 * counts.max() >= len(sides):
        return int(min(max(values[counts.argmax()], 8), _LARGEST))
    return int(min(max(int(np.median(sides)) // _STEP * _STEP, _SMALLEST), _LARGEST))


def _shorter_side(file: Path) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as image:
                return min(image.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0


def seen_images(
    files: Sequence[Path], labels: npt.NDArray[Any], side: int | None, gray: bool | None, *, reduced: bool = False
) -> Iterator[Seen | str]:
    """Each image, or why it cannot be read; several are decoded at once.

    Args:
        files: N image files.
        labels: shape (N,) or (N, D).
        side: as of :func:`decode_images`; None: an empty image, where only what it is counts.
        gray: likewise.
        reduced: likewise.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        # In blocks: a pool runs ahead of who takes its results.
        for start in range(0, len(files), _BLOCK):
            block = range(start, min(start + _BLOCK, len(files)))
            yield from pool.map(lambda at: _see(files[at], labels[at], side, gray, reduced), block)


def _see(file: Path, label: Any, side: int | None, gray: bool | None, reduced: bool) -> Seen | str:
    """An image, or why it cannot be read."""
    try:
        image = load_image(file, gray=bool(gray))
    except UnreadableImageError as error:
        return error.reason
    image = without_colour(image)
    content = hashlib.sha1(np.ascontiguousarray(image).tobytes(), usedforsecurity=False)
    labelled = content.copy()
    labelled.update(np.ascontiguousarray(label).tobytes())
    if side is None:
        kept = _NOTHING
    elif reduced:
        kept = resize(without_colour(load_image(file, gray=bool(gray), side=side)), side)
    else:
        kept = resize(image, side)
    return Seen(kept, labelled.digest(), content.digest(), image.shape[0], image.shape[1], image.ndim == 3)


def without_colour(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """One channel of an image whose channels are all the same; any other as it is."""
    if image.ndim == 2:
        return image
    # A few pixels show it of most images.
    for seen in (image[::16, ::16], image):
        if not (np.array_equal(seen[..., 0], seen[..., 1]) and np.array_equal(seen[..., 1], seen[..., 2])):
            return image
    return np.ascontiguousarray(image[..., 0])


class _Store:
    """Storage for images of one size; grey until the first one in colour comes.

    Args:
        n: images at most.
        side: theirs.
        colour: from the first on.
    """

    def __init__(self, n: int, side: int, *, colour: bool = False) -> None:
        self._n, self._side, self._filled = n, side, 0
        self._images = _room((n, side, side, 3) if colour else (n, side, side))

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Put the next image in."""
        if image.ndim == 3 and self._images.ndim == 3:
            coloured = _room((self._n, self._side, self._side, 3))
            for start in range(0, self._filled, _BLOCK):
                end = min(start + _BLOCK, self._filled)
                coloured[start:end] = self._images[start:end, ..., None]
            self._images = coloured
        self._images[self._filled] = image[..., None] if image.ndim < self._images.ndim - 1 else image
        self._filled += 1

    def images(self) -> npt.NDArray[np.uint8]:
        """All of them."""
        return self._images[: self._filled]


def _room(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    n_bytes = int(np.prod(shape))
    if n_bytes < _IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    folder = paths.cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # A full disk is an error here; to a mapped file without its space it would be the end of the process.
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    except OSError as error:
        problem = (
            f"{folder}: not enough space for {n_bytes // 2**20} MiB of decoded images ({error.strerror or error})."
        )
        raise HardwareError(
            problem, "Free some space, name another folder with FER_BENCH_CACHE, or set a smaller image_size."
        ) from None


def _rows(digests: list[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(digests), 20)


def facts_of(found: npt.NDArray[np.int64]) -> dict[str, Any]:
    """What is said of images in a record.

    Args:
        found: shape (N, 3): width, height, and whether they have a colour.
    """
    if not len(found):
        return {}
    low, high = found[:, :2].min(axis=0).tolist(), found[:, :2].max(axis=0).tolist()
    return {"native_size": {"smallest": low, "largest": high}, "n_in_colour": int(found[:, 2].sum())}
