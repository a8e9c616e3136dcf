"""A source, a detector and a network whose behaviour a test can choose."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np

from fer_bench.deploy.model_card import Card
from fer_bench.faces.detector import Face
from fer_bench.live.capture import Frame

NAMES = ("angry", "happy", "sad")


def make_card(**settings):
    values = {
        "fer_bench": "0",
        "run_id": "abc-s0",
        "protocol": "toy-fer7",
        "dataset": "toy",
        "task": "fer7",
        "model": "toy_net",
        "kind": "classes",
        "names": NAMES,
        "height": 48,
        "width": 48,
        "channels": 1,
        "margins": (0.1,) * 4,
        "square": True,
    }
    return Card.model_validate({**values, **settings})


VALUES = {"kind": "values", "names": ("valence", "arousal"), "task": "va"}


class FakePredictor:
    """Takes ``seconds`` a batch; class 1 is the likelier the brighter a face is."""

    def __init__(self, seconds=0.0, fail_at=None, card=None):
        self.card, self.seconds, self.fail_at, self.calls, self.batches = card or make_card(), seconds, fail_at, 0, []

    def predict(self, images):
        assert images.dtype == np.uint8
        assert images.shape[1:] == self.card.shape
        self.calls += 1
        self.batches.append(len(images))
        if self.calls == self.fail_at:
            message = "the network fell over"
            raise RuntimeError(message)
        time.sleep(self.seconds)
        bright = images.mean(axis=(1, 2, 3)) / 255
        if self.card.classes:
            return np.stack([(1 - bright) / 2, bright, (1 - bright) / 2], axis=1).astype(np.float32)
        return np.stack([bright * 2 - 1, 1 - bright * 2], axis=1).astype(np.float32)


class SquareDetector:
    """Finds bright squares on a dark ground, the largest first."""

    def detect(self, image):
        mask = (image.max(axis=2) > 60).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        found = [
            Face((float(x), float(y), float(x + w), float(y + h)), None, 1.0)
            for x, y, w, h, area in stats[1:count]
            if area > 50
        ]
        return sorted(found, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]), reverse=True)


class FakeCamera:
    """A live source: frames come at a rate, whether they are read or not."""

    name, live, end, shortfall = "fake camera", True, None, ""

    def __init__(self, n=10**9, rate=100.0, squares=1):
        self.rate, self.n, self.squares, self.closed = rate, n, squares, threading.Event()
        self._began, self._last = None, -1

    def read(self):
        self._began = self._began if self._began is not None else time.perf_counter()
        # The next frame that has not passed yet.
        index = max(self._last + 1, int((time.perf_counter() - self._began) * self.rate))
        if index >= self.n:
            return None
        time.sleep(max(0.0, self._began + index / self.rate - time.perf_counter()))
        self._last = index
        return Frame(index, index / self.rate, draw(index, self.squares))

    def close(self):
        self.closed.set()


class FakeFile(FakeCamera):
    """A source that waits."""

    name, live = "fake file", False

    def __init__(self, n, squares=1):
        super().__init__(n, 25.0, squares)
        self.end = n / 25

    def read(self):
        self._last += 1
        return None if self._last >= self.n else Frame(self._last, self._last / 25, draw(self._last, self.squares))


def draw(index, squares=1, width=160, height=120):
    """Frame ``index``: dark, with moving bright squares."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for s in range(squares):
        x = 10 + 50 * s + index % 8
        image[30 : 64 - 4 * s, x : x + 30] = 100 + 50 * s
    return image


def write_video(path, n, squares=1, codec="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, (160, 120))
    assert writer.isOpened()
    for i in range(n):
        writer.write(draw(i, squares))
    writer.release()
    return path


def read_video(path):
    """All frames of a video."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, image = capture.read()
        if not good:
            return frames
        frames.append(image)
