"""What comes out: the table, the video, tracks, smoothing, and the very preprocessing of training."""

from __future__ import annotations

import csv
import json
import os

import cv2
import numpy as np
import pytest

from fer_bench.data.decoding import load_image
from fer_bench.datasets.afew_va import read_afew_va
from fer_bench.errors import BadDataError, SpecError
from fer_bench.faces.crops import Framing, framing_of, image_shape
from fer_bench.faces.detector import Face
from fer_bench.live.capture import Frame, open_source
from fer_bench.live.overlay import Pace, compose
from fer_bench.live.recording import VideoRecording
from fer_bench.live.screen import has_screen
from fer_bench.live.session import run_live
from fer_bench.live.text_rendering import text_size
from fer_bench.live.tracks import Tracker
from tests.datasets.fakes_va import write_afew_va
from tests.live.fakes import (
    NAMES,
    VALUES,
    FakeFile,
    FakePredictor,
    SquareDetector,
    draw,
    make_card,
    read_video,
    write_video,
)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_several_faces_have_rows_numbers_and_one_batch_a_frame(tmp_path):
    predictor = FakePredictor()
    summary = run_live(
        predictor, SquareDetector(), FakeFile(6, squares=3), table=tmp_path / "t.csv", output=tmp_path / "o.mp4"
    )
    rows = rows_of(tmp_path / "t.csv")
    assert (summary.faces, summary.with_face, len(rows)) == (18, 6, 18)
    assert predictor.batches == [3] * 6
    for frame in range(6):
        here = [row for row in rows if int(row["frame"]) == frame]
        assert [row["face"] for row in here] == ["1", "2", "3"]
        # Squares further right are brighter.
        assert float(here[0]["happy"]) < float(here[1]["happy"]) < float(here[2]["happy"])
        assert [float(row["left"]) for row in here] == sorted(float(row["left"]) for row in here)
        for row in here:
            values = [float(row[name]) for name in NAMES]
            assert sum(values) == pytest.approx(1, abs=1e-5)
            assert row["prediction"] == NAMES[int(np.argmax(values))]
    assert len(read_video(tmp_path / "o.mp4")) == 6


def test_frames_without_a_face_say_so(tmp_path):
    class Sometimes(SquareDetector):
        calls = 0

        def detect(self, image):
            self.calls += 1
            return super().detect(image) if self.calls % 2 else []

    summary = run_live(FakePredictor(), Sometimes(), FakeFile(8), table=tmp_path / "t.csv")
    assert summary.detection_rate == 0.5
    assert [row["note"] for row in rows_of(tmp_path / "t.csv")] == ["", "no face"] * 4
    # The frame itself says so too, in its middle at the top.
    (track,) = Tracker().update(0, [(2.0, 80.0, 20.0, 110.0)], np.array([[0.1, 0.8, 0.1]], dtype=np.float32))
    half = text_size("no face", 15, bold=True)[0] // 2
    said, silent = (
        compose(draw(0), tracks, make_card(), Pace(0, 0, 0))[12:30, 320 - half : 320 + half] for tracks in ([], [track])
    )
    assert (said > 100).any()
    assert not (silent > 100).any()


def test_the_face_is_cut_out_as_in_training(tmp_path):
    """AFEW-VA's own crop of a frame, pixel for pixel, from the same landmarks."""
    root = write_afew_va(tmp_path / "data" / "afew_va", clips=2, frames=2)
    samples = read_afew_va(str(root), size=64, margin=0.2, cache=False)
    index = 1
    image = load_image(samples.images.root / str(samples.images.files[index]))
    clip, name = str(samples.ids[index]).split("/")
    (path,) = root.rglob(f"{clip}.json")
    landmarks = np.array(json.loads(path.read_text())["frames"][name]["landmarks"], dtype=np.float32)
    face = Face((0, 0, 1, 1), landmarks, 1.0)
    framing = framing_of("afew_va", {"margin": 0.2})
    np.testing.assert_array_equal(framing.cut(image, face, 64, gray=False), samples.images[index])


def test_a_square_framing_goes_on_beyond_the_border():
    image = np.full((100, 100, 3), 200, dtype=np.uint8)
    face = Face((-20.0, 40.0, 40.0, 80.0), None, 1.0)
    framing = Framing((0.0, 0.5, 0.0, 0.0), square=True)
    left, top, right, bottom = framing.box(face)
    assert (right - left, bottom - top) == (60, 60)
    assert (left, bottom) == (-20, 80)
    found = framing.cut(image, face, 48, gray=True)
    assert found.shape == (48, 48)
    assert (found == 200).all()
    assert framing.cut(image, Face((200.0, 200.0, 240.0, 240.0), None, 1.0), 48, gray=True) is None
    wide = Framing((0.0,) * 4).cut(image, face, 48, gray=False)
    assert wide.shape == (48, 48, 3)


def test_a_drawn_face_comes_back_from_a_larger_canvas():
    """A square framing from landmarks, against the crop that was pasted: the same picture."""
    rng = np.random.default_rng(0)
    patch = cv2.resize(rng.integers(0, 256, size=(8, 8), dtype=np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
    canvas = np.zeros((240, 320, 3), dtype=np.uint8)
    canvas[50:146, 80:176] = patch[:, :, None]
    landmarks = np.array([[80 + 16, 50 + 32], [176 - 16, 146 - 8]], dtype=np.float32)
    # Box 64 x 56: the margins lead back to the pasted square.
    framing = Framing((16 / 64, 32 / 56, 16 / 64, 8 / 56), square=True)
    np.testing.assert_array_equal(framing.cut(canvas, Face((0, 0, 1, 1), landmarks, 1.0), 96, gray=True), patch)


def test_shapes_of_images_where_a_record_knows_the_height_only():
    assert image_shape("afew_va", {}, {"image_size": 224}, 48) == (224, 224, 3)
    assert image_shape("fer2013", {}, {}, 48) == (48, 48, 1)
    assert image_shape("findingemo", {}, {"image_size": 600}, 48) == (600, 800, 3)
    assert image_shape("folder:x", {}, {"image_shape": [96, 96]}, 48) == (96, 96, 1)


def test_smoothing_is_in_seconds_and_faces_keep_their_numbers():
    def after(step):
        tracker = Tracker(smooth=0.5)
        for i in range(int(1 / step) + 1):
            value = np.array([[0.0 if i == 0 else 1.0]], dtype=np.float32)
            (track,) = tracker.update(i * step, [(0, 0, 10, 10)], value)
        return float(track.outputs[0])

    assert after(0.1) == pytest.approx(1 - np.exp(-2), abs=1e-4)
    assert after(0.1) == pytest.approx(after(0.5), abs=1e-4)
    tracker = Tracker()
    first, second = tracker.update(0, [(0, 0, 10, 10), (50, 0, 60, 10)], np.zeros((2, 1), dtype=np.float32))
    again = tracker.update(0.1, [(51, 0, 61, 10), (1, 0, 11, 10)], np.ones((2, 1), dtype=np.float32))
    assert [track.number for track in again] == [second.number, first.number]
    assert again[0].outputs == 1
    (stranger,) = tracker.update(0.2, [(200, 0, 210, 10)], np.ones((1, 1), dtype=np.float32))
    assert stranger.number == 3
    (back,) = tracker.update(9.0, [(1, 0, 11, 10)], np.ones((1, 1), dtype=np.float32))
    assert back.number == 4
    assert len(back.trail) == 1


@pytest.mark.parametrize("settings", [{}, VALUES, {**VALUES, "names": ("valence",)}, {**VALUES, "scale": (-10, 10)}])
@pytest.mark.parametrize("shape", [(120, 160), (480, 640), (1081, 1919), (700, 90)])
def test_every_kind_of_network_is_drawn_on_any_frame(settings, shape):
    card = make_card(**settings)
    tracker = Tracker()
    image = np.zeros((*shape, 3), dtype=np.uint8)
    for i in range(3):
        boxes = [(-20.0, -5.0, 40.0, 60.0), (60.0, 80.0, 1e4, 1e4), (0.0, 100.0, 20.0, 119.0)]
        outputs = np.random.default_rng(i).uniform(-15, 15, size=(3, len(card.names))).astype(np.float32)
        tracks = tracker.update(i * 0.1, boxes, outputs)
    drawn = compose(image, tracks, card, Pace(20.5, 0.04, 3))
    assert drawn.dtype == np.uint8
    assert drawn.shape[0] >= 480
    assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0
    assert not image.any()
    assert (drawn != compose(image, [], card, Pace(20.5, 0.04, 3))).any()


def test_circumplex_moves_right_with_valence_and_up_with_arousal():
    card = make_card(**VALUES)

    def point(valence, arousal):
        (track,) = Tracker().update(0, [(10.0, 10.0, 60.0, 60.0)], np.array([[valence, arousal]], dtype=np.float32))
        panel = compose(draw(0), [track], card, Pace(0, 0, 0))[60:310, 640:]
        base = compose(draw(0), [], card, Pace(0, 0, 0))[60:310, 640:]
        y, x = np.nonzero((panel != base).any(axis=2)[:230])
        return x.mean(), y.mean()

    (x0, y0), (x1, _), (_, y2) = point(0, 0), point(0.8, 0), point(0, 0.8)
    assert x1 > x0 + 40
    assert y2 < y0 - 40


def test_the_source_is_not_overwritten(tmp_path):
    path = write_video(tmp_path / "v.mp4", 5)
    before = path.read_bytes()
    with pytest.raises(SpecError, match="is the source itself"):
        run_live(FakePredictor(), SquareDetector(), open_source(str(path)), output=path)
    assert path.read_bytes() == before
    with pytest.raises(SpecError, match=r"\.mp4 nor \.avi"):
        run_live(FakePredictor(), SquareDetector(), FakeFile(3), output=tmp_path / "o.mov")


def test_networks_of_scenes_are_refused():
    with pytest.raises(SpecError, match="whole scenes"):
        run_live(FakePredictor(card=make_card(subject="scene")), SquareDetector(), FakeFile(3))


def test_a_video_that_does_not_read_back_is_no_result(tmp_path):
    recording = VideoRecording(tmp_path / "o.mp4", 25)
    for i in range(5):
        recording.write(draw(i), i / 25)
    recording.n_written += 1
    with pytest.raises(BadDataError, match="disk full"):
        recording.finish()
    assert list(tmp_path.iterdir()) == []


def test_frames_of_other_sizes_are_fitted_into_the_first(tmp_path):
    recording = VideoRecording(tmp_path / "o.avi", 25)
    for i, shape in enumerate(((120, 160), (60, 200), (300, 100))):
        recording.write(np.full((*shape, 3), 90, dtype=np.uint8), i / 25)
    recording.finish()
    assert [image.shape for image in read_video(tmp_path / "o.avi")] == [(120, 160, 3)] * 3


def test_a_frame_is_left_as_it_was():
    image = draw(0)
    kept = image.copy()
    frame = Frame(0, 0.0, image)
    (track,) = Tracker().update(0, [(5.0, 5.0, 60.0, 60.0)], np.array([[0.1, 0.8, 0.1]], dtype=np.float32))
    compose(frame.image, [track], make_card(), Pace(1, 1, 1))
    np.testing.assert_array_equal(image, kept)


def test_no_screen_is_noticed_before_opencv_ends_the_process(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert not has_screen()
    monkeypatch.setitem(os.environ, "DISPLAY", ":0")
    assert has_screen()
