import pytest
import torch
from torch import nn

from fer_bench.errors import SpecError
from fer_bench.labels import FER7
from fer_bench.models.zoo import build_network
from fer_bench.spec import RunSpec
from fer_bench.tasks.autoencoding import AutoencodingTask

TWO_STAGES = {"method": "two_stage", "epochs": 4, "method_options": {"reconstruction_epochs": 2}}


def make(epoch=0, decoder=True, **settings):
    torch.manual_seed(0)
    spec = RunSpec(**({"model": "autoencoder", "method": "multitask"} | settings))
    network = build_network(
        "autoencoder", 7, image_size=16, native_size=16, options={"code": 24, "dropout": 0.0, "decoder": decoder}
    )

    class Task(AutoencodingTask):
        @property
        def current_epoch(self):
            return epoch

    return Task(spec, network, FER7).train()


def batch(n=12):
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randint(0, 256, (n, 1, 16, 16), dtype=torch.uint8, generator=generator),
        "target": torch.arange(n) % 7,
    }


def gradients(task, part):
    return [p.grad for p in part.parameters()]


def by_hand(task, data):
    """Logits and mean squared error of pixels in [0, 1]."""
    pixels = data["image"].float().expand(-1, 3, -1, -1) / 255
    codes, made = task.network.body.reconstruct((pixels - 0.5) / 0.25)
    return task.network.body.classifier(codes), ((made - pixels) ** 2).mean()


@pytest.mark.parametrize("weight", [0.5, 20.0])
def test_the_multitask_loss_is_equation_3(weight):
    task, data = make(method_options={"reconstruction_weight": weight}), batch()
    logits, error = by_hand(task, data)
    wanted = nn.functional.cross_entropy(logits, data["target"]) + weight * error
    torch.testing.assert_close(task.training_step(data, 0), wanted, rtol=1e-4, atol=1e-5)


def test_validation_looks_once_at_each_batch():
    task, seen = make().eval(), []
    task.body.encoder.register_forward_hook(lambda *_: seen.append(1))
    scored = [batch(12), batch(5)]
    for data in scored:
        task.validation_step(data, 0)
    assert len(seen) == len(scored)
    with torch.no_grad():
        made = [by_hand(task, data) for data in scored]
        losses = [
            nn.functional.cross_entropy(logits, data["target"]) for (logits, _), data in zip(made, scored, strict=True)
        ]
    torch.testing.assert_close(
        task.validation_reconstruction.compute(), (12 * made[0][1] + 5 * made[1][1]) / 17, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        task.validation_loss.compute(), (12 * losses[0] + 5 * losses[1]) / 17, rtol=1e-4, atol=1e-5
    )


def test_the_papers_sigmoid_is_one_binary_cross_entropy_per_class():
    data = batch()
    task = make(loss="sigmoid_cross_entropy", method_options={"reconstruction_weight": 0.0})
    probabilities = by_hand(task, data)[0].sigmoid()
    truth = nn.functional.one_hot(data["target"], 7).bool()
    wanted = -torch.where(truth, probabilities, 1 - probabilities).log().sum(dim=1).mean()
    torch.testing.assert_close(task.training_step(data, 0), wanted, rtol=1e-4, atol=1e-5)
    # What is stored is a distribution either way.
    torch.testing.assert_close(task.eval().predict_step(data).sum(dim=1), torch.ones(12))


def test_the_multitask_gradient_reaches_encoder_decoder_and_classifier():
    task = make()
    body = task.network.body
    task.training_step(batch(), 0).backward()
    for part in (body.encoder, body.decoder, body.classifier):
        assert any(gradient.abs().max() > 0 for gradient in gradients(task, part))
    # The encoder gets its share from both: it differs from that of the classification alone.
    joint = body.encoder.linear.weight.grad.clone()
    alone = make(method_options={"reconstruction_weight": 0.0})
    alone.training_step(batch(), 0).backward()
    assert (joint - alone.network.body.encoder.linear.weight.grad).abs().max() > 1e-6
    assert all(gradient.abs().max() == 0 for gradient in gradients(alone, alone.network.body.decoder))


def test_the_first_stage_trains_encoder_and_decoder_only():
    task = make(epoch=1, **TWO_STAGES)
    data = batch()
    wanted = by_hand(task, data)[1]
    loss = task.training_step(data, 0)
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-5)
    loss.backward()
    body = task.network.body
    assert all(gradient is None for gradient in gradients(task, body.classifier))
    for part in (body.encoder, body.decoder):
        assert any(gradient.abs().max() > 0 for gradient in gradients(task, part))


def test_the_second_stage_trains_the_classifier_only(monkeypatch):
    task, data = make(epoch=2, **TWO_STAGES), batch()
    monkeypatch.setattr(task, "lr_schedulers", lambda: None)
    body = task.network.body
    before = {name: value.clone() for name, value in body.state_dict().items()}
    optimizer = torch.optim.Adam(task.parameters(), 0.01, weight_decay=0.1)
    task.on_train_epoch_start()
    loss = task.training_step(data, 0)
    logits, _ = by_hand(task, data)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, data["target"]), rtol=1e-4, atol=1e-5)
    loss.backward()
    optimizer.step()
    # Running statistics of the norms too.
    changed = {name.split(".")[0] for name, value in body.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier"}


@pytest.mark.parametrize("schedule", ["plateau", "none"])
def test_each_stage_has_its_learning_rate(monkeypatch, schedule):
    settings = TWO_STAGES | {"lr": 0.001, "optimizer": "adam", "weight_decay": 0.0, "schedule": schedule}
    settings["method_options"] = {"reconstruction_epochs": 2, "reconstruction_lr": 0.05}
    task = make(epoch=2, **settings)
    task._trainer = type("Trainer", (), {"estimated_stepping_batches": 8, "num_training_batches": 2})()
    monkeypatch.setattr(type(task), "trainer", property(lambda self: self._trainer), raising=False)
    configured = task.configure_optimizers()
    optimizer = configured if schedule == "none" else configured["optimizer"]
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    body = task.network.body
    assert {rates[id(p)] for p in body.classifier.parameters()} == {0.001}
    assert {rates[id(p)] for part in (body.encoder, body.decoder) for p in part.parameters()} == {0.05}
    if schedule == "none":
        return
    # A first stage whose error stopped falling has cut every rate; the classifier begins with its own, and with a fresh
    # memory.
    plateau = configured["lr_scheduler"]["scheduler"]
    for value in (0.02, 0.03, 0.03, 0.03):
        plateau.step(value)
    assert (
        max(
            group["lr"]
            for group in optimizer.param_groups
            if any(p is body.classifier[0].weight for p in group["params"])
        )
        < 0.001
    )
    monkeypatch.setattr(task, "lr_schedulers", lambda: plateau)
    task.on_train_epoch_start()
    assert {group["lr"] for group in optimizer.param_groups} == {0.001}
    plateau.step(1.9)
    assert {group["lr"] for group in optimizer.param_groups} == {0.001}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoder": False}, "needs a network with a decoder"),
        ({"method_options": {"lambda": 1.0}}, r"method_options\.lambda"),
        ({"method": "two_stage", "epochs": 4}, "leaves a stage without epochs"),
        (TWO_STAGES | {"epochs": 2}, "leaves a stage without epochs"),
        (TWO_STAGES | {"early_stopping": 3}, "early_stopping"),
    ],
)
def test_what_cannot_be_trained_is_named(settings, message):
    with pytest.raises(SpecError, match=message):
        make(**settings)
