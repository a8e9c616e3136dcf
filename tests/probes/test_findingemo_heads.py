"""FindingEmo from its published layout to its boards: heads on the clean split and on the paper's, and their scores by
what annotators said."""

import json

import cv2
import numpy as np
import pytest
from torch import nn

import fer_bench.probes.grid as grid_module
import fer_bench.probes.streams as streams_module
from fer_bench.datasets.findingemo.module import FindingEmoDataModule
from fer_bench.ensembles.build import build_ensemble
from fer_bench.errors import SpecError
from fer_bench.leaderboard.render import render
from fer_bench.leaderboard.verify import verify
from fer_bench.probes.backbones import Backbone
from fer_bench.probes.grid import run_grid
from fer_bench.probes.settings import build_probe
from fer_bench.protocols import PROTOCOLS, protocol_for
from fer_bench.results.protocol import protocol_of
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec
from fer_bench.studies.by_group import score_by
from tests.datasets import findingemo_lines

HEADER, FIRST = findingemo_lines.ANNOTATIONS.splitlines()[:2]
EMOTIONS = ["Joy", "Trust", "Terror", "Surprise", "Grief", "Boredom", "Anger", "Interest"]
FRAME = {"width": 40, "height": 30}
PAPER = {**FRAME, "split": "paper"}


@pytest.fixture
def copy(tmp_path):
    """Twenty photographs of each emotion in the published layout, by lines made after a published one."""
    root, lines = tmp_path / "data/findingemo", [HEADER]
    generator = np.random.default_rng(0)
    for i in range(160):
        path, factors = f"Run_{i % 2 + 1}/Happy adults party {i % 3}/img{i}.png", ("Context", '"BodyLanguage,Staging"')
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((30, 50, 3), 20 + 25 * (i % 8), dtype=np.uint8)
        cv2.imwrite(str(root / path), picture + generator.integers(0, 20, picture.shape, dtype=np.uint8))
        cells = FIRST.split(",")
        user, valence, arousal = cells[1], i % 7 - 3, i % 7
        ages = '"Children,Adults"' if i % 4 else "Undefined"
        lines.append(
            f"{i},{user},/{path},Undefined,{ages},{valence},{arousal},{EMOTIONS[i % 8]},{factors[i % 2]},{i % 5},"
            "2023-09-01 00:00:00.000000"
        )
    (root / "annotations_single.ann").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root.parent


@pytest.fixture
def seen(monkeypatch):
    """How many batches the backbone, the mean of a picture, was given."""
    batches = []

    class Mean(nn.Module):
        def forward(self, images):
            batches.append(len(images))
            return nn.functional.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), (2, 2)).flatten(1) / 64

    monkeypatch.setattr(streams_module, "build_backbone", lambda name, **_: Backbone(name, Mean(), name, "mean", 10))
    monkeypatch.setattr(grid_module, "full_name", lambda stream, store: stream)
    return batches


def heads(options, **more):
    settings = {"dataset": "findingemo", "task": "emo8", "dataset_options": options, "streams": ("features:resnet18",)}
    grid = {"lr": (0.1, 0.01), "loss": ("cross_entropy",), "seeds": (0,), "max_epochs": 8, "standardise": True}
    return build_probe({**settings, **grid, **more})


def test_the_papers_split_selects_on_test(copy):
    clean, paper = (
        FindingEmoDataModule("emo8", data_dir=str(copy), options=options).read_samples for options in (FRAME, PAPER)
    )
    assert [len(paper.where(split)) for split in ("train", "validation", "test")] == [128, 32, 32]
    assert (paper.where("validation") == paper.where("test")).all()
    assert (paper.where("test") == clean.where("test")).all(), "the test images are those of the clean split"
    assert set(paper.where("train")) == set(clean.where("train")) | set(clean.where("validation"))
    assert "split 80/20, stopping and choosing on test, per Emo8 class, seed 0" in paper.notes
    assert paper.checksums["validation"] == paper.checksums["test"] == clean.checksums["test"]
    # Folds replace either split.
    folds = {**PAPER, "fold": 0, "folds": 4, "fold_by": "frame"}
    cut = FindingEmoDataModule("emo8", data_dir=str(copy), options=folds).read_samples
    assert not set(cut.where("validation")) & set(cut.where("test"))


def test_options_say_which_protocol_is_meant():
    paper = protocol_for("findingemo", "emo8", options=PAPER)
    assert paper is PROTOCOLS["findingemo-emo8-paper"]
    assert (paper.caveats, paper.plain_name) == (("selected on test",), "findingemo-emo8")
    assert protocol_for("findingemo", "emo8", options=FRAME).name == "findingemo-emo8"
    assert protocol_for("findingemo", "emo8", "frame", PAPER).name == "findingemo-emo8-frames"
    spec = RunSpec(dataset="findingemo", task="valence3", dataset_options=PAPER)
    assert spec.protocol == "findingemo-valence3-paper"
    assert heads(PAPER).protocol == "findingemo-emo8-paper"
    values = heads(PAPER, task="va", loss=("ridge",)).judge
    assert (values.name, values.caveats, values.scale) == ("findingemo-va-paper", ("selected on test",), (-3.0, 3.0))


def test_both_splits_side_by_side(copy, seen, tmp_path):
    store = Store(tmp_path / "leaderboards")
    clean = run_grid(heads(FRAME), store, data_dir=str(copy))
    computed = len(seen)
    paper = run_grid(heads(PAPER), store, data_dir=str(copy))
    assert len(seen) - computed <= 1, "features serve both splits; one blank picture is tried"
    assert all("selected on test" in record.caveats for record in paper)
    assert all(record.validation_metrics["weighted_f1"] == record.metrics["weighted_f1"] for record in paper)
    (chosen,) = (record for record in paper if record.ranked)
    assert chosen.recipe == "linear probe, chosen on test"
    assert protocol_of(chosen) is PROTOCOLS["findingemo-emo8-paper"]
    assert {record.protocol for record in clean} == {"findingemo-emo8"}
    assert verify(store).ok
    with pytest.raises(SpecError, match="trained on validation, which is the test set"):
        build_ensemble(store, protocol_of(chosen), selection="stack")

    pages = {path.stem: text for path, text in render(store).items()}
    plain, other = pages["findingemo-emo8"], pages["findingemo-emo8-paper"]
    ranking = plain.partition("## By class")[0]
    assert chosen.run_id not in ranking, "what was selected on test is not ranked as clean"
    assert "**selected on test**" in other
    assert "[FindingEmo, eight emotions, the paper's split](findingemo-emo8-paper.md) (**selected on test**)" in plain
    assert plain.partition("## Under other splits")[2].count("linear probe, chosen on validation") >= 1


def test_values_and_classes_of_both_splits_share_the_features(copy, seen, tmp_path):
    store = Store(tmp_path / "leaderboards")
    run_grid(heads(FRAME), store, data_dir=str(copy))
    computed = len(seen)
    settings = heads(PAPER, task="va", loss=("ridge",), penalty=(0.1,))
    (record,) = run_grid(settings, store, data_dir=str(copy))
    assert len(seen) - computed <= 1, "one blank picture is tried"
    assert (record.protocol, record.caveats) == ("findingemo-va-paper", ["selected on test"])
    assert record.recipe == "linear probe, chosen on test"
    assert verify(store).ok


def test_heads_are_scored_on_what_they_were_trained_on(copy, seen, tmp_path, fer_bench):
    store = Store(tmp_path / "leaderboards")
    record = run_grid(heads(FRAME), store, data_dir=str(copy))[0]
    found = record.training["on_train"]
    assert (found["n"], np.sum(found["confusion"])) == (112, 112)
    assert found["accuracy"] == pytest.approx(np.trace(found["confusion"]) / 112)
    assert len(found["per_class"]["recall"]) == 8
    assert 0 < found["macro_ap"] <= 1
    page = next(text for path, text in render(store).items() if path.stem == "findingemo-emo8")
    assert "## On the training split" in page
    done = fer_bench("evaluate", record.run_id, "--train")
    assert (done.code, "on 112 training samples" in done.out) == (0, True)

    (path,) = store.grids()
    content = json.loads(path.read_text())
    content["records"][0]["training"]["on_train"]["weighted_f1"] = 0.99
    content["records"][1]["training"]["on_train"]["confusion"] = "none"
    path.write_text(json.dumps(content))
    keys = {difference.key for difference in verify(Store(store.root)).differences}
    assert keys == {"training.on_train.weighted_f1", "training.on_train.confusion"}


def test_scores_by_what_annotators_said(copy, seen, tmp_path, fer_bench):
    store = Store(tmp_path / "leaderboards")
    record = run_grid(heads(FRAME, lr=(0.1,)), store, data_dir=str(copy))[0]
    place = Execution(data_dir=str(copy))
    factors = score_by(store, record.run_id, "deciding_factor", place)
    count = {group.name: group.n for group in factors.scores.groups}
    assert count["body language"] == count["staging"] == 32 - count["context"]
    assert factors.scores.n == 32
    ages = {group.name: group.n for group in score_by(store, record.run_id, "age_group", place).scores.groups}
    assert ages["Adults"] == ages["Children"] == 32 - ages["(empty)"]
    assert [group.name for group in score_by(store, record.run_id, "ambiguity", place).scores.groups] == list("01234")
    rings = [group.name for group in score_by(store, record.run_id, "ring", place).scores.groups]
    assert rings == ["inner, most intense", "middle", "outer, least intense"]

    done = fer_bench("evaluate", record.run_id, "--by", "deciding_factor", "--data-dir", str(copy))
    assert (done.code, "on all 32 test samples" in done.out) == (0, True)
    assert "a sample with several is in the group of each" in done.out
    out = tmp_path / "report"
    asked = ["--by", "ring", "--data-dir", str(copy), "--out", str(out)]
    done = fer_bench("report", record.run_id, *asked)
    assert (done.code, done.err) == (0, "")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "By ring" in page
    assert (out / "by_1.png").is_file()
    done = fer_bench("report", "findingemo-emo8", "--by", "ring")
    assert (done.code, "is a protocol" in done.err) == (2, True)
