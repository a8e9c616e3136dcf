"""What ``live`` leaves behind: a video and a table, each under a temporary name until it is whole."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.letterbox import letterbox
from fer_bench.errors import BadDataError, HardwareError, SpecError
from fer_bench.escaping import csv_text
from fer_bench.live.capture import Frame
from fer_bench.live.tracks import Track

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
# So many seconds are filled with still frames: a camera that was away for longer was away, and a file whose clock jumps
# further is damaged.
LONGEST_GAP, LONGEST_GAP_OF_FILES = 10.0, 3600.0
# A frame may be so much of a step off its time: clocks of cameras jitter, and containers round.
_TOLERANCE = 0.75


class Recording(Protocol):
    """A file that is being written."""

    path: Path

    def finish(self) -> None:
        """Close it and put it in place."""
        ...

    def discard(self) -> None:
        """Close it and remove it."""
        ...


def _part(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")


class VideoRecording:
    """The annotated video.

    Args:
        path: ends in ``.mp4`` (MPEG-4) or ``.avi`` (Motion JPEG).
        rate: frames per second, constant: frames are repeated where the source's clock has run on, and left out where
            it has not, so that the video plays at the source's speed and lasts as long.
        longest_gap: at most so many seconds are filled between two frames.

    Raises:
        SpecError: another ending.
    """

    def __init__(self, path: Path, rate: float, *, longest_gap: float = LONGEST_GAP) -> None:
        if path.suffix.lower() not in CODECS:
            problem = f"--output {path}: the name ends in neither .mp4 nor .avi."
            raise SpecError(problem, "Call it something.mp4.")
        self.path, self._rate, self._longest_gap, self._left_out = path, rate, longest_gap, 0.0
        self._at = _part(path)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._last: npt.NDArray[np.uint8] | None = None
        self.n_written = 0

    def write(self, image: npt.NDArray[np.uint8], time: float) -> None:
        """Add a frame: BGR, uint8 (H, W, 3), even sides; of another size than the first, it is scaled into the first's.

        Args:
            image: the frame.
            time: of the frame, in seconds of the source.
        """
        if self._writer is None:
            self._size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(
                str(self._at), cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()]), self._rate, self._size
            )
            if not self._writer.isOpened():
                problem = f"{self.path}: OpenCV cannot write this kind of video here."
                raise HardwareError(problem, f"Try another ending ({', '.join(CODECS)}), or leave --output out.")
        if (image.shape[1], image.shape[0]) != self._size:
            image = letterbox(image, *self._size)
        early = self._fill(time)
        self._last = image
        if not early:
            self._add(image)

    def hold_until(self, end: float) -> None:
        """Hold the last frame until a time of the source, where it ends."""
        self._fill(end)

    def _fill(self, time: float) -> bool:
        """Repeat the last frame up to a time; whether that time is taken already."""
        if self._last is None:
            return False
        missing = (time - self._left_out) * self._rate - self.n_written
        most = round(self._longest_gap * self._rate)
        if missing > most + _TOLERANCE:
            self._left_out += (missing - most) / self._rate
            missing = most
        for _ in range(math.ceil(missing - _TOLERANCE)):
            self._add(self._last)
        return missing < -_TOLERANCE

    def _add(self, image: npt.NDArray[np.uint8]) -> None:
        assert self._writer is not None
        self._writer.write(image)
        self.n_written += 1

    def finish(self) -> None:
        """See :class:`Recording`.

        Raises:
            BadDataError: what was written does not read back, as on a full disk, about which OpenCV says nothing.
        """
        if self._writer is None:
            return
        self._writer.release()
        capture = cv2.VideoCapture(str(self._at))
        whole = capture.isOpened() and int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) >= self.n_written
        capture.release()
        if not whole:
            self._at.unlink(missing_ok=True)
            problem = f"{self.path}: the video that was written does not read back."
            raise BadDataError(problem, "Is the disk full?")
        self._at.replace(self.path)

    def discard(self) -> None:
        """See :class:`Recording`."""
        if self._writer is not None:
            self._writer.release()
        self._at.unlink(missing_ok=True)


class TableRecording:
    """A CSV file with one row per face, and one for every frame without any.

    Args:
        path: of the file.
        names: of the outputs.
        classes: whether they are probabilities.
    """

    def __init__(self, path: Path, names: tuple[str, ...], *, classes: bool) -> None:
        self.path, self._names, self._classes = path, names, classes
        self._at = _part(path)
        self._file = self._at.open("w", newline="", encoding="utf-8")
        self._add(["frame", "time", "face", "left", "top", "right", "bottom", "prediction", *names, "note"])

    def write(self, frame: Frame, tracks: list[Track]) -> None:
        """Add a frame."""
        head = [frame.index, f"{frame.time:.4f}"]
        if not tracks:
            self._add(
                [*head, *[""] * (6 + len(self._names)), "no face" if frame.image is not None else "cannot be read"]
            )
        for track in tracks:
            label = self._names[int(track.outputs.argmax())] if self._classes else ""
            self._add(
                [
                    *head,
                    track.number,
                    *(f"{side:.1f}" for side in track.box),
                    label,
                    *(f"{value:.6f}" for value in track.outputs),
                    "",
                ]
            )

    def _add(self, cells: list[object]) -> None:
        self._file.write(csv_text(cells))

    def finish(self) -> None:
        """See :class:`Recording`."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._at.replace(self.path)

    def discard(self) -> None:
        """See :class:`Recording`."""
        self._file.close()
        self._at.unlink(missing_ok=True)
