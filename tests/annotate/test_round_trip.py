"""From a dataset to annotators and back: pictures out, answers in, consensus, and a run judged by it beside its own
labels."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from fer_bench.annotate.answers import Answer
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import load_study
from fer_bench.cli.main import app
from fer_bench.errors import FerBenchError, SpecError
from fer_bench.labels import FER7
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import protocol_for
from fer_bench.results.begin import begin_record
from fer_bench.results.record import pack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.score import correct, score
from fer_bench.spec import RunSpec
from fer_bench.studies import reannotation
from fer_bench.studies.relabelled import score_relabelled

from .fakes import draw_face, run_verb

run = partial(run_verb, app)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven classes of drawn faces, the last of two numbers in each split's folders the same: names alone are not
    unique."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(tmp_path / "boards"))
    for split, count in (("train", 3), ("validation", 1), ("test", 3)):
        for label, name in enumerate(FER7.names):
            for number in range(count):
                path = tmp_path / "data" / "mine" / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_face(path, label / 6 - 0.5, seed=1000 * number + 10 * label + len(split), size=48)
    return tmp_path / "data"


def put_run(store: Store, ids: list[str], targets: list[int]) -> str:
    """A finished run that answers "angry" to everything."""
    spec = RunSpec(dataset="folder:mine", task="fer7")
    protocol = protocol_for(spec.dataset, spec.task)
    outputs = np.tile(np.array([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], dtype=np.float32), (len(ids), 1))
    predictions = Predictions(np.array(ids), np.array(targets), outputs)
    record = begin_record(spec, protocol, spec.run_id()).model_copy(
        update={
            "metrics": score(protocol, predictions),
            "validation_metrics": score(protocol, predictions),
            "n_scored": len(ids),
            "outcomes": pack_outcomes(correct(predictions)),
            "created": "2026-01-01T00:00:00+00:00",
            "data": {"checksums": {"test": "abc"}},
        }
    )
    store.put(record, {"test": predictions, "validation": predictions})
    return record.run_id


def test_out_to_annotators_and_back(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("crowdkit")
    monkeypatch.setattr(reannotation, "study_reannotation", partial(reannotation.study_reannotation, n_resamples=20))
    pictures = tmp_path / "study" / "images"
    arguments = ("annotate", "images", "folder:mine", "--task", "fer7", "--data-dir", dataset, "--out", pictures)
    assert "wrote 14 images" in run(*arguments, "--per-class", 2)
    with pytest.raises(FerBenchError, match="not an empty folder"):
        run(*arguments)
    with pytest.raises(SpecError, match="no classes"):
        run("annotate", "images", "synthfaces", "--task", "va", "--out", tmp_path / "va")
    written = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    assert len(written) == 14
    assert all(name.split("/")[0] == name.split("/")[2] for name in written)

    study = tmp_path / "study" / "study.yaml"
    content = {
        "name": "crowd",
        "version": "1",
        "title": "t",
        "images": {"folder": "images"},
        "form": {"categories": list(FER7.names), "valence": True},
    }
    study.write_text(yaml.safe_dump(content | {"consent": "c", "instructions": "i", "finished": "f"}))
    answers = AnswerStore(load_study(study), study.with_suffix(".sqlite3"))
    # Everybody takes "sad" for "angry", and else sees what the dataset says; one image is skipped by one rater.
    for _, token in answers.add_raters(["r1", "r2", "r3"]):
        rater = answers.rater(token)
        assert rater is not None
        answers.agree(rater).result()
        for position in range(14):
            slot = answers.slot(rater.rater_id, position)
            assert slot is not None
            label = answers.images[slot.item_id].label
            skipped = rater.name == "r1" and position == 0
            answer = Answer() if skipped else Answer(category="angry" if label == "sad" else label, valence=5)
            answers.save(slot, answer, "skipped" if skipped else "answered", 0, 1000).result()
    answers.close()
    run("annotate", "export", study, "--out", tmp_path / "answers.csv")
    run("study", "reannotation", tmp_path / "answers.csv", "--out", tmp_path / "page")
    with (tmp_path / "page" / "consensus.csv").open() as stream:
        consensus = {row["id"]: row["label"] for row in csv.DictReader(stream)}
    assert sorted(consensus) == written
    assert {label for name, label in consensus.items() if name.startswith("sad/")} == {"angry"}

    ids = [f"test/{name}/{number}.png" for name in FER7.names for number in range(3)]
    store = Store()
    reference = put_run(store, ids, [label for label in range(7) for _ in range(3)])
    assert "on 14 test samples" in run("evaluate", reference, "--labels", tmp_path / "page" / "consensus.csv")
    record = next(store.records("mine-fer7-labels-consensus"))
    # Always "angry": right on 2 of 14 by the dataset's labels, on 4 of 14 by the crowd's.
    assert record.metrics["accuracy"] == pytest.approx(4 / 14)
    assert record.data["judged_by"]["scores_by_own_labels"]["accuracy"] == pytest.approx(2 / 14)
    assert record.data["judged_by"]["agreement_with_own_labels"] == pytest.approx(12 / 14)
    assert verify(store).ok
    board = (tmp_path / "boards" / "mine-fer7-labels-consensus.md").read_text()
    assert "By the dataset's own labels %" in board
    assert "| **28.6** | [7.1,\u00a050.0] |" in board
    assert "other splits" not in board + (tmp_path / "boards" / "mine-fer7.md").read_text()
    with pytest.raises(SpecError, match="already"):
        score_relabelled(store, record.run_id, tmp_path / "page" / "consensus.csv")


def test_evaluate_wants_one_of_two() -> None:
    with pytest.raises(SpecError, match="needs one of --on, --labels, --train"):
        run("evaluate", "x")
