import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy, one_hot

from fer_bench.errors import SpecError
from fer_bench.labels import FER7, FER8
from fer_bench.tasks.losses import balanced_weights, build_loss


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 7, generator=generator), torch.randint(7, (12,), generator=generator)


def test_balanced_weights_are_scikit_learns():
    labels = np.repeat(np.arange(7), [5, 1, 30, 2, 8, 4, 10])
    wanted = compute_class_weight("balanced", classes=np.arange(7), y=labels)
    np.testing.assert_allclose(balanced_weights(np.bincount(labels, minlength=7)).numpy(), wanted, rtol=1e-6)


def test_a_class_without_samples_weighs_nothing():
    weights = balanced_weights([4, 0, 2])
    assert weights.tolist() == pytest.approx([0.5, 0, 1.0])


def test_a_one_hot_distribution_costs_what_the_class_costs(drawn):
    logits, target = drawn
    loss = build_loss("cross_entropy", FER7, None, 0.0, {})
    torch.testing.assert_close(loss(logits, one_hot(target, 7).float()), loss(logits, target))


@pytest.mark.parametrize("soft", [False, True])
def test_label_smoothing_by_hand(drawn, soft):
    logits, target = drawn
    given = one_hot(target, 7).float() if soft else target
    smoothed = 0.8 * one_hot(target, 7) + 0.2 / 7
    wanted = -(smoothed * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(build_loss("cross_entropy", FER7, None, 0.2, {})(logits, given), wanted)


def test_a_distribution_by_hand(drawn):
    logits, _ = drawn
    target = torch.rand(12, 7).softmax(dim=1)
    wanted = (
        -sum(
            float(t) * float(p)
            for row, q in zip(target, logits.log_softmax(1), strict=True)
            for t, p in zip(row, q, strict=True)
        )
        / 12
    )
    assert float(build_loss("cross_entropy", FER7, None, 0.0, {})(logits, target)) == pytest.approx(wanted, rel=1e-5)


def test_class_weights_reach_the_loss(drawn):
    logits, target = drawn
    weight = torch.tensor([1.0, 5, 1, 1, 2, 1, 1])
    torch.testing.assert_close(
        build_loss("cross_entropy", FER7, weight, 0.0, {})(logits, target), cross_entropy(logits, target, weight)
    )


def test_multi_target_against_a_loop():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(20, 8, generator=generator)
    targets = (torch.rand(20, 8, generator=generator) < 0.3).float().clamp(0.001, 0.999)
    losses = []
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        total = sum(math.exp(z) for z in row)
        losses.append(-math.log(max(t * math.exp(z) / total for t, z in zip(target, row, strict=True))))
    assert float(build_loss("multi_target", FER8, None, 0.0, {})(logits, targets)) == pytest.approx(
        sum(losses) / 20, rel=1e-5
    )


def test_multi_target_with_one_accepted_class_is_cross_entropy(drawn):
    logits, target = drawn
    torch.testing.assert_close(
        build_loss("multi_target", FER7, None, 0.0, {})(logits, target), cross_entropy(logits, target)
    )


@pytest.mark.parametrize(("weight", "smoothing"), [(torch.ones(8), 0.0), (None, 0.1)])
def test_multi_target_takes_neither_weights_nor_smoothing(weight, smoothing):
    with pytest.raises(SpecError, match="multi_target"):
        build_loss("multi_target", FER8, weight, smoothing, {})


def test_an_unknown_option_is_named():
    with pytest.raises(SpecError, match="gamma"):
        build_loss("cross_entropy", FER7, None, 0.0, {"gamma": 2})
