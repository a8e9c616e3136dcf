"""Several labels from training to board: a run on a small copy in EMOTIC's CSVs, and what reads its record."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fer_bench.deploy.predict import predict_files, write_table
from fer_bench.ensembles.build import build_ensemble
from fer_bench.errors import SpecError
from fer_bench.leaderboard.compare import compare
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import PROTOCOLS
from fer_bench.protocols.tasks import EMOTIC26
from fer_bench.report.page import report
from fer_bench.results.store import Store
from fer_bench.scoring.record import scored
from fer_bench.spec import build
from fer_bench.studies.by_group import score_by
from fer_bench.submissions.submit import Statement, submit
from fer_bench.training.run import run
from fer_bench.training.train_accuracy import score_on_train
from tests.datasets.fakes_emotic import write_copy

PROTOCOL = PROTOCOLS["emotic-emotic26"]


def set_places(patch, home):
    for name, place in (("CACHE", "cache"), ("RUNS", "runs"), ("LEADERBOARDS", "boards"), ("DATA", "data")):
        patch.setenv(f"FER_BENCH_{name}", str(home / place))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders with one run, and a second seed that is the first with noise."""
    home = tmp_path_factory.mktemp("labels")
    (home / "data" / "emotic").mkdir(parents=True)
    write_copy(home / "data" / "emotic")
    with pytest.MonkeyPatch.context() as patch:
        set_places(patch, home)
        spec = build(
            {
                "dataset": "emotic",
                "task": "emotic26",
                "model_options": {"width": 4},
                "image_size": 32,
                "epochs": 2,
                "batch_size": 16,
                "loss": "bce",
                "class_weights": "balanced",
                "mixup": 0.2,
                "precision": "32-true",
                "execution": {"accelerator": "cpu", "workers": 0},
            }
        )
        store = Store()
        record = run(spec, store)
        splits = {split: store.predictions(record, split) for split in ("test", "validation")}
        noise = np.random.default_rng(1)
        other = {
            split: Predictions(p.ids, p.targets, noise.random(p.outputs.shape).astype(np.float32), p.flags, p.groups)
            for split, p in splits.items()
        }
        draft = record.model_copy(update={"run_id": "other-s0", "row": "other", "recipe": "other"})
        store.put(scored(draft, PROTOCOL, other), other)
    return store, record, home


@pytest.fixture
def trained(made, monkeypatch):
    set_places(monkeypatch, made[2])
    return made


def test_the_record_holds_average_precision_and_no_outcomes(trained):
    _, record, _ = trained
    assert record.protocol == "emotic-emotic26"
    assert 0 < record.metrics["map"] < 1
    assert len(record.metrics["average_precision"]) == 26
    assert record.metrics["n_groups"] == 7
    assert record.outcomes == ""
    assert record.training["selected_by"] == "validation/map"
    assert {"validation/map", "train/loss"} <= record.training["curves"].keys()
    assert record.n_scored == 14


@pytest.mark.draws
def test_it_is_ranked_and_reported(trained):
    store, record, home = trained
    render_all(store)
    page = (store.root / "emotic-emotic26.md").read_text()
    assert "| mAP % |" in page
    assert "| Mean ROC AUC % |" in page
    assert "## By category" in page
    assert "doubt/confusion" in page
    assert "Rows were compared" in page
    assert compare(store, record.run_id, "other-s0").metric == "map"
    html = report(store, record.run_id, home / "report").read_text()
    assert "By category, on test" in html
    assert score_by(store, record.run_id, "group").scores.metric == "map"


def test_a_changed_number_is_a_difference(trained, tmp_path):
    store, record, _ = trained
    path = store.path(record.protocol, record.model, record.run_id)
    content = path.read_text()
    changed = json.loads(content)
    changed["metrics"]["average_precision"][3] = 0.5
    path.write_text(json.dumps(changed))
    try:
        found = verify(store)
    finally:
        path.write_text(content)
    assert any("average_precision" in str(difference) for difference in found.differences)


def test_ensembles_are_means_of_probabilities(trained):
    store, _, _ = trained
    joint = build_ensemble(store, PROTOCOL, rule="mean")
    assert joint.recipe == "mean of probabilities, all 2"
    members = [store.get(entry["run_id"]) for entry in joint.training["members"]]
    expected = np.mean([store.predictions(member).outputs for member in members], axis=0)
    assert store.predictions(joint).outputs == pytest.approx(expected, abs=1e-6)
    weighted = build_ensemble(store, PROTOCOL, rule="weighted_mean")
    assert [entry["weight"] for entry in weighted.training["members"]] == pytest.approx(
        [entry["validation_map"] for entry in weighted.training["members"]]
    )
    for selection in ("stack", "mixture"):
        with pytest.raises(SpecError, match="has several labels"):
            build_ensemble(store, PROTOCOL, selection=selection)


def test_predictions_of_files_go_to_a_table_that_submit_reads(trained, tmp_path):
    store, record, home = trained
    folder = home / "data" / "emotic" / "emotic" / "test"
    rows = predict_files(store, record.run_id, [folder], "cpu")
    assert rows[0].line().count(",") == 4
    assert rows[0].label == ""
    write_table(rows, tmp_path / "rows.csv")
    test = store.predictions(record)
    lines = ["id," + ",".join(EMOTIC26)]
    lines += [f"{i}," + ",".join(f"{v:.7f}" for v in row) for i, row in zip(test.ids, test.outputs, strict=True)]
    file = tmp_path / "answers.csv"
    file.write_text("\n".join(lines) + "\n")
    external = submit(store, [file], "emotic-emotic26", Statement("mine"))[0].record
    assert external.metrics["map"] == pytest.approx(record.metrics["map"], abs=1e-4)
    # With whatever else was made of the run by now.
    found = verify(store)
    assert found.n_verified >= 3
    assert found.ok


def test_the_score_on_training_images_is_refused(trained):
    store, record, _ = trained
    with pytest.raises(SpecError, match="predicts several labels"):
        score_on_train(store, record.run_id)
