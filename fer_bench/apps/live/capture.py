"""Where frames come from: a camera, a video file, or a folder of images."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.data.decoding import SUFFIXES, read_image
from fer_bench.errors import BadDataError, HardwareError, MissingDataError

FOLDER_RATE = CAMERA_RATE = 25.0


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Args:
        index: its number in the source, from 0.
        time: seconds since the source's beginning.
        image: BGR, uint8 (H, W, 3), as OpenCV reads and writes it; None for a file that cannot be read.
        captured: on the monotonic clock, in seconds.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8] | None
    captured: float = field(default_factory=perf_counter)


class Source(Protocol):
    """Anything that gives frames."""

    name: str
    live: bool
    """Whether it goes on without waiting for who reads it."""
    rate: float
    """Frames per second."""
    n_expected: int | None
    """How many frames it says it has."""

    def read(self) -> Frame | None:
        """The next frame; None after the last one."""
        ...

    def close(self) -> None:
        """Let go of the device or file."""
        ...


def open_source(text: str) -> Source:
    """Open what the user has named.

    Args:
        text: the number of a camera, the path of a video, or a folder of images.

    Raises:
        HardwareError: no such camera.
        MissingDataError: no such file or folder, or a folder without images.
        BadDataError: a file that is no video, or a video without a frame.
    """
    # FFmpeg and the camera drivers write to the terminal whatever they dislike.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if text.isdecimal():
        return CameraSource(int(text))
    path = Path(text).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if not path.is_file():
        problem = f"there is no file or folder {path}."
        raise MissingDataError(problem, "--source takes the number of a camera, a video file, or a folder of images.")
    return VideoSource(path)


class CameraSource:
    """A camera, by its number."""

    live = True
    n_expected: int | None = None

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            problem = f"camera {number} cannot be opened."
            hint = "Is it connected, and used by no other program?" + (" On Linux it is /dev/video*, readable by you." if sys.platform == "linux" else "")
            raise HardwareError(problem, f"{hint} A video file or a folder does as well: --source FILE.")
        # What lies in the driver's buffer is old by the time it is read.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.rate = _rate(self._capture.get(cv2.CAP_PROP_FPS), CAMERA_RATE)
        self._began, self._index = perf_counter(), -1

    def read(self) -> Frame | None:
        """The next frame; None once the camera is gone."""
        good, image = self._capture.read()
        if not good or image is None:
            return None
        self._index += 1
        return Frame(self._index, perf_counter() - self._began, np.asarray(image, dtype=np.uint8))

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


class VideoSource:
    """A video file."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._capture = cv2.VideoCapture(str(path))
        good, image = self._capture.read() if self._capture.isOpened() else (False, None)
        if not good or image is None:
            self._capture.release()
            problem = f"{path}: not a video that can be read, or one without a frame."
            raise BadDataError(problem, "Check that it plays; `ffmpeg -i IN -c:v mpeg4 OUT.mp4` makes one that OpenCV reads.")
        self._first: npt.NDArray[np.uint8] | None = np.asarray(image, dtype=np.uint8)
        self.rate = _rate(self._capture.get(cv2.CAP_PROP_FPS), FOLDER_RATE)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.n_expected: int | None = count if count > 0 else None
        self._index, self._time = -1, -1.0

    def read(self) -> Frame | None:
        """The next frame, at the time that the file gives it."""
        image = self._first
        if image is None:
            good, image = self._capture.read()
            if not good or image is None:
                return None
        self._first = None
        self._index += 1
        at = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        self._time = at if at > self._time else self._index / self.rate
        return Frame(self._index, self._time, np.asarray(image, dtype=np.uint8))

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class FolderSource:
    """The images of a folder, in the order of their names, as if at 25 frames per second."""

    live = False
    rate = FOLDER_RATE

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not self._files:
            problem = f"found no image in {folder}."
            raise MissingDataError(problem, f"Images end in {', '.join(sorted(SUFFIXES))}.")
        self.n_expected: int | None = len(self._files)
        self._index = -1

    def read(self) -> Frame | None:
        """The next image; one that cannot be read is a frame without a picture."""
        self._index += 1
        if self._index >= len(self._files):
            return None
        image = read_image(self._files[self._index], gray=False)
        bgr = None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), dtype=np.uint8)
        return Frame(self._index, self._index / self.rate, bgr)

    def close(self) -> None:
        """Nothing is open."""


def _rate(given: float, default: float) -> float:
    # Containers and drivers that do not know give 0, NaN, or their time base.
    return given if 1 <= given <= 240 else default
