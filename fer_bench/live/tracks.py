"""Who is who from frame to frame: faces matched by overlap, their outputs smoothed, their recent past kept."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fer_bench.deploy.predictor import Step

Box = tuple[float, float, float, float]
TRAIL_SECONDS = 3.0
PATIENCE_SECONDS = 1.0
LEAST_OVERLAP = 0.2


@dataclass
class Track:
    """One face over time.

    Args:
        number: from 1, never used again.
        box: where it was seen last: left, top, right, bottom.
        time: when, in seconds of the source.
        outputs: shape (C,), smoothed.
        trail: (time, outputs) of the last seconds, oldest first.
        step: from the features of its next frame to outputs, of a temporal model.
    """

    number: int
    box: Box
    time: float
    outputs: npt.NDArray[np.float32]
    trail: deque[tuple[float, npt.NDArray[np.float32]]] = field(default_factory=deque)
    step: Step | None = None


class Tracker:
    """Faces matched greedily by intersection over union.

    Args:
        smooth: time constant in seconds of an exponential moving average of the outputs; 0: none. In seconds, not
            frames, so that dropped frames change nothing.
        memory: gives each new face its own memory of a temporal model, which makes outputs of features; None: what is
            added are outputs.
    """

    def __init__(self, smooth: float = 0.0, memory: Callable[[], Step] | None = None) -> None:
        self._smooth, self._memory = smooth, memory
        self._tracks: list[Track] = []
        self._next = 1

    def update(self, time: float, boxes: list[Box], outputs: npt.NDArray[np.float32]) -> list[Track]:
        """Add a frame.

        Args:
            time: of the frame, in seconds, never falling.
            boxes: of the faces.
            outputs: shape (faces, C); with a memory, features of each face.

        Returns:
            One track per face, in the order of the boxes.
        """
        self._tracks = [track for track in self._tracks if time - track.time <= PATIENCE_SECONDS]
        pairs = sorted(
            ((overlap(box, track.box), i, j) for i, box in enumerate(boxes) for j, track in enumerate(self._tracks)),
            key=lambda pair: pair[0],
            reverse=True,
        )
        matched: dict[int, int] = {}
        for value, i, j in pairs:
            if value >= LEAST_OVERLAP and i not in matched and j not in matched.values():
                matched[i] = j
        known = list(self._tracks)
        return [
            self._follow(known[matched[i]] if i in matched else None, time, box, outputs[i])
            for i, box in enumerate(boxes)
        ]

    def _follow(self, track: Track | None, time: float, box: Box, outputs: npt.NDArray[np.float32]) -> Track:
        step = track.step if track is not None else self._memory() if self._memory is not None else None
        outputs = outputs if step is None else step(outputs)
        if track is None:
            track = Track(self._next, box, time, outputs, step=step)
            self._next += 1
            self._tracks.append(track)
        elif self._smooth > 0:
            kept = math.exp(-(time - track.time) / self._smooth)
            track.outputs = (kept * track.outputs + (1 - kept) * outputs).astype(np.float32)
        else:
            track.outputs = outputs
        track.box, track.time = box, time
        track.trail.append((time, track.outputs))
        while track.trail and time - track.trail[0][0] > TRAIL_SECONDS:
            track.trail.popleft()
        return track


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
