"""Face landmarks: the map to iBUG's 68 points, and the errors before a face is found."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from fer_bench.errors import MissingDataError
from fer_bench.faces.detector import IBUG_68, landmarker_file
from tests.forks import run_alone

MODEL, FACES = os.environ.get("FER_BENCH_LANDMARKER"), os.environ.get("FER_BENCH_TEST_FER2013")


def test_the_map_names_68_different_points_of_the_mesh():
    assert len(set(IBUG_68)) == 68
    assert min(IBUG_68) >= 0
    assert max(IBUG_68) < 468


def test_a_missing_model_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.delenv("FER_BENCH_LANDMARKER", raising=False)
    with pytest.raises(MissingDataError, match=r"models/face_landmarker\.task.*FER_BENCH_LANDMARKER"):
        landmarker_file(None, str(tmp_path))
    monkeypatch.setenv("FER_BENCH_LANDMARKER", str(tmp_path / "elsewhere.task"))
    with pytest.raises(MissingDataError, match="elsewhere"):
        landmarker_file()


# MediaPipe is native code with threads of its own, which has taken a whole worker of the tests along: it is only ever
# loaded in processes of its own.
needs_mediapipe = pytest.mark.skipif(find_spec("mediapipe") is None, reason="needs mediapipe")

_A_DAMAGED_MODEL = """
from fer_bench.errors import BadDataError
from fer_bench.faces.detector import open_detector
try:
    with open_detector("bad.task"):
        pass
except BadDataError as error:
    print("refused:", error)
"""


_PARTS_OF_REAL_FACES = """
import sys
import cv2, numpy as np
from fer_bench.faces.detector import open_detector
with open(sys.argv[2] + "/fer2013.csv") as file:
    next(file)
    faces = [np.array(next(file).split(",")[1].split(), dtype=np.uint8).reshape(48, 48) for _ in range(16)]
found = right = 0
with open_detector(sys.argv[1]) as detector:
    assert detector.detect(np.full((128, 128, 3), 90, dtype=np.uint8)) == []
    for face in faces:
        large = cv2.resize(face, (192, 192), interpolation=cv2.INTER_CUBIC)
        large = cv2.copyMakeBorder(large, 64, 64, 64, 64, cv2.BORDER_REPLICATE)
        for one in detector.detect(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB)):
            found += 1
            points = one.landmarks
            parts = ((17, 27), (31, 36), (36, 42), (42, 48), (48, 68))
            brows, nose, left_eye, right_eye, mouth = (points[a:b].mean(axis=0) for a, b in parts)
            downward = brows[1] < left_eye[1] < nose[1] < mouth[1] < points[8, 1]
            right += bool(downward and left_eye[0] < right_eye[0] and points[0, 0] < points[16, 0])
print("parts", found, right)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What one process says of a damaged model and of real faces, where they are here."""
    folder = tmp_path_factory.mktemp("mediapipe")
    (folder / "bad.task").write_bytes(b"no model")
    real = (MODEL, FACES) if MODEL and FACES else ()
    done = run_alone(_A_DAMAGED_MODEL + (_PARTS_OF_REAL_FACES if real else ""), *real, folder=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@needs_mediapipe
def test_a_damaged_model_is_named(said):
    assert "bad.task" in next(line for line in said.splitlines() if line.startswith("refused:"))


@pytest.mark.skipif(not MODEL or not FACES, reason="needs FER_BENCH_LANDMARKER and FER_BENCH_TEST_FER2013")
@needs_mediapipe
def test_real_faces_have_their_parts_in_place(said):
    found, right = (int(number) for number in said.rpartition("parts ")[2].split())
    assert found >= 10
    # A head may be tilted to its side.
    assert right >= found - 1
