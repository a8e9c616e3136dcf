"""From the images to a verified row without PyTorch, and without OpenCV where the pixels are in a table."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.submissions.files import PROTOCOL, faces_at

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "albumentations", "cv2")
# Not by None in sys.modules: SciPy takes what stands there for the package.
BLOCKED = """
import importlib.abc, json, sys
missing, commands = json.loads(sys.argv[1])

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from fer_bench.cli.main import app
for command in commands:
    app(command, standalone_mode=False)
"""


def without(missing, commands, folder):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, json.dumps([missing, [list(map(str, command)) for command in commands]])],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strangers_path(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(faces_at(tmp_path / "data")))
    without(TRAIN, [("images", PROTOCOL, "out"), ("template", PROTOCOL)], tmp_path)
    with (tmp_path / "out" / "images.csv").open(newline="") as file:
        shown = list(csv.DictReader(file))
    assert all((tmp_path / "out" / row["file"]).stat().st_size > 100 for row in shown)
    with (tmp_path / f"{PROTOCOL}.csv").open(newline="") as file:
        asked = list(csv.DictReader(file))
    assert [row["id"] for row in asked] == [row["id"] for row in shown]
    assert set(asked[0]) == {"id", "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}
    lines = [f"{row['sha256']},happy" for row in shown[:-1]]
    (tmp_path / "a.csv").write_text("\n".join(["sha256,class", *lines]) + "\n")
    submit = ("submit", "a.csv", "--protocol", PROTOCOL, "--name", "all happy")
    said = without(TRAIN, [submit, ("verify",), ("leaderboard", "--check")], tmp_path)
    assert "1 of 28 samples are not answered, and count as wrong" in said
    assert "1 record recomputed from their predictions, 0 without any: no difference." in said


def test_every_dataset_can_be_imported_without_torch(tmp_path):
    code = (
        "import sys; from fer_bench.datasets.load import DATASETS, dataset_class;"
        "[dataset_class({'folder': 'folder:x', 'table': 'table:x'}.get(name, name)) for name in DATASETS];"
        "print([name for name in ('torch', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "[]", done.stderr
