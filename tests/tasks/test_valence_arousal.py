"""Losses, streaming CCC and the boundary between the dataset's units and -1 to 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_bench import spec as specs
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.layering import layered
from fer_bench.protocols import PROTOCOLS, protocol_for
from fer_bench.scoring.regression import ccc
from fer_bench.tasks.valence_arousal import StreamingCCC, ValenceArousalTask
from fer_bench.tasks.value_losses import CCCLoss, build_value_loss, check_class_loss
from fer_bench.training.build import build_task, check_names


def drawn(n=60, seed=0):
    generator = np.random.default_rng(seed)
    targets = generator.uniform(-1, 1, (n, 2))
    return torch.tensor(0.5 * targets + generator.normal(0, 0.3, (n, 2)) + 0.2).float(), torch.tensor(targets).float()


def va_spec(**settings):
    return specs.build({"task": "va", "loss": "mse", **settings})


def test_ccc_loss_is_one_minus_the_published_score():
    outputs, targets = drawn()
    expected = 1 - np.mean([ccc(targets[:, d].numpy(), outputs[:, d].numpy()) for d in range(2)])
    assert CCCLoss()(outputs, targets).item() == pytest.approx(expected, abs=1e-5)
    assert CCCLoss()(targets, targets).item() == pytest.approx(0, abs=1e-5)


def test_ccc_loss_has_a_gradient_on_constant_batches():
    outputs = torch.zeros(4, 2, requires_grad=True)
    CCCLoss()(outputs, torch.full((4, 2), 0.3)).backward()
    assert torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mse", {}, lambda o, t: ((o - t) ** 2).mean()),
        ("mae", {}, lambda o, t: (o - t).abs().mean()),
        (
            "huber",
            {"delta": 0.1},
            lambda o, t: torch.where((o - t).abs() <= 0.1, (o - t) ** 2 / 2, 0.1 * ((o - t).abs() - 0.05)).mean(),
        ),
        ("mse+ccc", {}, lambda o, t: ((o - t) ** 2).mean() + CCCLoss()(o, t)),
        ("mse+ccc", {"weights": [1, 0.5]}, lambda o, t: ((o - t) ** 2).mean() + 0.5 * CCCLoss()(o, t)),
        ("mse", {"weights": [100]}, lambda o, t: 100 * ((o - t) ** 2).mean()),
    ],
)
def test_losses(name, options, expected):
    outputs, targets = drawn()
    assert build_value_loss(name, options)(outputs, targets).item() == pytest.approx(
        expected(outputs, targets).item(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("cross_entropy", {}, SpecError, "for classes.*mse"),
        ("mse+cross_entropy", {}, SpecError, "'cross_entropy' is for classes"),
        ("hubber", {}, UnknownNameError, "huber"),
        ("mse", {"delta": 1}, SpecError, "no such option"),
        ("mse+ccc", {"weights": [1]}, SpecError, "needs 2 numbers"),
    ],
)
def test_wrong_losses_are_refused(name, options, error, said):
    with pytest.raises(error, match=said):
        build_value_loss(name, options)


@pytest.mark.parametrize("name", ["mse", "mse+ccc"])
def test_losses_of_values_are_refused_for_classes(name):
    with pytest.raises(SpecError, match=r"is for values.*cross_entropy"):
        check_class_loss(name)


def test_streaming_ccc_is_exact_over_batches():
    outputs, targets = drawn(n=101)
    metric = StreamingCCC(2)
    for o, t in zip(outputs.split(17), targets.split(17), strict=True):
        metric.update(o, t)
    expected = [ccc(targets[:, d].numpy(), outputs[:, d].numpy()) for d in range(2)]
    assert metric.compute().tolist() == pytest.approx(expected, abs=1e-6)
    metric.reset()
    metric.update(torch.ones(5, 2), torch.ones(5, 2))
    assert metric.compute().tolist() == [0, 0]


class Fixed(torch.nn.Module):
    def __init__(self, values):
        super().__init__()
        self.values = torch.nn.Parameter(torch.tensor(values))

    def forward(self, images):
        return self.values.expand(len(images), -1)


def test_units_change_in_the_task_and_nowhere_else():
    task = ValenceArousalTask(va_spec(), Fixed([0.5, -0.25]), PROTOCOLS["afew_va-va"])
    batch = {"image": torch.zeros(3, 1, 8, 8, dtype=torch.uint8), "target": torch.tensor([[5.0, -2.5]] * 3)}
    assert task.training_step(batch, 0).item() == pytest.approx(0)
    assert task.predict_step(batch)[0].tolist() == pytest.approx([5.0, -2.5])
    off = {**batch, "target": torch.tensor([[10.0, -2.5]] * 3)}
    assert task.training_step(off, 0).item() == pytest.approx(0.25 / 2)


def test_one_dimension_gives_one_output():
    spec = va_spec(task="arousal", dataset="synthfaces")
    task = build_task(spec, check_names(spec), native_size=48)
    assert task(torch.zeros(2, 1, 48, 48, dtype=torch.uint8)).shape == (2, 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label_smoothing": 0.1}, "label_smoothing = 0.1 means nothing.*label_smoothing=0"),
        ({"class_weights": "balanced"}, "class_weights=none"),
        ({"loss": "cross_entropy"}, "for classes"),
        ({"snapshot": "epoch_31"}, "30 epochs"),
    ],
)
def test_settings_that_do_not_go_together(settings, said):
    with pytest.raises(SpecError, match=said):
        check_names(va_spec(**settings))


def test_task_layer_gives_a_loss_of_values():
    spec = specs.build(layered({"dataset": "synthfaces", "task": "va", "model": "five_layer_cnn"}))
    assert check_names(spec) is protocol_for("synthfaces", "va")
    assert spec.label_smoothing == 0


def test_new_fields_leave_old_identities_alone():
    plain = specs.build({"dataset": "fer2013", "model": "five_layer_cnn"})
    assert plain.identity() == {"dataset": "fer2013"}
    last = plain.model_copy(update={"snapshot": "last"})
    assert last.run_id() != plain.run_id()
    assert last.training_id() == plain.training_id()
    assert plain.model_copy(update={"steps_per_epoch": 8}).training_id() != plain.training_id()


def test_a_network_can_be_trained_in_the_units_of_the_dataset():
    protocol = protocol_for("afew_va", "va")
    tasks = {
        scale: build_task(
            va_spec(dataset="afew_va", model_options={"width": 2}, value_scale=scale), protocol, native_size=48
        ).eval()
        for scale in ("unit", "dataset")
    }
    raw, targets = torch.tensor([[0.5, -0.25]]), {"target": torch.tensor([[4.0, -2.0]])}
    assert tasks["unit"].outputs(raw).tolist() == [[5.0, -2.5]]
    assert tasks["dataset"].outputs(10 * raw).tolist() == [[5.0, -2.5]]
    # The same errors, a hundred times the loss, ten times the gradient per unit of output.
    assert tasks["dataset"].criterion(10 * raw, targets).item() == pytest.approx(
        100 * tasks["unit"].criterion(raw, targets).item()
    )
    for task in tasks.values():
        image = torch.zeros(4, 1, 48, 48, dtype=torch.uint8)
        target = torch.tensor([[4.0, -2.0], [1.0, 3.0], [-5.0, 0.0], [2.0, 2.0]])
        task.validation_step({"image": image, "target": target}, 0)
        unit = task(image).float() / (10 if task.spec.value_scale == "dataset" else 1)
        expected = ((unit - target / 10) ** 2).mean().item()
        assert torch.atleast_1d(task.validation_error.compute()).mean().item() == pytest.approx(expected, rel=1e-5)


def test_units_mean_nothing_for_classes():
    with pytest.raises(SpecError, match="value_scale = 'dataset' is for values"):
        check_names(specs.build({"value_scale": "dataset", "model_options": {"width": 2}}))
