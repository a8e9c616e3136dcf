import json
import math
import threading
import time

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, recall_score

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.datasets.synthfaces import read_synthfaces
from fer_bench.errors import FerBenchError, HardwareError, RunNanError, SpecError
from fer_bench.results.store import Store
from fer_bench.tasks.expression import ExpressionTask
from fer_bench.training import fit as fit_room
from fer_bench.training import run as run_room
from fer_bench.training.callbacks import History
from fer_bench.training.run import lock, run
from tests.training.conftest import SMALL, same_predictions


def test_the_record_holds_everything(trained):
    spec, record, store, _ = trained
    written = json.loads(store.path(record.protocol, record.model, record.run_id).read_text())
    for key in (
        "run_id",
        "protocol",
        "task",
        "dataset",
        "model",
        "seed",
        "status",
        "metrics",
        "n_scored",
        "spec",
        "data",
        "code",
        "hardware",
        "predictions",
    ):
        assert key in written
    assert written["run_id"] == spec.run_id()
    assert written["protocol"] == "synthfaces-fer7"
    assert written["status"] == "finished"
    assert written["seed"] == 0
    assert written["data"]["n"]["test"] == written["n_scored"] == written["predictions"]["test"]["n"]
    assert written["code"]["packages"]["torch"] == torch.__version__.split("+")[0] or torch.__version__.startswith(
        written["code"]["packages"]["torch"]
    )
    assert written["hardware"]["accelerator"] == "cpu"
    assert written["spec"]["epochs"] == 3
    assert "execution" not in written["spec"]
    training = written["training"]
    assert training["epochs"] == 3
    assert not training["resumed"]
    assert (training["micro_batch"], training["accumulate"]) == (16, 1)
    assert {len(curve) for curve in training["curves"].values()} == {3}
    assert {"train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "lr"} <= set(training["curves"])
    assert all(isinstance(value, float) for curve in training["curves"].values() for value in curve)


def test_the_metrics_follow_from_the_predictions_file(trained):
    _spec, record, store, _ = trained
    predictions = store.predictions(record)
    samples = read_synthfaces(SMALL)
    has_label = samples.targets["fer7"] >= 0
    at = has_label & (samples.split == "test")
    np.testing.assert_array_equal(predictions.ids, samples.ids[at])
    np.testing.assert_array_equal(predictions.targets, samples.targets["fer7"][at])
    answers = predictions.outputs.argmax(axis=1)
    assert record.n_scored == at.sum() == len(predictions)
    assert record.metrics["accuracy"] == pytest.approx(accuracy_score(predictions.targets, answers), abs=1e-12)
    present = sorted(set(predictions.targets.tolist()))
    assert record.metrics["balanced_accuracy"] == pytest.approx(
        recall_score(predictions.targets, answers, labels=present, average="macro"), abs=1e-12
    )
    assert record.metrics["weighted_f1"] == pytest.approx(
        f1_score(predictions.targets, answers, average="weighted"), abs=1e-12
    )
    np.testing.assert_allclose(predictions.outputs.sum(axis=1), 1, atol=1e-5)


def test_the_validation_score_is_that_of_the_best_epoch(trained):
    _, record, store, _ = trained
    curve = record.training["curves"]["validation/accuracy"]
    assert record.training["best_epoch"] == 1 + curve.index(max(curve))
    assert record.training["selected_value"] == max(curve)
    # Measured by two different routes: Lightning's validation and the final prediction.
    assert record.validation_metrics["accuracy"] == pytest.approx(max(curve), abs=1e-6)
    validation = store.predictions(record, "validation")
    chosen = validation.outputs[np.arange(len(validation)), validation.targets]
    loss = record.training["curves"]["validation/loss"][record.training["best_epoch"] - 1]
    assert -np.log(chosen).mean() == pytest.approx(loss, abs=1e-4)


def test_the_same_command_again_does_nothing_and_force_repeats(finished, monkeypatch, capsys):
    spec, record, store = finished
    path = store.path(record.protocol, record.model, record.run_id)
    before = path.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(run_room, "fit", None)
        patch.setattr(run_room, "predict", None)
        again = run(spec)
    assert again == record
    assert path.stat().st_mtime_ns == before
    calls = []
    monkeypatch.setattr(run_room, "fit", lambda *a: calls.append(a) or fit_room.fit(*a))
    capsys.readouterr()
    forced = run(spec, force=True)
    assert len(calls) == 1
    said = capsys.readouterr().out
    assert "starts at epoch 1" in said
    assert "other data" not in said, "the same data, whose training is repeated"
    assert path.stat().st_mtime_ns != before
    assert not forced.training["resumed"]
    same_predictions(store, forced, Store(), record.model_copy(update={"predictions": forced.predictions}))
    assert forced.predictions["test"].sha256 == record.predictions["test"].sha256


def fake_validation(monkeypatch, values, name="validation/accuracy"):
    """Let validation say this, epoch by epoch."""

    def log(self):
        for one in ("accuracy", "macro_f1", "weighted_f1", "balanced_accuracy"):
            self.log(f"validation/{one}", 0.0 if f"validation/{one}" != name else values[self.current_epoch])
        self.log("validation/loss", 1.0)

    monkeypatch.setattr(ExpressionTask, "on_validation_epoch_end", log)


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_best_epoch_is_chosen_on_validation_and_test_is_predicted_once(home, tiny, monkeypatch, best):
    fake_validation(monkeypatch, [0.9 if epoch == best else 0.3 for epoch in range(3)])
    weights, predicted, used = [], [], []

    class Keep(History):
        def on_train_epoch_end(self, trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)
            weights.append({key: value.clone() for key, value in pl_module.network.state_dict().items()})

    def predict(task, datamodule, split, device, spec):
        predicted.append(split)
        used.append({key: value.clone() for key, value in task.network.state_dict().items()})
        return original(task, datamodule, split, device, spec)

    original = run_room.predict
    monkeypatch.setattr(fit_room, "History", Keep)
    monkeypatch.setattr(run_room, "predict", predict)
    asked = []
    loader = AffectDataModule.predict_loader
    monkeypatch.setattr(
        AffectDataModule, "predict_loader", lambda self, split, **k: asked.append(split) or loader(self, split, **k)
    )
    record = run(tiny(epochs=3))
    assert sorted(predicted) == sorted(asked) == ["test", "validation"]
    assert record.training["best_epoch"] == best + 1
    for other in range(3):
        equal = all(torch.equal(used[0][key], weights[other][key]) for key in used[0])
        assert equal == (other == best)


def test_of_equal_epochs_the_first_is_taken(home, tiny, monkeypatch):
    fake_validation(monkeypatch, [0.2, 0.5, 0.5])
    record = run(tiny(epochs=3))
    (best,) = (home / "runs").glob("*/best.ckpt")
    assert record.training["best_epoch"] == 2
    assert torch.load(best, weights_only=True)["epoch"] == 1


def test_a_protocol_ranked_by_weighted_f1_selects_by_it(home, tiny, monkeypatch):
    fake_validation(monkeypatch, [0.1, 0.7, 0.2], "validation/weighted_f1")
    record = run(tiny(epochs=3, task="emo8"))
    assert record.training["selected_by"] == "validation/weighted_f1"
    assert record.training["best_epoch"] == 2


def test_training_scores_belong_to_their_epoch(home, tiny, monkeypatch):
    losses = []
    step = ExpressionTask.training_step

    def counted(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        losses.append((self.current_epoch, len(batch["target"]), float(loss)))
        return loss

    monkeypatch.setattr(ExpressionTask, "training_step", counted)
    curve = run(tiny()).training["curves"]["train/loss"]
    for epoch in range(2):
        of_epoch = [(n, loss) for at, n, loss in losses if at == epoch]
        assert len(of_epoch) == 3
        assert curve[epoch] == pytest.approx(
            sum(n * loss for n, loss in of_epoch) / sum(n for n, _ in of_epoch), rel=1e-5
        )


def test_the_same_spec_twice_gives_the_same_bits_with_any_number_of_workers(home, trained, tiny):
    _spec, record, store, _ = trained
    for name, workers in (("again", 0), ("workers", 2)):
        other = Store(home / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FER_BENCH_RUNS", str(home / name / "runs"))
            repeated = run(tiny(epochs=3, execution={"workers": workers}), other)
        assert repeated.run_id == record.run_id
        same_predictions(store, record, other, repeated)
        assert repeated.predictions["test"].sha256 == record.predictions["test"].sha256
        times = {"seconds", "lr"}
        assert {k: v for k, v in repeated.training["curves"].items() if k not in times} == {
            k: v for k, v in record.training["curves"].items() if k not in times
        }


def test_another_seed_gives_another_result_on_the_same_samples(home, trained, tiny):
    _, record, store, _ = trained
    other = run(tiny(epochs=3, seed=1))
    assert (other.row, other.seed) == (record.row, 1)
    a, b = store.predictions(record), Store().predictions(other)
    np.testing.assert_array_equal(a.ids, b.ids)
    assert not np.allclose(a.outputs, b.outputs, atol=1e-3)


def test_nan_is_recorded_and_not_scored(home, tiny):
    spec = tiny(lr=1e30, schedule="none")
    with pytest.raises(RunNanError, match="became nan in epoch 1") as caught:
        run(spec)
    assert caught.value.exit_code == 1
    record = Store().get(spec.run_id())
    assert record.status == "nan"
    assert "nan" in record.message
    assert record.metrics == {}
    assert record.predictions == {}
    assert not list((home / "boards").rglob("*.npz"))
    assert not list((home / "runs").rglob("trained.json"))
    # The same command tries again instead of taking the failure for a result.
    with pytest.raises(RunNanError):
        run(spec)


def test_a_training_loss_that_is_lost_in_a_later_epoch_ends_the_run_there(home, tiny, monkeypatch):
    step = ExpressionTask.training_step

    def lost(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        if self.current_epoch == 1:
            # Only what is watched, not the weights: validation stays finite.
            self.train_loss.update(torch.tensor(math.nan), 1)
        return loss

    monkeypatch.setattr(ExpressionTask, "training_step", lost)
    with pytest.raises(RunNanError, match="train/loss became nan in epoch 2"):
        run(tiny(epochs=3))


def test_a_run_that_became_nan_is_not_ranked(tiny, finished):
    from fer_bench.leaderboard.rank import rank
    from fer_bench.protocols import protocol_for

    lost = tiny(lr=1e30, schedule="none", model_options={"width": 4})
    with pytest.raises(RunNanError):
        run(lost)
    board = rank(protocol_for("synthfaces", "fer7"), Store().records())
    assert [placed.row.records[0].run_id for placed in board.placed] == [finished[1].run_id]
    assert [unranked.record.run_id for unranked in board.unranked] == [lost.run_id()]


def out_of_memory(monkeypatch, times, at_batch=1):
    """Let the first attempts run out of memory in the second batch of their first epoch."""
    step, seen = ExpressionTask.training_step, []

    def failing(self, batch, batch_idx):
        if len(seen) < times and batch_idx == at_batch:
            seen.append(len(batch["target"]))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ExpressionTask, "training_step", failing)
    return seen


def test_out_of_memory_halves_the_batch_and_doubles_the_accumulation(home, tiny, monkeypatch):
    seen = out_of_memory(monkeypatch, 2)
    steps = []
    monkeypatch.setattr(
        ExpressionTask, "on_train_end", lambda self: steps.append(self.trainer.global_step), raising=False
    )
    record = run(tiny())
    assert seen == [16, 8]
    assert (record.training["micro_batch"], record.training["accumulate"]) == (4, 4)
    assert record.status == "finished"
    assert steps == [2 * 3]


def test_a_failed_attempt_leaves_no_trace_in_the_weights(home, tiny, monkeypatch):
    begun = []
    keep = lambda self: begun.append({key: value.clone() for key, value in self.network.state_dict().items()})  # noqa: E731
    monkeypatch.setattr(ExpressionTask, "on_train_start", keep, raising=False)
    out_of_memory(monkeypatch, 1, at_batch=2)
    run(tiny())
    assert len(begun) == 2
    for key, value in begun[0].items():
        assert torch.equal(value, begun[1][key]), key


def test_out_of_memory_ends_with_a_clear_message(home, tiny, monkeypatch):
    out_of_memory(monkeypatch, 100, at_batch=0)
    with pytest.raises(HardwareError, match="out of memory on cpu with batches of 2") as caught:
        run(tiny())
    assert "--batch-size" in caught.value.hint
    assert not list((home / "boards").rglob("*.json"))


def test_an_odd_batch_is_not_halved_into_another_effective_batch(home, tiny, monkeypatch):
    out_of_memory(monkeypatch, 100)
    with pytest.raises(HardwareError, match="with batches of 11"):
        run(tiny(batch_size=22))


def test_early_stopping_ends_after_its_patience(home, tiny, monkeypatch):
    fake_validation(monkeypatch, [0.1, 0.5, 0.4, 0.4, 0.9, 0.9])
    record = run(tiny(epochs=6, early_stopping=2))
    assert record.training["epochs"] == 4
    assert record.training["best_epoch"] == 2
    assert record.status == "finished"


def test_a_second_process_is_refused(home, tiny):
    spec = tiny()
    with (
        lock(home / "runs" / spec.training_id(), spec.execution),
        pytest.raises(FerBenchError, match="already in progress") as caught,
    ):
        # filelock is per process and file object, as between processes.
        run(spec)
    assert "run.lock" in caught.value.problem
    assert not (home / "boards" / "results").exists()


def test_a_second_try_waits_for_the_lock_of_a_dying_first_one(home, tiny):
    folder, held, waited = home / "runs" / "one", threading.Event(), []

    def first():
        with lock(folder, tiny().execution):
            held.set()
            time.sleep(0.2)
            waited.append("released")

    dying = threading.Thread(target=first)
    dying.start()
    held.wait()
    with lock(folder, tiny().execution, wait=20):
        waited.append("taken")
    dying.join()
    assert waited == ["released", "taken"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer_options": {"no_such": 1}}, "no_such"),
        ({"optimizer_options": {"betas": 3}}, "adamw"),
        ({"schedule_options": {"no_such": 1}}, "no_such"),
        ({"schedule_options": {"warmup": 3.0}}, "one_cycle"),
        ({"loss_options": {"no_such": 1}}, "no_such"),
        ({"loss": "multi_target", "label_smoothing": 0.1}, "label smoothing"),
        ({"target_mode": "probability"}, "target_mode"),
    ],
)
def test_settings_that_do_not_fit_are_named(home, tiny, settings, message):
    with pytest.raises(SpecError, match=message):
        run(tiny(**settings))
    assert not (home / "boards" / "results").exists()


@pytest.mark.parametrize(
    ("mode", "loss"),
    [("probability", "cross_entropy"), ("cross_entropy", "cross_entropy"), ("multi_target", "multi_target")],
)
def test_training_on_votes(home, tiny, mode, loss):
    record = run(tiny(task="fer8", target_mode=mode, loss=loss))
    # The test is against the one label, whatever training saw.
    assert record.n_scored == SMALL["n_test"]
    np.testing.assert_array_equal(
        Store().predictions(record).targets, read_synthfaces(SMALL).targets["fer8"][-SMALL["n_test"] :]
    )
    assert all(math.isfinite(value) for value in record.training["curves"]["train/loss"])


def test_the_records_seeds_start_everything(home, tiny, monkeypatch):
    seeds = []
    seed_everything = L.seed_everything
    monkeypatch.setattr(L, "seed_everything", lambda seed, **k: seeds.append(seed) or seed_everything(seed, **k))
    run(tiny(seed=5, epochs=1))
    assert seeds == [5]
