"""Sharpness-aware minimisation against one that is computed here, step by step."""

import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.protocols import protocol_for
from fer_bench.spec import RunSpec
from fer_bench.tasks.schedules import build_optimizer
from fer_bench.training.build import build_task, check_names

IMAGES = torch.randint(0, 256, (8, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BATCH = {"image": IMAGES, "target": torch.arange(8) % 7}


def task_of(**settings):
    spec = RunSpec(
        **{
            "model_options": {"width": 4, "dropout": 0.3, "head_dropout": 0.3},
            "optimizer_options": {"sam": 0.05},
            **settings,
        }
    )
    torch.manual_seed(0)
    return build_task(spec, protocol_for("synthfaces", "fer7"), native_size=48).train()


def gradients(task):
    return [parameter.grad.clone() for parameter in task.network.parameters()]


def by_hand(plain, radius, cast):
    """The gradient uphill of a task without SAM, with the dropout masks of its first pass."""
    state = torch.get_rng_state()

    def backward():
        torch.set_rng_state(state)
        plain.zero_grad()
        with cast():
            loss = plain.training_step(BATCH, 0)
        loss.backward()
        return loss.detach()

    loss = backward()
    buffers = {name: value.clone() for name, value in plain.network.named_buffers()}
    slopes = gradients(plain)
    norm = torch.cat([slope.flatten() for slope in slopes]).norm()
    with torch.no_grad():
        for parameter, slope in zip(plain.network.parameters(), slopes, strict=True):
            parameter += radius * slope / norm
    backward()
    return loss, torch.cat([slope.flatten() for slope in slopes]), gradients(plain), buffers


def casts(kind):
    return (
        (lambda: torch.autocast("cpu", torch.bfloat16))
        if kind == "bf16-mixed"
        else (lambda: torch.autocast("cpu", enabled=False))
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_gradient_is_that_uphill_and_nothing_else_moves(precision):
    task, plain = task_of(), task_of(optimizer_options={})
    before = {name: value.clone() for name, value in task.network.named_parameters()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    loss, flat, expected, buffers = by_hand(plain, 0.05, casts(precision))
    torch.set_rng_state(state)
    with casts(precision)():
        steep = task.training_step(BATCH, 0)
    steep.backward()
    task.on_after_backward()
    found, wanted = (torch.cat([gradient.flatten() for gradient in each]) for each in (gradients(task), expected))
    # Norms are summed in another order, and half precision rounds what differs by little.
    assert (found - wanted).norm() < (1e-3 if precision == "32-true" else 0.05) * wanted.norm()
    assert (found - flat).norm() > 0.1 * flat.norm()
    assert steep > loss
    assert task.train_loss.compute() == pytest.approx(loss.item(), rel=1e-5)
    assert task.train_loss.n == 8
    for name, value in task.network.named_parameters():
        assert torch.equal(value, before[name]), name
    # The running statistics have seen the batch once, at the weights.
    assert buffers["body.features.2.num_batches_tracked"] == 1
    for name, value in task.network.named_buffers():
        torch.testing.assert_close(value, buffers[name], msg=name)


def test_half_precision_casts_the_weights_uphill_anew():
    """Autocast keeps what it has cast within one context: with old casts, both gradients would be the same."""
    task, plain = task_of(optimizer_options={"sam": 5.0}), task_of(optimizer_options={})
    for each in (task, plain):
        torch.manual_seed(3)
        with casts("bf16-mixed")():
            loss = each.training_step(BATCH, 0)
        loss.backward()
        each.on_after_backward()
    assert any(
        (a - b).abs().max() > 0.1 * b.abs().max() for a, b in zip(gradients(task), gradients(plain), strict=True)
    )


def test_pieces_of_a_batch_add_up():
    task = task_of()
    whole = []
    for piece in range(2):
        torch.manual_seed(piece)
        task.training_step(BATCH, piece).backward()
        task.on_after_backward()
        whole.append(gradients(task))
        if piece == 0:
            first = [gradient.clone() for gradient in whole[0]]
    assert all((second - one).abs().max() > 0 for one, second in zip(first, whole[1], strict=True))
    task.zero_grad()
    torch.manual_seed(1)
    buffers = {name: value.clone() for name, value in task.network.named_buffers()}
    task.training_step(BATCH, 1).backward()
    task.on_after_backward()
    for one, second, both in zip(first, gradients(task), whole[1], strict=True):
        torch.testing.assert_close(one + second, both, atol=1e-5, rtol=1e-4)
    assert (
        buffers["body.features.2.num_batches_tracked"] + 1
        == dict(task.network.named_buffers())["body.features.2.num_batches_tracked"]
    )


def test_the_scale_of_half_precision_makes_no_difference():
    found = []
    for scale in (1.0, 2.0**16):
        task = task_of()
        task._scaled = lambda loss, scale=scale: loss * scale
        torch.manual_seed(0)
        task.training_step(BATCH, 0).backward()
        task.on_after_backward()
        found.append(torch.cat([gradient.flatten() for gradient in gradients(task)]))
    assert (found[0] - found[1]).norm() < 1e-3 * found[0].norm()


def test_an_infinite_gradient_leaves_the_weights_where_they_are():
    task = task_of()
    task._scaled = lambda loss: loss * float("inf")
    torch.manual_seed(0)
    steep = task.training_step(BATCH, 0)
    assert steep.isfinite()
    task.on_after_backward()
    assert all(parameter.isfinite().all() for parameter in task.network.parameters())


@pytest.mark.parametrize("radius", [0, -1, True, "much", None])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(SpecError, match=r"optimizer_options\.sam"):
        build_optimizer("adamw", nn.Linear(1, 1), 0.1, 0.0, {"sam": radius})


def test_every_optimizer_takes_it_and_unknown_options_are_still_refused():
    for name in ("sgd", "adam", "adamw", "nadam", "rmsprop"):
        build_optimizer(name, nn.Linear(1, 1), 0.1, 0.0, {"sam": 0.05})
    with pytest.raises(SpecError, match="rho"):
        build_optimizer("sgd", nn.Linear(1, 1), 0.1, 0.0, {"sam": 0.05, "rho": 1})


def test_weights_that_are_dealt_out_are_refused():
    with pytest.raises(SpecError, match="each process holds a part of the weights"):
        check_names(RunSpec(optimizer_options={"sam": 0.05}, execution={"strategy": "fsdp"}))
