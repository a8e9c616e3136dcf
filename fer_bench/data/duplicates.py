"""Duplicates across splits: a test face that a network may have seen in training says nothing about generalisation.

Faces are compared after small registration-free normalisation: shrunk to 24 x 24, blurred, mean removed, length one;
then the cosine between two faces is their correlation. Mirror images count. A pair is *exact* when all pixels agree,
*near* when the correlation is at least ``NEAR``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.samples import Images, Samples

SIDE = 24
# Chosen on FER2013 by looking at pairs in bands of correlation: from 0.95 on every pair that was looked at showed the
# same photograph (often with other watermarks), below 0.94 some showed two people in the same pose.
NEAR = 0.95
_BLOCK = 512
# Images outside test that are compared at once: 150 MB of descriptors.
_KNOWN = 65_536


@dataclass(frozen=True)
class DuplicatePairs:
    """Pairs of a test sample and a sample of another split.

    Args:
        test: shape (P,), positions.
        other: shape (P,), positions of the most similar sample elsewhere.
        correlation: shape (P,).
        exact: shape (P,), True where all pixels agree.
    """

    test: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    correlation: npt.NDArray[np.float32]
    exact: npt.NDArray[np.bool_]


def describe(images: Images | npt.NDArray[np.uint8], positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Descriptors of some images.

    Args:
        images: uint8, grey or RGB.
        positions: shape (N,).

    Returns:
        Shape (N, 576), float32, of unit length; an image without contrast gives zeros, so that two blank images never
        match as "near".
    """
    return _described(images, positions)[0]


def _described(
    images: Images | npt.NDArray[np.uint8], positions: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], list[bytes]]:
    """Descriptors and SHA-1 of some images, each of which is decoded once."""
    out = np.empty((len(positions), SIDE * SIDE), dtype=np.float32)
    digests = []
    for row, position in enumerate(positions):
        image = np.asarray(images[int(position)])
        out[row] = _shrunk(image).ravel()
        digests.append(_digest(image))
    out -= out.mean(axis=1, keepdims=True)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 1.0, out / np.maximum(length, 1e-6), 0.0).astype(np.float32), digests


def _by_value(digests: list[bytes]) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = {}
    for at, digest in enumerate(digests):
        places.setdefault(digest, []).append(at)
    return places


def _shrunk(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A grey image of 24 x 24; grey faces of 48 x 48, FER2013's, are shrunk without OpenCV, to the same pixels."""
    if image.shape == (2 * SIDE, 2 * SIDE):
        corners = image.reshape(SIDE, 2, SIDE, 2).astype(np.uint16)
        return np.asarray((corners.sum(axis=(1, 3)) + 2) >> 2, dtype=np.uint8)
    import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    return np.asarray(cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def find_duplicates(
    images: Images | npt.NDArray[np.uint8], split: npt.NDArray[np.str_], near: float = NEAR
) -> DuplicatePairs:
    """For every test sample its most similar sample in another split, where that is a duplicate.

    Args:
        images: all images.
        split: shape (N,).
        near: least correlation that counts.

    Returns:
        At most one pair per test sample.
    """
    test, other = np.flatnonzero(split == "test"), np.flatnonzero(split != "test")
    if not len(test) or not len(other):
        none = np.zeros(0, dtype=np.int64)
        return DuplicatePairs(none, none, np.zeros(0, dtype=np.float32), np.zeros(0, dtype=bool))
    faces, own = _described(images, test)
    mirrored = faces.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(test), -1)
    # Of each view, so that the first of equals is the same however many are compared at once.
    best = np.full((2, len(test)), -1.0, dtype=np.float32)
    partners = np.zeros((2, len(test)), dtype=np.int64)
    wanted, exact_partner = _by_value(own), np.full(len(test), -1, dtype=np.int64)
    for first in range(0, len(other), _KNOWN):
        part = other[first : first + _KNOWN]
        known, digests = _described(images, part)
        for position, digest in zip(part.tolist(), digests, strict=True):
            same = [at for at in wanted.get(digest, ()) if exact_partner[at] < 0]
            exact_partner[same] = position
        for start in range(0, len(test), _BLOCK):
            block = slice(start, start + _BLOCK)
            for view, faces_of in enumerate((faces, mirrored)):
                similarity = faces_of[block] @ known.T
                at = similarity.argmax(axis=1)
                value = similarity[np.arange(len(at)), at]
                better = value > best[view, block]
                best[view, block] = np.where(better, value, best[view, block])
                partners[view, block] = np.where(better, part[at], partners[view, block])
    partner = np.where(best[1] > best[0], partners[1], partners[0])
    best = best.max(axis=0)
    exact = exact_partner >= 0
    partner = np.where(exact, exact_partner, partner)
    found = exact | (best >= near)
    return DuplicatePairs(
        test[found], partner[found], np.where(exact, 1.0, best)[found].astype(np.float32), exact[found]
    )


def copies_of_test(
    images: Images | npt.NDArray[np.uint8], split: npt.NDArray[np.str_], near: float = NEAR
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """For every sample outside the test split the test sample that it is a duplicate of.

    Args:
        images: all images.
        split: shape (N,).
        near: least correlation that counts.

    Returns:
        Positions of test samples, -1 for none, and correlations with the most similar of them, both of shape (N,).
    """
    found, correlation = np.full(len(split), -1, dtype=np.int64), np.zeros(len(split), dtype=np.float32)
    test, other = np.flatnonzero(split == "test"), np.flatnonzero(split != "test")
    if not len(test) or not len(other):
        return found, correlation
    faces, known = describe(images, test), describe(images, other)
    mirrored = faces.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(test), -1)
    for start in range(0, len(other), _BLOCK):
        rows = other[start : start + _BLOCK]
        for view in (faces, mirrored):
            similarity = known[start : start + _BLOCK] @ view.T
            at = similarity.argmax(axis=1)
            value = similarity[np.arange(len(at)), at]
            better = value > correlation[rows]
            correlation[rows] = np.where(better, value, correlation[rows])
            found[rows] = np.where(better & (value >= near), test[at], found[rows])
    exact = _exact(images, other, test)
    found[other] = np.where(exact >= 0, exact, found[other])
    correlation[other] = np.where(exact >= 0, 1.0, correlation[other])
    return found, correlation


def _exact(
    images: Images | npt.NDArray[np.uint8], test: npt.NDArray[np.int64], other: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    seen = {_digest(images[int(i)]): int(i) for i in other[::-1]}
    return np.array([seen.get(_digest(images[int(i)]), -1) for i in test], dtype=np.int64)


def _digest(image: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha1(np.ascontiguousarray(image).tobytes(), usedforsecurity=False).digest()


def flag_duplicates(samples: Samples) -> None:
    """Add the column ``duplicate`` (test samples with a copy in train or validation) to samples that have a cache key;
    computed once per source.

    Args:
        samples: as read, all of them.
    """
    if not samples.key or not all(len(samples.where(split)) for split in ("train", "test")):
        return
    arrays, _ = cache.cached(
        "duplicates",
        hashlib.sha256(f"1|{SIDE}|{NEAR}|{samples.key}".encode()).hexdigest(),
        lambda: (_as_arrays(samples), {}),
    )
    flags = np.zeros(len(samples), dtype=bool)
    flags[arrays["test"]] = True
    samples.columns["duplicate"] = flags


def _as_arrays(samples: Samples) -> cache.Arrays:
    pairs = find_duplicates(samples.images, samples.split)
    return {"test": pairs.test, "other": pairs.other, "correlation": pairs.correlation, "exact": pairs.exact}
