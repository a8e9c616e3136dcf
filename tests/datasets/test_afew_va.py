"""AFEW-VA in its real layout, small, whole and damaged."""

from __future__ import annotations

import json
import pickle
import shutil

import cv2
import numpy as np
import pytest

from fer_bench.data import images
from fer_bench.data.samples import SPLITS
from fer_bench.datasets.afew_va import AfewVaDataModule, read_afew_va
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.layering import layered
from fer_bench.protocols import protocol_named
from fer_bench.spec import build
from tests.datasets.fakes_va import write_afew_va
from tests.training.conftest import ROOT


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    return write_afew_va(tmp_path / "data" / "afew_va")


@pytest.mark.parametrize("nested", [True, False])
def test_layouts(tmp_path, nested):
    write_afew_va(tmp_path / "afew_va", nested=nested)
    samples = read_afew_va(str(tmp_path), size=32)
    assert len(samples) == 80
    assert ("nested" in samples.layout) == nested
    assert samples.ids[0] == "001/00000"
    assert samples.columns["clip"][0] == "001"
    entry = json.loads(next(tmp_path.rglob("003.json")).read_text())["frames"]["00002"]
    at = list(samples.ids).index("003/00002")
    assert samples.targets["va"][at].tolist() == [entry["valence"], entry["arousal"]]


def test_crop_is_the_landmarks_box_and_carries_them(root):
    samples = read_afew_va(str(root), size=64, margin=0.0)
    at = list(samples.ids).index("002/00001")
    landmarks = np.array(json.loads(next(root.rglob("002.json")).read_text())["frames"]["00001"]["landmarks"])
    image = cv2.imread(str(next(root.rglob("002/00001.png"))))[:, :, ::-1]
    (x0, y0), (x1, y1) = np.floor(landmarks.min(0)).astype(int), np.ceil(landmarks.max(0)).astype(int)
    expected = cv2.resize(np.ascontiguousarray(image[y0:y1, x0:x1]), (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(samples.images[at], expected)
    carried = samples.columns["landmarks"][at]
    assert np.allclose(carried, (landmarks - [x0, y0]) * [64 / (x1 - x0), 64 / (y1 - y0)], atol=1e-3)
    assert carried.min() >= 0
    assert carried.max() <= 64


def test_margin_shows_more_of_the_scene(root):
    tight, wide = (read_afew_va(str(root), size=48, margin=m, cache=False).images[0] for m in (0.0, 0.5))
    assert wide.mean() < tight.mean()


def test_crops_are_kept_and_survive_pickling(root, monkeypatch):
    samples = read_afew_va(str(root), size=32)
    first = samples.images[5].copy()

    def refuse(path):
        raise AssertionError(path)

    monkeypatch.setattr(images, "load_image", refuse)
    again = pickle.loads(pickle.dumps(read_afew_va(str(root), size=32).images))
    assert np.array_equal(again[5], first)
    with pytest.raises(AssertionError):
        again[6]


def test_a_changed_annotation_is_read_anew(root):
    before = read_afew_va(str(root), size=32)
    path = next(root.rglob("001.json"))
    content = json.loads(path.read_text())
    content["frames"]["00000"]["valence"] = 10 if before.targets["va"][0, 0] < 10 else 9
    path.write_text(json.dumps(content) + " ")
    after = read_afew_va(str(root), size=32)
    assert after.targets["va"][0, 0] != before.targets["va"][0, 0]
    assert after.checksums["all"] != before.checksums["all"]


def test_damage_is_counted_not_fatal(root):
    next(root.rglob("001.json")).write_text('{"video_id": "001", "frames": {"000')
    next(root.rglob("002/00000.png")).unlink()
    cut = next(root.rglob("003/00000.png"))
    cut.write_bytes(cut.read_bytes()[:200])
    path = next(root.rglob("004.json"))
    content = json.loads(path.read_text())
    content["frames"]["00000"]["landmarks"] = content["frames"]["00000"]["landmarks"][:5]
    content["frames"]["00001"]["valence"] = 11
    content["frames"]["00002"]["landmarks"] = (np.array(content["frames"]["00002"]["landmarks"]) - [40, 0]).tolist()
    content["frames"]["00003"]["landmarks"] = (np.array(content["frames"]["00003"]["landmarks"]) + 500).tolist()
    path.write_text(json.dumps(content))
    samples = read_afew_va(str(root), size=32)
    counts = samples.facts["counts"]
    assert (
        counts["not valid JSON"]
        == counts["no image file"]
        == counts["truncated"]
        == counts["landmarks are not 68 pairs"]
        == 1
    )
    assert counts["valence or arousal missing or outside -10 to 10"] == counts["all landmarks outside the image"] == 1
    assert counts["landmarks outside the image"] >= 1
    assert len(samples) == 80 - 4 - 1 - 1 - 3
    assert any("not valid JSON" in note for note in samples.notes)


def test_cropped_copies_are_passed_over_and_true_copies_refused(root):
    clip = next(root.rglob("001.json")).parent
    shutil.copytree(clip, clip.with_name("001_cropped"))
    shutil.copytree(root, root / "AFEW-VA_Cropped")
    for name in ("__MACOSX/AFEW-VA_01/001", "@eaDir/001", ".Trash/001"):
        shutil.copytree(clip, root / name)
    (clip / "._00000.png").write_bytes(b"fork")
    (clip / "._001.json").write_bytes(b"fork")
    samples = read_afew_va(str(root), size=32)
    assert len(samples) == 80
    assert samples.quarantined == []
    shutil.copytree(clip, root / "again" / "001")
    with pytest.raises(BadDataError, match="clip 001 is in"):
        read_afew_va(str(root), size=32)


def test_missing(tmp_path):
    with pytest.raises(MissingDataError, match="on request"):
        read_afew_va(str(tmp_path))


def test_a_clip_without_actor_stands_for_itself(root):
    path = next(root.rglob("001.json"))
    content = json.loads(path.read_text())
    del content["actor"]
    path.write_text(json.dumps(content))
    samples = read_afew_va(str(root), size=32)
    assert samples.columns["identity"][0] == "clip 001"
    assert any("name no actor" in note for note in samples.notes)


@pytest.mark.parametrize(("fold_by", "column"), [("identity", "identity"), ("clip", "clip")])
def test_folds_tear_nothing_apart(root, fold_by, column):
    tested = []
    for fold in range(5):
        module = AfewVaDataModule(
            "va", data_dir=str(root), image_size=32, options={"fold": fold, "folds": 5, "fold_by": fold_by}
        )
        samples = module.read_samples
        parts = {split: set(samples.columns[column][samples.where(split)]) for split in ("train", "validation", "test")}
        assert all(parts.values())
        assert not (parts["train"] & parts["test"])
        assert not (parts["train"] & parts["validation"])
        assert not (parts["validation"] & parts["test"])
        tested += samples.ids[samples.where("test")].tolist()
    assert sorted(tested) == sorted(samples.ids.tolist())


def test_folds_by_frame_share_clips(root):
    module = AfewVaDataModule("valence", data_dir=str(root), image_size=32, options={"fold": 0, "fold_by": "frame"})
    samples = module.read_samples
    clips = [set(samples.columns["clip"][samples.where(split)]) for split in ("train", "test")]
    assert clips[0] & clips[1]
    assert module.targets("test").shape == (len(samples.where("test")), 1)
    batch = next(iter(module.train_dataloader()))
    assert batch["image"].shape[1:] == (3, 32, 32)
    assert batch["target"].shape[1] == 1


def test_options(root):
    with pytest.raises(SpecError, match="no option 'margn'"):
        AfewVaDataModule("va", data_dir=str(root), options={"margn": 1}).setup()
    with pytest.raises(SpecError, match="margin = -1: input should be greater than or equal to 0"):
        AfewVaDataModule("va", data_dir=str(root), options={"margin": -1}).setup()
    with pytest.raises(SpecError, match="--folds"):
        AfewVaDataModule("va", data_dir=str(root), options={"folds": 5}).setup()


def renumbered(root):
    """The twenty clips under numbers of all three parts of the public split, both borders included."""
    numbers = [*range(1, 11), 359, 360, 361, 362, 479, 480, 481, 482, 599, 600]
    for clip, number in zip(sorted(root.rglob("*.json"), reverse=True), reversed(numbers), strict=True):
        name = f"{number:03d}"
        clip.rename(clip.with_name(f"{name}.json"))
        clip.parent.rename(clip.parent.with_name(f"_{name}"))
    for folder in list(root.rglob("_*")):
        folder.rename(folder.with_name(folder.name[1:]))
    return root


def test_the_public_split_is_by_the_numbers_of_clips(root):
    module = AfewVaDataModule("va", data_dir=str(renumbered(root)), image_size=32, options={"split": "numbers"})
    samples = module.read_samples
    parts = {split: set(samples.columns["clip"][samples.where(split)].astype(int)) for split in SPLITS}
    assert parts == {
        "train": {*range(1, 11), 359, 360},
        "validation": {361, 362, 479, 480},
        "test": {481, 482, 599, 600},
    }
    assert set(samples.checksums) == set(SPLITS)
    assert len(set(samples.checksums.values())) == 3
    assert any("actors are in train and in test" in note for note in samples.notes)


def test_the_public_split_has_boards_of_its_own_and_no_folds(root, monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    given = {"dataset": "afew_va", "model": "resnet18", "dataset_options": {"split": "numbers"}}
    spec = build(layered(given))
    assert spec.dataset_options == {"split": "numbers"}
    assert (spec.protocol, spec.folding) == ("afew_va-va-numbers", None)
    assert spec.judge.scale == (-10, 10)
    assert protocol_named("afew_va-va-numbers", "afew_va", "va") is spec.judge
    plain = build(layered({**given, "dataset_options": {}}))
    assert (plain.protocol, plain.folding.folds) == ("afew_va-va", 5)
    with pytest.raises(SpecError, match="has its own splits, and no folds"):
        AfewVaDataModule("va", data_dir=str(root), options={"split": "numbers", "fold": 0})


def test_a_number_that_afew_va_does_not_have_is_refused(root):
    clip = next(root.rglob("020.json"))
    clip.rename(clip.with_name("601.json"))
    clip.parent.rename(clip.parent.with_name("601"))
    module = AfewVaDataModule("va", data_dir=str(root), image_size=32, options={"split": "numbers"})
    with pytest.raises(BadDataError, match="clip 601"):
        module.setup()
