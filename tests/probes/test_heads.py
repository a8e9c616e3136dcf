"""A head of a stack is the head that would have been trained alone."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.labels import EMO8, FER7, VALENCE3
from fer_bench.probes.head import Head
from fer_bench.probes.heads import initial_weights, train_heads
from fer_bench.probes.packing import pack
from fer_bench.probes.stack import Split, data_order
from fer_bench.scoring.classification import confusion_matrix, scores_from_confusion
from fer_bench.tasks.losses_unbalanced import UnbalancedCrossEntropyLoss, balanced_class_weights
from fer_bench.tasks.rules_findingemo import StoppingRule, learning_rate_factor

N, D = 150, 20


def data(n=N, n_classes=8, seed=0, dtype=torch.float64, width=D):
    generator = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(n_classes), generator.integers(n_classes, size=n - n_classes)])
    centres = np.random.default_rng(99).normal(size=(n_classes, width))
    features = centres[targets] * 0.6 + generator.normal(size=(n, width))
    return Split(torch.from_numpy(features).to(dtype), torch.from_numpy(targets))


def criterion(head, labels, targets, dtype):
    counts = np.bincount(targets.numpy(), minlength=len(labels)).tolist()
    if head.loss == "cross_entropy":
        return nn.CrossEntropyLoss(weight=balanced_class_weights(counts).to(dtype))
    return UnbalancedCrossEntropyLoss(counts, labels.distances).to(dtype)


def plain_torch(head, train, validation, labels, batch_size, max_epochs, patience):
    """The same head in the loop that everyone writes: nn.Linear, torch.optim.Adam, one epoch after the other."""
    dtype = train.features.dtype
    layer = nn.Linear(train.features.shape[1], len(labels), dtype=dtype)
    with torch.no_grad():
        for parameter, values in zip(
            layer.parameters(), initial_weights(head.seed, len(labels), train.features.shape[1], dtype), strict=True
        ):
            parameter.copy_(values)
    loss_of = criterion(head, labels, train.targets, dtype)
    optimizer = torch.optim.Adam(layer.parameters(), lr=head.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor)
    rule, states = StoppingRule(patience, max_epochs), []
    for epoch in range(max_epochs):
        order = torch.from_numpy(data_order(head.seed, epoch, len(train)))
        for at in order.split(batch_size):
            optimizer.zero_grad()
            loss_of(layer(train.features[at]), train.targets[at]).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            logits = layer(validation.features)
            loss = loss_of(logits, validation.targets).item()
        f1 = scores_from_confusion(confusion_matrix(validation.targets, logits.argmax(1), len(labels)))["weighted_f1"]
        states.append([p.detach().clone() for p in layer.parameters()])
        if rule.update(loss, f1):
            break
    return states[rule.chosen_epoch], rule.chosen_epoch, len(states)


GRID = [
    Head(lr, loss, seed)
    for lr in (0.1, 0.01, 0.001)
    for loss in ("cross_entropy", "unbalanced_cross_entropy")
    for seed in (0, 1, 2)
]
SETTINGS = {"batch_size": 32, "max_epochs": 12, "patience": 3}


@pytest.fixture(scope="module")
def stacked():
    return train_heads(GRID, data(), data(60, seed=1), EMO8, **SETTINGS)


def test_each_head_equals_plain_torch(stacked):
    for h, head in enumerate(GRID):
        (weight, bias), chosen, epochs = plain_torch(head, data(), data(60, seed=1), EMO8, **SETTINGS)
        assert (stacked.chosen_epoch[h], stacked.epochs[h]) == (chosen, epochs), head
        torch.testing.assert_close(stacked.weight[h], weight, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(stacked.bias[h], bias, rtol=1e-5, atol=1e-7)


def test_each_head_equals_itself_alone(stacked):
    for h, head in enumerate(GRID):
        alone = train_heads([head], data(), data(60, seed=1), EMO8, **SETTINGS)
        assert alone.chosen_epoch[0] == stacked.chosen_epoch[h]
        torch.testing.assert_close(alone.weight[0], stacked.weight[h], rtol=1e-5, atol=1e-7)
        losses = [epoch["validation_loss"][h] for epoch in stacked.history if np.isfinite(epoch["validation_loss"][h])]
        np.testing.assert_allclose([epoch["validation_loss"][0] for epoch in alone.history], losses, rtol=1e-9)


def test_heads_stop_at_different_epochs_so_the_stack_was_compacted(stacked):
    assert len(set(stacked.epochs.tolist())) > 2
    assert stacked.epochs.max() <= 12
    last = stacked.history[-1]["validation_loss"]
    assert np.isfinite(last).tolist() == (stacked.epochs == len(stacked.history)).tolist()


def test_single_precision_equals_plain_torch_too():
    train, validation = data(dtype=torch.float32), data(60, seed=1, dtype=torch.float32)
    heads = [Head(0.01, loss, seed) for loss in ("cross_entropy", "unbalanced_cross_entropy") for seed in (3, 4)]
    settings = {"batch_size": 64, "max_epochs": 4, "patience": 4}
    found = train_heads(heads, train, validation, EMO8, **settings)
    for h, head in enumerate(heads):
        (weight, bias), chosen, _ = plain_torch(head, train, validation, EMO8, **settings)
        assert found.chosen_epoch[h] == chosen
        torch.testing.assert_close(found.weight[h], weight, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.bias[h], bias, rtol=0, atol=1e-5)


def test_probabilities_are_those_of_the_layer(stacked):
    test = data(40, seed=5)
    found = stacked.outputs(test.features, block=16)
    assert found.shape == (len(GRID), 40, 8)
    expected = (test.features @ stacked.weight[7].T + stacked.bias[7]).softmax(1)
    np.testing.assert_allclose(found[7], expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_it_learns():
    found = train_heads([Head(0.01)], data(600), data(200, seed=1), EMO8, max_epochs=8)
    test = data(300, seed=2)
    assert (found.outputs(test.features)[0].argmax(1) == test.targets.numpy()).mean() > 0.6


def test_a_finished_head_costs_nothing():
    seeds = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    full = pack(np.arange(8), seeds)
    assert (full.rows, full.width) == (2, 4)
    rest = pack(np.array([0, 5, 6, 7]), seeds[[0, 5, 6, 7]])
    assert rest.rows * rest.width <= 6
    assert sorted(rest.members.tolist()) == [0, 5, 6, 7]
    for slot, member in zip(rest.slots, rest.members, strict=True):
        assert rest.seeds[slot // rest.width] == seeds[member]
    one = pack(np.array([6]), np.array([1]))
    assert (one.rows, one.width) == (1, 1)


def test_a_head_that_explodes_stops_and_says_so():
    train, validation = data(), data(60, seed=1)
    broken = Split(torch.full_like(train.features, float("nan")), train.targets)
    found = train_heads(
        [Head(0.1), Head(0.1, seed=1)],
        broken,
        Split(torch.full_like(validation.features, float("nan")), validation.targets),
        EMO8,
        patience=2,
    )
    assert found.epochs.tolist() == [3, 3]
    assert found.chosen_epoch.tolist() == [-1, -1]


def test_three_classes_and_the_losses_that_need_distances():
    found = train_heads(
        [Head(0.01, "unbalanced_cross_entropy")], data(n_classes=3), data(60, 3, 1), VALENCE3, max_epochs=2
    )
    assert found.weight.shape == (1, 3, D)
    with pytest.raises(SpecError, match="no distances"):
        train_heads([Head(0.01, "unbalanced_cross_entropy")], data(n_classes=7), data(60, 7, 1), FER7, max_epochs=1)
    with pytest.raises(UnknownNameError, match="unbalanced_cross_entropy"):
        Head(0.1, "unbalanced_crossentropy")
    with pytest.raises(SpecError, match="positive"):
        Head(0.0)
