"""FindingEmo's rules in the Trainer: when it stops, which epoch it keeps, and its learning rates."""

import math

import pytest
import torch

from fer_bench.errors import SpecError
from fer_bench.results.begin import run_folder
from fer_bench.tasks.rules_findingemo import StoppingRule
from fer_bench.training.build import check_names
from fer_bench.training.run import run
from fer_bench.training.stopping import LOSS, WEIGHTED_F1, FindingEmoStopping


@pytest.mark.parametrize("lr", [0.0003, 0.05])
def test_a_run_stops_and_keeps_the_epoch_that_the_rule_names(home, tiny, lr):
    spec = tiny(epochs=9, stopper="findingemo", early_stopping=1, schedule="findingemo", lr=lr)
    record = run(spec)
    curves, rule = record.training["curves"], StoppingRule(1, 9)
    stops = [rule.update(*pair) for pair in zip(curves[LOSS], curves[WEIGHTED_F1], strict=True)]
    assert stops == [False] * (len(stops) - 1) + [True]
    assert record.training["epochs"] == len(stops)
    assert record.training["best_epoch"] == rule.chosen_epoch + 1
    assert record.training["selected_by"] == (LOSS if rule.chosen_by == "loss" else WEIGHTED_F1)
    best = torch.load(run_folder(spec, record) / "best.ckpt", weights_only=True)
    assert best["epoch"] == rule.chosen_epoch
    assert curves["lr"] == pytest.approx([lr / math.sqrt(e // 3 + 1) for e in range(len(stops))])


def test_the_epoch_of_the_lowest_loss_is_put_in_place(tmp_path):
    (tmp_path / "best.ckpt").write_text("by f1")
    (tmp_path / "best_loss.ckpt").write_text("by loss")
    by_f1, by_loss = FindingEmoStopping(patience=2), FindingEmoStopping(patience=2)
    by_f1.load_state_dict({"seen": [[1.0, 0.5], [0.9, 0.4], [0.8, 0.4]]})
    by_loss.load_state_dict({"seen": [[0.5, 0.1], [0.6, 0.2], [0.6, 0.3]]})
    assert (by_f1.over, by_f1.selected_by, by_loss.over, by_loss.selected_by) == (True, WEIGHTED_F1, True, LOSS)
    by_f1.put_in_place(tmp_path)
    assert (tmp_path / "best.ckpt").read_text() == "by f1"
    by_loss.put_in_place(tmp_path)
    assert (tmp_path / "best.ckpt").read_text() == "by loss"
    again = FindingEmoStopping(patience=2)
    again.load_state_dict(by_loss.state_dict())
    assert again.over


def test_values_have_no_weighted_f1(tiny):
    with pytest.raises(SpecError, match="weighted F1"):
        check_names(tiny(task="va", stopper="findingemo", loss="mse"))
