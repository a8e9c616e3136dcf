"""The verbs ``live`` and ``export`` from the command line: errors in one line, and the whole way on real faces."""

from __future__ import annotations

import csv
import os
import signal
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.deploy.conftest import make_run
from tests.forks import COMMAND, Forked, run_alone
from tests.live.fakes import FakePredictor, SquareDetector, read_video, write_video

__all__ = ["make_run"]
MODEL = os.environ.get("FER_BENCH_LANDMARKER")
needs_landmarker = pytest.mark.skipif(
    not MODEL or not Path(MODEL).is_file(), reason="FER_BENCH_LANDMARKER names no face_landmarker.task"
)


@pytest.fixture
def fakes(monkeypatch):
    """Stand-ins for the network and for MediaPipe."""

    @contextmanager
    def open_detector(*_, **__):
        yield SquareDetector()

    monkeypatch.setattr("fer_bench.faces.detector.open_detector", open_detector)
    monkeypatch.setattr("fer_bench.faces.detector.landmarker_file", lambda *_: Path("none"))
    monkeypatch.setattr("fer_bench.deploy.predictor.open_predictor", lambda *_: FakePredictor())
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_without_the_landmarker_it_says_where_to_put_it(fer_bench, own_folders, monkeypatch):
    monkeypatch.delenv("FER_BENCH_LANDMARKER", raising=False)
    done = fer_bench("live", "--run", "abc", "--headless")
    assert done.code == 2
    assert done.err.count("\n") == 1
    for part in (str(own_folders / "data" / "models" / "face_landmarker.task"), "FER_BENCH_LANDMARKER"):
        assert part in done.err


def test_a_video_without_a_screen(fer_bench, fakes, tmp_path):
    video = write_video(tmp_path / "v.mp4", 12)
    done = fer_bench(
        "live", "--run", "x", "--source", video, "--output", tmp_path / "o.mp4", "--csv", tmp_path / "o.csv"
    )
    assert done.code == 0, done.err
    assert "no display" in done.err
    for part in (
        "12 frames, a face in 100.0% of them",
        "frames/s; latency: median",
        "0 frames dropped",
        f"wrote {tmp_path / 'o.mp4'}",
    ):
        assert part in done.out
    assert len(read_video(tmp_path / "o.mp4")) == 12
    assert "no display" not in fer_bench("live", "--run", "x", "--source", video, "--headless").err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--source", "none.mp4"), ("there is no file or folder none.mp4",)),
        (("--source", "98"), ("camera 98 cannot be opened",)),
        (("--source", "{bad}"), ("bad.mp4: not a video",)),
        (("--source", "{good}", "--output", "o.txt"), (".mp4",)),
    ],
)
def test_errors_are_one_line(fer_bench, fakes, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    places = {"bad": tmp_path / "bad.mp4", "good": write_video(tmp_path / "good.mp4", 3)}
    places["bad"].write_bytes(b"\0" * 5000)
    done = fer_bench("live", "--run", "x", "--headless", *(text.format(**places) for text in arguments))
    assert done.code == 2
    # FFmpeg is told to be quiet when it is first used in a process; here another test has used it before.
    lines = [line for line in done.err.strip().split("\n") if not line.startswith("[")]
    assert len(lines) == 1
    assert lines[0].startswith("fer-bench: ")
    for part in says:
        assert part in done.err
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file()) == [".mp4", ".mp4"]


def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    """The mp4 plays and the CSV is whole, and the exit code says that it was stopped."""
    write_video(tmp_path / "v.mp4", 400)
    script = tmp_path / "go.py"
    script.write_text(
        "import contextlib\n"
        "import fer_bench.deploy.predictor as p, fer_bench.faces.detector as f\n"
        "from tests.live.fakes import FakePredictor, SquareDetector\n"
        "f.open_detector = lambda *_, **__: contextlib.nullcontext(SquareDetector())\n"
        "f.landmarker_file = lambda *_: 'none'\n"
        "p.open_predictor = lambda *_: FakePredictor(seconds=0.05)\n"
        "from fer_bench.cli.main import main\nmain()\n"
    )
    process = Forked(
        script,
        "live",
        "--run",
        "x",
        "--source",
        "v.mp4",
        "--headless",
        "--output",
        "o.mp4",
        "--csv",
        "o.csv",
        folder=tmp_path,
    )
    try:
        end = time.monotonic() + 120
        while not any(
            path.suffix == ".mp4" and "part" in path.name and path.stat().st_size > 100 for path in tmp_path.iterdir()
        ):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "stopped by SIGINT" in out
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert 0 < len(rows) < 400
    assert rows[-1]["sad"]
    assert len(read_video(tmp_path / "o.mp4")) == len(rows)
    assert not [path for path in tmp_path.iterdir() if "part" in path.name]


def real_faces_video(folder, path, n):
    """Real faces of FER2013, enlarged to 192 px with a border of 64, five frames each."""
    with (folder / "fer2013.csv").open() as file:
        next(file)
        faces = [np.array(next(file).split(",")[1].split(), dtype=np.uint8).reshape(48, 48) for _ in range(n // 5)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 320))
    for face in faces:
        large = cv2.copyMakeBorder(
            cv2.resize(face, (192, 192), interpolation=cv2.INTER_CUBIC), 64, 64, 64, 64, cv2.BORDER_REPLICATE
        )
        for _ in range(5):
            writer.write(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


@needs_landmarker
@pytest.mark.skipif(find_spec("mediapipe") is None, reason="needs mediapipe")
def test_real_faces_through_an_exported_network(fer_bench, make_run, small_synth, real_faces, tmp_path):
    pytest.importorskip("onnxruntime")
    _, run_id = make_run(dataset_options=small_synth)
    images = tmp_path / "images"
    images.mkdir()
    video = real_faces_video(real_faces, tmp_path / "v.mp4", 100)
    for i, image in enumerate(read_video(video)[::20]):
        cv2.imwrite(str(images / f"{i}.png"), image)
    done = fer_bench("export", run_id, "--onnx", tmp_path / "net.onnx", "--images", images)
    assert done.code == 0, done.err
    assert "checked with ONNX Runtime on 5 real images" in done.out
    tables = []
    for run in (run_id, tmp_path / "net.onnx"):
        table = tmp_path / f"{len(tables)}.csv"
        # MediaPipe is only ever loaded in a process of its own, see tests/faces/test_detector.py.
        arguments = ("--source", video, "--headless", "--csv", table, "--accelerator", "cpu")
        done = run_alone(COMMAND, "live", "--run", run, *arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "100 frames, a face in" in done.stdout
        with table.open(newline="") as file:
            tables.append([row for row in csv.DictReader(file) if row["face"]])
    assert len(tables[0]) == len(tables[1]) >= 75
    for a, b in zip(*tables, strict=True):
        assert a["frame"] == b["frame"]
        assert float(a["happy"]) == pytest.approx(float(b["happy"]), abs=1e-4)
        # Border and enlargement were chosen, so the face is known to lie in the middle.
        assert float(a["left"]) < 160 < float(a["right"])
