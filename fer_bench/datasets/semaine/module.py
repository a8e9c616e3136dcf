"""SEMAINE (McKeown et al. 2012): conversations in a laboratory, rated continuously; every tenth frame of each video,
cropped to the face.

There are no official splits: folds go by subject. Videos are decoded and faces found once; crops are in the cache
afterwards.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.cross_validation import Folding
from fer_bench.data import cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.images import carry, crop, face_box, pixels_of
from fer_bench.data.samples import Samples
from fer_bench.datasets.semaine.sessions import Recording, find_recordings
from fer_bench.errors import BadDataError
from fer_bench.faces.detector import Face, FaceDetector, landmarker_file, open_detector
from fer_bench.protocols.video import SemaineOptions

READER_VERSION = "1"
SIDE = 224
FRAMES_PER_SECOND = 50.0
Opener = Callable[[], AbstractContextManager[FaceDetector]]


class SemaineDataModule(AffectDataModule):
    """SEMAINE or its AVEC variant; its options are :class:`fer_bench.protocols.video.SemaineOptions`."""

    dataset = "semaine"
    default_folding = Folding("identity", 5, 0)

    def read(self) -> Samples:
        """Read ratings and videos, or the crops that were made before."""
        options = self.chosen(SemaineOptions)
        return read_semaine(
            self.data_dir,
            size=self.image_size or SIDE,
            every=options.every,
            merge=options.merge,
            margin=options.margin,
            open_faces=lambda: open_detector(options.landmarker, self.data_dir),
            model=lambda: landmarker_file(options.landmarker, self.data_dir),
        )


def read_semaine(
    data_dir: str | None,
    *,
    size: int = SIDE,
    every: int = 10,
    merge: str = "mean",
    margin: float = 0.1,
    open_faces: Opener = open_detector,
    model: Callable[[], Path] = landmarker_file,
) -> Samples:
    """Read SEMAINE.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        size: side of the crops.
        every: keep one frame of so many.
        merge: how raters are merged.
        margin: share of the box around the landmarks that is added on each side.
        open_faces: opens the face detector; called once, and only if some video has not been cropped yet.
        model: path of the detector's model, which is part of the crops' identity.

    Returns:
        Samples with ids ``<session>-<role>/<frame>``, the target ``va``, groups = recording, and the columns clip,
        identity (the subject; the session where no subject is named), frame, landmarks (N, 68, 2; NaN without a face)
        and no_face. A frame without a face is shown whole.

    Raises:
        MissingDataError: there is no session, or no face detector's model.
        BadDataError: ratings that are not as the format says, or nothing usable is left.
    """
    folders = cache.candidates("semaine", data_dir)
    variant, recordings, left_out = next(
        (found for root in folders if (found := find_recordings(root, merge))[0]), ("", [], [])
    )
    if not variant:
        raise cache.missing(
            "semaine",
            ("Sessions/<id>/*.xml", "TrainingInput/<id>/TU_VA.csv with the media in sessions/<id>/"),
            folders,
        )
    clips = list(_clips(recordings, size, every, margin, open_faces, model, left_out))
    if not clips:
        problem = (
            f"no usable recording in {' or '.join(map(str, folders))}:"
            f" {'; '.join(f'{where}: {why}' for where, why in left_out[:3])}."
        )
        raise BadDataError(problem, "Unpack the sessions again.")
    joined = {
        name: np.concatenate([clip[name] for clip in clips])
        for name in ("ids", "va", "frame", "landmarks", "no_face", "clip", "identity")
    }
    digest = hashlib.sha256("\n".join(joined["ids"].tolist()).encode())
    digest.update(np.ascontiguousarray(joined["va"]).tobytes())
    # Of the videos, not of the crops: those depend on the size that was asked for.
    digest.update("".join(str(clip["content"]) for clip in clips).encode())
    n_missing = int(joined["no_face"].sum())
    unnamed = any(not recording.subject for recording in recordings)
    return Samples(
        ids=joined["ids"],
        images=Joined([clip["crops"] for clip in clips]),
        split=np.full(len(joined["ids"]), "train", dtype="<U10"),
        targets={"va": joined["va"]},
        layout=f"{variant}, {len(clips)} recordings, raters merged by {merge}, every {every}th frame",
        groups=joined["clip"],
        columns={name: joined[name] for name in ("clip", "identity", "frame", "landmarks", "no_face")},
        notes=[
            *(
                [
                    f"no face found in {n_missing} of {len(joined['ids'])} frames: left out of training, counted as"
                    " unanswered in test"
                ]
                if n_missing
                else []
            ),
            *(["no subject ids: every session counts as a separate person"] if unnamed else []),
            *(f"{where} left out: {why}" for where, why in left_out),
        ],
        quarantined=left_out,
        checksums={"all": digest.hexdigest()[:16]},
        facts={
            "counts": {"no face": n_missing, "recordings left out": len(left_out)},
            "models": {"face landmarker": _model_key(model)[:16]},
        },
    )


class Joined:
    """Several arrays of images as one sequence.

    Args:
        parts: each of shape (n, size, size, 3), memory-mapped.
    """

    def __init__(self, parts: list[npt.NDArray[np.uint8]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """One image."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        return np.asarray(self._parts[part][index - int(self._ends[part]) + len(self._parts[part])])


def _clips(
    recordings: list[Recording],
    size: int,
    every: int,
    margin: float,
    open_faces: Opener,
    model: Callable[[], Path],
    left_out: list[tuple[str, str]],
) -> Iterator[dict[str, Any]]:
    """Columns of each recording's usable frames."""
    with ExitStack() as stack:
        opened: list[FaceDetector] = []

        def detect(image: npt.NDArray[np.uint8]) -> list[Face]:
            if not opened:
                opened.append(stack.enter_context(open_faces()))
            return opened[0].detect(image)

        for recording in recordings:
            content = cache.file_sha256(recording.video)
            key = f"{READER_VERSION}|{content}|{size}|{every}|{margin}|{_model_key(model)}"

            def build(recording: Recording = recording) -> tuple[cache.Arrays, dict[str, Any]]:
                return _cut(recording.video, size, every, margin, detect)

            arrays, facts = cache.cached("semaine", hashlib.sha256(key.encode()).hexdigest(), build)
            at = annotation_rows(np.asarray(arrays["frame"]) / facts["fps"], recording.times)
            rated = at >= 0
            if not rated.any():
                left_out.append((str(recording.video), "no frame that is rated" if len(at) else "not a readable video"))
                continue
            keep = np.flatnonzero(rated)
            frames = np.asarray(arrays["frame"])[keep]
            n = len(frames)
            yield {
                "content": content,
                "ids": np.array([f"{recording.name}/{frame:06d}" for frame in frames.tolist()]),
                "va": recording.values[at[keep]].astype(np.float32),
                "frame": frames,
                "crops": arrays["crops"][:n] if (keep == np.arange(n)).all() else arrays["crops"][keep],
                "landmarks": np.asarray(arrays["landmarks"])[keep],
                "no_face": ~np.asarray(arrays["found"])[keep],
                "clip": np.full(n, recording.name),
                "identity": np.full(
                    n, f"subject {recording.subject}" if recording.subject else f"session {recording.session}"
                ),
            }


def _model_key(model: Callable[[], Path]) -> str:
    path = model()
    return cache.file_sha256(path) if path.is_file() else str(path)


def annotation_rows(seconds: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Row of the rating nearest to each moment.

    Args:
        seconds: shape (N,), moments of the frames.
        times: shape (T,), increasing, of the ratings.

    Returns:
        Shape (N,): row, or -1 where the ratings had not begun or had ended (by more than one step).
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / FRAMES_PER_SECOND
    right = np.clip(np.searchsorted(times, seconds), 1, max(len(times) - 1, 1))
    left = right - 1
    nearest = np.where(
        np.abs(times[np.minimum(right, len(times) - 1)] - seconds) < np.abs(times[left] - seconds),
        np.minimum(right, len(times) - 1),
        left,
    )
    return np.where(np.abs(times[nearest] - seconds) <= step, nearest, -1).astype(np.int64)


def _cut(
    video: Path, size: int, every: int, margin: float, detect: Callable[[npt.NDArray[np.uint8]], list[Face]]
) -> tuple[cache.Arrays, dict[str, Any]]:
    """Crops of every so-manieth frame."""
    capture = cv2.VideoCapture(str(video))
    crops: list[npt.NDArray[np.uint8]] = []
    landmarks: list[npt.NDArray[np.float32]] = []
    found: list[bool] = []
    number = 0
    try:
        fps = float(capture.get(cv2.CAP_PROP_FPS) or 0) or FRAMES_PER_SECOND
        while capture.grab():
            if number % every == 0:
                ok, frame = capture.retrieve()
                if not ok:
                    break
                part, points = face_crop(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)), detect, size, margin)
                crops.append(part)
                landmarks.append(points)
                found.append(bool(np.isfinite(points).all()))
            number += 1
    finally:
        capture.release()
    print(f"semaine: {video.name}: {len(crops)} frames, {sum(found)} with a face", file=sys.stderr, flush=True)
    arrays: cache.Arrays = {
        "crops": np.stack(crops) if crops else np.zeros((0, size, size, 3), dtype=np.uint8),
        "landmarks": np.stack(landmarks) if landmarks else np.zeros((0, 68, 2), dtype=np.float32),
        "found": np.array(found, dtype=bool),
        "frame": np.arange(len(crops), dtype=np.int64) * every,
    }
    return arrays, {"fps": fps}


def face_crop(
    image: npt.NDArray[np.uint8], detect: Callable[[npt.NDArray[np.uint8]], list[Face]], size: int, margin: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Cut out the largest face by the extremes of its landmarks.

    Args:
        image: RGB (H, W, 3).
        detect: finds faces.
        size: side of the crop.
        margin: share of the box that is added on each side.

    Returns:
        The crop, and landmarks (68, 2) in it; the whole image and NaN where there is no face.
    """
    height, width = image.shape[:2]
    faces = [face for face in detect(image) if face.landmarks is not None]
    points = faces[0].landmarks if faces else None
    box = None if points is None else pixels_of(face_box(points, margin), width, height)
    if points is None or box is None:
        return crop(image, (0, 0, width, height), size), np.full((68, 2), np.nan, dtype=np.float32)
    return crop(image, box, size), carry(points, box, size)
