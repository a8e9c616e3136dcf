"""Where the faces of a dataset's images are: one pass of a detector, kept on disk, for datasets that do not say it
themselves.

MediaPipe's detector looks at 128 x 128 pixels: in a photograph of 800 x 600 it misses every face of 100 px. So it is
also shown overlapping windows. Of 32 faces of FER2013, pasted at random places of such images, it found (with one false
alarm in all of it):

=====================  =====  =====  ======  ======
side of the face       48 px  72 px  100 px  220 px
=====================  =====  =====  ======  ======
whole image            0.00   0.00   0.00    0.69
with 3 x 3 windows     0.00   0.25   0.78    0.91
with 5 x 5 windows     0.34   0.84   0.91    0.91
=====================  =====  =====  ======  ======
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.cache import file_sha256
from fer_bench.data.computed import dataset_identity, read_or_compute
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.images import pixels_of
from fer_bench.data.samples import Images
from fer_bench.faces.detector import Face, landmarker_file, open_detector
from fer_bench.registry import Registry

VERSION = 1
MOST_FACES = 64
# Levels of windows: k x k of them, each 2 / (k + 1) of the image's sides, so that neighbours share half.
WINDOWS = (1, 3, 5)
THRESHOLD = 0.5
# A face that two windows show is found twice; faces of two people hardly ever cover half of one another.
_SAME = 0.5
_MOST_PER_WINDOW = 16
_BLOCK = 64

Boxes = npt.NDArray[np.float32]


class FindBoxes(Protocol):
    """Anything that finds faces."""

    def __call__(self, image: npt.NDArray[np.uint8]) -> Boxes:
        """Boxes (F, 4) of the faces in an RGB image, uint8 (H, W, 3): left, top, right, bottom in pixels, around brows,
        jaw and chin.
        """
        ...


@dataclass(frozen=True)
class BoxDetector:
    """A detector that is opened only where something has to be detected.

    Args:
        name: for records.
        identity: what decides its boxes, ready for JSON: ``sha256`` of its model file, and its settings.
        open: gives the function for as long as a ``with`` block lasts.
    """

    name: str
    identity: Mapping[str, Any]
    open: Callable[[], AbstractContextManager[FindBoxes]]


@dataclass(frozen=True)
class DetectedFaces:
    """Faces of N images.

    Args:
        boxes: shape (N, 64, 4), float32, memory-mapped: left, top, right, bottom in pixels of the dataset's images, the
            largest faces first; then NaN.
        key: name of the cache.
        n_computed: images that the detector has seen this time.
    """

    boxes: Boxes
    key: str
    n_computed: int


DETECTORS: Registry[Callable[[str | None], BoxDetector]] = Registry("face detector")


@DETECTORS.register("mediapipe")
def mediapipe_detector(data_dir: str | None = None) -> BoxDetector:
    """MediaPipe's landmarker over windows; its boxes are those of the 68 landmarks, which :mod:`fer_bench.faces.crops`
    starts from.

    Raises:
        MissingDataError: its model file is not there.
    """
    path = landmarker_file(None, data_dir)
    identity = {"sha256": file_sha256(path), "windows": list(WINDOWS), "threshold": THRESHOLD}

    @contextmanager
    def opened() -> Iterator[FindBoxes]:
        with open_detector(str(path), data_dir, max_faces=_MOST_PER_WINDOW, threshold=THRESHOLD) as detector:
            yield in_windows(lambda image: boxes_of(detector.detect(image)), WINDOWS)

    return BoxDetector("mediapipe", identity, opened)


def boxes_of(faces: list[Face]) -> Boxes:
    """Boxes (F, 4) of faces: around the landmarks where there are any."""
    found = [
        face.box if face.landmarks is None else (*face.landmarks.min(axis=0), *face.landmarks.max(axis=0))
        for face in faces
    ]
    return np.array(found, dtype=np.float32).reshape(-1, 4)


def in_windows(find: FindBoxes, levels: tuple[int, ...]) -> FindBoxes:
    """A detector that is shown windows of an image, so that it sees small faces larger.

    Args:
        find: shown one window at a time.
        levels: see :data:`WINDOWS`.

    Returns:
        Finds faces in the whole image. Of boxes that mean the same face it keeps one that no window's edge cuts, and
        among those the one of the largest window.
    """

    def everywhere(image: npt.NDArray[np.uint8]) -> Boxes:
        height, width = image.shape[:2]
        whole: list[Boxes] = []
        cut: list[Boxes] = []
        for left, top, right, bottom in _windows(width, height, levels):
            for box in find(np.ascontiguousarray(image[top:bottom, left:right])):
                moved = box + np.array([left, top, left, top], dtype=np.float32)
                inside = (moved[:2] > (left, top)) | (np.array([left, top]) == 0)
                inside &= (moved[2:] < (right, bottom)) | (np.array([right, bottom]) == (width, height))
                (whole if inside.all() else cut).append(moved)
        return _once([*whole, *cut])

    return everywhere


def _windows(width: int, height: int, levels: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    for k in levels:
        w, h = width * 2 // (k + 1), height * 2 // (k + 1)
        for row in range(k):
            for column in range(k):
                left, top = round(column * (width - w) / max(k - 1, 1)), round(row * (height - h) / max(k - 1, 1))
                yield left, top, left + w, top + h


def _once(boxes: list[Boxes]) -> Boxes:
    kept: list[Boxes] = []
    for box in boxes:
        if all(_shared(box, other) <= _SAME for other in kept):
            kept.append(box)
    return np.array(kept, dtype=np.float32).reshape(-1, 4)


def _shared(a: Boxes, b: Boxes) -> float:
    """The part that two boxes share, as a share of the smaller one."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(float(np.prod(box[2:] - box[:2])) for box in (a, b))
    return float(np.prod(np.maximum(sides, 0))) / max(smaller, 1e-9)


def detect_faces(datamodule: AffectDataModule, detector: BoxDetector) -> DetectedFaces:
    """Faces of all images of a dataset, from the cache or detected into it; an interrupted pass resumes where it
    stopped.

    Args:
        datamodule: of the dataset; faces are looked for in its images as it gives them.
        detector: opened only if an image is left to look at.

    Raises:
        BadDataError: the dataset does not say what its images are, or the cache is damaged.
        HardwareError: the disk is full.
    """
    images = datamodule.read_samples.images
    about = {
        "version": VERSION,
        "detector": detector.name,
        "settings": dict(detector.identity),
        "n": len(images),
        **dataset_identity(datamodule),
    }
    found = read_or_compute(about, len(images), lambda start: _rows(images, detector, start), np.float32, _BLOCK)
    return DetectedFaces(found.values, found.key, found.n_computed)


def _rows(images: Images, detector: BoxDetector, start: int) -> Iterator[Boxes]:
    with detector.open() as find:
        for i in range(start, len(images)):
            image = as_rgb(images[i])
            row = np.full((1, MOST_FACES, 4), np.nan, dtype=np.float32)
            boxes = usable(np.asarray(find(image), dtype=np.float32).reshape(-1, 4), image.shape[1], image.shape[0])[
                :MOST_FACES
            ]
            row[0, : len(boxes)] = boxes
            yield row


def usable(boxes: Boxes, width: int, height: int) -> Boxes:
    """The boxes that have pixels within an image, the largest first."""
    inside = [box for box in boxes if np.isfinite(box).all() and pixels_of(box, width, height) is not None]
    inside.sort(key=lambda box: float(np.prod(box[2:] - box[:2])), reverse=True)
    return np.array(inside, dtype=np.float32).reshape(-1, 4)


def as_rgb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image as (H, W, 3)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), dtype=np.uint8) if image.ndim == 2 else np.asarray(image)
