import math

import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.tasks.schedules import OPTIMIZERS, SCHEDULES, build_optimizer, build_schedule


def rates(name, epochs=2, steps=5, lr=0.1, options=None, losses=None):
    """Learning rate of every step of a training of a linear layer, driven as Lightning does."""
    torch.manual_seed(0)
    module = nn.Linear(4, 2)
    optimizer = build_optimizer("sgd", module, lr, 0.0, {})
    schedule = build_schedule(name, optimizer, lr, epochs, steps, options or {})
    seen = []
    for epoch in range(epochs):
        for _ in range(steps):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            module(torch.ones(3, 4)).square().mean().backward()
            optimizer.step()
            if schedule and schedule["interval"] == "step":
                schedule["scheduler"].step()
        if schedule and schedule["interval"] == "epoch":
            schedule["scheduler"].step(*([losses[epoch]] if "monitor" in schedule else []))
    return seen


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_pair_trains(name, optimizer):
    torch.manual_seed(0)
    module = nn.Linear(4, 2)
    made = build_optimizer(optimizer, module, 0.01, 0.1, {})
    schedule = build_schedule(name, made, 0.01, 2, 3, {})
    losses = []
    for _ in range(2):
        for _ in range(3):
            made.zero_grad()
            loss = (module(torch.ones(3, 4)) - 1).square().mean()
            loss.backward()
            made.step()
            losses.append(float(loss))
            if schedule and schedule["interval"] == "step":
                schedule["scheduler"].step()
        if schedule and schedule["interval"] == "epoch":
            schedule["scheduler"].step(*([losses[-1]] if "monitor" in schedule else []))
    assert losses[-1] < losses[0]


def test_one_cycle_ends_with_the_last_step():
    seen = rates("one_cycle", epochs=10, steps=10)
    assert seen[0] == pytest.approx(0.1 / 25)
    assert max(seen) == pytest.approx(0.1)
    assert seen.index(max(seen)) == pytest.approx(29, abs=1)
    assert seen[-1] == pytest.approx(0.1 / 25 / 1e4, rel=1e-3)


def test_cosine_against_its_formula():
    seen = rates("cosine", epochs=4, steps=5, options={"warmup_epochs": 1, "floor": 0.1})
    assert seen[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert seen[5:] == pytest.approx([0.1 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * i / 15))) for i in range(15)])


def test_step():
    assert rates("step", epochs=3, steps=2, options={"every": 1, "factor": 0.5}) == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    )


def test_plateau_lowers_the_rate_when_the_loss_does_not_fall():
    seen = rates("plateau", epochs=5, steps=1, losses=[1.0, 0.9, 0.95, 0.8, 0.8])
    assert seen == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05])


def test_none_leaves_the_rate_alone():
    assert set(rates("none")) == {0.1}


def test_biases_and_norms_do_not_decay_unless_asked_to():
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    groups = build_optimizer("adamw", module, 0.1, 0.3, {}).param_groups
    assert {id(p) for p in groups[0]["params"]} == {id(module[0].weight)}
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    groups = build_optimizer("adamw", module, 0.1, 0.3, {"decay_all": True}).param_groups
    assert [len(group["params"]) for group in groups] == [4]
    assert groups[0]["weight_decay"] == 0.3


def test_frozen_parameters_are_left_out():
    module = nn.Linear(4, 2)
    module.weight.requires_grad_(False)
    (group,) = build_optimizer("sgd", module, 0.1, 0.1, {}).param_groups
    assert group["params"] == [module.bias]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("step", {"gamma": 1}, "gamma"),
        ("one_cycle", {"warmup": 2.0}, "one_cycle"),
        ("plateau", {"factor": 2.0}, "plateau"),
    ],
)
def test_bad_options_of_a_schedule_are_named(name, options, message):
    with pytest.raises(SpecError, match=message):
        build_schedule(name, build_optimizer("sgd", nn.Linear(2, 2), 0.1, 0, {}), 0.1, 2, 2, options)


@pytest.mark.parametrize(("options", "message"), [({"nesterof": True}, "nesterof"), ({"momentum": -1.0}, "momentum")])
def test_bad_options_of_an_optimizer_are_named(options, message):
    with pytest.raises(SpecError, match=message):
        build_optimizer("sgd", nn.Linear(2, 2), 0.1, 0, options)
