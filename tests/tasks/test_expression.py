import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, matthews_corrcoef, recall_score
from torch import nn

from fer_bench.labels import FER7
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, protocol_for
from fer_bench.scoring.score import score
from fer_bench.spec import RunSpec
from fer_bench.tasks.expression import ExpressionTask


class Flat(nn.Module):
    """Seven pixels as seven logits, scaled by a weight."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return images.flatten(1)[:, :7].float() * self.scale


def make(counts=None, **settings):
    return ExpressionTask(RunSpec(**settings), Flat(), FER7, counts)


def batch(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.randn(n, 1, 1, 7, generator=generator), "target": torch.arange(n) % 7}


def test_outputs_are_probabilities():
    task, data = make(), batch()
    outputs = task.predict_step(data)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, data["image"].flatten(1).softmax(dim=1))


def test_validation_metrics_are_scikit_learns():
    task = make()
    parts = [batch(40, 1), batch(20, 2)]
    for part in parts:
        task.validation_step(part, 0)
    truth = np.concatenate([part["target"].numpy() for part in parts])
    logits = torch.cat([part["image"].flatten(1) for part in parts])
    answers = logits.argmax(dim=1).numpy()
    scores = {name: float(value) for name, value in task.validation_metrics.compute().items()}
    assert scores == {
        "validation/accuracy": pytest.approx(accuracy_score(truth, answers), abs=1e-6),
        "validation/macro_f1": pytest.approx(f1_score(truth, answers, average="macro"), abs=1e-6),
        "validation/weighted_f1": pytest.approx(f1_score(truth, answers, average="weighted"), abs=1e-6),
        "validation/balanced_accuracy": pytest.approx(recall_score(truth, answers, average="macro"), abs=1e-6),
        "validation/cohen_kappa": pytest.approx(cohen_kappa_score(truth, answers), abs=1e-6),
        "validation/mcc": pytest.approx(matthews_corrcoef(truth, answers), abs=1e-6),
    }
    assert float(task.validation_loss.compute()) == pytest.approx(
        float(nn.functional.cross_entropy(logits, torch.from_numpy(truth))), rel=1e-5
    )


@pytest.mark.parametrize("left", [[0], [5, 6], [0, 1, 2, 3, 4]])
def test_validation_scores_are_the_records_where_classes_are_missing(left):
    task, data = make(), batch(140)
    # Of the classes that are left out some are still answered.
    keep = ~torch.isin(data["target"], torch.tensor(left))
    for part in (slice(0, 30), slice(30, None)):
        task.validation_step({key: value[keep][part] for key, value in data.items()}, 0)
    logits, targets = data["image"][keep].flatten(1), data["target"][keep]
    predictions = Predictions(np.arange(len(targets)).astype(str), targets.numpy(), logits.softmax(dim=1).numpy())
    record = score(protocol_for("folder:mine", "fer7"), predictions)
    logged = task.validation_metrics.compute()
    assert set(logits.argmax(dim=1).tolist()) & set(left)
    assert logged
    for name, value in logged.items():
        assert float(value) == pytest.approx(record[name.removeprefix("validation/")], abs=1e-6), name


def test_every_primary_metric_of_a_class_protocol_is_watched():
    watched = set(make().validation_metrics.compute())
    assert {f"validation/{task.primary}" for task in map(TASKS.__getitem__, TASKS) if task.kind == "classes"} <= watched


def test_the_validation_loss_does_not_depend_on_the_training_loss():
    plain, other, data = make(), make([1, 2, 3, 4, 5, 6, 7], class_weights="balanced", label_smoothing=0.3), batch()
    for task in (plain, other):
        task.validation_step(data, 0)
    assert float(plain.validation_loss.compute()) == float(other.validation_loss.compute())
    assert float(plain.training_step(data, 0)) != float(other.training_step(data, 0))


def test_balanced_class_weights_reach_the_loss():
    counts = [10, 1, 5, 5, 5, 5, 29]
    data = batch()
    weight = torch.tensor([60 / (7 * n) for n in counts])
    wanted = nn.functional.cross_entropy(data["image"].flatten(1), data["target"], weight)
    torch.testing.assert_close(make(counts, class_weights="balanced").training_step(data, 0).detach(), wanted)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("metric", ["train_loss", "validation_loss"])
def test_a_lost_loss_is_not_averaged_away(metric, bad):
    mean = getattr(make(), metric)
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(bad), 3)
    assert not math.isfinite(float(mean.compute()))


def test_probability_mode_draws_one_of_the_votes_each_time(monkeypatch):
    task = make(target_mode="probability")
    seen = []
    monkeypatch.setattr(task.loss, "forward", lambda logits, target: seen.append(target) or logits.sum())
    votes = torch.tensor([[0.0, 0.7, 0, 0.3, 0, 0, 0]]).repeat(4000, 1)
    data = {"image": torch.zeros(4000, 1, 1, 7), "target": votes}
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        task.training_step(data, 0)
    assert seen[0].dtype == torch.int64
    assert set(seen[0].tolist()) == {1, 3}
    assert float((seen[0] == 1).float().mean()) == pytest.approx(0.7, abs=0.03)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("loss", ["cross_entropy", "multi_target"])
def test_distributions_are_counted_by_their_largest_share(loss):
    task, data = make(target_mode=loss, loss=loss), batch()
    data["target"] = nn.functional.one_hot(data["image"].flatten(1).argmax(dim=1), 7) * 0.9 + 0.1 / 7
    task.training_step(data, 0)
    assert float(task.train_accuracy.compute()) == 1.0
