"""Mixup and CutMix: what is mixed, what it costs, and who refuses it."""

import pytest
import torch

from fer_bench.errors import SpecError
from fer_bench.protocols import protocol_for
from fer_bench.spec import RunSpec
from fer_bench.tasks.mixing import Mixing, Prepared
from fer_bench.training.build import build_task, check_names

IMAGES = torch.randint(0, 256, (6, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0, 1, 2, 3, 4, 5])


def mixed(epoch=0, index=0, rank=0, **settings):
    mixing = Mixing.of(RunSpec(**{"mixup": 1.0, **settings}))
    return mixing.mix(Prepared(IMAGES, {"target": TARGET}), epoch, index, rank)


def task_of(**settings):
    task = settings.setdefault("task", "fer7")
    spec = RunSpec(**{"model_options": {"width": 4, "dropout": 0.0, "head_dropout": 0.0}, "mixup": 1.0, **settings})
    torch.manual_seed(0)
    return build_task(spec, protocol_for("synthfaces", task), native_size=48, class_counts=[9, 1, 4, 4, 4, 4, 2])


def test_nothing_is_mixed_by_default():
    assert Mixing.of(RunSpec()) is None
    assert RunSpec(mixup=0, cutmix=0, mix_probability=1, mix_until=1).digest() == RunSpec().digest()


def test_mixup_is_the_mean_of_two_images_by_their_shares():
    batch = mixed()
    assert 0 < batch.share < 1
    expected = batch.share * IMAGES.float() + (1 - batch.share) * IMAGES.roll(1, 0).float()
    torch.testing.assert_close(batch.images, expected)
    assert batch.partners["target"].tolist() == [5, 0, 1, 2, 3, 4]
    assert torch.equal(batch.larger["target"], TARGET if batch.share >= 0.5 else TARGET.roll(1))


def test_the_place_of_a_batch_decides():
    assert mixed().share == mixed().share
    assert len({mixed(**place).share for place in ({}, {"epoch": 1}, {"index": 1}, {"rank": 1}, {"seed": 1})}) == 5


@pytest.mark.parametrize("shape", [(48, 48), (30, 20)])
def test_cutmix_says_how_much_of_an_image_is_its_own(shape):
    images = IMAGES[:, :, : shape[0], : shape[1]]
    shares = []
    for index in range(60):
        batch = Mixing(0, 0.0, 1.0, 1.0, 9).mix(Prepared(images, {"target": TARGET}), 0, index)
        assert batch.images.dtype == torch.uint8
        own, other = batch.images == images, batch.images == images.roll(1, 0)
        assert (own | other).all()
        # By chance, pixels of two images are equal.
        assert batch.share == pytest.approx(own.float().mean().item(), abs=0.01)
        shares.append(batch.share)
    assert min(shares) < 0.3
    assert max(shares) > 0.9


def test_of_both_each_batch_gets_one():
    kinds = [mixed(index=i, cutmix=1.0).images.dtype for i in range(40)]
    assert 10 < kinds.count(torch.uint8) < 30


def test_some_batches_and_the_last_epochs_stay_as_they_are():
    left = [mixed(index=i, mix_probability=0.5).share == 1 for i in range(40)]
    assert 10 < sum(left) < 30
    assert mixed(epoch=5, epochs=8, mix_until=0.75).share < 1
    assert mixed(epoch=6, epochs=8, mix_until=0.75).share == 1


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.1}, {"loss": "sigmoid_cross_entropy"}])
def test_the_loss_is_that_of_the_mixed_target(settings):
    """Where a loss takes distributions and is linear in them, both ways are one."""
    task = task_of(**settings).eval()
    batch = task.prepare({"image": IMAGES, "target": TARGET}, 0)
    loss, logits = task.loss_of(batch)
    soft = torch.nn.functional.one_hot(TARGET, 7).float()
    soft = batch.share * soft + (1 - batch.share) * soft.roll(1, 0)
    torch.testing.assert_close(loss, task.loss(logits, soft))


@pytest.mark.parametrize(
    "settings",
    [
        {"class_weights": "balanced"},
        {"loss": "multi_target"},
        {"task": "emo8", "loss": "unbalanced_cross_entropy", "class_weights": "none"},
    ],
)
def test_losses_of_weights_and_of_single_classes_are_mixed(settings):
    if settings.get("task") == "emo8":
        spec = RunSpec(model_options={"width": 4}, mixup=1.0, dataset="findingemo", **settings)
        task = build_task(spec, protocol_for("findingemo", "emo8"), native_size=48, class_counts=[1] * 8).eval()
    else:
        task = task_of(**settings).eval()
    batch = task.prepare({"image": IMAGES, "target": TARGET}, 0)
    loss, logits = task.loss_of(batch)
    torch.testing.assert_close(
        loss, batch.share * task.loss(logits, TARGET) + (1 - batch.share) * task.loss(logits, TARGET.roll(1))
    )


def test_distributions_are_drawn_before_they_are_mixed():
    task = task_of(target_mode="probability")
    batch = task.prepare({"image": IMAGES, "target": torch.nn.functional.one_hot(TARGET, 7).float()}, 0)
    assert torch.equal(batch.targets["target"], TARGET)
    assert batch.share < 1


def test_values_are_mixed_like_their_images():
    task = task_of(task="va", loss="ccc")
    values = torch.rand(6, 2) * 2 - 1
    share = mixed().share
    batch = task.prepare({"image": IMAGES, "target": values}, 0)
    torch.testing.assert_close(batch.images, share * IMAGES.float() + (1 - share) * IMAGES.roll(1, 0).float())
    torch.testing.assert_close(batch.targets["target"], share * values + (1 - share) * values.roll(1, 0))
    assert batch.share == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mix_probability": 0.5}, "mix_probability = 0.5 without mixup and cutmix changes nothing"),
        ({"mix_until": 0.5}, "mix_until = 0.5 without"),
        ({"cutmix": 1.0, "task": "va", "loss": "mse"}, "cutmix = 1: the values of two halves"),
        ({"mixup": 0.2, "method": "multitask", "model": "autoencoder"}, "mixup with method = 'multitask'"),
        ({"cutmix": 0.2, "method": "two_stage", "model": "autoencoder"}, "cutmix with method = 'two_stage'"),
    ],
)
def test_what_cannot_be_mixed_is_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        check_names(RunSpec(**settings))
