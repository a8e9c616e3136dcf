"""Losses of several labels, their weights, and settings that mean nothing for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fer_bench import spec as specs
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.layering import layered
from fer_bench.tasks.label_losses import build_label_loss
from fer_bench.tasks.multilabel import LabelScores
from fer_bench.training.build import build_task, check_names

LOGITS = torch.tensor([[0.5, -1.0, 2.0], [-0.3, 0.8, -2.0]])
TARGETS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])


def spec(**settings):
    return specs.build({"dataset": "emotic", "task": "emotic26", "loss": "bce", "image_size": 48, **settings})


def test_positive_samples_of_a_category_count_as_much_as_negative_ones():
    counts = np.array([[30, 10, 400], [10, 0, 2]])
    plain = nn.functional.binary_cross_entropy_with_logits(LOGITS, TARGETS)
    assert build_label_loss("bce", None, 0.0)(LOGITS, TARGETS) == pytest.approx(plain.item())
    weighted = build_label_loss("bce", counts, 0.0)(LOGITS, TARGETS)
    # At most a hundred times; a category without samples as if it had one.
    weights = torch.tensor([3.0, 10.0, 100.0])
    expected = nn.functional.binary_cross_entropy_with_logits(LOGITS, TARGETS, pos_weight=weights)
    assert weighted == pytest.approx(expected.item())


def test_smoothing_moves_targets_towards_a_half():
    smooth = build_label_loss("bce", None, 0.2)(LOGITS, TARGETS)
    expected = nn.functional.binary_cross_entropy_with_logits(LOGITS, TARGETS * 0.8 + 0.1)
    assert smooth == pytest.approx(expected.item())


def test_the_papers_loss_weighs_rare_categories_more():
    found = build_label_loss("weighted_l2", None, 0.0)(LOGITS, TARGETS)
    weights = 1 / np.log(1.2 + np.array([0.5, 0, 0.5]))
    expected = (weights * (1 / (1 + np.exp(-LOGITS.numpy())) - TARGETS.numpy()) ** 2).sum(axis=1).mean()
    assert found == pytest.approx(expected, rel=1e-5)
    assert build_label_loss("focal", None, 0.0, {"gamma": 0, "alpha": -1})(LOGITS, TARGETS) == pytest.approx(
        nn.functional.binary_cross_entropy_with_logits(LOGITS, TARGETS).item()
    )


@pytest.mark.parametrize(
    ("name", "counts", "options", "error", "said"),
    [
        ("cross_entropy", None, {}, SpecError, "is for classes; this task has several labels"),
        ("mse", None, {}, SpecError, "is for values"),
        ("bcee", None, {}, UnknownNameError, "bce"),
        ("bce", None, {"alpha": 1}, SpecError, "alpha"),
        ("focal", np.ones((2, 3)), {}, SpecError, "takes neither class weights"),
    ],
)
def test_wrong_losses_are_refused(name, counts, options, error, said):
    with pytest.raises(error, match=said):
        build_label_loss(name, counts, 0.0, options)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"value_scale": "dataset"}, "value_scale"),
        ({"target_mode": "probability"}, "target_mode"),
        ({"method": "distill"}, "method"),
        ({"stopper": "findingemo", "early_stopping": 5}, "weighted F1"),
    ],
)
def test_settings_of_classes_and_values_are_refused(settings, said):
    with pytest.raises(SpecError, match=said):
        check_names(spec(**settings))


def test_defaults_fit_and_a_batch_is_trained_on():
    settings = layered({"dataset": "emotic"})
    assert settings["task"] == "emotic26"
    assert settings["loss"] == "bce"
    made = spec(class_weights="balanced", model_options={"width": 4})
    task = build_task(made, check_names(made), native_size=48, class_counts=np.full((2, 26), 5))
    batch = {
        "image": torch.zeros(3, 3, 48, 48, dtype=torch.uint8),
        "target": torch.eye(26, dtype=torch.int8)[:3],
    }
    loss = task.training_step(batch, 0)
    loss.backward()
    assert torch.isfinite(loss)
    outputs = task.eval().predict_step(batch)
    assert outputs.shape == (3, 26)
    assert ((outputs >= 0) & (outputs <= 1)).all()


def test_validation_is_scored_as_a_record_is_over_all_batches():
    scores = LabelScores("validation/")
    targets = torch.eye(26, dtype=torch.int8)[[0, 1, 0, 2]]
    probabilities = torch.rand(4, 26, generator=torch.Generator().manual_seed(0))
    for half in (slice(0, 2), slice(2, 4)):
        scores.update(probabilities[half], targets[half])
    from fer_bench.scoring.multilabel import Categories, mean_ap

    assert scores.compute()["validation/map"] == pytest.approx(
        mean_ap(Categories(targets.numpy(), probabilities.numpy()))
    )
