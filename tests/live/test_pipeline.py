"""Threads: nothing is lost from a file, a camera never lags, and nothing hangs."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from fer_bench.live.pipeline import Channel, Pipeline
from fer_bench.live.session import run_live
from tests.live.fakes import FakeCamera, FakeFile, FakePredictor, SquareDetector, read_video


def test_a_channel_that_may_lose_keeps_the_newest():
    channel = Channel(2, lossy=True)
    for i in range(5):
        assert channel.put(i)
    channel.end()
    assert [channel.get(), channel.get(), channel.get()] == [3, 4, None]
    assert channel.dropped == 3
    assert not channel.put(9)


def test_a_channel_that_may_not_lose_waits():
    channel = Channel(1, lossy=False)
    done = []
    writer = threading.Thread(target=lambda: [done.append(channel.put(i)) for i in range(3)])
    writer.start()
    time.sleep(0.05)
    assert len(done) == 1
    assert [channel.get(1), channel.get(1), channel.get(1)] == [0, 1, 2]
    writer.join(5)
    with pytest.raises(TimeoutError):
        channel.get(0.01)
    assert channel.dropped == 0


def test_every_frame_of_a_file_is_looked_at_however_slow_the_network():
    source = FakeFile(30)
    summary = run_live(FakePredictor(seconds=0.005), SquareDetector(), source)
    assert (summary.frames, summary.with_face, summary.faces, summary.dropped) == (30, 30, 30, 0)
    assert source.closed.is_set()


def test_a_network_slower_than_a_camera_drops_frames_and_does_not_lag():
    source = FakeCamera(n=120, rate=100)
    predictor = FakePredictor(seconds=0.05)
    summary = run_live(predictor, SquareDetector(), source)
    assert summary.dropped > 0
    assert summary.frames < 60
    assert summary.frames == predictor.calls
    # What is shown is at most three steps old, however long it goes on: half of the frames at the end are no older than
    # those at the beginning.
    latencies = np.array(summary.latencies)
    step = np.median([sum(steps) for steps in summary.steps])
    assert np.median(latencies) < 3 * step + 0.05
    half = len(latencies) // 2
    assert np.median(latencies[half:]) < 2 * np.median(latencies[:half]) + 0.05


def test_a_file_in_real_time_behaves_as_a_camera(tmp_path):
    summary = run_live(
        FakePredictor(seconds=0.1), SquareDetector(), FakeFile(25), realtime=True, output=tmp_path / "o.mp4"
    )
    assert summary.dropped > 0
    assert summary.frames + summary.dropped == 25
    assert summary.seconds >= 0.8
    # Its video keeps the clock: the frames in between are repeated.
    assert 20 <= len(read_video(tmp_path / "o.mp4")) <= 26


@pytest.mark.parametrize("source", [FakeFile(1000), FakeCamera()])
def test_a_network_that_throws_ends_with_its_error(tmp_path, source):
    began = time.perf_counter()
    with pytest.raises(RuntimeError, match="the network fell over"):
        run_live(
            FakePredictor(fail_at=4), SquareDetector(), source, output=tmp_path / "o.mp4", table=tmp_path / "o.csv"
        )
    assert time.perf_counter() - began < 20
    assert source.closed.is_set()
    if source.live:
        assert len(read_video(tmp_path / "o.mp4")) >= 1
        assert (tmp_path / "o.csv").read_text().endswith("\n")
        assert len(list(tmp_path.iterdir())) == 2
    else:
        assert list(tmp_path.iterdir()) == []


def test_a_source_that_throws_ends_with_its_error():
    class Unplugged(FakeFile):
        def read(self):
            if self._last == 3:
                message = "unplugged"
                raise OSError(message)
            return super().read()

    with pytest.raises(OSError, match="unplugged"):
        run_live(FakePredictor(), SquareDetector(), Unplugged(50))


def test_leaving_early_ends_both_threads():
    source = FakeFile(10**6)
    before = threading.active_count()
    with Pipeline(source, lambda frame: frame.index, realtime=False) as pipeline:
        for index in pipeline.results():
            if index == 3:
                break
    assert source.closed.is_set()
    assert threading.active_count() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_files_properly(tmp_path, number):
    before = signal.getsignal(number)

    class Sends(FakePredictor):
        def predict(self, images):
            if self.calls == 10:
                os.kill(os.getpid(), number)
            return super().predict(images)

    summary = run_live(Sends(), SquareDetector(), FakeFile(10**6), output=tmp_path / "o.mp4", table=tmp_path / "o.csv")
    assert summary.stopped_by == number
    assert any("stopped by SIG" in line for line in summary.lines())
    assert len(read_video(tmp_path / "o.mp4")) == summary.frames >= 5
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert len(lines) == summary.frames + 1
    assert {line.count(",") for line in lines} == {lines[0].count(",")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "o.mp4"]
    assert signal.getsignal(number) is before


def test_nothing_grows_with_the_number_of_frames():
    """What Python holds after a thousand frames is what it held after the first two hundred."""
    import gc
    import tracemalloc

    held = []

    class Watched(FakeFile):
        def read(self):
            if self._last in (200, 990):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
            return super().read()

    tracemalloc.start()
    try:
        summary = run_live(FakePredictor(), SquareDetector(), Watched(1000), smooth=0.5)
    finally:
        tracemalloc.stop()
    assert summary.frames == 1000
    # A frame is 58 kB, so one leaked in a hundred would show.
    assert held[1] - held[0] < 1_000_000
