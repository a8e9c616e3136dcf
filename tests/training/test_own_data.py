"""Runs on data that users bring: their records are understood where neither the data nor the command that named the
classes are."""

from __future__ import annotations

import shutil

import pytest

from fer_bench.deploy.predict import predict_files
from fer_bench.ensembles.build import build_ensemble
from fer_bench.leaderboard.compare import compare
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.protocols import protocol_named, tasks
from fer_bench.report.page import report
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training.evaluate import evaluate
from fer_bench.training.run import run
from tests.fakes import write_class_folders

FOUR = ("bored", "disgust", "engaged", "surprise")
NUMBERS = {1: "surprise", 2: "bored", 3: "engaged", 4: "disgust"}


def write_splits(folder, names):
    for seed, (split, n) in enumerate((("train", 8), ("validation", 3), ("test", 4))):
        write_class_folders(folder / split, n, names=names, seed=seed)


def spec_of(folder, dataset="folder:four", classes=FOUR, **settings):
    return RunSpec(
        dataset=dataset,
        dataset_options={"classes": list(classes) if isinstance(classes, tuple) else classes},
        model_options={"width": 8},
        image_size=48,
        epochs=1,
        batch_size=16,
        precision="32-true",
        execution={"data_dir": str(folder), "accelerator": "cpu"},
        **settings,
    )


@pytest.fixture
def forget(monkeypatch):
    return lambda: monkeypatch.setattr(tasks, "_OWN", {})


def test_a_run_of_own_classes_is_verified_shown_and_used_without_its_data(home, forget):
    write_splits(home / "data" / "four", FOUR)
    specs = [spec_of(home / "data", seed=seed) for seed in (0, 1)]
    ids = [run(spec).run_id for spec in specs]
    images = home / "images"
    shutil.copytree(home / "data" / "four" / "test" / "bored", images)
    shutil.rmtree(home / "data")
    name = specs[0].protocol
    forget()
    store = Store()
    render_all(store)
    forget()
    assert verify(store).ok
    assert render_all(store, check=True) == []
    page = (store.root / f"{name}.md").read_text()
    assert "4 classes: bored, disgust, engaged, surprise." in page
    for record in store.records():
        assert str(home) not in record.to_json()
    forget()
    assert compare(store, *ids)
    assert report(store, ids[0], home / "report").is_file()
    forget()
    rows = predict_files(store, ids[0], [images], "cpu")
    assert [row.names for row in rows] == [FOUR] * 4
    forget()
    ensemble = build_ensemble(store, protocol_named(name, "folder:four", next(store.records()).task))
    forget()
    assert Store().get(ensemble.run_id).data["classes"] == store.get(ids[0]).data["classes"]
    forget()
    assert verify(Store()).n_verified == 3


def test_a_folder_that_is_test_and_validation_is_said_to_be(home):
    folder = home / "data" / "four"
    write_class_folders(folder / "train", 8, names=FOUR, seed=0)
    write_class_folders(folder / "test", 4, names=FOUR, seed=1)
    shutil.copytree(folder / "test", folder / "validation")
    record = run(spec_of(home / "data"))
    assert record.caveats == ["selected on test"]
    store = Store()
    render_all(store)
    page = (store.root / f"{record.protocol}.md").read_text()
    assert "16 test samples, of which 16 have a near-duplicate in another split." in page


def test_networks_meet_the_classes_of_another_folder_by_their_names(home, forget):
    write_splits(home / "data" / "four", FOUR)
    write_splits(home / "data" / "numbers", [str(i) for i in NUMBERS])
    write_splits(home / "data" / "three", ("bored", "engaged", "asleep"))
    trained = run(spec_of(home / "data"))
    execution = spec_of(home / "data").execution
    same = evaluate(Store(), trained.run_id, "folder:numbers", None, execution, {"classes": NUMBERS})
    assert (same.task, same.n_scored) == (trained.task, 16)
    shared = evaluate(
        Store(), trained.run_id, "folder:three", None, execution, {"classes": ["bored", "engaged", "asleep"]}
    )
    assert shared.task.endswith(f"-via-{trained.task}")
    assert shared.n_scored == 8
    forget()
    assert verify(Store()).ok


def test_a_table_publishes_no_path_and_serves_another_run(home):
    write_splits(home / "data" / "four", FOUR)
    rows = [(p.relative_to(home / "data"), p.parent.name, p.parts[-3]) for p in sorted((home / "data").rglob("*.png"))]
    table = home / "data" / "faces.csv"
    table.write_text("image,label,split\n" + "".join(f"{image},{label},{split}\n" for image, label, split in rows))
    folder, record = run(spec_of(home / "data")), run(spec_of(home / "data", f"table:{table}"))
    assert (record.dataset, record.protocol) == ("table:faces", f"faces-{folder.task}")
    assert record.data["checksums"] == folder.data["checksums"]
    assert str(home) not in record.to_json()
    assert all(str(home) not in identifier for identifier in Store().predictions(record).ids)
    across = evaluate(Store(), folder.run_id, f"table:{table}", None, folder_execution(home), {"classes": list(FOUR)})
    assert (across.dataset, across.run_id) == ("table:faces", f"{folder.run_id}-on-faces")
    assert str(home) not in across.to_json()
    assert verify(Store()).ok


def folder_execution(home):
    return spec_of(home / "data").execution


def test_runs_at_several_sizes_are_of_one_copy(home):
    write_splits(home / "data" / "four", FOUR)
    records = [run(spec_of(home / "data").model_copy(update={"image_size": size})) for size in (48, 64)]
    assert records[0].data["checksums"] == records[1].data["checksums"]
    assert [record.data["image_size"] for record in records] == [48, 64]


def test_the_score_that_is_logged_is_the_records_where_validation_lacks_classes(home):
    write_splits(home / "data" / "four", FOUR)
    shutil.rmtree(home / "data" / "four" / "validation" / "bored")
    record = run(spec_of(home / "data").model_copy(update={"epochs": 2}))
    best = record.training["best_epoch"] - 1
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1"):
        assert record.training["curves"][f"validation/{name}"][best] == pytest.approx(
            record.validation_metrics[name], abs=1e-6
        )
    assert any("validation has no sample of bored" in note for note in record.data["notes"])
