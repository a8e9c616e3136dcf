"""The two scene datasets as datamodules: drawn scenes, and FindingEmo in its real layout."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer_bench.data.computed import dataset_identity
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.datasets.findingemo.annotations import VALENCE3_OF
from fer_bench.datasets.findingemo.manifest import Kept, content_of, manifest_digest, read_manifest, write_manifest
from fer_bench.datasets.findingemo.module import FindingEmoDataModule
from fer_bench.datasets.load import dataset_class
from fer_bench.datasets.synthscenes import SynthScenesDataModule, crop_face
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import LABEL_SETS
from fer_bench.pinning import pinned
from fer_bench.protocols import protocol_for
from fer_bench.protocols.scene_values import SCALES

OPTIONS = {"n_train": 20, "n_validation": 6, "n_test": 8, "width": 160, "height": 120}
HEADER = "user,image_path,reject,tag,age,valence,arousal,emotion,dec_factors,ambiguity,fmri_candidate,datetime"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))


def test_scenes_as_batches_with_their_faces():
    module = SynthScenesDataModule("valence3", options=OPTIONS, batch_size=5)
    samples = module.read_samples
    assert {task: len(samples.targets[task]) for task in ("emo8", "emo24", "arousal3", "valence3")} == dict.fromkeys(
        ("emo8", "emo24", "arousal3", "valence3"), 34
    )
    assert all(samples.targets[task].max() < len(LABEL_SETS[task]) for task in samples.targets)
    batch = next(iter(module.val_dataloader()))
    assert batch["image"].shape == (6, 3, 60, 80)
    boxes, counts = samples.columns["boxes"], samples.columns["n_faces"]
    assert counts.sum() > 20
    assert np.array_equal(np.isfinite(boxes[:, :, 0]).sum(1), counts)
    found = boxes[np.isfinite(boxes[:, :, 0])]
    assert (found[:, 2] <= 80).all()
    assert (found[:, 3] <= 60).all()
    faces = samples.columns["faces"]
    assert faces.shape == (34, 5, 48, 48)
    assert all((faces[i, :n].std(axis=(1, 2)) > 5).all() and not faces[i, n:].any() for i, n in enumerate(counts))
    again = SynthScenesDataModule("emo8", options=OPTIONS).read_samples
    assert again.checksums == samples.checksums
    assert SynthScenesDataModule("emo8", options={**OPTIONS, "seed": 1}).read_samples.checksums != samples.checksums
    for wrong in ({"shrink": 0}, {"n_trian": 3}):
        with pytest.raises(SpecError):
            SynthScenesDataModule("emo8", options=wrong).read()


def test_valence_and_arousal_of_scenes_are_values_on_findingemos_scales():
    scenes = {task: SynthScenesDataModule(task, options=OPTIONS) for task in ("va", "valence", "arousal", "valence3")}
    valence, arousal, both = (scenes[task].targets("train") for task in ("valence", "arousal", "va"))
    assert valence.shape == arousal.shape == (20, 1)
    assert valence.dtype == np.float32
    assert (valence.min() >= -3, valence.max() <= 3, arousal.min() >= 0, arousal.max() <= 6) == (True,) * 4
    np.testing.assert_array_equal(both, np.concatenate([valence, arousal - 3], axis=1))
    classes = [VALENCE3_OF[int(value)] for value in valence[:, 0]]
    assert classes == scenes["valence3"].targets("train").tolist()
    for task, scale in SCALES.items():
        for dataset in ("synthscenes", "findingemo"):
            assert protocol_for(dataset, task).scale == scale


def test_a_crop_is_centred_on_its_box():
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[20:30, 40:50] = 255
    crop = crop_face(image, np.array([35, 15, 55, 35], dtype=np.float32), 20)
    assert crop[10, 10] == 255
    assert crop[2, 2] == crop[18, 2] == 0
    assert abs(int(crop.mean()) - 255 // 4) < 12


@pytest.fixture
def copy(tmp_path):
    """Forty photographs of two emotions, wide and tall, in nested folders."""
    root = tmp_path / "data" / "findingemo"
    rows = []
    for i in range(40):
        name = f"Run_1/party {i % 4}/img{i}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((30, 60, 3) if i % 2 else (60, 30, 3), 100 + i, dtype=np.uint8)
        cv2.imwrite(str(root / name), picture)
        valence, emotion = ("-2", "Grief") if i < 20 else ("3", "Joy")
        rows.append(f"u{i},/home/x/{name},Keep,,[],{valence},{i % 7},{emotion},[],1,False,2022-01-01")
    (root / "annotations_single.ann").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


def module(copy, **options) -> AffectDataModule:
    return FindingEmoDataModule("emo8", data_dir=str(copy.parent), options={"width": 40, "height": 30, **options})


def test_findingemo_in_its_real_layout(copy):
    found = module(copy)
    samples = found.read_samples
    assert {split: len(samples.where(split)) for split in ("train", "validation", "test")} == {
        "train": 28,
        "validation": 4,
        "test": 8,
    }
    assert samples.facts["coverage"]["matched"] == 40
    assert np.bincount(found.targets("test"), minlength=8)[[0, 4]].tolist() == [4, 4]
    image = samples.images[0]
    assert image.shape == (30, 40, 3)
    assert (image[0] == 0).all() or (image[:, 0] == 0).all()
    stretched = module(copy, fit="stretch").read_samples
    assert (stretched.images[0] > 0).all()
    assert set(samples.targets) == {"emo8", "emo24", "arousal3", "valence3"}


def test_another_picture_or_another_label_is_another_copy(copy):
    before = module(copy).read_samples.checksums
    path = copy / "Run_1/party 0/img0.png"
    cv2.imwrite(str(path), np.full((30, 60, 3), 7, dtype=np.uint8))
    changed = module(copy).read_samples.checksums
    assert changed != before
    file = copy / "annotations_single.ann"
    file.write_text(file.read_text().replace("-2,1,Grief", "-2,2,Grief"))
    assert module(copy).read_samples.checksums != changed


def test_findingemos_values_are_those_of_the_annotators_and_part_of_the_copy(copy):
    def read(task):
        return FindingEmoDataModule(task, data_dir=str(copy.parent), options={"width": 40, "height": 30})

    both, classes = read("va"), read("valence3")
    line = copy / "annotations_single.ann"
    rows = {f"Run_1/party {i % 4}/img{i}.png": (-2 if i < 20 else 3, i % 7 - 3) for i in range(40)}
    samples = both.read_samples
    at = samples.where("test")
    np.testing.assert_array_equal(both.targets("test"), [rows[name] for name in samples.ids[at]])
    np.testing.assert_array_equal(read("arousal").targets("test")[:, 0], both.targets("test")[:, 1] + 3)
    # -2 and -3 are one class, but not one value; the features of the images are the same whatever is asked of them.
    assert dataset_identity(both) == dataset_identity(classes)
    line.write_text(line.read_text().replace("[],-2,1,Grief", "[],-3,1,Grief"))
    assert read("valence3").read_samples.checksums == classes.read_samples.checksums
    assert read("va").read_samples.checksums != samples.checksums
    assert dataset_identity(read("va")) == dataset_identity(both)


def test_unreadable_pictures_are_counted_or_refused(copy, monkeypatch):
    (copy / "Run_1/party 0/img0.png").write_bytes(b"\x89PNG")
    with pytest.raises(BadDataError, match="1 of 40"):
        module(copy).read()
    monkeypatch.setattr("fer_bench.datasets.findingemo.module.MAX_BAD_SHARE", 0.1)
    samples = module(copy).read()
    assert len(samples) == 39
    assert samples.quarantined == [
        ("Run_1/party 0/img0.png", "not a readable image: none of PNG, JPEG, BMP, WebP, TIFF and GIF")
    ]


def test_findingemo_with_the_annotations_of_the_installed_package(copy, tmp_path, monkeypatch):
    package = tmp_path / "site-packages/findingemo_light/data"
    package.mkdir(parents=True)
    (copy / "annotations_single.ann").rename(package / "annotations_single.ann")
    with pytest.raises(MissingDataError, match=r"pip install 'fer_bench\[findingemo\]'"):
        module(copy).read()
    monkeypatch.syspath_prepend(package.parents[1])
    samples = module(copy).read()
    assert len(samples) == 40
    assert "annotations of the installed package findingemo-light" in samples.notes
    assert len(FindingEmoDataModule("emo8", data_dir=str(copy), options={"width": 40, "height": 30}).read()) == 40
    with pytest.raises(MissingDataError, match="annotations are installed; `fer-bench download findingemo`"):
        FindingEmoDataModule("emo8", data_dir=str(tmp_path / "none")).read()


def test_findingemo_says_which_images_are_ambiguous(copy):
    annotations = copy / "annotations_single.ann"
    annotations.write_text(
        annotations.read_text() + "u9,/home/x/Run_2/party 0/img0.png,Keep,,[],3,1,Joy,[],1,False,2022-01-01\n"
    )
    (copy / "Run_1/party 0/img0.png").rename(copy / "img0.png")
    (copy / "party 0").mkdir()
    (copy / "img0.png").rename(copy / "party 0/img0.png")
    samples = module(copy).read()
    assert len(samples) == 39
    assert any("2 left out" in note and "Run_1/party 0/img0.png" in note for note in samples.notes)


def test_findingemo_says_what_is_missing(copy, tmp_path):
    with pytest.raises(MissingDataError, match=r"annotations_single\.ann"):
        FindingEmoDataModule("emo8", data_dir=str(tmp_path / "none")).read()
    for wrong in ({"widht": 3}, {"fit": "crop"}):
        with pytest.raises(SpecError, match=r"Did you mean 'width'|should be 'letterbox' or 'stretch'"):
            module(copy, **wrong).read()
    assert dataset_class("findingemo") is FindingEmoDataModule
    assert dataset_class("synthscenes") is SynthScenesDataModule


def test_findingemo_reads_the_images_of_a_manifest_alone(copy):
    """All of them must be there; the record has the manifest's digest."""
    whole = module(copy).read()
    there = [str(name) for name in whole.ids]
    kept = [Kept(name, *content_of(copy / name)) for name in there[:3]]
    path = copy / "subset.csv"
    write_manifest(path, [*kept[:2], replace(kept[2], sha256="0" * 64)])
    samples = module(copy, manifest=str(path)).read()
    assert samples.ids.tolist() == there[:3]
    assert samples.facts["manifest"] == {"digest": manifest_digest(read_manifest(path)), "images": 3, "differ": 1}
    assert samples.facts["coverage"]["matched"] == 3
    assert "1 of them with another content" in samples.notes[-1]
    assert samples.checksums != whole.checksums
    (copy / there[0]).unlink()
    with pytest.raises(MissingDataError, match=r"1 of its images are not there.*--manifest"):
        module(copy, manifest=str(path)).read()


def test_a_manifest_is_pinned_by_its_content(tmp_path):
    """No path is in a run's settings; other content is another run."""
    (tmp_path / "a.csv").write_text("rel_path,sha256\n")
    settings = {"dataset": "findingemo", "dataset_options": {"manifest": str(tmp_path / "a.csv")}}
    done = pinned(settings)
    assert done["dataset_options"]["manifest"].startswith("sha256:")
    assert done["execution"]["files"] == {done["dataset_options"]["manifest"]: str(tmp_path / "a.csv")}
    (tmp_path / "a.csv").write_text("rel_path,sha256,url\n")
    assert pinned(settings)["dataset_options"] != done["dataset_options"]
