"""SEMAINE and its AVEC variant in small: real layouts, generated videos, a detector that knows the generated faces."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_bench.datasets.semaine import module
from fer_bench.datasets.semaine.module import SemaineDataModule, annotation_rows, read_semaine
from fer_bench.datasets.semaine.sessions import find_recordings, merge_traces
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.faces.detector import Face
from tests.datasets.fakes_va import write_avec, write_semaine


class BrightestBlock:
    """Finds the coloured rectangle that the generated frames call a face."""

    def __init__(self, blind_every=0):
        self.calls, self.blind_every = 0, blind_every

    def detect(self, image):
        self.calls += 1
        if self.blind_every and self.calls % self.blind_every == 0:
            return []
        rows, columns = np.nonzero((image[:, :, 1] > 60) & (image[:, :, 1] < 130))
        left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
        angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
        landmarks = np.stack(
            [
                (left + right) / 2 + (right - left) / 2 * np.cos(angle),
                (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle),
            ],
            axis=1,
        )
        return [Face((left, top, right, bottom), landmarks.astype(np.float32), 1.0)]


@pytest.fixture(autouse=True)
def detector(tmp_path, monkeypatch):
    found = BrightestBlock()

    @contextmanager
    def opened(*_):
        yield found

    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "open_detector", opened)
    monkeypatch.setattr(module, "landmarker_file", lambda *_: Path("model"))
    return found


def read(root, detector, **options):
    @contextmanager
    def opened():
        yield detector

    return read_semaine(str(root), size=32, open_faces=opened, model=lambda: Path("model"), **options)


def test_sessions(tmp_path, detector):
    write_semaine(tmp_path / "semaine", sessions=2)
    samples = read(tmp_path, detector)
    # 200 frames at 50/s, rated up to frame 185 by the rater who stopped first: frames 0, 10, ..., 180.
    assert samples.ids[:2].tolist() == ["1-User/000000", "1-User/000010"]
    assert len(samples) == 2 * 19
    assert set(samples.columns["identity"]) == {"subject 1", "subject 2"}
    seconds = samples.columns["frame"][:19] / 50
    assert np.allclose(samples.targets["va"][:19, 0], 0.5 * np.sin(seconds + 1) + 0.15, atol=1e-3)
    assert samples.images[0].shape == (32, 32, 3)
    assert not samples.columns["no_face"].any()


def test_crops_are_made_once(tmp_path, detector):
    write_semaine(tmp_path / "semaine", sessions=1, seconds=1)
    first = read(tmp_path, detector).images[3].copy()
    calls = detector.calls
    assert calls == 5
    assert np.array_equal(read(tmp_path, detector).images[3], first)
    assert detector.calls == calls
    # 36 rated frames.
    assert len(read(tmp_path, detector)) == 4
    assert len(read(tmp_path, detector, every=5)) == 8


def test_frames_without_a_face_stay_in_test_only(tmp_path, detector):
    write_semaine(tmp_path / "semaine", sessions=6, seconds=2)
    detector.blind_every = 3
    module = SemaineDataModule(
        "va", data_dir=str(tmp_path), image_size=32, options={"folds": 3, "fold": 1, "fold_by": "clip"}
    )
    samples = module.read_samples
    blind = samples.columns["no_face"]
    assert blind[samples.where("test")].any()
    assert not blind[samples.where("train")].any()
    assert not blind[samples.where("validation")].any()
    assert any("no face found" in note for note in samples.notes)


def test_avec(tmp_path, detector):
    write_avec(tmp_path / "semaine")
    samples = read(tmp_path, detector)
    assert samples.layout.startswith("AVEC")
    assert len(samples) == 18
    assert samples.targets["va"][1] == pytest.approx([0.5 * np.sin(1.2), 0.4 * np.cos(1.2)], abs=1e-3)
    assert set(samples.columns["identity"]) == {"session 1", "session 2", "session 3"}
    assert any("no subject ids" in note for note in samples.notes)


@pytest.mark.parametrize("media", ["sessions", "Sessions"])
def test_avec_with_its_media_in_sessions_beside(tmp_path, detector, media):
    write_avec(tmp_path / "a" / "semaine")
    expected = read(tmp_path / "a", detector)
    root = write_avec(tmp_path / "b" / "semaine", media=media)
    samples = read(tmp_path / "b", detector)
    assert samples.layout == expected.layout
    assert samples.ids.tolist() == expected.ids.tolist()
    assert samples.checksums == expected.checksums
    # The session's XML, which is with the media, names the people.
    for s in range(1, 4):
        (root / media / str(s) / "session.xml").write_text(
            f'<session sessionId="{s}"><subject id="{s % 2}" role="User"/><track type="AV"/></session>'
        )
    assert set(read(tmp_path / "b", detector).columns["identity"]) == {"subject 0", "subject 1"}


def test_avec_without_media_says_where_they_were_looked_for(tmp_path, detector):
    root = write_avec(tmp_path / "semaine", sessions=2, media="sessions")
    (root / "sessions" / "1").rename(root / "sessions" / "001")
    (root / "sessions" / "2" / "user.avi").unlink()
    samples = read(tmp_path, detector)
    assert set(samples.columns["clip"]) == {"1-User"}
    ((where, why),) = samples.quarantined
    assert where.endswith("TU_VA.csv")
    assert why == f"no video of the User in {root / 'TrainingInput' / '2'} or {root / 'sessions' / '2'}"


def test_what_is_in_sessions_beside_avec_s_ratings_hides_nothing(tmp_path, detector):
    root = write_avec(tmp_path / "semaine", sessions=1, media="Sessions")
    (root / "Sessions" / "1" / "other.xml").write_text("<other/>")
    assert read(tmp_path, detector).layout.startswith("AVEC")


def test_the_release_in_small_letters_with_its_real_file_names(tmp_path, detector):
    # The S1 in the name is not the folder: these are of Sessions/2.
    root = write_semaine(tmp_path / "semaine", sessions=1)
    folder = (root / "Sessions").rename(root / "sessions") / "1"
    folder = folder.rename(folder.with_name("2"))
    for path in sorted(folder.glob("R*.txt")):
        path.rename(path.with_name(f"R{5 + int(path.name[1])}S1TUCPo{path.name[-6:]}"))
    text = (folder / "session.xml").read_text()
    for rater in (1, 2):
        for letter in "VA":
            text = text.replace(f"R{rater}S1TUCD{letter}.txt", f"R{5 + rater}S1TUCPoD{letter}.txt")
    (folder / "session.xml").write_text(text.replace('sessionId="1"', 'sessionId="2"'))
    assert (folder / "R6S1TUCPoDA.txt").is_file()
    _, (recording,), left_out = find_recordings(root)
    assert (recording.name, recording.raters, left_out) == ("2-User", 2, [])
    assert len(read(tmp_path, detector)) == 19


def test_clutter_is_passed_over(tmp_path, detector):
    root = write_semaine(tmp_path / "semaine", sessions=1)
    expected = find_recordings(root)[1][0]
    folder = root / "Sessions" / "1"
    for name in (
        "._session.xml",
        "._R1S1TUCDV.txt",
        "._R1S1TUCDA.txt",
        "._2008.12.01_User HeadAndShoulders_C1.avi",
        "Thumbs.db",
    ):
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    (root / "Sessions" / "__MACOSX").mkdir()
    (root / "Sessions" / "__MACOSX" / "._session.xml").write_bytes(b"\x00\x05\x16\x07")
    (folder / "session.xml").write_text(
        (folder / "session.xml").read_text().replace("<annotation", "<note").replace("filename=", "name=")
    )
    _, (recording,), left_out = find_recordings(root)
    assert (recording.raters, recording.video, left_out) == (expected.raters, expected.video, [])
    avec = write_avec(tmp_path / "avec", sessions=1, media="sessions")
    (avec / "TrainingInput" / "1" / "._TU_VA.csv").write_bytes(b"\x00\x05\x16\x07")
    (avec / "TrainingInput" / "._1").write_bytes(b"\x00\x05\x16\x07")
    assert len(find_recordings(avec)[1]) == 1


def test_merging_raters():
    time = np.linspace(0, 6, 300)
    truth = 0.3 * np.sin(time)
    shifted = [truth[:290], truth + 0.02, truth - 0.6]
    assert np.allclose(merge_traces(shifted, "mean"), truth[:290] + (0.02 - 0.6) / 3)
    centred = merge_traces(shifted, "ccc")
    # The rater who is far off counts for little in the common mean, and not at all in its shape.
    assert np.allclose(centred - centred.mean(), truth[:290] - truth[:290].mean())
    assert abs((centred - truth[:290]).mean()) < 0.1 < abs((merge_traces(shifted, "mean") - truth[:290]).mean())
    opposed = [truth, -truth]
    assert np.allclose(merge_traces(opposed, "ccc").mean(), 0, atol=1e-3)


def test_rows_of_the_ratings():
    times = np.arange(100) * 0.02
    assert annotation_rows(np.array([0.0, 0.2, 1.98, 2.0, 2.5]), times).tolist() == [0, 10, 99, 99, -1]
    assert annotation_rows(np.array([0.0, 1.0]), times + 0.9).tolist() == [-1, 5]


def test_what_cannot_be_used_is_said(tmp_path, detector):
    root = write_semaine(tmp_path / "semaine", sessions=3)
    next((root / "Sessions" / "1").glob("*.avi")).unlink()
    (root / "Sessions" / "2" / "session.xml").write_text("<session")
    next((root / "Sessions" / "3").glob("*.avi")).write_bytes(b"no video")
    with pytest.raises(BadDataError, match="no video"):
        read(tmp_path, detector)
    _, recordings, left_out = find_recordings(root)
    assert [why for _, why in left_out] == ["no video", "no readable session XML"]
    assert len(recordings) == 1


def test_the_colour_video_of_the_right_person_is_taken(tmp_path):
    root = write_semaine(tmp_path / "semaine", sessions=1)
    folder = root / "Sessions" / "1"
    own = next(folder.glob("*.avi"))
    for name in ("2008.12.01_Operator HeadAndShoulders_C1.avi", "2008.12.01_User HeadAndShoulders_R1.avi"):
        (folder / name).write_bytes(own.read_bytes())
    assert find_recordings(root)[1][0].video.name == own.name


@pytest.mark.parametrize(
    ("line", "said"),
    [("0.02 x", "expected a time and a value"), ("0.02 1.7", "outside -1 to 1"), ("0.02", "expected a time")],
)
def test_bad_ratings_name_file_and_line(tmp_path, detector, line, said):
    root = write_semaine(tmp_path / "semaine", sessions=1, seconds=1)
    path = next((root / "Sessions" / "1").glob("R1*DV.txt"))
    path.write_text("0.00 0.1\n" + line + "\n")
    with pytest.raises(BadDataError, match=f"line 2: .*{said}|line 2.*{said}"):
        read(tmp_path, detector)


def test_blank_lines_of_avec_s_tables_are_no_ratings(tmp_path):
    root = write_avec(tmp_path / "semaine", sessions=1, n=4)
    whole = find_recordings(root)[1][0]
    path = root / "TrainingInput" / "1" / "TU_VA.csv"
    path.write_text(path.read_text() + ",,\n\n")
    np.testing.assert_array_equal(find_recordings(root)[1][0].values, whole.values)


def test_errors(tmp_path, detector, monkeypatch):
    with pytest.raises(MissingDataError, match="on request"):
        read(tmp_path, detector)
    write_semaine(tmp_path / "semaine", sessions=1, seconds=1)
    with pytest.raises(SpecError, match="no such way"):
        read(tmp_path, detector, merge="median")
    with pytest.raises(SpecError, match="every"):
        SemaineDataModule("va", data_dir=str(tmp_path), options={"every": 0}).setup()


def test_videos_can_be_written_and_read_here(tmp_path):
    # What the tests above rest on.
    write_semaine(tmp_path, sessions=1, seconds=1)
    capture = cv2.VideoCapture(str(next(tmp_path.rglob("*.avi"))))
    assert capture.get(cv2.CAP_PROP_FPS) == 50
    capture.release()
