import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.tasks.rules_findingemo import StoppingRule, StoppingRules, learning_rate_factor, learning_rates


def test_learning_rate_changes_every_third_epoch():
    assert [learning_rate_factor(e) for e in range(7)] == [
        1,
        1,
        1,
        1 / math.sqrt(2),
        1 / math.sqrt(2),
        1 / math.sqrt(2),
        1 / math.sqrt(3),
    ]


def test_learning_rate_under_torch():
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor)
    seen = []
    for _ in range(10):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert np.allclose(seen, [0.1 / math.sqrt(e // 3 + 1) for e in range(10)])


def test_learning_rates_of_many_heads():
    assert np.allclose(learning_rates([0.1, 0.01, 0.001], 9), np.array([0.1, 0.01, 0.001]) / 2)


def test_stops_when_the_best_loss_is_six_epochs_old_though_f1_still_rises():
    rule = StoppingRule()
    stops = [
        rule.update(loss, f1)
        for loss, f1 in zip([1.0, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6], np.linspace(0.1, 0.8, 8), strict=True)
    ]
    assert stops == [False] * 7 + [True]
    assert rule.chosen_by == "loss"
    assert rule.chosen_epoch == 1


def test_stops_when_the_best_f1_is_six_epochs_old_though_loss_still_falls():
    rule = StoppingRule()
    stops = [rule.update(1 - e / 10, f1) for e, f1 in enumerate([0.1, 0.2, 0.9, 0.3, 0.3, 0.9, 0.3, 0.3, 0.3])]
    assert stops == [False] * 8 + [True]
    assert rule.chosen_by == "weighted_f1"
    assert rule.chosen_epoch == 2


def test_stops_after_the_last_epoch():
    rule = StoppingRule(max_epochs=4)
    assert [rule.update(1 / (e + 1), e) for e in range(4)] == [False, False, False, True]
    assert rule.chosen_by == "weighted_f1"


def test_a_diverged_head_stops():
    rule = StoppingRule()
    assert [rule.update(math.nan, math.nan) for _ in range(7)] == [False] * 6 + [True]


def one_at_a_time(losses, f1s, patience, limit):
    """The rule as the paper words it: (epoch of the stop, chosen epoch)."""
    for e in range(len(losses)):
        best_loss, best_f1 = int(np.argmin(losses[: e + 1])), int(np.argmax(f1s[: e + 1]))
        if e - best_loss >= patience or e - best_f1 >= patience or e + 1 >= limit:
            by_loss = e - best_loss >= patience and e - best_f1 < patience
            return e, best_loss if by_loss else best_f1
    return -1, best_f1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 30))
def test_many_heads_stop_as_each_alone(seed, patience, limit):
    rng = np.random.default_rng(seed)
    losses, f1s = rng.integers(0, 12, (2, 25, 17)) / 12  # ties are common
    rules = StoppingRules(17, patience, limit)
    for loss, f1 in zip(losses, f1s, strict=True):
        stopped = rules.update(loss, f1)
    expected = [one_at_a_time(losses[:, h], f1s[:, h], patience, limit) for h in range(17)]
    assert list(zip(rules.stopped_at.tolist(), rules.chosen_epoch.tolist(), strict=True)) == expected
    assert stopped.tolist() == [stop >= 0 for stop, _ in expected]
