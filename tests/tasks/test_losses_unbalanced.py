import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from fer_bench.errors import BadDataError
from fer_bench.labels import AROUSAL3, EMO8, VALENCE3
from fer_bench.tasks.losses_unbalanced import (
    UnbalancedCrossEntropyLoss,
    _closed_form,
    balanced_class_weights,
    loss_and_slope,
    misclassification_weights,
    unbalanced_cross_entropy,
)

COUNTS = {"emo8": [7026, 3549, 2401, 888, 2665, 1000, 2439, 5901], "arousal3": [40, 90, 20], "valence3": [5, 7, 9]}


def by_the_equations(logits, target, counts, distances):
    """Equations (1), (3), (4), one sample and one class at a time; per-sample losses and their target weights."""
    total, classes = sum(counts), len(counts)
    w = [total / (classes * n) for n in counts]
    losses, weights = [], []
    for row, t in zip(logits.tolist(), target.tolist(), strict=True):
        largest = max(row)
        exps = [math.exp(z - largest) for z in row]
        p = [e / sum(exps) for e in exps]
        h = p.index(max(p))
        loss = -w[t] * math.log(p[t])
        if h != t:
            loss -= distances[t][h] / (1 + w[h]) * w[t] * math.log(1 - p[h])
        losses.append(loss)
        weights.append(w[t])
    return losses, weights


@pytest.fixture(params=[EMO8, AROUSAL3, VALENCE3], ids=lambda labels: labels.name)
def labels(request):
    return request.param


@pytest.fixture
def batch(labels):
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(97, len(labels), generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, len(labels), (97,), generator=generator)


def loss_of(labels, **kwargs):
    return UnbalancedCrossEntropyLoss(COUNTS[labels.name], labels.distances, **kwargs).double()


def exact_loss_of(labels, **kwargs):
    """Buffers in double precision, too."""
    loss = loss_of(labels, **kwargs)
    counts = torch.tensor(COUNTS[labels.name], dtype=torch.float64)
    loss.class_weights = counts.sum() / (len(counts) * counts)
    loss.pair_weights = misclassification_weights(loss.class_weights, labels.distances)
    return loss


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_agrees_with_a_loop_over_the_equations(labels, batch, reduction):
    losses, weights = by_the_equations(*batch, COUNTS[labels.name], labels.distances)
    expected = {"none": losses, "sum": sum(losses), "mean": sum(losses) / sum(weights)}[reduction]
    torch.testing.assert_close(
        exact_loss_of(labels, reduction=reduction)(*batch), torch.tensor(expected, dtype=torch.float64)
    )


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_gradient(labels, batch, reduction):
    logits, target = batch
    assert torch.autograd.gradcheck(
        lambda z: exact_loss_of(labels, reduction=reduction)(z, target[:8]), logits[:8].clone().requires_grad_()
    )


def test_is_weighted_cross_entropy_where_the_prediction_is_right(labels, batch):
    logits, _ = batch
    right = logits.argmax(1)
    loss = loss_of(labels)
    torch.testing.assert_close(loss(logits, right), cross_entropy(logits, right, loss.class_weights))


def test_a_wrong_prediction_costs_more_than_cross_entropy(labels, batch):
    logits, _ = batch
    wrong = (logits.argmax(1) + 1) % len(labels)
    loss = loss_of(labels)
    assert loss(logits, wrong) > cross_entropy(logits, wrong, loss.class_weights)


def test_farther_mistakes_cost_more():
    logits = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    loss = UnbalancedCrossEntropyLoss([5, 5, 5], AROUSAL3.distances, reduction="none")
    near, far = loss(logits, torch.tensor([0, 0]))
    assert far > near


def test_weights_of_equations_3_and_4():
    weights = balanced_class_weights([2, 1, 1])
    assert weights.tolist() == pytest.approx([4 / 6, 4 / 3, 4 / 3])
    pairs = misclassification_weights(weights, AROUSAL3.distances)
    assert pairs[0, 2].item() == pytest.approx(2 / (1 + 4 / 3) * (4 / 6))
    assert pairs[2, 0].item() == pytest.approx(2 / (1 + 4 / 6) * (4 / 3))
    assert not pairs.diagonal().any()


def test_stays_finite_for_saturated_logits():
    logits = torch.tensor([[0.0, 300.0, 1.0], [300.0, 0.0, 0.0]], requires_grad=True)
    loss = UnbalancedCrossEntropyLoss([5, 5, 5], AROUSAL3.distances, reduction="none")(logits, torch.tensor([0, 0]))
    # w_t = 1, w_th = 1 / 2: 300 for log p_t, and 300 / 2 for log(1 - p_h), which underflows in float32
    assert loss.tolist() == pytest.approx([450.0, 0.0], rel=0.01)
    loss.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] > 1


def test_heads_side_by_side(labels, batch):
    logits, target = batch
    heads = torch.stack([logits, -logits, logits.flip(1)])
    loss = loss_of(labels)
    together = unbalanced_cross_entropy(heads, target.expand(3, -1), loss.class_weights, loss.pair_weights, "none")
    mean = together.sum(-1) / loss.class_weights[target].sum()
    torch.testing.assert_close(mean, torch.stack([loss(head, target) for head in heads]))


def test_half_precision_is_computed_in_float32():
    logits = torch.randn(16, 3).half()
    target = torch.randint(0, 3, (16,))
    loss = UnbalancedCrossEntropyLoss([5, 6, 7], AROUSAL3.distances)
    assert loss(logits, target).dtype == torch.float32
    torch.testing.assert_close(loss(logits, target), loss(logits.float(), target))
    logits.requires_grad_()
    loss(logits, target).backward()
    assert logits.grad.dtype == torch.float16


def test_refuses_what_it_cannot_weigh():
    with pytest.raises(BadDataError, match="class 1 of 3"):
        UnbalancedCrossEntropyLoss([5, 0, 5], AROUSAL3.distances)
    with pytest.raises(ValueError, match="8"):
        UnbalancedCrossEntropyLoss([5, 5, 5], EMO8.distances)
    with pytest.raises(ValueError, match="itself"):
        UnbalancedCrossEntropyLoss([5, 5], [[1, 1], [1, 0]])
    loss = UnbalancedCrossEntropyLoss([5, 5, 5], AROUSAL3.distances)
    with pytest.raises((IndexError, RuntimeError)):
        loss(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="reduction"):
        unbalanced_cross_entropy(
            torch.zeros(2, 3), torch.tensor([0, 2]), loss.class_weights, loss.pair_weights, "batchmean"
        )


def test_module_moves_and_saves_its_weights():
    loss = UnbalancedCrossEntropyLoss([5, 6, 7], AROUSAL3.distances)
    assert set(loss.state_dict()) == {"class_weights", "pair_weights"}


def test_no_class_and_no_second_derivative():
    loss = UnbalancedCrossEntropyLoss([5, 6, 7], AROUSAL3.distances)
    with pytest.raises(IndexError, match="-1"):
        loss(torch.zeros(2, 3), torch.tensor([0, -1]))
    logits = torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(loss(logits, torch.tensor([0, 1])), logits, create_graph=True)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_what_other_devices_compute_is_the_same(labels, batch, reduction):
    logits, target = batch
    loss = exact_loss_of(labels)
    for pairs in (loss.pair_weights, None):
        here = loss_and_slope(logits, target, loss.class_weights, pairs, reduction)
        there = _closed_form(
            torch,
            torch.arange(0, logits.numel(), logits.shape[1]),
            logits,
            target,
            loss.class_weights,
            pairs,
            reduction,
        )
        torch.testing.assert_close(here, there)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_without_pairs_it_is_weighted_cross_entropy(labels, batch, reduction):
    logits, target = batch
    weights = exact_loss_of(labels).class_weights
    logits = logits.clone().requires_grad_()
    expected = cross_entropy(logits, target, weights, reduction=reduction)
    (gradient,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(loss_and_slope(logits, target, weights, None, reduction), (expected.detach(), gradient))
