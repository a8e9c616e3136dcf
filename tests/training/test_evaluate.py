"""A network on other people's data: classes by name, values from scale to scale, a folded dataset as one test set."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.labels import FER7, FER8, LabelSet
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol, own_values
from fer_bench.results.store import Store
from fer_bench.scoring.mapping import apply_mapping, map_labels
from fer_bench.spec import Execution
from fer_bench.training import evaluate as evaluation
from fer_bench.training.evaluate import evaluate, rescale
from fer_bench.training.run import run
from fer_bench.value_sets import ValueSet
from tests.datasets.fakes_va import write_afew_va
from tests.leaderboard.fake_records import record


def test_outputs_are_renormalised_over_what_is_shared():
    shared = LabelSet("fer8-via-fer7", tuple(name for name in FER8.names if FER7.find(name) is not None))
    mapping = map_labels(FER7, FER8, shared)
    assert mapping.dropped_source == ()
    assert mapping.dropped_target == ("contempt",)
    outputs = np.zeros((3, 7), dtype=np.float32)
    outputs[0, FER7.index("happy")] = outputs[1, FER7.index("neutral")] = outputs[2, FER7.index("sad")] = 1
    targets = np.array([FER8.index("happiness"), FER8.index("contempt"), FER8.index("anger")])
    mapped = apply_mapping(mapping, Predictions(np.array(["a", "b", "c"]), targets, outputs))
    assert mapped.ids.tolist() == ["a", "c"]
    assert [shared.names[i] for i in mapped.targets.tolist()] == ["happiness", "anger"]
    assert [shared.names[i] for i in mapped.outputs.argmax(axis=1).tolist()] == ["happiness", "sadness"]
    np.testing.assert_allclose(mapped.outputs.sum(axis=1), 1, rtol=1e-6)


def test_values_go_from_scale_to_scale():
    predictions = Predictions(
        np.array(["a", "b", "c"]), np.zeros((3, 2)), np.array([[-1, 0], [0.5, 1], [np.nan, 2]], dtype=np.float32)
    )
    outputs = rescale(predictions, (-1, 1), (-10, 10)).outputs
    np.testing.assert_allclose(outputs, [[-10, 0], [5, 10], [np.nan, 20]])
    np.testing.assert_allclose(rescale(predictions, (-1, 1), (0, 1)).outputs[:2], [[0, 0.5], [0.75, 1]])


def test_valence_and_arousal_on_a_dataset_of_folds(home, tiny):
    write_afew_va(home / "data" / "afew_va", clips=12, frames=3, actors=6)
    store = Store()
    source = run(tiny(task="va", loss="mse", epochs=1), store)
    record = evaluate(
        store, source.run_id, "afew_va", execution=Execution(data_dir=str(home / "data"), accelerator="cpu")
    )
    assert record.protocol == "afew_va-va"
    assert record.n_scored == 36, "every frame is tested: none was trained on"
    predictions = store.predictions(record)
    assert sorted(predictions.ids.tolist()) == predictions.ids.tolist()
    assert np.abs(predictions.targets).max() > 1, "targets are in AFEW-VA's units"
    assert predictions.groups is not None
    assert len(np.unique(predictions.groups)) == 12, "intervals resample clips"
    assert any("-1..1 to -10..10" in note for note in record.notes)
    # The network's own outputs are within a few units of -1..1; carried over they are ten times that.
    assert np.isclose(record.metrics["valence"]["rmse"], 10 * record.metrics["valence"]["rmse_scaled"])
    assert verify(store).ok


def write_class_folders(root):
    generator = np.random.default_rng(0)
    for split, count in (("train", 2), ("validation", 1), ("test", 3)):
        for name in FER7.names:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                cv2.imwrite(str(folder / f"{number}.png"), generator.integers(0, 255, (48, 48), dtype=np.uint8))


def test_classes_on_a_folder_of_images(finished, home):
    _, source, store = finished
    write_class_folders(home / "data" / "ck")
    record = evaluate(
        store, source.run_id, "folder:ck", execution=Execution(data_dir=str(home / "data"), accelerator="cpu")
    )
    assert (record.protocol, record.n_scored, record.kind) == ("ck-fer7", 21, "evaluated")
    assert record.run_id == f"{source.run_id}-on-ck"
    assert verify(store).ok


def test_on_its_own_dataset_a_run_has_been_tested_already(finished):
    _, source, store = finished
    assert evaluate(store, source.run_id, "synthfaces") == source
    assert len(store.files()) == 1
    other = evaluate(store, source.run_id, "synthfaces", task="fer8", execution=Execution(accelerator="cpu"))
    assert (other.protocol, other.kind) == ("synthfaces-fer8-via-fer7", "evaluated")


def test_what_a_network_began_with_may_not_be_tested_either(finished, home, tiny):
    _, first, store = finished
    write_class_folders(home / "data" / "ck")
    execution = Execution(data_dir=str(home / "data"), accelerator="cpu")
    grown = run(
        tiny(
            dataset="folder:ck",
            dataset_options={},
            weights=f"run:{first.run_id}",
            epochs=1,
            execution={"data_dir": str(home / "data")},
        ),
        store,
    )
    same = evaluate(store, grown.run_id, "synthfaces", execution=execution, options=first.spec["dataset_options"])
    assert same.kind == "evaluated"
    other = first.spec["dataset_options"] | {"n_train": 72}
    with pytest.raises(SpecError, match=f"run {first.run_id} was trained on another copy or fold of synthfaces"):
        evaluate(store, grown.run_id, "synthfaces", execution=execution, options=other)


def test_one_dimension_of_a_network_of_two(home, tiny):
    store = Store()
    source = run(tiny(task="va", loss="mse", epochs=1), store)
    record = evaluate(store, source.run_id, "synthfaces", task="valence", execution=Execution(accelerator="cpu"))
    assert record.protocol == "synthfaces-valence"
    assert record.metrics["valence"] == source.metrics["valence"]
    assert verify(store).ok


@pytest.mark.parametrize(
    ("primary", "scores", "best"),
    [("rmse", {"a": 0.5, "b": 0.2}, "b"), ("ccc", {"a": None, "b": -0.1}, "b"), ("ccc", {"a": 0.3, "b": 0.1}, "a")],
)
def test_of_a_cross_validation_the_fold_that_is_best_in_the_metrics_own_direction(monkeypatch, primary, scores, best):
    folds = {name: record(row=name, run_id=name, validation_metrics={primary: v}) for name, v in scores.items()}
    task = own_values(ValueSet(("pain",), primary=primary))
    monkeypatch.setattr(evaluation, "protocol_for", lambda dataset, task_name: Protocol(dataset, task))
    whole = record(data={"folds": list(folds)})
    assert evaluation._best_fold(SimpleNamespace(get=folds.__getitem__), whole).run_id == best


def test_what_does_not_go_together(finished):
    _, source, store = finished
    with pytest.raises(UnknownNameError, match="synthfases"):
        evaluate(store, source.run_id, "synthfases")
    with pytest.raises(SpecError, match="only label sets can be mapped"):
        evaluate(store, source.run_id, "afew_va", task="va")
