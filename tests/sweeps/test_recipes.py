"""``--use`` and `fer-bench list recipes`, on the suites that ship."""

import functools
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.spec import build
from fer_bench.sweeps import recipes
from fer_bench.sweeps.recipes import slug, use_recipe
from fer_bench.sweeps.suite import read_suite
from tests.training.conftest import ROOT

SHIPPED = functools.cache(recipes.all_recipes)


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    monkeypatch.setattr(recipes, "all_recipes", SHIPPED)


def used(name, **flags):
    return build(use_recipe(name, flags))


@pytest.mark.parametrize("name", ["cnn_ensembles/paper", "paper"])
def test_the_recipe_of_a_network(name):
    (wanted,) = (spec for spec in read_suite(Path("cnn_ensembles")) if spec.model == "resnext101")
    assert used(name, model="resnext101") == wanted
    assert used(name, model="resnext101", seed=4).run_id() == wanted.digest() + "-s4"
    assert used(name, model="resnext101", epochs=2).epochs == 2


def test_every_recipe_is_found_by_its_digest():
    for one in SHIPPED():
        assert used(one.spec.digest(), seed=one.spec.seed).digest() == one.spec.digest()


def test_a_network_that_the_suite_does_not_have_takes_the_settings_without_the_other_networks_options():
    spec = used("cnn_ensembles/paper", model="timm:tf_efficientnet_lite0")
    assert (spec.model, spec.lr, spec.epochs, spec.image_size, spec.weights) == (
        "timm:tf_efficientnet_lite0",
        0.01,
        30,
        224,
        "imagenet",
    )
    spec = used("ca26c1c2ef", model="shufflenet_v2")
    assert (spec.model_options, spec.lr, spec.tta) == ({}, 0.1, 0)
    # Of networks that were trained for 60 and 70 epochs, which is meant?
    with pytest.raises(SpecError, match="different recipes have this name"):
        used("fer2013_scratch_gpu/scratch-strong-augmentation-sgd", model="shufflenet_v2")


def test_another_dataset_brings_its_task_and_options():
    spec = used("five_layer_cnn/report", dataset="ferplus")
    assert (spec.dataset, spec.task, spec.batch_size, spec.class_weights) == ("ferplus", "fer8", 32, "balanced")


def test_one_option_of_another_dataset_leaves_its_others():
    spec = used("fast", dataset="afew_va", dataset_options={"folds": 3})
    assert spec.dataset_options == {"folds": 3, "fold_by": "identity"}


def test_what_a_command_says_as_the_recipe_does_changes_nothing():
    for one in SHIPPED():
        neutral = {
            key: getattr(one.spec, key)
            for key in ("augment", "optimizer", "schedule", "loss", "model", "method", "dataset", "task")
        }
        assert used(one.spec.digest(), **neutral).digest() == one.spec.digest(), one


def test_a_setting_that_is_set_to_nothing_wins():
    assert used("ca26c1c2ef").image_size == 48
    assert used("ca26c1c2ef", image_size=None).image_size is None


def test_another_optimizer_leaves_the_rate_of_the_recipes_own():
    spec = used("ca26c1c2ef", optimizer="adamw")
    assert (spec.optimizer, spec.lr, spec.weight_decay, spec.optimizer_options, spec.recipe) == (
        "adamw",
        0.001,
        0.01,
        {},
        "",
    )
    assert used("ca26c1c2ef", optimizer="adamw", lr=0.003).lr == 0.003


def test_what_is_not_clear_is_asked():
    with pytest.raises(SpecError, match="different recipes have this name"):
        used("five_layer_cnn/report-grid")
    with pytest.raises(SpecError, match="Name the network with --model"):
        used("cnn_ensembles/paper")
    with pytest.raises(UnknownNameError, match=r"cnn_ensembles/papper"):
        used("cnn_ensembles/papper", model="resnet18")


def test_names_are_what_a_shell_takes():
    assert slug("One cycle, votes (2)") == "one-cycle-votes-2"
    assert all("/" in one.use and " " not in one.use for one in SHIPPED())


def test_the_list_shows_what_was_measured_best_on_validation_first(monkeypatch):
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(ROOT / "leaderboards"))
    lines = (
        CliRunner()
        .invoke(app, ["list", "recipes", "--dataset", "fer2013", "--model", "five_layer_cnn"], catch_exceptions=False)
        .output.splitlines()
    )
    assert lines[0].split()[0] == "five_layer_cnn/one-cycle-small-batches"
    assert "test 69.58 (3 seeds)" in lines[0]
    shown = [float(line.partition("validation ")[2].partition(",")[0]) for line in lines if "validation" in line]
    assert shown == sorted(shown, reverse=True)
    assert sum("fer2013_scratch" in line for line in lines) == 0


def test_values_are_listed_in_their_own_units_and_folds_with_what_they_measured(monkeypatch):
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(ROOT / "leaderboards"))
    lines = dict(recipes.listed("synthfaces", "five_layer_cnn"))
    assert "validation 0.313, test 0.209 (2 seeds)" in next(about for about in lines.values() if "task va " in about)
    folds = [about for use, about in recipes.listed("synthfaces", "five_layer_cnn") if use == "synthfaces_folds/folds"]
    assert [about.rpartition("  ")[2] for about in folds] == ["test 0.451", "test 0.658"]


MINE = """
defaults: {dataset: synthfaces, epochs: 1}
runs:
  - {recipe: "Smoothed, a bit", grid: {label_smoothing: [0.05, 0.1]}}
  - {model: resnet18}
  - {recipe: Plain}
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def test_recipes_of_a_suites_file(mine):
    (wanted,) = (spec for spec in read_suite(mine) if spec.recipe == "Plain")
    assert used(f"{mine}/plain") == used(f"{mine}/{wanted.digest()}") == wanted
    with pytest.raises(UnknownNameError, match=r"mine\.yaml/plan'.* Did you mean '.*mine\.yaml/plain'"):
        used(f"{mine}/plan")


def test_a_recipe_without_a_name_is_called_like_its_network(mine, monkeypatch):
    monkeypatch.setattr(recipes, "all_recipes", lambda: recipes.recipes_of(mine))
    assert "mine/resnet18" in [use for use, _ in recipes.listed()]
    assert used("mine/resnet18").model == used("resnet18").model == "resnet18"


def test_a_suites_file_that_is_not_there_is_said(mine):
    with pytest.raises(SpecError, match=r"there is no suite .*suites/mine\.yaml"):
        used(f"suites/{mine.name}/plain")


@pytest.mark.parametrize("name", ["", "/", "fast/", " "])
def test_nothing_is_the_name_of_no_recipe(name):
    with pytest.raises(UnknownNameError, match="unknown recipe"):
        used(name)


def test_letters_and_signs_of_a_name_do_not_matter():
    assert used("five_layer_cnn/One cycle; small batches") == used("five_layer_cnn/one-cycle-small-batches")


def test_recipes_of_one_name_are_told_apart(mine, monkeypatch):
    with pytest.raises(SpecError, match=r"label_smoothing 0\.05; [0-9a-f]{10}: five_layer_cnn: label_smoothing 0\.1\."):
        used(f"{mine}/smoothed-a-bit")
    assert used(f"{mine}/smoothed-a-bit", label_smoothing=0.1).label_smoothing == 0.1
    monkeypatch.setattr(recipes, "all_recipes", lambda: recipes.recipes_of(mine))
    assert sum("five_layer_cnn: label_smoothing 0." in about for _, about in recipes.listed()) == 2
