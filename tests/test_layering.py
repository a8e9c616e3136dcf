"""Families of networks and sections of their settings; the layers themselves are tested in test_spec.py."""

from __future__ import annotations

import fnmatch

import pytest

from fer_bench import paths
from fer_bench.errors import SpecError
from fer_bench.layering import layered, wants_auto
from fer_bench.models.catalog import MODELS
from fer_bench.results.store import Store
from fer_bench.spec import build, read_yaml
from tests.training.conftest import ROOT

FAMILIES = """
families:
  - models: ["resnet*"]
    epochs: 40
    small_faces:
      weights: auto
      from_scratch: {lr: 0.1, optimizer: sgd, model_options: {stem: small, stem_stride: 2}}
      from_weights: {lr: 0.0001, image_size: 64}
      datasets: {ferplus: {label_smoothing: 0.25, from_scratch: {lr: 0.2}}}
  - models: [resnet18]
    small_faces: {from_scratch: {model_options: {stem_stride: 1}}}
"""


@pytest.fixture
def benchmarks(tmp_path, monkeypatch):
    folder = tmp_path / "benchmarks"
    (folder / "datasets").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "defaults.yaml").write_text("dataset: synthfaces\nmodel: five_layer_cnn\nepochs: 9\nlr: 0.001\n")
    for name in ("fer2013", "ferplus"):
        (folder / f"datasets/{name}.yaml").write_text("augment: flip\n")
    (folder / "models/families.yaml").write_text(FAMILIES)
    monkeypatch.setenv("FER_BENCH_HOME", str(tmp_path))
    return folder


def spec_of(auto="none", **flags):
    return build(layered(flags, auto=auto))


def test_a_family_is_known_by_the_names_of_its_networks(benchmarks):
    assert spec_of(model="resnet50").epochs == 40
    assert spec_of(model="vgg16").epochs == 9


def test_small_faces_by_the_weights_that_training_begins_with(benchmarks):
    scratch = spec_of(dataset="fer2013", model="resnet50")
    assert (scratch.weights, scratch.lr, scratch.optimizer, scratch.image_size) == ("none", 0.1, "sgd", None)
    assert scratch.model_options == {"stem": "small", "stem_stride": 2}
    tuned = spec_of("imagenet", dataset="fer2013", model="resnet50")
    assert (tuned.weights, tuned.lr, tuned.optimizer, tuned.image_size, tuned.model_options) == (
        "imagenet",
        0.0001,
        "adamw",
        64,
        {},
    )
    # Said by hand, it counts as much.
    assert spec_of(dataset="fer2013", model="resnet50", weights="imagenet") == tuned
    assert spec_of("imagenet", dataset="fer2013", model="resnet50", weights="none") == scratch
    # Photographs are no small faces.
    assert spec_of(dataset="findingemo", task="emo8", model="resnet50").lr == 0.001


def test_a_user_says_it_of_folders(benchmarks):
    assert spec_of(dataset="folder:mine", model="resnet50").lr == 0.001
    (benchmarks / "datasets/folder.yaml").write_text("small_faces: true\n")
    assert spec_of(dataset="folder:mine", model="resnet50").lr == 0.1


def test_later_families_add_to_earlier_ones_and_datasets_to_both(benchmarks):
    assert spec_of(dataset="fer2013", model="resnet18").model_options == {"stem": "small", "stem_stride": 1}
    plus = spec_of(dataset="ferplus", model="resnet18")
    assert (plus.task, plus.lr, plus.label_smoothing) == ("fer8", 0.2, 0.25)
    assert spec_of(dataset="ferplus", model="resnet18", lr=0.3).lr == 0.3


def test_weights_are_left_open_only_where_nobody_says_them(benchmarks):
    assert wants_auto({"dataset": "fer2013", "model": "resnet18"})
    assert wants_auto({"dataset": "synthfaces", "weights": "auto"})
    assert not wants_auto({"dataset": "fer2013", "model": "resnet18", "weights": "none"})
    assert not wants_auto({"dataset": "fer2013", "model": "five_layer_cnn"})
    with pytest.raises(SpecError, match="weights = 'auto'"):
        build({"weights": "auto"}, "a suite")


def test_another_optimiser_does_not_inherit_a_rate(benchmarks):
    spec = spec_of(dataset="fer2013", model="resnet50", optimizer="adamw")
    assert (spec.lr, spec.optimizer_options, spec.model_options["stem"]) == (0.001, {}, "small")
    assert spec_of(dataset="fer2013", model="resnet50", optimizer="sgd").lr == 0.1


@pytest.mark.parametrize(
    ("families", "says"),
    [
        ("families: {a: 1}", "'families' must be a list"),
        ("families: [{epochs: 1}]", "'families' must be a list"),
        ('families: [{models: ["resnet*"], from_scratch: 3}]', "'from_scratch' must hold settings"),
        (
            'families: [{models: ["resnet*"], datasets: {synthfaces: 3}}]',
            "'datasets' must hold settings, one mapping of them per dataset",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_file(benchmarks, families, says):
    (benchmarks / "models/families.yaml").write_text(families)
    with pytest.raises(SpecError, match=says) as error:
        spec_of(model="resnet18")
    assert "families.yaml" in error.value.problem


def test_every_shipped_pattern_matches_a_network():
    for family in read_yaml(ROOT / "benchmarks/models/families.yaml")["families"]:
        for pattern in family["models"]:
            assert pattern.startswith("timm:") or fnmatch.filter(list(MODELS), pattern), pattern


def test_what_the_bare_command_trains_on_fer2013_has_a_committed_row(monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(ROOT / "leaderboards"))
    assert paths.leaderboards_dir() == ROOT / "leaderboards"
    measured = (
        "five_layer_cnn",
        "autoencoder",
        "oriented_gradients",
        "resnet18",
        "resnet34",
        "resnet50",
        "densenet121",
        "vgg13_bn",
        "vgg16_bn",
        "vgg19_bn",
        "timm:tf_efficientnet_lite0",
    )
    for model in measured:
        spec = spec_of(dataset="fer2013", model=model)
        assert Store().find(spec.protocol, model, spec.run_id()) is not None, model
    for model in ("five_layer_cnn", "timm:tf_efficientnet_lite0"):
        assert Store().find("ferplus-fer8", model, spec_of(dataset="ferplus", model=model).run_id()) is not None, model


def test_new_runs_augment_batch_by_batch_where_no_row_was_measured_otherwise(monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    assert spec_of().augment_on == "device"
    assert spec_of(dataset="folder:mine", model="timm:resnet18").augment_on == "device"
    for model in ("five_layer_cnn", "autoencoder", "oriented_gradients"):
        assert spec_of(dataset="fer2013", model=model).augment_on == "loader"
    for dataset in ("affectnet", "afew_va", "findingemo", "semaine", "synthscenes"):
        assert spec_of(dataset=dataset).augment_on == "loader"
    # What changes nothing has one identity.
    assert "augment_on" not in spec_of(augment="none").identity()
    assert spec_of(augment="none", augment_on="device").augment_on == "device"


def test_an_option_of_a_dataset_leaves_its_other_options(benchmarks):
    (benchmarks / "datasets/semaine.yaml").write_text("task: va\ndataset_options: {folds: 5, fold_by: identity}\n")
    assert layered({"dataset": "semaine", "dataset_options": {"merge": "ccc"}})["dataset_options"] == {
        "folds": 5,
        "fold_by": "identity",
        "merge": "ccc",
    }
    # Those of the default dataset mean nothing to another.
    (benchmarks / "defaults.yaml").write_text("dataset: semaine\n")
    assert layered({"dataset": "fer2013", "dataset_options": {"n": 1}})["dataset_options"] == {"n": 1}


def test_a_rate_is_for_one_optimizer_also_where_a_file_does_not_name_it(benchmarks):
    (benchmarks / "models/vgg16.yaml").write_text("{recipe: one cycle, lr: 0.03, weight_decay: 0.5, epochs: 3}\n")
    assert spec_of(model="vgg16").lr == 0.03
    assert spec_of(model="vgg16", optimizer="adamw").lr == 0.03
    other = spec_of(model="vgg16", optimizer="sgd")
    assert (other.lr, other.weight_decay, other.epochs, other.recipe) == (0.001, 0.01, 3, "")


def test_a_recipe_is_not_called_by_an_optimizer_that_it_does_not_have(benchmarks):
    (benchmarks / "models/resnet18.yaml").write_text("{recipe: scratch with SGD, optimizer: sgd, lr: 0.1}\n")
    assert spec_of(model="resnet18", lr=0.2).recipe == "scratch with SGD"
    assert spec_of(model="resnet18", optimizer="adamw").recipe == ""
    assert spec_of(model="resnet18", optimizer="adamw", recipe="mine").recipe == "mine"
