"""Muon: matrices step in all directions alike, vectors as AdamW makes them."""

import copy

import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.tasks.muon import Muon, orthogonal
from fer_bench.tasks.schedules import build_optimizer


@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (40, 16), (1, 9), (64, 2304)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_an_update_has_singular_values_near_one(shape, scale):
    torch.manual_seed(0)
    found = orthogonal(scale * torch.randn(shape), steps=5).float()
    assert found.shape == shape
    values = torch.linalg.svdvals(found)
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_no_gradient_moves_nothing():
    assert (orthogonal(torch.zeros(4, 6), steps=5) == 0).all()


def test_biases_step_as_with_adamw():
    torch.manual_seed(0)
    ours = nn.Linear(5, 3)
    theirs = copy.deepcopy(ours)
    pairs = [
        (ours, build_optimizer("muon", ours, 0.01, 0.0, {})),
        (theirs, torch.optim.AdamW([theirs.bias], lr=0.01, weight_decay=0.0)),
    ]
    for step in range(5):
        for module, optimizer in pairs:
            optimizer.zero_grad()
            # The gradient of the bias does not depend on the weights.
            (module(torch.zeros(2, 5)) * torch.tensor([1.0, -2.0, 3.0 + step])).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_a_convolution_in_any_memory_format_takes_the_same_step():
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, 3)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    for module in (plain, last):
        optimizer = Muon(module.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            module(torch.linspace(-1, 1, 4 * 64).reshape(1, 4, 8, 8)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(plain.weight, last.weight, atol=1e-4, rtol=1e-2)


def test_its_state_can_be_resumed():
    def steps(module, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            (module(torch.ones(3, 4)) - 1).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    whole = nn.Linear(4, 2)
    half = copy.deepcopy(whole)
    steps(whole, build_optimizer("muon", whole, 0.01, 0.1, {}), 4)
    first = build_optimizer("muon", half, 0.01, 0.1, {})
    steps(half, first, 2)
    second = build_optimizer("muon", half, 0.01, 0.1, {})
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(half, second, 2)
    assert torch.equal(half.weight, whole.weight)
    assert torch.equal(half.bias, whole.bias)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "steps = 0"), ({"momentum": 1.0}, "momentum = 1.0"), ({"betas": 1}, "betas")],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(SpecError, match=message):
        build_optimizer("muon", nn.Linear(2, 2), 0.01, 0.0, options)
