from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from fer_bench.annotate.images import list_images
from fer_bench.data.decoding import is_clutter
from fer_bench.datasets.class_folders import walk
from fer_bench.deploy.predict import find_images
from tests.fakes import smooth_images

CLUTTER = (
    "._face.png",
    ".DS_Store",
    "__MACOSX/happy/._face.png",
    "__MACOSX/happy/face.png",
    "Thumbs.db",
    "happy/thumbs.db",
    ".ipynb_checkpoints/face.png",
)
CLUTTER += ("happy/@eaDir/face.png", "desktop.ini", "$RECYCLE.BIN/face.png", "a/.hidden/face.png")


@pytest.mark.parametrize("name", CLUTTER)
def test_what_systems_leave_behind_is_clutter(name):
    assert is_clutter(Path(name))


@pytest.mark.parametrize(
    "name", ["face.png", "happy/face.png", "_face.png", "a.b/c.d.png", "thumbs.png", "./face.png", "../face.png"]
)
def test_data_is_not(name):
    assert not is_clutter(Path(name))


@pytest.fixture
def folder(tmp_path):
    """One face, and clutter whose bytes are an image too; all of it below a hidden folder."""
    root = tmp_path / ".hidden" / "faces"
    for name in ("happy/face.png", *(name for name in CLUTTER if name.endswith(".png"))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), smooth_images(1)[0])
    return root


def test_predict_skips_it(folder):
    assert find_images([folder]) == [folder / "happy" / "face.png"]
    # A file that is named is taken.
    assert find_images([folder / "._face.png"]) == [folder / "._face.png"]


def test_class_folders_skip_the_same(folder):
    assert [path.name for path, is_folder in walk(folder) if not is_folder] == ["face.png"]


def test_predict_follows_links_to_folders_once_as_class_folders_do(folder, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "linked").symlink_to(folder)
    (folder / "happy" / "back").symlink_to(tmp_path / "here")
    (folder / "happy" / "itself").symlink_to(folder / "happy" / "itself")
    assert find_images([tmp_path / "here"]) == [tmp_path / "here" / "linked" / "happy" / "face.png"]
    assert [path.name for path, is_folder in walk(tmp_path / "here") if not is_folder] == ["face.png"]


def test_annotation_studies_skip_it(folder):
    assert [image.name for image in list_images(folder, None, "study.yaml")] == ["happy/face.png"]
