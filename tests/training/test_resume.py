import json
import shutil
import signal
import sys

import pytest
import torch

from fer_bench.errors import Stopped, WeightsError
from fer_bench.results.store import Store
from fer_bench.training import run as run_room
from fer_bench.training import trainer as trainer_room
from fer_bench.training.callbacks import EpochSeed
from fer_bench.training.checkpoints import AtomicCheckpointIO
from fer_bench.training.run import run
from tests.forks import MEASURED, Forked
from tests.training.conftest import ROOT, flags, last_weights, same_predictions, same_weights, wait_for

# Epochs after the first take a second longer, so that there is a time to kill the run in.
SLOW = """
import time
from fer_bench.training.callbacks import EpochSeed
start = EpochSeed.on_train_batch_start
def slow(self, trainer, pl_module, batch, batch_idx):
    if batch_idx == 1 and trainer.current_epoch > 0:
        time.sleep(2)
    start(self, trainer, pl_module, batch, batch_idx)
EpochSeed.on_train_batch_start = slow
"""


class StopError(Exception):
    """Stands for whatever ends a process."""


def stop_in_epoch(monkeypatch, epoch, batch=1, error=StopError):
    start = EpochSeed.on_train_batch_start

    def stop(self, trainer, pl_module, data, batch_idx):
        start(self, trainer, pl_module, data, batch_idx)
        if (trainer.current_epoch, batch_idx) == (epoch, batch):
            raise error

    monkeypatch.setattr(EpochSeed, "on_train_batch_start", stop)


def keep_from_within_epochs(monkeypatch, home):
    """What a kill would leave of the folder of runs in the middle of each epoch, in the folder ``within`` and its
    number.
    """
    start = EpochSeed.on_train_batch_start

    def keep(self, trainer, pl_module, data, batch_idx):
        start(self, trainer, pl_module, data, batch_idx)
        if batch_idx == 1:
            shutil.copytree(home / "runs", home / f"within{trainer.current_epoch}")

    monkeypatch.setattr(EpochSeed, "on_train_batch_start", keep)


def check_like(record, home, trained):
    """The resumed run against the uninterrupted one, and one record of it."""
    _, reference, store, folder = trained
    assert record.training["resumed"]
    assert record.training["epochs"] == reference.training["epochs"] == 3
    assert record.training["curves"]["validation/loss"] == reference.training["curves"]["validation/loss"]
    same_predictions(store, reference, Store(), record)
    same_weights(last_weights(folder / "runs"), last_weights(home / "runs"))
    assert [path.stem for path in Store().files()] == [record.run_id]


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(home, trained, start):
    spec = trained[0]
    process = start(*flags(spec), before=SLOW)
    wait_for(lambda: list((home / "runs").glob("*/last.ckpt")))
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert not list((home / "runs").glob("*/trained.json"))
    assert not Store().files()
    check_like(run(spec), home, trained)


@pytest.mark.slow
@pytest.mark.skipif(MEASURED, reason="where coverage is measured, it handles SIGTERM and ends the process")
def test_a_terminated_run_says_how_to_go_on(home, trained, start):
    spec = trained[0]
    process = start(*flags(spec), before=SLOW)
    wait_for(lambda: list((home / "runs").glob("*/last.ckpt")))
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    last = error.strip().splitlines()[-1]
    assert last.startswith("fer-bench: interrupted after 1 of 3 epochs")
    assert "Run the same command again" in last
    assert "Traceback" not in error
    assert not Store().files()
    check_like(run(spec), home, trained)


def test_an_epoch_that_was_not_written_any_more_is_not_counted(home, tiny, monkeypatch):
    def stop(self, checkpoint, path, storage_options=None):
        raise KeyboardInterrupt

    heard = signal.getsignal(signal.SIGINT)
    try:
        with monkeypatch.context() as patch, pytest.raises(Stopped, match="after 0 of 2 epochs"):
            patch.setattr(AtomicCheckpointIO, "save_checkpoint", stop)
            run(tiny(epochs=2))
    finally:
        signal.signal(signal.SIGINT, heard)


def test_ctrl_c_is_told_from_sigterm_and_the_next_is_heard(home, tiny, monkeypatch):
    heard = signal.getsignal(signal.SIGINT)
    try:
        with monkeypatch.context() as patch, pytest.raises(Stopped, match="after 1 of 2 epochs") as stopped:
            stop_in_epoch(patch, 1, 0, KeyboardInterrupt)
            run(tiny(epochs=2))
        assert stopped.value.exit_code == 130
        assert signal.getsignal(signal.SIGINT) == heard
    finally:
        signal.signal(signal.SIGINT, heard)


@pytest.mark.parametrize(
    ("batch", "workers"),
    [
        (2, 0),
        (0, 2),
        pytest.param(0, 0, marks=pytest.mark.proof),
        pytest.param(2, 2, marks=pytest.mark.proof),
    ],
)
def test_an_epoch_that_was_not_finished_is_begun_anew(home, trained, monkeypatch, tiny, batch, workers):
    spec = tiny(epochs=3, execution={"workers": workers})
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stop_in_epoch(patch, 2, batch)
        run(spec)
    check_like(run(spec), home, trained)


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "none"},
        {"schedule": "cosine", "task": "va", "loss": "ccc", "mixup": 0.4},
        {"schedule": "step", "schedule_options": {"every": 1}, "early_stopping": 1, "optimizer": "nadam"},
        {
            "schedule": "plateau",
            "schedule_options": {"threshold": 0.5},
            "optimizer": "sgd",
            "optimizer_options": {"momentum": 0.9},
        },
        {"schedule": "one_cycle", "ema": 0.9, "optimizer": "rmsprop"},
        {"mixup": 0.2, "cutmix": 1.0, "mix_probability": 0.9, "dropout_schedule": "late", "ema": 0.9},
        {"optimizer": "sgd", "gradient_clip": 1.0, "ema": 0.9, "optimizer_options": {"sam": 0.05, "momentum": 0.9}},
        {
            "task": "fer8",
            "target_mode": "probability",
            "optimizer": "adam",
            "mixup": 0.4,
            "optimizer_options": {"sam": 0.1},
            "precision": "bf16-mixed",
        },
        {
            "freeze": "2",
            "unfreeze_every": 1,
            "layer_decay": 0.8,
            "backbone_lr": 0.0005,
            "augment": "rand_faces_strong",
            "augment_on": "device",
            "dropout_schedule": "rising",
        },
    ],
    ids=lambda settings: "-".join(str(value) for value in settings.values() if not isinstance(value, dict)),
)
def test_schedules_optimizers_and_averages_resume(home, tiny, monkeypatch, settings):
    spec = tiny(epochs=3, **settings)
    with monkeypatch.context() as patch:
        keep_from_within_epochs(patch, home)
        straight = run(spec, Store(home / "straight"))
    weights = last_weights(home / "runs")
    monkeypatch.setenv("FER_BENCH_RUNS", str(home / "second"))
    epoch = straight.training["epochs"] - 1
    if "ema" in settings:
        # An exception finds the averaged weights in the network, or not: what follows it must not matter.
        with monkeypatch.context() as patch, pytest.raises(StopError):
            stop_in_epoch(patch, epoch)
            run(spec)
    else:
        (home / f"within{epoch}").rename(home / "second")
    record = run(spec)
    assert record.training["resumed"]
    for name in ("lr", "train/loss", "validation/loss"):
        assert record.training["curves"][name] == straight.training["curves"][name]
    same_weights(weights, last_weights(home / "second"))
    same_predictions(Store(home / "straight"), straight, Store(), record)


def no_training(monkeypatch):
    """Let nothing be trained: an epoch that begins is an error."""
    stop_in_epoch(monkeypatch, 0, 0)
    stop_in_epoch(monkeypatch, 1, 0)
    stop_in_epoch(monkeypatch, 2, 0)
    stop_in_epoch(monkeypatch, 3, 0)


def test_between_training_and_record_only_predictions_are_missing(finished, monkeypatch):
    spec, reference, store = finished
    before = store.predictions(reference), store.predictions(reference, "validation")
    for path in store.folder(reference).iterdir():
        path.unlink()
    monkeypatch.setattr(trainer_room, "build_trainer", None)
    monkeypatch.setattr("fer_bench.training.fit.build_trainer", None)
    record = run(spec)
    assert (store.predictions(record).outputs == before[0].outputs).all()
    assert (store.predictions(record, "validation").outputs == before[1].outputs).all()
    assert record.metrics == reference.metrics
    assert record.training["curves"] == reference.training["curves"]


def test_between_the_last_epoch_and_the_end_of_training_nothing_is_trained_again(home, finished, monkeypatch):
    spec, reference, store = finished
    (done,) = (home / "runs").glob("*/trained.json")
    done.unlink()
    store.path(reference.protocol, reference.model, reference.run_id).unlink()
    no_training(monkeypatch)
    record = run(spec)
    assert record.training["resumed"]
    assert record.training["curves"] == reference.training["curves"]
    assert record.training["best_epoch"] == reference.training["best_epoch"]
    assert record.predictions == reference.predictions


def test_a_run_that_stopped_early_does_not_train_on_when_killed_right_behind(home, tiny, monkeypatch):
    from tests.training.test_run import fake_validation

    fake_validation(monkeypatch, [0.5, 0.4, 0.9, 0.9])
    spec = tiny(epochs=4, early_stopping=1)
    record = run(spec)
    assert record.training["epochs"] == 2
    (done,) = (home / "runs").glob("*/trained.json")
    done.unlink()
    Store().path(record.protocol, record.model, record.run_id).unlink()
    no_training(monkeypatch)
    again = run(spec)
    assert again.training["epochs"] == 2
    assert again.predictions == record.predictions


def test_a_run_can_be_moved_to_another_folder(home, trained, tiny, monkeypatch):
    """The best epoch lies before the move."""
    from tests.training.test_run import fake_validation

    fake_validation(monkeypatch, [0.9, 0.1, 0.2])
    spec = tiny(epochs=3)
    straight = run(spec, Store(home / "straight"))
    monkeypatch.setenv("FER_BENCH_RUNS", str(home / "second"))
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stop_in_epoch(patch, 2)
        run(spec)
    (home / "second").rename(home / "moved")
    monkeypatch.setenv("FER_BENCH_RUNS", str(home / "moved"))
    record = run(spec)
    assert record.training["best_epoch"] == straight.training["best_epoch"] == 1
    same_predictions(Store(home / "straight"), straight, Store(), record)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "pickle", "another"])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_named(home, finished, name, damage):
    spec, reference, store = finished
    (path,) = (home / "runs").glob(f"*/{name}")
    content = path.read_bytes()
    if damage == "another":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(
            {
                "truncated": content[: len(content) // 2],
                "empty": b"",
                "text": b"not a checkpoint\n" * 50,
                "pickle": b"\x80\x04cos\nsystem\n.",
            }[damage]
        )
    store.path(reference.protocol, reference.model, reference.run_id).unlink()
    if name == "last.ckpt":
        (path.parent / "trained.json").unlink()
    with pytest.raises(WeightsError) as caught:
        run(spec)
    assert str(path) in caught.value.problem
    assert f"Delete {path.parent}" in caught.value.hint
    assert caught.value.exit_code == 2
    assert not store.files()


def test_a_missing_best_checkpoint_is_named(home, finished):
    spec, reference, store = finished
    (path,) = (home / "runs").glob("*/best.ckpt")
    path.unlink()
    store.path(reference.protocol, reference.model, reference.run_id).unlink()
    with pytest.raises(WeightsError, match=r"best\.ckpt: the checkpoint is missing"):
        run(spec)


@pytest.mark.parametrize("content", ["", '{"epochs": 3', "[]"])
def test_damaged_facts_of_the_training_are_named(home, finished, content):
    spec, reference, store = finished
    (path,) = (home / "runs").glob("*/trained.json")
    path.write_text(content)
    store.path(reference.protocol, reference.model, reference.run_id).unlink()
    with pytest.raises(WeightsError, match=r"trained\.json"):
        run(spec)


def test_the_command_line_names_a_damaged_checkpoint_in_one_line(home, finished, monkeypatch, capsys):
    from fer_bench.cli.main import main

    spec, reference, store = finished
    (path,) = (home / "runs").glob("*/last.ckpt")
    path.write_bytes(path.read_bytes()[:1000])
    (path.parent / "trained.json").unlink()
    store.path(reference.protocol, reference.model, reference.run_id).unlink()
    monkeypatch.setattr(sys, "argv", ["fer-bench", *flags(spec)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert str(path) in error


@pytest.mark.slow
def test_of_two_processes_that_start_at_once_one_is_refused(home, tiny, trained):
    spec = tiny(epochs=3)
    script = (
        "import sys, time, torch; torch.set_num_threads(1)\nfrom pathlib import Path\nfrom fer_bench.errors import"
        " FerBenchError\nfrom fer_bench.spec import RunSpec\nfrom fer_bench.training.run import run\nspec ="
        f" RunSpec.model_validate_json({spec.model_dump_json()!r})\nprint('ready', flush=True)\nwhile not"
        f" Path({str(home / 'go')!r}).exists():\n    time.sleep(0.001)\ntry:\n    run(spec)\nexcept FerBenchError as"
        " error:\n    print(error, file=sys.stderr); sys.exit(error.exit_code)\n"
    )
    pair = []
    try:
        for name in ("one.py", "two.py"):
            (home / name).write_text(script)
            pair.append(Forked(home / name, folder=ROOT))
        for process in pair:
            process.wait_for_line("ready")
        (home / "go").touch()
        errors = [process.communicate(timeout=60)[1] for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert sorted(process.returncode for process in pair) == [0, 2]
    refused = errors[[process.returncode for process in pair].index(2)]
    assert "this run is already in progress" in refused
    record = Store().get(spec.run_id())
    same_predictions(trained[2], trained[1], Store(), record)
    assert json.loads(next((home / "runs").glob("*/trained.json")).read_text())["epochs"] == 3


def test_force_does_not_go_on_from_the_old_training(finished, monkeypatch):
    spec, reference, _ = finished
    calls = []
    original = run_room.fit
    monkeypatch.setattr(
        run_room, "fit", lambda *a: calls.append(sorted(p.name for p in a[5].iterdir())) or original(*a)
    )
    record = run(spec, force=True)
    assert "last.ckpt" not in calls[0]
    assert "trained.json" not in calls[0]
    assert not record.training["resumed"]
    assert record.predictions == reference.predictions


def test_a_disk_that_fills_up_leaves_the_last_checkpoint_whole(home, tiny, trained, monkeypatch, capsys):
    """The second epoch's checkpoint does not fit: one line, exit code 2, and the same command goes on from the first
    epoch's."""
    import errno

    from fer_bench import atomic
    from fer_bench.cli.main import main

    spec, reference, reference_store, _ = trained
    written, fsync = [], atomic.os.fsync

    def full(descriptor):
        fsync(descriptor)
        written.append(descriptor)
        # what the folder is of, and two checkpoints
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(home / "runs" / "last.ckpt"))

    monkeypatch.setattr(sys, "argv", ["fer-bench", *flags(spec)])
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert err[-1].startswith("fer-bench: the disk is full")
    assert "Traceback" not in "".join(err)
    (folder,) = (home / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "inputs.json", "last.ckpt", "logs", "run.lock"}
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 0
    assert not (home / "boards").exists()
    store = Store()
    record = run(spec, store)
    assert record.training["resumed"]
    same_predictions(store, record, reference_store, reference)
