"""Which stages of a network train, from which epoch on, and at which rate."""

import lightning as L
import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.models.trained import read_checkpoint
from fer_bench.protocols import protocol_for
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.tasks.finetuning import FineTuning
from fer_bench.tasks.schedules import build_optimizer, build_schedule
from fer_bench.training.build import build_task
from fer_bench.training.run import run


def task_of(**settings):
    spec = RunSpec(model_options={"width": 2}, **settings)
    return build_task(spec, protocol_for(spec.dataset, spec.task), native_size=48)


def test_nothing_is_frozen_unless_asked_for():
    task = task_of()
    assert task.finetuning is None
    assert all(parameter.requires_grad for parameter in task.network.parameters())


@pytest.mark.parametrize(("freeze", "trains"), [("backbone", {"classifier"}), ("4", {"classifier", "head"})])
def test_frozen_stages_do_not_train(freeze, trains):
    task = task_of(freeze=freeze)
    assert {name.split(".")[1] for name, p in task.network.named_parameters() if p.requires_grad} == trains
    optimizer = build_optimizer_of(task)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in task.network.parameters() if p.requires_grad}


def build_optimizer_of(task):
    spec = task.spec
    return build_optimizer(spec.optimizer, task.network, spec.lr, spec.weight_decay, {}, task.finetuning.rates("body."))


def test_rates_fall_from_the_head_to_the_input():
    task = task_of(lr=0.01, backbone_lr=0.005, layer_decay=0.5)
    optimizer = build_optimizer_of(task)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    body = task.network.body
    assert rates[id(body.classifier.weight)] == rates[id(body.classifier.bias)] == 0.01
    assert rates[id(body.head[1].weight)] == pytest.approx(0.005 * 0.5)
    assert rates[id(body.features[0].weight)] == pytest.approx(0.005 * 0.5**5)
    assert optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step"])
def test_schedules_keep_the_proportions(schedule):
    optimizer = build_optimizer_of(task_of(lr=0.01, backbone_lr=0.001))
    scheduler = build_schedule(schedule, optimizer, 0.01, 4, 5, {})["scheduler"]
    for _ in range(12):
        rates = {round(group["lr"], 12) for group in optimizer.param_groups}
        assert len(rates) == 2
        assert max(rates) == pytest.approx(10 * min(rates), rel=1e-6)
        optimizer.step()
        scheduler.step()


def test_stages_begin_to_train_one_after_the_other():
    task = task_of(freeze="3", unfreeze_every=2)
    assert all(parameter.requires_grad for parameter in task.network.parameters())
    assert [task.finetuning.frozen_in(epoch) for epoch in range(9)] == [3, 3, 2, 2, 1, 1, 0, 0, 0]
    body = task.network.body
    for epoch, frozen in ((0, {0, 8, 16}), (3, {0, 8}), (6, set())):
        task.finetuning.apply(body.train(), epoch)
        assert {i for i in (0, 8, 16, 24) if not body.features[i].weight.requires_grad} == frozen


def test_a_run_leaves_frozen_weights_and_statistics_as_they_were(home, tiny):
    spec = tiny(epochs=2, freeze="2", seed=5)
    record = run(spec, Store(home / "store"))
    assert record.status == "finished"
    (checkpoint,) = (home / "runs").rglob("last.ckpt")
    trained = {
        name.removeprefix("network."): tensor for name, tensor in read_checkpoint(checkpoint)["state_dict"].items()
    }
    L.seed_everything(spec.seed, workers=True, verbose=False)
    start = build_task(spec, protocol_for(spec.dataset, spec.task), native_size=48).network.state_dict()
    same = {name for name, tensor in start.items() if torch.equal(tensor, trained[name])}
    frozen = {name for name in start if name.startswith("body.features.") and int(name.split(".")[2]) < 16}
    assert frozen <= same
    assert "body.features.16.weight" not in same


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"unfreeze_every": 1}, "nothing is frozen"),
        ({"freeze": "backbone", "backbone_lr": 0.1}, "backbone_lr with freeze = 'backbone'"),
        ({"freeze": "5", "layer_decay": 0.5}, "layer_decay with freeze = '5'"),
        ({"freeze": "9"}, "five_layer_cnn has 5 stages before its head"),
        ({"freeze": "2", "method": "multitask", "model": "autoencoder", "model_options": {}}, "trains all of its"),
        ({"freeze": "2", "unfreeze_every": 1, "execution": {"devices": 2}}, "on several devices"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, problem):
    spec = RunSpec(**settings)
    with pytest.raises(SpecError, match=problem):
        FineTuning.of(spec, nn.Module() if "method" in settings else task_of().network.body)


def test_neutral_settings_leave_the_digest_alone():
    neutral = {"freeze": "none", "unfreeze_every": 0, "backbone_lr": None, "layer_decay": 1.0}
    assert RunSpec(**neutral).digest() == RunSpec().digest()
