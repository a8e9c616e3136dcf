"""Faces and their landmarks, behind one small interface; the one module that knows MediaPipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_bench import paths
from fer_bench.errors import BadDataError, MissingDataError, MissingPackageError

MODEL = "face_landmarker.task"
# Vertices of MediaPipe's face mesh at the places of the 68 points of iBUG 300-W: jaw, brows, nose, eyes, outer lips,
# inner lips.
IBUG_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A face that was found.

    Args:
        box: left, top, right, bottom in pixels; it may reach outside the image.
        landmarks: shape (68, 2), x and y in pixels, in iBUG's order; None where the detector has none.
        score: how sure the detector is, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32] | None
    score: float


class FaceDetector(Protocol):
    """Anything that finds faces."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces in an RGB image, uint8 (H, W, 3), the largest first."""
        ...


class MediaPipeDetector:
    """MediaPipe's FaceLandmarker; made by :func:`open_detector`, which also closes it."""

    def __init__(self, landmarker: Any) -> None:
        self._landmarker = landmarker

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """See :class:`FaceDetector`. It gives no score per face: 1 stands for "above its own threshold"."""
        import mediapipe as mp

        height, width = image.shape[:2]
        result = self._landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image)))
        faces = []
        for points in result.face_landmarks:
            mesh = np.array([(point.x * width, point.y * height) for point in points], dtype=np.float32)
            landmarks = mesh[list(IBUG_68)]
            (left, top), (right, bottom) = mesh.min(axis=0).tolist(), mesh.max(axis=0).tolist()
            faces.append(Face((left, top, right, bottom), landmarks, 1.0))
        return sorted(faces, key=_area, reverse=True)


def landmarker_place(option: str | None = None, data_dir: str | None = None) -> Path:
    """Where the landmarker's model is looked for: the option, else ``FER_BENCH_LANDMARKER``, else ``<data
    root>/models/face_landmarker.task``.
    """
    named = option or os.environ.get("FER_BENCH_LANDMARKER")
    return paths.expanded(named) if named else paths.data_root(data_dir) / "models" / MODEL


def landmarker_file(option: str | None = None, data_dir: str | None = None) -> Path:
    """Where the landmarker's model is, as :func:`landmarker_place`.

    Raises:
        MissingDataError: it is not there; says where it is looked for.
    """
    path = landmarker_place(option, data_dir)
    if not path.is_file():
        problem = f"the face landmarker's model is not at {path}."
        hint = (
            f"Get {MODEL} (float16) from MediaPipe's page on the Face Landmarker and put it there, or name it with"
            " FER_BENCH_LANDMARKER."
        )
        raise MissingDataError(problem, hint)
    return path


@contextmanager
def open_detector(
    model: str | None = None, data_dir: str | None = None, max_faces: int = 1, threshold: float = 0.5
) -> Iterator[FaceDetector]:
    """Open MediaPipe's landmarker for as long as the ``with`` block lasts.

    Args:
        model: path of the model file; None: see :func:`landmarker_file`.
        data_dir: data root.
        max_faces: how many faces to look for.
        threshold: least confidence of the detection, 0 to 1.

    Raises:
        MissingDataError: the model file is not there.
        MissingPackageError: mediapipe is not installed.
        BadDataError: the model file is damaged.
    """
    path = landmarker_file(model, data_dir)
    try:
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision
    except ImportError:
        problem = "finding faces needs the package mediapipe."
        raise MissingPackageError(problem, "Install it (pip install 'fer_bench[faces]').") from None
    options = vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(path)),
        num_faces=max_faces,
        min_face_detection_confidence=threshold,
    )
    try:
        landmarker = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        problem = f"{path}: not a usable face landmarker ({str(error).splitlines()[0][:120]})."
        raise BadDataError(problem, f"Get {MODEL} again.") from None
    # Left to the garbage collector, it raises when the interpreter ends.
    with landmarker:
        yield MediaPipeDetector(landmarker)


def _area(face: Face) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
