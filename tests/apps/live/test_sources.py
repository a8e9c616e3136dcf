"""Where frames come from: what cannot be read, what ends early, and in which order things come."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.apps.live.capture import open_source
from fer_bench.apps.live.session import run_live
from fer_bench.errors import BadDataError, HardwareError, MissingDataError
from tests.apps.live.fakes import FakePredictor, SquareDetector, draw, write_video


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
    summary = run_live(FakePredictor(), SquareDetector(), open_source(str(tmp_path / "cut.avi")), table=tmp_path / "out.csv")
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
    summary = run_live(FakePredictor(), SquareDetector(), open_source(str(tmp_path)), table=tmp_path / "t.csv", output=tmp_path / "o.avi")
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
