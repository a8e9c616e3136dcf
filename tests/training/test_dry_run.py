"""What a run would be, and how long it would take."""

import re
import signal

import pytest
import torch
import yaml

from fer_bench.durations import in_words
from fer_bench.errors import SpecError
from fer_bench.models.zoo import build_network
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.sweeps.folds import fold_specs
from fer_bench.training import dry_run, forecast
from fer_bench.training.dry_run import describe_run, settings_of
from fer_bench.training.forecast import Pace, Work, work_of
from fer_bench.training.run import run


def test_settings_data_and_time_are_told_and_nothing_is_written(home, tiny):
    spec = tiny(epochs=3, recipe="a name")
    lines = list(describe_run(spec, Store()))
    said = "\n".join(lines)
    assert f"run         {spec.run_id()} in protocol synthfaces-fer7" in said
    assert re.search(
        r"^data        [0-9]+ train, [0-9]+ validation, [0-9]+ test; [0-9]+ x [0-9]+ px, (grey|RGB)$",
        said,
        re.MULTILINE,
    ), said
    assert "device      cpu, 32-true" in said
    assert "3 epochs of 3 steps" in lines[-1]
    assert build(yaml.safe_load(settings_of(spec))).run_id() == spec.run_id()
    assert not (home / "runs").exists()
    assert not (home / "boards").exists()


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_few_epochs_have_a_schedule_too(home, tiny, epochs):
    assert f"{epochs} epochs of 6 steps" in list(describe_run(tiny(epochs=epochs, batch_size=8), Store()))[-1]


def test_whole_steps_that_take_long_are_estimated_from_small_ones(home, tiny, monkeypatch):
    monkeypatch.setattr(forecast, "_PATIENCE", 0.0)
    monkeypatch.setattr(forecast, "_FEW", 4)
    assert list(describe_run(tiny(epochs=3), Store()))[-1].endswith("from a step of 4 images")


def test_ctrl_c_while_it_measures_is_ctrl_c(home, tiny, monkeypatch):
    def stop(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(forecast._Clock, "on_train_batch_start", stop)
    heard = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(describe_run(tiny(epochs=2), Store()))
        assert signal.getsignal(signal.SIGINT) == heard
    finally:
        signal.signal(signal.SIGINT, heard)


def test_what_is_done_is_said_to_be(home, tiny):
    spec = tiny(epochs=1)
    run(spec)
    assert list(describe_run(spec, Store()))[-1].endswith("done, nothing would be trained")


def test_the_id_is_that_of_the_record_on_other_data_too(home, tiny):
    spec, store = tiny(epochs=1), Store()
    record = run(spec)
    # As if it were of a copy with other images.
    other = {name: "0" * len(value) for name, value in record.inputs.items()}
    kept = {split: store.predictions(record, split) for split in record.predictions}
    store.put(record.model_copy(update={"inputs": other}), kept)
    said = next(line for line in describe_run(spec, store, steps=1) if line.startswith("record"))
    assert said.endswith(f", for {spec.run_id()} is kept for other data")
    done = run(spec, store)
    assert said.split()[1] == f"{done.run_id},"
    assert done.run_id.startswith(f"{spec.run_id()}-x")


def test_what_it_begins_with_is_told(home, tiny, tmp_path):
    spec = tiny(epochs=1)
    state = build_network(spec.model, 9, native_size=32, options=dict(spec.model_options)).state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "weights.pth")
    begun = build({**spec.model_dump(), "weights": str(tmp_path / "weights.pth")})
    *lines, last = describe_run(begun, Store(), steps=1)
    assert ": 1 epoch of 3 steps, " in last
    (said,) = (line for line in lines if line.startswith("weights"))
    assert "a file of the user's" in said
    assert "left fresh" in said


def test_weights_that_only_a_hub_has_are_told(home, tiny, monkeypatch):
    monkeypatch.setattr(dry_run, "initial_weights", lambda spec, hub: None)
    spec = tiny(epochs=1, model="resnet18", model_options={"width": 0.125}, image_size=32)
    monkeypatch.setattr(dry_run, "check_names", lambda spec: spec.judge)
    lines = list(describe_run(spec.model_copy(update={"weights": "imagenet"}), Store(), steps=1))
    assert "weights     imagenet, not on this machine: a hub is asked for them" in lines


def test_a_student_is_measured_without_asking_its_teachers(finished):
    spec, record, store = finished
    student = spec.model_copy(
        update={"method": "distill", "method_options": {"teachers": [record.run_id]}, "epochs": 2}
    )
    assert "2 epochs of" in list(describe_run(student, store))[-1]
    other = student.model_copy(update={"dataset_options": {**spec.dataset_options, "n_train": 77}})
    with pytest.raises(SpecError, match="another copy or fold"):
        list(describe_run(other, store))


def test_a_cross_validation_is_the_whole_of_it_and_done_when_every_fold_is(home, tiny):
    base = tiny(epochs=1)
    spec = base.model_copy(update={"dataset_options": {**base.dataset_options, "folds": 2}})
    folds = fold_specs(spec)
    lines = list(describe_run(spec, Store(), steps=1, folds=folds))
    assert lines[0].startswith(f"run         {spec.run_id()} in protocol")
    assert (
        build(yaml.safe_load("\n".join(line[2:] for line in lines[2:] if line.startswith("  ")))).run_id()
        == spec.run_id()
    )
    assert " for 2 folds: " in lines[-1]
    run(folds[0])
    assert " for 1 of 2 folds, the others are done: " in list(describe_run(spec, Store(), steps=1, folds=folds))[-1]
    run(folds[1])
    assert list(describe_run(spec, Store(), steps=1, folds=folds))[-1].endswith(
        "all 2 folds: done, nothing would be trained"
    )


def test_the_work_of_a_run(tiny):
    counts = {"train": 100, "validation": 60, "test": 61}
    assert work_of(tiny(epochs=3, batch_size=32), counts, 20) == Work(3, 4, 3, 7)
    assert work_of(tiny(epochs=3, tta=5), counts, 20).last_batches == 35
    assert work_of(tiny(epochs=3, tta=1, tta_kind="ten_crop"), counts, 20).last_batches == 70
    assert work_of(tiny(epochs=3, tta=1, tta_kind="five_crop"), counts, 20).last_batches == 35
    assert work_of(tiny(epochs=3, steps_per_epoch=2), counts, 20, epochs_done=1) == Work(2, 2, 3, 7)
    assert Work(2, 10, 5, 7).seconds(Pace(0.5, 0.1)) == pytest.approx(2 * (10 * 0.5 + 5 * 0.1) + 0.7)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.123, "0.12 s"), (59, "59 s"), (61, "1 min"), (7000, "117 min"), (7300, "2 h"), (180000, "2.1 days")],
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
