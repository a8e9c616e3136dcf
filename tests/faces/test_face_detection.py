"""Faces of photographs that come without boxes: detected once, cut as the face network has seen faces, pooled,
counted."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import fer_bench.faces.detection as detection
from fer_bench.cli.main import app
from fer_bench.data.cache import file_sha256
from fer_bench.datasets.findingemo.module import FindingEmoDataModule
from fer_bench.datasets.synthfaces import SynthFacesDataModule
from fer_bench.datasets.synthscenes import SynthScenesDataModule
from fer_bench.errors import MissingDataError, UnknownNameError
from fer_bench.faces.crops import Framing, framing_of
from fer_bench.faces.detection import (
    DETECTORS,
    BoxDetector,
    boxes_of,
    detect_faces,
    in_windows,
)
from fer_bench.faces.detector import Face
from fer_bench.leaderboard.verify import verify
from fer_bench.models.zoo import build_network
from fer_bench.probes.backbones import build_backbone
from fer_bench.probes.face_crops import BoxCrops, FaceInput, find_faces
from fer_bench.probes.features import Place, run_batch
from fer_bench.probes.grid import run_grid
from fer_bench.probes.settings import build_probe
from fer_bench.probes.streams import load_stream
from fer_bench.protocols import protocol_for
from fer_bench.results.begin import begin_record, run_folder
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from tests.forks import run_alone

HEADER = "user,image_path,reject,tag,age,valence,arousal,emotion,dec_factors,ambiguity,fmri_candidate,datetime"
N = 80
EMOTIONS = ("Joy", "Trust", "Fear", "Surprise", "Sadness", "Disgust", "Anger", "Anticipation")
OPTIONS = {"width": 80, "height": 60}
SPEC = RunSpec.model_validate({"dataset": "synthfaces", "model_options": {"width": 4}})
MODEL = os.environ.get("FER_BENCH_LANDMARKER")


def n_faces(i):
    return (0, 1, 3, 2)[i // 8 % 4]


def boxes_in(i):
    """Faces of photograph i, the largest first."""
    return np.array(
        [[5 + 25 * k, 10 + i % 7, 25 + 25 * k - 3 * k, 34 + i % 7] for k in range(n_faces(i))], dtype=np.float32
    ).reshape(-1, 4)


def write_photographs(root, faces=True):
    rows = []
    for i in range(N):
        name = f"Run_1/party {i % 4}/img{i:02d}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(i).integers(0, 120, size=(60, 80, 3), dtype=np.uint8)
        for left, top, right, bottom in boxes_in(i).astype(int) if faces else ():
            # Only faces are this red.
            picture[top:bottom, left:right, 2] = 250
        cv2.imwrite(str(root / name), picture)
        rows.append(f"u{i},/home/x/{name},Keep,,[],{i % 7 - 3},{i % 7},{EMOTIONS[i % 8]},[],1,False,2022-01-01")
    (root / "annotations_single.ann").write_text("\n".join([HEADER, *rows]) + "\n")


@pytest.fixture
def photographs(tmp_path):
    """FindingEmo in its real layout; photograph i has 0, 1, 3, 2, 0, ... faces."""
    root = tmp_path / "data" / "findingemo"
    write_photographs(root)
    return root


class Red:
    """Finds what is red; its model is a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.seen, self.opened, self.stop_after = file, 0, 0, None

    def __call__(self, _data_dir):
        return BoxDetector("red", {"sha256": file_sha256(self.file)}, self.open)

    @contextmanager
    def open(self):
        self.opened += 1
        yield self.find

    def find(self, image):
        self.seen += 1
        if self.stop_after is not None and self.seen > self.stop_after:
            raise KeyboardInterrupt
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] == 250).astype(np.uint8))
        left, top, width, height = stats[1:, :4].T
        found = np.stack([left, top, left + width, top + height], axis=1).astype(np.float32)
        # What a detector may also say: nothing that has pixels within the image.
        return np.concatenate([found, np.array([[-30, -30, -2, -2], [np.nan] * 4], dtype=np.float32)])


@pytest.fixture
def red(tmp_path, monkeypatch):
    file = tmp_path / "red.model"
    file.write_bytes(b"one")
    detector = Red(file)
    monkeypatch.setitem(DETECTORS._items, "red", detector)
    return detector


def module(photographs, task="emo8", **options):
    return FindingEmoDataModule(task, data_dir=str(photographs.parent), options={**OPTIONS, **options})


def number(samples, at):
    return int(str(samples.ids[at])[-6:-4])


def test_faces_are_detected_once_per_copy_and_detector(photographs, red):
    found = detect_faces(module(photographs), red(None))
    samples = module(photographs).read_samples
    assert (found.n_computed, red.seen, found.boxes.shape) == (N, N, (N, 64, 4))
    for at in range(N):
        known = found.boxes[at][np.isfinite(found.boxes[at, :, 0])]
        np.testing.assert_array_equal(known, boxes_in(number(samples, at)))
    again = detect_faces(module(photographs, "arousal3"), red(None))
    assert (again.n_computed, again.key, red.opened) == (0, found.key, 1)
    assert detect_faces(module(photographs, width=40, height=30), red(None)).n_computed == N
    red.file.write_bytes(b"two, longer")
    changed = detect_faces(module(photographs), red(None))
    assert changed.n_computed == N
    assert changed.key != found.key


def test_an_interrupted_detection_goes_on(photographs, red, monkeypatch):
    monkeypatch.setattr(detection, "_BLOCK", 10)
    red.stop_after = 65
    with pytest.raises(KeyboardInterrupt):
        detect_faces(module(photographs), red(None))
    red.stop_after = None
    found = detect_faces(module(photographs), red(None))
    assert (found.n_computed, red.seen) == (N - 60, 66 + N - 60)
    samples = module(photographs).read_samples
    counts = np.isfinite(found.boxes[:, :, 0]).sum(1)
    assert counts.tolist() == [n_faces(number(samples, at)) for at in range(N)]


@pytest.fixture
def here():
    """A run of a small face network, as it lies on the disk; what it has learned does not matter."""
    run_id = SPEC.run_id()
    record = begin_record(SPEC, protocol_for("synthfaces", "fer7"), run_id)
    Store().put(record.model_copy(update={"data": {"image_size": 48, "image_shape": [48, 48]}}))
    torch.manual_seed(1)
    network = build_network(SPEC.model, 7, native_size=48, normalization="centred", options=dict(SPEC.model_options))
    folder = run_folder(SPEC, record)
    folder.mkdir(parents=True)
    torch.save(
        {"state_dict": {f"network.{key}": value for key, value in network.state_dict().items()}, "epoch": 0},
        folder / f"{SPEC.snapshot}.ckpt",
    )
    return run_id


def grid(network, **over):
    settings = {
        "dataset": "findingemo",
        "dataset_options": OPTIONS,
        "streams": (f"faces:run:{network}",),
        "detector": "red",
        "standardise": True,
    }
    return build_probe({**settings, "lr": (0.1,), "loss": ("cross_entropy",), "seeds": (0, 1), "max_epochs": 3, **over})


def test_the_stream_is_mean_and_deviation_over_the_faces(photographs, red, here):
    datamodule = module(photographs)
    stream = load_stream(f"faces:run:{here}", grid(here), datamodule, Place(), Store(), str(photographs.parent))
    assert stream.values.shape == (N, 14)
    network, samples = (
        build_backbone(f"run:{here}", outputs="predictions", store=Store()).module,
        datamodule.read_samples,
    )
    for at in range(8):
        faces = [
            framing_of("synthfaces", {}).cut(samples.images[at], Face(tuple(box), None, 1.0), 48, gray=True)
            for box in boxes_in(number(samples, at)).tolist()
        ]
        if not faces:
            assert not stream.values[at].any()
            continue
        values = run_batch(network, torch.from_numpy(np.stack(faces))[:, None], Place()).astype(np.float32)
        np.testing.assert_allclose(stream.values[at], np.concatenate([values.mean(0), values.std(0)]), atol=1e-3)


def test_a_grid_says_what_was_found_and_by_what(photographs, red, here):
    store = Store()
    records = run_grid(grid(here), store, data_dir=str(photographs.parent))
    faces = records[0].data["faces"][f"faces:run:{here}"]
    assert (faces["n_faces"], faces["n_without_face"], faces["faces_per_image"], faces["most_faces"]) == (
        104,
        24,
        1.3,
        3,
    )
    assert (faces["detector"], faces["detector_sha256"]) == ("red", file_sha256(red.file))
    assert any(note.endswith("n_without_face 24") for note in records[0].notes)
    assert any("without_face all values 0" in note for note in records[0].notes)
    assert (records[0].spec["detector"], records[0].spec["width"]) == ("red", 14)
    assert verify(store, ["findingemo-emo8"]).ok
    assert run_grid(grid(here), store, data_dir=str(photographs.parent)) == records
    red.file.write_bytes(b"another detector")
    assert run_grid(grid(here), store, data_dir=str(photographs.parent))[0].row != records[0].row
    assert red.seen == 2 * N


def test_no_face_in_any_image(tmp_path, red, here):
    write_photographs(tmp_path / "data" / "findingemo", faces=False)
    records = run_grid(grid(here), data_dir=str(tmp_path / "data"))
    assert records[0].spec["width"] == 14
    assert records[0].data["faces"][f"faces:run:{here}"]["n_without_face"] == N
    assert all(record.status == "finished" for record in records)


def test_a_task_of_three_classes_beside_the_faces(photographs, red, here):
    streams = (f"task:run:{here}", f"emo8:run:{here}", f"faces:run:{here}")
    records = run_grid(grid(here, task="arousal3", streams=streams), data_dir=str(photographs.parent))
    assert records[0].spec["width"] == 3 + 8 + 14
    assert any("arousal3_lr" in note for note in records[0].notes)


def test_a_dataset_with_boxes_or_crops_needs_no_detector(here):
    options = {"n_train": 20, "n_validation": 6, "n_test": 8, "width": 160, "height": 120}
    datamodule = SynthScenesDataModule("emo8", options=options)
    given = find_faces(datamodule, f"run:{here}", "none", Store())
    del datamodule.read_samples.columns["faces"]
    cut = find_faces(datamodule, f"run:{here}", "none", Store())
    assert "detector" not in given.facts
    assert cut.facts["detector"] == "none, the dataset's own boxes"
    np.testing.assert_array_equal(given.image, cut.image)
    # Those were cut before the picture was made half as large.
    likeness = [np.corrcoef(given.crops[i].ravel(), cut.crops[i].ravel())[0, 1] for i in range(len(cut.crops))]
    assert np.median(likeness) > 0.9
    del datamodule.read_samples.columns["boxes"]
    with pytest.raises(UnknownNameError, match="mediapipe"):
        find_faces(datamodule, f"run:{here}", "none", Store())


def test_a_missing_model_says_where_to_put_it(photographs, here, monkeypatch):
    monkeypatch.delenv("FER_BENCH_LANDMARKER", raising=False)
    with pytest.raises(MissingDataError, match=r"face_landmarker\.task.*FER_BENCH_LANDMARKER"):
        run_grid(grid(here, detector="mediapipe"), data_dir=str(photographs.parent))
    given = [
        "fuse",
        f"faces:run:{here}",
        f"features:run:{here}",
        "--dataset",
        "findingemo",
        "--data-dir",
        str(photographs.parent),
        "--accelerator",
        "cpu",
    ]
    found = CliRunner().invoke(app, given)
    assert isinstance(found.exception, MissingDataError) or "FER_BENCH_LANDMARKER" in found.output


def test_crops_are_of_the_size_and_colour_that_the_network_knows():
    images = np.random.default_rng(0).integers(0, 256, size=(2, 60, 80, 3), dtype=np.uint8)
    boxes = np.full((2, 3, 4), np.nan, dtype=np.float32)
    boxes[1, 0], boxes[1, 1] = (70, 50, 90, 75), (200, 10, 230, 40)
    seen = FaceInput(Framing(square=True), 32, gray=False)
    crops = BoxCrops(images, boxes, seen)
    assert crops.image.tolist() == [1]
    assert crops[0].shape == (32, 32, 3)
    assert BoxCrops(images, boxes, replace(seen, gray=True))[0].shape == (32, 32)
    assert len(BoxCrops(images, boxes[:, 2:], seen)) == 0


def test_windows_show_small_faces_and_each_once():
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    truth = np.array([[10, 10, 90, 90], [70, 92, 84, 112], [150, 4, 160, 16]], dtype=np.float32)
    for left, top, right, bottom in truth.astype(int):
        image[top:bottom, left:right] = 255
    shown = []

    def find(window):
        """As MediaPipe's: blind to what is smaller than a fifth of what it is shown."""
        shown.append(window.shape)
        _, _, stats, _ = cv2.connectedComponentsWithStats((window[:, :, 0] > 0).astype(np.uint8))
        large = stats[1:][stats[1:, 2] > window.shape[1] / 5]
        return np.stack(
            [large[:, 0], large[:, 1], large[:, 0] + large[:, 2], large[:, 1] + large[:, 3]], axis=1
        ).astype(np.float32)

    np.testing.assert_array_equal(in_windows(find, (1,))(image), truth[:1])
    assert len(shown) == 1
    found = in_windows(find, (1, 3, 7))(image)
    assert len(shown) == 1 + 1 + 9 + 49
    np.testing.assert_array_equal(found[np.lexsort(found.T[::-1])], truth)
    assert in_windows(find, (1, 3))(np.zeros_like(image)).shape == (0, 4)


def test_boxes_are_those_of_the_landmarks():
    landmarks = np.array([[3, 4], [10, 30]], dtype=np.float32)
    np.testing.assert_array_equal(
        boxes_of([Face((0, 0, 50, 50), landmarks, 1.0), Face((1, 2, 3, 4), None, 1.0)]), [[3, 4, 10, 30], [1, 2, 3, 4]]
    )
    assert boxes_of([]).shape == (0, 4)


# MediaPipe is only ever loaded in a process of its own, see tests/faces/test_detector.py.
_IN_A_PICTURE = """
import json, os, sys
import numpy as np
import fer_bench.faces.detection as detection
from fer_bench.faces.detector import open_detector
detection.WINDOWS = (1, 3)
image = np.load("image.npy")
detector = detection.mediapipe_detector()
with detector.open() as find:
    found = find(image)
with open_detector(os.environ["FER_BENCH_LANDMARKER"], max_faces=8) as alone:
    whole = len(alone.detect(image))
print("found", json.dumps([detector.identity["sha256"], found.tolist(), whole]))
"""


@pytest.mark.skipif(not MODEL, reason="needs FER_BENCH_LANDMARKER")
@pytest.mark.skipif(find_spec("mediapipe") is None, reason="needs mediapipe")
def test_mediapipe_finds_drawn_faces_where_they_are(tmp_path):
    faces = SynthFacesDataModule(
        "fer7", options={"n_train": 8, "n_validation": 8, "n_test": 8, "difficulty": 0.2}
    ).read_samples.images
    image = np.full((300, 400, 3), 110, dtype=np.uint8)
    centres = []
    for face, (x, y) in zip((faces[i] for i in range(3)), ((30, 30), (250, 40), (140, 170)), strict=True):
        image[y : y + 100, x : x + 100] = cv2.resize(np.asarray(face), (100, 100), interpolation=cv2.INTER_CUBIC)[
            ..., None
        ]
        centres.append((x + 50, y + 50))
    np.save(tmp_path / "image.npy", image)
    done = run_alone(_IN_A_PICTURE, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    sha256, found, whole = json.loads(done.stdout.rpartition("found ")[2])
    found = np.array(found).reshape(-1, 4)
    assert sha256 == file_sha256(Path(MODEL))
    middles = (found[:, :2] + found[:, 2:]) / 2
    near = [int((np.abs(middles - centre).max(axis=1) < 25).sum()) for centre in centres]
    assert sum(near) == len(found)
    assert max(near) == 1
    assert len(found) >= max(2, whole)
