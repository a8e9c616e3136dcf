"""A live session, read straight down: frames in, faces found and cut out as in training, predicted, drawn, shown and
written.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.deploy.predictor import OverClips, Predictor
from fer_bench.errors import FerBenchError, SpecError
from fer_bench.escaping import one_line
from fer_bench.faces.crops import Framing
from fer_bench.faces.detector import FaceDetector
from fer_bench.live.capture import Frame, Source
from fer_bench.live.overlay import Pace, compose
from fer_bench.live.pipeline import Pipeline
from fer_bench.live.recording import LONGEST_GAP, LONGEST_GAP_OF_FILES, Recording, TableRecording, VideoRecording
from fer_bench.live.screen import Screen
from fer_bench.live.tracks import Box, Tracker

# Percentiles are those of the last frames: a camera may run for days.
REMEMBERED = 20_000
RECENT = 30


@dataclass(frozen=True)
class Seen:
    """What inference makes of a frame.

    Args:
        frame: the frame.
        boxes: what was cut out for the network, one per face, the largest face first.
        outputs: shape (faces, C); of a temporal model features of each face, which its memory makes outputs of.
        detecting: seconds.
        predicting: seconds, cutting out included.
    """

    frame: Frame
    boxes: list[Box]
    outputs: npt.NDArray[np.float32]
    detecting: float
    predicting: float


@dataclass
class Summary:
    """Outcome of a session.

    Args:
        name: of the source.
        frames: that were looked at.
        unreadable: of those, files without a picture.
        with_face: frames with a face or more.
        faces: in all frames.
        dropped: frames that came while the network was busy.
        seconds: from the first frame to the last.
        stopped_by: number of the signal that ended it, 0 where none did.
        notes: what else a reader should know.
        latencies: seconds from capture to drawing, of the last frames.
        steps: seconds of detection, prediction and drawing, of the last frames.
    """

    name: str
    frames: int = 0
    unreadable: int = 0
    with_face: int = 0
    faces: int = 0
    dropped: int = 0
    seconds: float = 0.0
    stopped_by: int = 0
    notes: list[str] = field(default_factory=list)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    steps: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def detection_rate(self) -> float:
        """Share of readable frames with a face."""
        readable = self.frames - self.unreadable
        return self.with_face / readable if readable else 0.0

    @property
    def rate(self) -> float:
        """Frames per second, end to end."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def latency(self, percentile: float) -> float:
        """Seconds from capture to drawing."""
        return float(np.percentile(self.latencies, percentile)) if self.latencies else 0.0

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{one_line(self.name)}: {self.frames} frames, a face in {self.detection_rate:.1%} of them, {self.faces}"
            " faces"
        )
        yield (
            f"{self.rate:.1f} frames/s; latency: median {self.latency(50) * 1000:.0f} ms, 99 % within"
            f" {self.latency(99) * 1000:.0f} ms; {self.dropped} frame{'' if self.dropped == 1 else 's'} dropped"
        )
        if self.steps:
            detecting, predicting, drawing = np.median(np.array(self.steps), axis=0) * 1000
            yield (
                f"of each frame: detection {detecting:.1f} ms, prediction {predicting:.1f} ms, drawing and writing"
                f" {drawing:.1f} ms"
            )
        yield from self.notes


def run_live(
    predictor: Predictor,
    detector: FaceDetector,
    source: Source,
    *,
    output: Path | None = None,
    table: Path | None = None,
    screen: Screen | None = None,
    realtime: bool = False,
    smooth: float = 0.0,
    framing: Framing | None = None,
    progress: Callable[[str], None] | None = None,
) -> Summary:
    """Run until the source ends, the window is closed, or a signal comes (Ctrl-C); files are closed and put in place in
    each of these cases.

    Where something fails, files of a camera are kept as far as they go, for nobody can film it again; those of a video
    or folder are removed.

    Args:
        predictor: the network.
        detector: finds faces; used in the inference thread.
        source: closed at the end.
        output: video to write.
        table: CSV file to write.
        screen: where to show it; None: nowhere.
        realtime: let a file behave as a camera: it keeps its clock, and frames are dropped where there is no time for
            them.
        smooth: time constant of smoothing in seconds; 0: none.
        framing: how faces are cut out; None: as in training.
        progress: told once a second how it goes.

    Raises:
        SpecError: a network of whole scenes, or an output that is the source.
        FerBenchError: whatever source, detector, network or files raise.
    """
    card = predictor.card
    if card.subject != "face":
        problem = f"run {card.run_id} was trained on {card.dataset}: it looks at whole scenes, not at faces."
        raise SpecError(problem, "Choose a run on faces; `fer-bench predict` takes single images.")
    memory = predictor.memory if isinstance(predictor, OverClips) else None
    if memory is not None:
        # Whether it can answer frame by frame is said before anything is opened.
        memory()
    lossy = realtime or source.live
    recordings: list[Recording] = []
    video = rows = None
    if output is not None:
        gap = LONGEST_GAP if source.live else LONGEST_GAP_OF_FILES
        video = VideoRecording(_not_the_source(output, source), source.rate, longest_gap=gap)
        recordings.append(video)
    if table is not None:
        rows = TableRecording(_not_the_source(table, source), card.names, classes=card.classes)
        recordings.append(rows)
    look = _look(predictor, detector, framing or card.framing)
    summary, tracker, clock = Summary(source.name), Tracker(smooth, memory), _Clock(progress)
    whole = False
    try:
        with _signals() as signals, Pipeline(source, look, realtime=lossy) as pipeline:
            for seen in pipeline.results():
                if signals.number or (screen is not None and screen.wants_to_end()):
                    break
                if seen is None:
                    continue
                began = time.perf_counter()
                frame = seen.frame
                tracks = tracker.update(frame.time, seen.boxes, seen.outputs)
                if frame.image is not None and (video is not None or screen is not None):
                    picture = compose(frame.image, tracks, card, Pace(clock.rate, clock.latency, pipeline.dropped))
                    if screen is not None:
                        screen.show(picture)
                    if video is not None:
                        video.write(picture, frame.time)
                if rows is not None:
                    rows.write(frame, tracks)
                ended = time.perf_counter()
                _count(summary, seen, ended, ended - began)
                clock.tick(frame.captured, ended, summary)
            summary.dropped, summary.stopped_by = pipeline.dropped, signals.number
            summary.seconds = clock.seconds
            if video is not None and pipeline.exhausted and source.end is not None:
                video.hold_until(source.end)
            summary.notes += _notes(source, summary, pipeline)
        whole = True
    finally:
        if screen is not None:
            screen.close()
        _close(recordings, keep=whole or source.live)
    return summary


def _look(predictor: Predictor, detector: FaceDetector, framing: Framing) -> Callable[[Frame], Seen]:
    card = predictor.card
    ask = predictor.features if isinstance(predictor, OverClips) else predictor.predict

    def look(frame: Frame) -> Seen:
        began = time.perf_counter()
        if frame.image is None:
            return Seen(frame, [], ask(card.batch([])), 0.0, 0.0)
        image = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        faces = detector.detect(image)
        found = time.perf_counter()
        cuts = [(face, framing.cut(image, face, card.height, gray=card.channels == 1)) for face in faces]
        kept = [(face, cut) for face, cut in cuts if cut is not None]
        outputs = ask(card.batch([cut for _, cut in kept]))
        return Seen(frame, [framing.box(face) for face, _ in kept], outputs, found - began, time.perf_counter() - found)

    return look


def _not_the_source(path: Path, source: Source) -> Path:
    if not source.live and path.exists() and Path(source.name).exists() and path.samefile(source.name):
        problem = f"{path} is the source itself."
        raise SpecError(problem, "Write to another file.")
    return path


def _count(summary: Summary, seen: Seen, ended: float, drawing: float) -> None:
    summary.frames += 1
    summary.unreadable += seen.frame.image is None
    summary.with_face += bool(seen.boxes)
    summary.faces += len(seen.boxes)
    summary.latencies.append(ended - seen.frame.captured)
    summary.steps.append((seen.detecting, seen.predicting, drawing))


def _notes(source: Source, summary: Summary, pipeline: Pipeline[Seen]) -> Iterator[str]:
    if summary.unreadable:
        yield f"{summary.unreadable} of {summary.frames} images cannot be read"
    if pipeline.exhausted and source.shortfall:
        yield source.shortfall
    if summary.stopped_by:
        yield f"stopped by {signal.Signals(summary.stopped_by).name}"


def _close(recordings: list[Recording], *, keep: bool) -> None:
    problems: list[FerBenchError] = []
    for recording in recordings:
        try:
            if keep:
                recording.finish()
            else:
                recording.discard()
        except FerBenchError as error:
            problems.append(error)
    if problems and keep:
        raise problems[0]


class _Clock:
    """Frames per second and latency of the last frames."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._first = self._last = self._told = 0.0

    @property
    def rate(self) -> float:
        if len(self._recent) < 2:
            return 0.0
        return (len(self._recent) - 1) / max(self._recent[-1][0] - self._recent[0][0], 1e-9)

    @property
    def latency(self) -> float:
        return float(np.median([latency for _, latency in self._recent])) if self._recent else 0.0

    @property
    def seconds(self) -> float:
        return self._last - self._first

    def tick(self, captured: float, ended: float, summary: Summary) -> None:
        self._first = self._first or captured
        self._last = ended
        self._recent.append((ended, ended - captured))
        if self._progress is not None and ended - self._told >= 1:
            self._told = ended
            self._progress(
                f"frame {summary.frames}, {self.rate:.0f} frames/s, latency {self.latency * 1000:.0f} ms, faces in"
                f" {summary.detection_rate:.0%}"
            )


class _Signals:
    number = 0


@contextmanager
def _signals() -> Iterator[_Signals]:
    """Note Ctrl-C and SIGTERM instead of dying of them; the second one has its usual effect."""
    noted = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        noted.number = number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
