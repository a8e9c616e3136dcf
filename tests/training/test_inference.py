import numpy as np
import pytest
import torch

from fer_bench.datasets.load import build_datamodule
from fer_bench.models.trained import load_weights
from fer_bench.protocols import protocol_for
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training import fit as fit_room
from fer_bench.training import hardware, inference
from fer_bench.training.build import build_task
from fer_bench.training.inference import predict
from fer_bench.training.run import run


@pytest.fixture
def parts(finished, home):
    """Task and data of the finished run, and a function that predicts its test split with other settings of the
    test."""
    spec, *_ = finished
    (best,) = (home / "runs").glob("*/best.ckpt")
    task = build_task(spec, protocol_for(spec.dataset, spec.task), native_size=48)
    load_weights(task, best)
    device = hardware.resolve(spec)

    def outputs(**settings):
        return predict(task, build_datamodule(spec), "test", device, spec.model_copy(update=settings)).outputs

    return task, build_datamodule(spec), outputs


def by_hand(task, images):
    with torch.inference_mode():
        return task.eval().network(images).softmax(dim=1).numpy()


def test_plain_predictions_are_the_networks(parts):
    task, data, outputs = parts
    images = next(iter(data.predict_loader("test")))["image"]
    np.testing.assert_allclose(outputs(), by_hand(task, images), atol=1e-6)


def test_flip_is_the_mean_of_the_image_and_its_mirror_image(parts):
    task, data, outputs = parts
    images = next(iter(data.predict_loader("test")))["image"]
    mirrored = torch.from_numpy(images.numpy()[:, :, :, ::-1].copy())
    wanted = (by_hand(task, images) + by_hand(task, mirrored)) / 2
    np.testing.assert_allclose(outputs(tta=1, tta_kind="flip"), wanted, atol=1e-6)
    assert not np.allclose(outputs(), wanted, atol=1e-6)


def test_random_views_differ_and_are_averaged_reproducibly(parts):
    task, data, outputs = parts
    views = [next(iter(data.predict_loader("test", augmented=True, view=view)))["image"] for view in range(3)]
    assert not torch.equal(views[0], views[1])
    assert not torch.equal(views[1], views[2])
    wanted = np.mean([by_hand(task, view) for view in views], axis=0)
    first = outputs(tta=3)
    np.testing.assert_allclose(first, wanted, atol=1e-6)
    np.testing.assert_array_equal(first, outputs(tta=3))
    assert not np.array_equal(outputs(tta=2), first)


def test_ten_crops(parts):
    _, _, outputs = parts
    views = list(inference.fixed_views(RunSpec(tta=10, tta_kind="ten_crop")))
    assert len(views) == 10
    images = torch.arange(48 * 48, dtype=torch.float32).reshape(1, 1, 48, 48)
    seen = [view(images) for view in views]
    assert all(one.shape == images.shape for one in seen)
    assert not any(torch.equal(seen[i], seen[j]) for i in range(10) for j in range(i))
    for plain, mirrored in zip(seen[:5], seen[5:], strict=True):
        torch.testing.assert_close(plain.flip(3), mirrored)
    # 44 of 48 pixels; the corners are those of the image.
    assert [float(one[0, 0, 0, 0]) for one in seen[:4]] == [0, 4, 4 * 48, 4 * 48 + 4]
    np.testing.assert_allclose(outputs(tta=10, tta_kind="ten_crop").sum(axis=1), 1, atol=1e-5)


def test_five_crops_are_the_ten_without_their_mirror_images(parts):
    _, _, outputs = parts
    images = torch.arange(48 * 48, dtype=torch.float32).reshape(1, 1, 48, 48)
    five, ten = (inference.fixed_views(RunSpec(tta=5, tta_kind=kind)) for kind in ("five_crop", "ten_crop"))
    assert len(five) == 5
    assert all(torch.equal(a(images), b(images)) for a, b in zip(five, ten[:5], strict=True))
    assert not np.array_equal(outputs(tta=5, tta_kind="five_crop"), outputs(tta=10, tta_kind="ten_crop"))


def test_another_way_of_testing_reuses_the_training(finished, monkeypatch):
    spec, reference, store = finished
    monkeypatch.setattr(fit_room, "build_trainer", None)
    record = run(spec.model_copy(update={"tta": 2}))
    assert record.run_id != reference.run_id
    assert record.training["curves"] == reference.training["curves"]
    assert record.spec["tta"] == 2
    a, b = Store().predictions(reference), Store().predictions(record)
    np.testing.assert_array_equal(a.ids, b.ids)
    assert not np.allclose(a.outputs, b.outputs, atol=1e-6)
    assert len(store.files()) == 2


def test_random_views_of_a_run_without_augmentation_are_refused(home, tiny):
    from fer_bench.errors import SpecError

    with pytest.raises(SpecError, match="tta"):
        run(tiny(augment="none", tta=5))
