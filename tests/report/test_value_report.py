"""Pages and figures of rows that predict values."""

import io

import numpy as np
import pytest
from PIL import Image

from fer_bench.ensembles.build import build_ensemble
from fer_bench.report import figures, value_figures, values
from fer_bench.report.page import report
from fer_bench.results.store import Store
from fer_bench.scoring.regression import va_scores
from tests.ensembles.stored_values import PROTOCOL, fill, fill_folds

FIGURES = {"values_test", "circumplex", "error_by_region", "residuals", "clips"}
SCALE = (-1.0, 1.0)


def pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def test_a_page_of_values_has_every_figure(tmp_path):
    store = Store(tmp_path)
    made = fill(store, 2)[0]
    curves = {"train/loss": [1.0, 0.5], "validation/loss": [1.1, 0.7], "validation/ccc": [0.1, 0.3]}
    splits = {split: store.predictions(made, split) for split in ("validation", "test")}
    store.put(made.model_copy(update={"training": {"curves": curves, "best_epoch": 2}}), splits)
    page = report(store, made.run_id, tmp_path / "out")
    drawn = {file.stem for file in page.parent.glob("*.png")}
    assert drawn == FIGURES | {"values_validation", "learning_curves"}
    text = page.read_text()
    assert "Labels and predictions on the circumplex, test." in text
    assert "arrows lead from the mean label to the mean prediction" in text
    joint = build_ensemble(store, PROTOCOL)
    again = report(store, joint.run_id, tmp_path / "joint")
    assert {file.stem for file in again.parent.glob("*.png")} == FIGURES | {"values_validation", "members"}
    assert "CCC on validation" in again.read_text()


def test_a_cross_validation_shows_the_curves_of_its_folds(tmp_path):
    store = Store(tmp_path)
    whole = fill_folds(store, 1)[0]
    for number, name in enumerate(whole.data["folds"]):
        fold = store.get(name)
        splits = {split: store.predictions(fold, split) for split in ("validation", "test")}
        curves = {"train/loss": [1.0, 0.5 + number / 10], "validation/loss": [1.1, 0.7]}
        store.put(fold.model_copy(update={"training": {"curves": curves, "best_epoch": 2}}), splits)
    page = report(store, whole.run_id, tmp_path / "out")
    assert {file.stem for file in page.parent.glob("*.png")} == FIGURES | {"learning_curves"}
    assert "Learning curves, mean of 3 folds" in page.read_text()


@pytest.mark.draws
@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("valence",), (1,)),
        (("valence", "arousal"), (60,)),
        (("a", "b", "c"), (2,)),
        *(pytest.param(names, (1, 2, 60), marks=pytest.mark.proof) for names in (("v",), ("v", "w"), ("a", "b", "c"))),
    ],
)
def test_figures_are_drawn_for_any_number_of_values_and_of_samples(names, sizes):
    generator = np.random.default_rng(0)
    for n in sizes:
        truth = generator.uniform(-1, 1, size=(n, len(names)))
        found = truth + 0.3 * generator.normal(size=truth.shape)
        for draw in (value_figures.circumplex, value_figures.error_by_region, value_figures.residuals):
            png = draw(truth, found, names, SCALE, "test")
            assert pixels(png).std() > 5
            if n == 60 and len(names) == 2:
                assert draw(truth, found, names, SCALE, "test") == png


def test_samples_without_an_answer_are_left_out():
    truth, found = np.zeros((3, 2)), np.array([[0.1, 0.2], [np.nan, 0.3], [0.0, 0.0]])
    kept = value_figures.answered(truth, found)
    assert [len(values) for values in kept] == [2, 2]


def test_scores_in_figures_are_those_of_records():
    generator = np.random.default_rng(0)
    truth = generator.uniform(-1, 1, size=(40, 2))
    # Beyond the scale, and one sample without an answer.
    found = 3 * truth + generator.normal(size=truth.shape)
    found[3] = np.nan
    scores = va_scores(truth, found)
    assert values.scores_shown(truth, found, SCALE) == [scores[name]["ccc"] for name in ("valence", "arousal")]
    member = np.arange(40) // 10
    first = va_scores(truth[:10], found[:10])
    squares = [first[name]["rmse"] ** 2 for name in ("valence", "arousal")]
    assert value_figures.clip_errors(truth, found, member, SCALE)[0] == pytest.approx(np.sqrt(np.mean(squares)))


@pytest.mark.draws
def test_clips_are_in_the_order_of_frames_and_gaps_stay_gaps():
    ids = np.array([f"c/{i}" for i in (10, 2, 1, 9)])
    groups = np.array(["c"] * 4)
    truth = np.array([[0.9], [0.2], [0.1], [0.8]])
    found = truth.copy()
    in_order = value_figures.clip_traces(
        truth[[2, 1, 3, 0]], found[[2, 1, 3, 0]], ids[[2, 1, 3, 0]], groups, ("v",), SCALE, "x"
    )
    assert value_figures.clip_traces(truth, found, ids, groups, ("v",), SCALE, "x") == in_order
    found[1] = np.nan
    assert value_figures.clip_traces(truth, found, ids, groups, ("v",), SCALE, "x") != in_order
    assert value_figures.clip_traces(truth, found, ids, ids, ("v",), SCALE, "x") is None


@pytest.mark.draws
def test_a_loss_that_explodes_does_not_flatten_the_others():
    calm = {"train/loss": [1.0, 0.8, 0.5], "validation/loss": [1.1, 0.9, 0.8]}
    wild = calm | {"validation/loss": [1.1, 500.0, 0.8]}
    dark = [(pixels(figures.learning_curves([run], [3], ("loss",))) < 120).any(axis=2) for run in (calm, wild)]
    # The training curve takes a visible part of the panel's height in both.
    heights = [np.flatnonzero(each[:, 200:420].any(axis=1)) for each in dark]
    assert all(len(rows) > 30 for rows in heights)
