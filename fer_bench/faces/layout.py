"""Where the landmarks, the eyes and the mouth of a dataset's faces are: as the dataset says, as the landmarker finds,
or where they are in most face crops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data import cache
from fer_bench.data.samples import Samples
from fer_bench.errors import MissingDataError, MissingPackageError
from fer_bench.faces.crops import framing_of
from fer_bench.faces.detector import Face, landmarker_file, landmarker_place, open_detector
from fer_bench.protocols import info_of

Float = npt.NDArray[np.float32]
# Medians over 360 of FER2013's first 400 faces, in which MediaPipe's landmarker finds its points: left, top, right and
# bottom of brows and eyes, and of the mouth, as shares of the box of the 68 landmarks; and that box' height over its
# width.
_EYES, _MOUTH = (0.05, 0.0, 0.94, 0.26), (0.315, 0.63, 0.68, 0.815)
_TALL = 0.98
_EYE_POINTS = [*range(17, 27), *range(36, 48)]
_MOUTH_POINTS = list(range(48, 68))
# Of the landmarks' box: skin around eyes and mouth that is covered too.
_MARGIN = 0.05
_VERSION = "1"


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of N samples.

    Args:
        points: shape (N, 68, 2), x and y in pixels of the samples' images, in iBUG's order; NaN where there are none.
        source: ``dataset`` or ``landmarker``.
        model: digest of the landmarker's model; empty where the dataset provides landmarks.
    """

    points: Float
    source: str
    model: str = ""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Shape (N,): where there are landmarks."""
        return np.asarray(np.isfinite(self.points).all(axis=(1, 2)))


@dataclass(frozen=True)
class FaceParts:
    """Where eyes and mouth are.

    Args:
        boxes: shape (N, 2, 4), of brows and eyes, and of the mouth: left, top, right and bottom in pixels.
        facts: how many were taken from where, ready for JSON.
    """

    boxes: Float
    facts: dict[str, Any]


def find_landmarks(samples: Samples, dataset: str, data_dir: str | None = None) -> Landmarks:
    """Landmarks of all samples: the dataset's own, else those that MediaPipe's landmarker finds; kept in the cache.

    Args:
        samples: faces.
        dataset: its name.
        data_dir: data root.

    Raises:
        MissingDataError: the landmarker's model is not there.
        MissingPackageError: mediapipe is not installed.
    """
    if "landmarks" in samples.columns and info_of(dataset).own_landmarks:
        return Landmarks(np.asarray(samples.columns["landmarks"], dtype=np.float32), "dataset")
    path = landmarker_file(None, data_dir)
    model = cache.file_sha256(path)

    def build() -> tuple[cache.Arrays, dict[str, Any]]:
        found = np.full((len(samples), 68, 2), np.nan, dtype=np.float32)
        with open_detector(str(path), data_dir) as detector:
            for i in range(len(samples)):
                image = np.asarray(samples.images[i])
                faces = detector.detect(
                    np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), dtype=np.uint8) if image.ndim == 2 else image
                )
                if faces and faces[0].landmarks is not None:
                    found[i] = faces[0].landmarks
        return {"points": found}, {}

    if not samples.key:
        return Landmarks(np.asarray(build()[0]["points"]), "landmarker", model)
    shape = tuple(samples.images[0].shape) if len(samples) else ()
    key = cache.text_sha256(f"{_VERSION}|{model}|{samples.key}|{shape}|" + "\n".join(samples.ids.tolist()))
    return Landmarks(np.asarray(cache.cached("landmarks", key, build)[0]["points"]), "landmarker", model)


def find_parts(samples: Samples, dataset: str, options: Mapping[str, Any], data_dir: str | None = None) -> FaceParts:
    """Where eyes and mouth of all samples are; where there are no landmarks, at the standard place of the dataset's
    face crops.

    Args:
        samples: at least one, of one size; faces, each cut out.
        dataset: its name.
        options: its ``dataset_options``.
        data_dir: data root.
    """
    height, width = samples.images[0].shape[:2]
    boxes = np.broadcast_to(standard_parts(dataset, options, width, height), (len(samples), 2, 4)).copy()
    try:
        landmarks = find_landmarks(samples, dataset, data_dir)
    except MissingDataError:
        # Without its folder: what is stored may be published.
        why = f"the face landmarker's model, {landmarker_place(None, data_dir).name}, was not there."
        return FaceParts(boxes, {"standard place": len(samples), "why": why})
    except MissingPackageError as error:
        return FaceParts(boxes, {"standard place": len(samples), "why": error.problem})
    known = landmarks.known
    boxes[known] = parts_of(landmarks.points[known])
    facts: dict[str, Any] = {
        f"landmarks of the {landmarks.source}": int(known.sum()),
        "standard place": int((~known).sum()),
    }
    return FaceParts(boxes, facts | ({"landmarker": landmarks.model[:16]} if landmarks.model else {}))


def parts_of(points: Float) -> Float:
    """Boxes (N, 2, 4) of brows and eyes, and of the mouth, from landmarks (N, 68, 2)."""
    low, high = points.min(axis=1), points.max(axis=1)
    added = _MARGIN * (high - low)
    found = []
    for at in (_EYE_POINTS, _MOUTH_POINTS):
        found.append(np.concatenate([points[:, at].min(axis=1) - added, points[:, at].max(axis=1) + added], axis=1))
    return np.stack(found, axis=1).astype(np.float32)


def standard_parts(dataset: str, options: Mapping[str, Any], width: int, height: int) -> Float:
    """Boxes (2, 4) of brows and eyes, and of the mouth, in an image of a face that is framed as the dataset frames
    faces.
    """
    left, top, right, bottom = framing_of(dataset, options).box(Face((0.0, 0.0, 1.0, _TALL), None, 1.0))
    found = []
    for x0, y0, x1, y1 in (_EYES, _MOUTH):
        edges = (x0 - _MARGIN, _TALL * (y0 - _MARGIN), x1 + _MARGIN, _TALL * (y1 + _MARGIN))
        found.append(
            [
                (x - left) / (right - left) * width if i % 2 == 0 else (x - top) / (bottom - top) * height
                for i, x in enumerate(edges)
            ]
        )
    return np.array(found, dtype=np.float32)
