"""Settings that change how a run is trained or watched: averaged weights, schedules that watch validation, Weights &
Biases."""

import socket

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

from fer_bench.models.trained import load_weights
from fer_bench.results.store import Store
from fer_bench.tasks.expression import ExpressionTask
from fer_bench.training.build import build_task
from fer_bench.training.run import run
from tests.training.test_run import fake_validation


def test_the_best_checkpoint_holds_the_averaged_weights(home, tiny, monkeypatch):
    """Against an average that is computed here, step by step."""
    averages, plain = {}, {}
    batch_end = EMAWeightAveraging.on_train_batch_end

    def follow(self, trainer, pl_module, *rest):
        batch_end(self, trainer, pl_module, *rest)
        for name, value in pl_module.network.named_parameters():
            # torch copies the weights at the first step instead of averaging them with the initial ones.
            averages[name] = (
                value.detach().clone() if trainer.global_step == 1 else 0.8 * averages[name] + 0.2 * value.detach()
            )
            plain[name] = value.detach().clone()

    monkeypatch.setattr(EMAWeightAveraging, "on_train_batch_end", follow)
    fake_validation(monkeypatch, [0.1, 0.9])
    spec = tiny(ema=0.8, lr=0.01)
    record = run(spec)
    assert record.training["best_epoch"] == 2
    (best,) = (home / "runs").glob("*/best.ckpt")
    from fer_bench.protocols import protocol_for

    task = build_task(spec, protocol_for(spec.dataset, spec.task), native_size=48)
    load_weights(task, best)
    for name, value in task.network.named_parameters():
        torch.testing.assert_close(value.detach(), averages[name], atol=1e-6, rtol=1e-4)
    assert any(not torch.allclose(plain[name], averages[name], atol=1e-5) for name in plain)


def test_validation_sees_the_averaged_weights(home, tiny):
    record = run(tiny(ema=0.8, lr=0.01))
    curve = record.training["curves"]["validation/accuracy"]
    assert record.validation_metrics["accuracy"] == pytest.approx(max(curve), abs=1e-6)
    validation = Store().predictions(record, "validation")
    chosen = validation.outputs[range(len(validation)), validation.targets]
    loss = record.training["curves"]["validation/loss"][record.training["best_epoch"] - 1]
    assert -torch.from_numpy(chosen).log().mean().item() == pytest.approx(loss, abs=1e-4)


def test_plateau_watches_the_validation_loss(home, tiny, monkeypatch):
    losses = [1.0, 1.1, 0.5, 0.6]

    def log(self):
        self.log("validation/accuracy", 0.5)
        self.log("validation/loss", losses[self.current_epoch])

    monkeypatch.setattr(ExpressionTask, "on_validation_epoch_end", log)
    record = run(tiny(epochs=4, schedule="plateau", lr=0.01, batch_size=48))
    # Halved behind the second epoch and behind the fourth; the curve holds the rate behind each epoch's validation.
    assert record.training["curves"]["lr"] == pytest.approx([0.01, 0.005, 0.005, 0.0025])


def test_wandb_offline_stays_on_this_machine(home, tiny, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the package wandb is not installed")
    connect = socket.socket.connect

    def local_only(self, address):
        # wandb's own service process is spoken to over the loopback or a local socket.
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            pytest.fail(f"connects to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home / "wandb"))
    runs = [run(tiny(epochs=1, seed=seed, execution={"wandb": "offline"})) for seed in (0, 1)]
    # The second run is one of its own.
    assert wandb.run is None
    for record in runs:
        folder = home / "runs" / record.run_id
        written = list((folder / "wandb").glob("offline-run-*/*.wandb"))
        assert len(written) == 1
        assert record.run_id in written[0].name
        assert written[0].stat().st_size > 0
