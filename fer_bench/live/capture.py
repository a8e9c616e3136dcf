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

from fer_bench import paths
from fer_bench.counting import counted
from fer_bench.data.decoding import MAX_PIXELS, SUFFIXES, images_below, read_image
from fer_bench.errors import BadDataError, HardwareError, MissingDataError
from fer_bench.image_files import kind_of
from fer_bench.live.containers import is_cut_off, picture_seconds

FOLDER_RATE = CAMERA_RATE = 25.0
_CAMERA_DIGITS = 4
# A picture that ends this much before its end is announced, in seconds and as a share, has ended early.
_SHORT = (1.0, 0.05)
_MUCH_FASTER = 1.3


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
    """Whether it continues without waiting for its reader."""
    rate: float
    """Frames per second."""
    end: float | None
    """Where it ends, in seconds of its own clock; None for a camera, and before the last frame was read."""
    shortfall: str
    """What it announces and did not give, in words; known once it has ended."""

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
    if text.isascii() and text.isdecimal() and len(text) <= _CAMERA_DIGITS:
        return CameraSource(int(text))
    path = paths.expanded(text)
    kind = kind_of(path)
    if kind == "folder":
        return FolderSource(path)
    if kind != "file":
        problem = f"there is no file or folder {path}."
        raise MissingDataError(problem, "--source takes the number of a camera, a video file, or a folder of images.")
    return VideoSource(path)


class CameraSource:
    """A camera, by its number."""

    live = True
    end: float | None = None
    shortfall = ""

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            problem = f"camera {number} cannot be opened."
            hint = "Is it connected, and used by no other program?" + (
                " On Linux it is /dev/video*, readable by you." if sys.platform == "linux" else ""
            )
            raise HardwareError(problem, f"{hint} A video file or a folder does as well: --source FILE.")
        # What is in the driver's buffer is old by the time it is read.
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
    """A video file, at its own times: containers may hold frames at a changing rate, and more sound than picture."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path
        self.end: float | None = None
        self.shortfall = ""
        self._given: list[tuple[npt.NDArray[np.uint8], float]] = []
        try:
            self._capture = cv2.VideoCapture(str(path))
            width, height = (self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        except cv2.error:
            width = height = 0.0
        if width * height > MAX_PIXELS:
            self._capture.release()
            problem = (
                f"{path}: a video of {width:,.0f} x {height:,.0f} px: more than {MAX_PIXELS // 10**6} million pixels."
            )
            raise BadDataError(
                problem, "Scale it down first, for example with `ffmpeg -i IN -vf scale=1920:-2 OUT.mp4`."
            )
        first = self._decode() if width * height else None
        if first is None:
            problem = f"{path}: not a video that can be read, or one without a frame."
            raise BadDataError(
                problem, "Check that it plays; `ffmpeg -i IN -c:v mpeg4 OUT.mp4` makes one that OpenCV reads."
            )
        self._began = first[1]
        self._given.append(first)
        second = self._decode()
        self._given += [] if second is None else [second]
        step = 0.0 if second is None else second[1] - first[1]
        self._mean_rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate = _rate_of_file(self._mean_rate, 1 / step if 1e-3 <= step <= 100 else 0.0)
        self._announced = float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._index, self._time = -1, -1.0

    def read(self) -> Frame | None:
        """The next frame, at the time that the file gives it."""
        decoded = self._given.pop(0) if self._given else self._decode()
        if decoded is None:
            self._finish()
            return None
        image, at = decoded
        self._index += 1
        # A stream without times, or one that goes back, is read at its rate.
        self._time = at - self._began if at - self._began > self._time else self._time + 1 / self.rate
        return Frame(self._index, self._time, image)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _decode(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        try:
            good, image = self._capture.read()
            if not good or image is None:
                return None
            return np.asarray(image, dtype=np.uint8), float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        except cv2.error:
            return None

    def _finish(self) -> None:
        n, read_to = self._index + 1, self._time + 1 / self.rate
        cut, lasts = is_cut_off(self._path), picture_seconds(self._path)
        if cut:
            said = (
                f"announces {self._announced:.0f} frames and gave {n}"
                if self._announced > n
                else f"is cut off, and gave {counted(n, 'frame')}"
            )
            self.shortfall = f"the source ended early: it {said}"
        elif (
            lasts is not None
            and lasts - read_to > max(_SHORT[0], _SHORT[1] * lasts, 1 / self.rate)
            and self._announced > n
        ):
            self.shortfall = (
                f"the source ended early: its picture lasts {lasts:.1f} s, and {read_to:.1f} s of it can be read"
            )
        # Where the last frame is held, only the container knows for how long. Its count is a guess unless that
        # many frames came.
        told = (
            lasts
            if lasts is not None
            else self._announced / self._mean_rate
            if self._announced == n and self._mean_rate > 0
            else 0.0
        )
        self.end = read_to if self.shortfall or told <= self._time else told


class FolderSource:
    """The images of a folder, in natural order of their names, as if at 25 frames per second."""

    live = False
    rate = FOLDER_RATE
    shortfall = ""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._files = images_below(folder)
        if not self._files:
            problem = f"found no image in {folder}."
            raise MissingDataError(problem, f"Images end in {', '.join(sorted(SUFFIXES))}.")
        self.end: float | None = len(self._files) / self.rate
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


def _rate_of_file(given: float, first: float) -> float:
    """Frames per second: what the container says, or where that is its time base or a mean over still parts, the rate
    of the first two frames.
    """
    if not 1 <= given <= 240:
        return first or FOLDER_RATE
    return first if _MUCH_FASTER * given < first <= 240 else given
