"""Where frames come from: what cannot be read, what ends early, and in which order things come."""

from __future__ import annotations

import shutil
import subprocess

import cv2
import numpy as np
import pytest

from fer_bench.errors import BadDataError, HardwareError, MissingDataError
from fer_bench.live.capture import Frame, VideoSource, open_source
from fer_bench.live.containers import is_cut_off, picture_seconds
from fer_bench.live.session import run_live
from tests.live.fakes import FakeFile, FakePredictor, SquareDetector, draw, read_video, write_video


def test_a_video_gives_all_its_frames_in_time(tmp_path):
    source = open_source(str(write_video(tmp_path / "v.mp4", 12)))
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 25, atol=1e-3)
    assert np.abs(frames[3].image.astype(int) - draw(3)).mean() < 8
    assert not source.live


@pytest.mark.parametrize("content", [b"", b"no video at all", None])
def test_what_is_no_video(tmp_path, content):
    path = tmp_path / "v.mp4"
    if content is None:
        # An MP4 whose index, which comes last, was never written.
        content = write_video(tmp_path / "whole.mp4", 40).read_bytes()[:-2000]
    path.write_bytes(content)
    with pytest.raises(BadDataError, match=r"v\.mp4: not a video that can be read"):
        open_source(str(path))


def test_a_video_that_ends_early_is_processed_and_said(tmp_path):
    whole = write_video(tmp_path / "whole.avi", 40, codec="MJPG").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    summary = run_live(
        FakePredictor(), SquareDetector(), open_source(str(tmp_path / "cut.avi")), table=tmp_path / "out.csv"
    )
    assert 5 < summary.frames < 35
    assert summary.with_face == summary.frames
    (note,) = summary.notes
    assert note == f"the source ended early: it announces 40 frames and gave {summary.frames}"
    assert len((tmp_path / "out.csv").read_text().splitlines()) == summary.frames + 1


def test_a_folder_is_read_in_order_and_what_is_no_image_is_named(tmp_path):
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i}.png"), draw(i))
    (tmp_path / "1a.png").write_bytes(b"none")
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(str(tmp_path))
    frames = [source.read() for _ in range(5)]
    assert frames[4] is None
    assert frames[2].image is None
    for frame, i in zip((frames[0], frames[1], frames[3]), (0, 1, 2), strict=True):
        np.testing.assert_array_equal(frame.image, draw(i))
    summary = run_live(
        FakePredictor(),
        SquareDetector(),
        open_source(str(tmp_path)),
        table=tmp_path / "t.csv",
        output=tmp_path / "o.avi",
    )
    assert (summary.frames, summary.unreadable, summary.detection_rate) == (4, 1, 1.0)
    assert "cannot be read" in (tmp_path / "t.csv").read_text().splitlines()[3]


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(MissingDataError, match="there is no file or folder"):
        open_source(str(tmp_path / "none.mp4"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="found no image"):
        open_source(str(tmp_path / "empty"))
    with pytest.raises(HardwareError, match=r"camera 97 cannot be opened.*--source FILE"):
        open_source("97")
    with pytest.raises(MissingDataError, match="there is no file or folder"):
        open_source("1" * 5000)
    with pytest.raises(MissingDataError, match="there is no file or folder"):
        open_source("٣")


def test_frames_come_in_natural_order_without_what_file_managers_leave(tmp_path):
    for i in range(1, 13):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), draw(i))
    (tmp_path / "._frame1.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "frame0.png").mkdir()
    source = open_source(str(tmp_path))
    for i in range(1, 13):
        np.testing.assert_array_equal(source.read().image, draw(i))
    assert source.read() is None


def duration(path):
    capture = cv2.VideoCapture(str(path))
    return capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize("rate", [29.97, 12.5, 60, 120, 1, 0.5, 480])
@pytest.mark.parametrize("ending", ["mp4", "avi"])
def test_a_video_lasts_as_long_as_its_source_at_any_rate(tmp_path, rate, ending):
    n = max(2, min(round(rate), 24))
    writer = cv2.VideoWriter(str(tmp_path / "in.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), rate, (160, 120))
    for i in range(n):
        writer.write(draw(i))
    writer.release()
    source = open_source(str(tmp_path / "in.mp4"))
    assert source.rate == pytest.approx(rate, rel=1e-3)
    assert run_live(FakePredictor(), SquareDetector(), source, output=tmp_path / f"out.{ending}").notes == []
    assert duration(tmp_path / f"out.{ending}") == pytest.approx(n / rate, rel=1e-3)
    assert len(read_video(tmp_path / f"out.{ending}")) == n


class AtTimes(FakeFile):
    """A source at a changing rate."""

    def __init__(self, times, end, rate):
        super().__init__(len(times))
        self.times, self.end, self.rate = times, end, rate

    def read(self):
        frame = super().read()
        return None if frame is None else Frame(frame.index, self.times[frame.index], frame.image)


@pytest.mark.parametrize("rate", [10, 25, 60])
def test_a_video_lasts_as_long_as_a_source_of_changing_rate(tmp_path, rate):
    times = [*np.arange(25) / 25, *np.arange(1, 2, 0.5), *np.arange(2, 2.5, 1 / 60), 4.0]
    summary = run_live(
        FakePredictor(),
        SquareDetector(),
        AtTimes(times, 5.0, rate),
        output=tmp_path / "o.mp4",
        table=tmp_path / "o.csv",
    )
    assert summary.frames == len(times) == len((tmp_path / "o.csv").read_text().splitlines()) - 1
    assert duration(tmp_path / "o.mp4") == pytest.approx(5.0, abs=1.5 / rate)


def test_a_clock_that_jumps_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_bench.live.session.LONGEST_GAP_OF_FILES", 2.0)
    run_live(
        FakePredictor(),
        SquareDetector(),
        AtTimes([0.0, 0.04, 1e9, 1e9 + 0.04, 1e9 + 0.08], 1e9 + 0.12, 25),
        output=tmp_path / "o.avi",
    )
    assert len(read_video(tmp_path / "o.avi")) == 2 + 50 + 3


def test_frames_that_cannot_be_read_take_their_time(tmp_path):
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(b"none" if i in (0, 3, 5) else cv2.imencode(".png", draw(i))[1].tobytes())
    run_live(FakePredictor(), SquareDetector(), open_source(str(tmp_path)), output=tmp_path / "o.avi")
    assert len(read_video(tmp_path / "o.avi")) == 6


class FakeCapture:
    """OpenCV's capture of a file whose container is wrong about itself."""

    def __init__(self, times, fps, count, size=(160, 120)):
        self.times, self.at = times, -1
        self.known = {
            cv2.CAP_PROP_FPS: fps,
            cv2.CAP_PROP_FRAME_COUNT: count,
            cv2.CAP_PROP_FRAME_WIDTH: size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: size[1],
        }

    def isOpened(self):
        return True

    def get(self, key):
        return self.times[max(self.at, 0)] * 1000 if key == cv2.CAP_PROP_POS_MSEC else self.known[key]

    def read(self):
        self.at += 1
        return (True, draw(self.at)) if self.at < len(self.times) else (False, None)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("times", "fps", "count", "rate", "end"),
    [
        (np.arange(10) / 25, 25.0, -1.9e14, 25, 0.4),
        (np.arange(10) / 25, 25.0, 3, 25, 0.4),
        (np.arange(10) / 25, 25.0, 90, 25, 0.4),
        (np.zeros(10), 25.0, 0, 25, 0.4),
        (np.zeros(10), float("nan"), 0, 25, 0.4),
        (np.arange(10) / 30, 90_000.0, 0, 30, 10 / 30),
        (np.arange(10) / 30 + 5, 30.0, 0, 30, 10 / 30),
        ([0, 0.04, 0.08, 5], 0.4, 4, 25, 10.0),
        ([0, 0.04, 0.02, 0.12], 25.0, 4, 25, 0.16),
    ],
)
def test_containers_that_report_no_or_wrong_numbers(tmp_path, monkeypatch, times, fps, count, rate, end):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FakeCapture(times, fps, count))
    (tmp_path / "v.bin").write_bytes(b"a kind of container that says nothing of itself")
    source = VideoSource(tmp_path / "v.bin")
    given = []
    while (frame := source.read()) is not None:
        given.append(frame.time)
    assert source.rate == pytest.approx(rate)
    assert (len(given), source.shortfall) == (len(times), "")
    assert given[0] == 0
    assert (np.diff(given) > 0).all()
    assert source.end == pytest.approx(end)


def test_videos_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCapture([0, 1], 25, 2, (16_000, 16_000)))
    with pytest.raises(BadDataError, match="16,000 x 16,000 px: more than 64 million"):
        VideoSource(tmp_path / "v.mp4")


def test_what_containers_say_of_themselves(tmp_path):
    for name, codec in (("v.mp4", "mp4v"), ("v.avi", "MJPG")):
        whole = write_video(tmp_path / name, 30, codec=codec)
        assert not is_cut_off(whole)
        assert picture_seconds(whole) == (pytest.approx(1.2) if codec == "mp4v" else None)
        (tmp_path / f"cut-{name}").write_bytes(whole.read_bytes()[:-1500])
        assert is_cut_off(tmp_path / f"cut-{name}")
    segment = bytes.fromhex("1a45dfa3 84 42868101 18538067")
    for tail, cut in (
        (b"\x88" + b"12345678", False),
        (b"\x88" + b"1234567", True),
        (b"\x01" + b"\xff" * 7, False),
        (b"\xff", False),
        (b"", False),
    ):
        (tmp_path / "v.mkv").write_bytes(segment + tail)
        assert is_cut_off(tmp_path / "v.mkv") is cut
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray((tmp_path / "v.mp4").read_bytes()[-2500:])
        damaged[:8] = b"\0\0\0\x08ftyp"
        for at in rng.integers(8, len(damaged), 20):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "d.mp4").write_bytes(damaged)
        assert is_cut_off(tmp_path / "d.mp4") in (True, False)
        assert (picture_seconds(tmp_path / "d.mp4") or 0) >= 0


FFMPEG = shutil.which("ffmpeg")


@pytest.mark.skipif(FFMPEG is None, reason="needs the program ffmpeg to make containers that OpenCV cannot write")
@pytest.mark.parametrize("ending", ["mkv", "mp4", "avi", "ts", "mov"])
def test_sound_that_outlasts_the_picture_is_no_early_end(tmp_path, ending):
    path = tmp_path / f"v.{ending}"
    inputs = ["-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=5"]
    subprocess.run([FFMPEG, "-loglevel", "error", *inputs, "-c:v", "mpeg4", "-c:a", "mp2", str(path)], check=True)
    summary = run_live(FakePredictor(), SquareDetector(), open_source(str(path)), output=tmp_path / "o.mp4")
    assert (summary.frames, summary.notes) == (25, [])
    assert duration(tmp_path / "o.mp4") == pytest.approx(1.0, abs=0.05)


@pytest.mark.skipif(FFMPEG is None, reason="needs the program ffmpeg to make videos of changing rate")
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_files_of_changing_rate(tmp_path, ending):
    path = tmp_path / f"v.{ending}"
    chosen = "select='lt(t,1)+gte(t,1)*lt(t,3)*not(mod(n,25))+gte(t,3)'"
    source = ["-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=4", "-vf", chosen]
    subprocess.run([FFMPEG, "-loglevel", "error", *source, "-fps_mode", "vfr", "-c:v", "mpeg4", str(path)], check=True)
    run_live(FakePredictor(), SquareDetector(), open_source(str(path)), output=tmp_path / "o.mp4")
    assert duration(tmp_path / "o.mp4") == pytest.approx(4.0, abs=0.05)
