"""``weights: auto``: what it becomes, that it is said, and that a command given again stays with it."""

import json

import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.errors import FerBenchError, WeightsError
from fer_bench.models.initial import Initial
from fer_bench.training import auto_weights
from tests.training.conftest import SMALL

TRAIN = ["--epochs=1", "--batch-size=32", "--accelerator=cpu", "--set=image_size=32", "--set=model_options.stem=small"]
GIVEN = {"dataset": "synthfaces", "model": "resnet18", "weights": "auto"}


def resolve_auto(given):
    """What becomes of a command whose run begins."""
    choice = auto_weights.resolve_auto(given)
    choice.keep()
    return choice.spec, choice.said


@pytest.fixture
def places(monkeypatch):
    """What a machine has at hand and what its hub has; nothing of either by default."""
    found = {
        "hand": None,
        "hub": WeightsError("the weights cannot be downloaded: no hub can be reached from here.", ""),
    }

    def hub(name, data_dir=None):
        if isinstance(found["hub"], Exception):
            raise found["hub"]
        return found["hub"]

    def hand(name, data_dir=None):
        if isinstance(found["hand"], Exception):
            raise found["hand"]
        return found["hand"]

    monkeypatch.setattr(auto_weights, "imagenet_at_hand", hand)
    monkeypatch.setattr(auto_weights, "find_imagenet", hub)
    return found


@pytest.fixture
def drawn():
    return [f"--set=dataset_options.{key}={value}" for key, value in SMALL.items()]


def initial(source):
    return Initial(source, "0" * 64, "all")


def test_nowhere_is_none(places):
    spec, said = resolve_auto(GIVEN)
    assert spec.weights == "none"
    assert (
        said
        == "weights: auto is none, so it trains from scratch (the weights cannot be downloaded: no hub can be reached"
        " from here)."
    )


@pytest.mark.parametrize("where", ["hand", "hub"])
def test_at_hand_or_from_a_hub_is_imagenet(places, where):
    places[where] = initial("the package x 0.1")
    spec, said = resolve_auto(GIVEN)
    assert spec.weights == "imagenet"
    assert said == "weights: auto is imagenet (the package x 0.1)."


def test_the_command_given_again_stays_with_what_it_was(places, tmp_path):
    first, _ = resolve_auto(GIVEN)
    places["hand"] = initial("a folder")
    again, said = resolve_auto(GIVEN)
    assert again == first
    assert "as when this command was first run here" in said
    # Another seed is of the same row; other settings are another row.
    assert resolve_auto({**GIVEN, "seed": 3})[0].weights == "none"
    assert resolve_auto({**GIVEN, "epochs": 3})[0].weights == "imagenet"
    (kept,) = (
        path for path in (tmp_path / "runs/auto").glob("*.json") if json.loads(path.read_text())["weights"] == "none"
    )
    kept.write_text("{")
    assert resolve_auto(GIVEN)[0].weights == "imagenet"


def test_what_only_looks_leaves_nothing(places, tmp_path):
    auto_weights.resolve_auto(GIVEN)
    assert not (tmp_path / "runs").exists()


def test_a_run_that_cannot_begin_chooses_nothing(places, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "none"))
    command = ["run", "--dataset", "fer2013", "--model", "resnet18", "--weights", "auto", *TRAIN]
    for folds in ([], ["--folds", "2"]):
        result = CliRunner().invoke(app, [*command, *folds])
        assert isinstance(result.exception, FerBenchError), result.exception
        assert not (tmp_path / "runs" / "auto").exists()
    # What was found meanwhile is taken.
    places["hand"] = initial("a folder")
    assert "weights: auto is imagenet" in CliRunner().invoke(app, command).output


def test_a_run_that_begins_keeps_its_choice(places, home, drawn):
    command = ["run", "--dataset", "synthfaces", "--model", "resnet18", "--weights", "auto", *TRAIN, *drawn]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "weights: auto is none" in result.output
    places["hand"] = initial("a folder")
    assert "as when this command was first given" in CliRunner().invoke(app, [*command, "--dry-run"]).output


def test_a_damaged_file_is_an_error_and_no_reason_to_train_without(places):
    places["hand"] = WeightsError("x.pth: the file is damaged.", "Fetch it again.")
    with pytest.raises(WeightsError, match="damaged"):
        resolve_auto(GIVEN)


@pytest.mark.parametrize("given", [{"model": "five_layer_cnn"}, {"model_options": {"width": 0.5}}])
def test_networks_that_nobody_has_weights_of(places, given):
    places["hand"] = initial("a folder")
    assert resolve_auto({**GIVEN, **given})[0].weights == "none"


def test_a_setting_that_is_set_to_nothing_wins(places):
    given = {**GIVEN, "dataset": "fer2013"}
    assert resolve_auto(given)[0].image_size == 48
    assert resolve_auto({**given, "image_size": None})[0].image_size is None


def test_on_top_of_a_recipe(places, monkeypatch, tmp_path):
    command = [
        "run",
        "--dataset",
        "nowhere",
        "--model",
        "resnet18",
        "--use",
        "ca26c1c2ef",
        "--weights",
        "auto",
        "--dry-run",
    ]
    result = CliRunner().invoke(app, command)
    assert "weights: auto is none" in result.output
    assert "unknown dataset" in str(result.exception)


@pytest.mark.parametrize("layered", ["true", "false"])
@pytest.mark.parametrize("settings", ["runs: [{weights: auto}]", "defaults: {weights: auto}\nruns: [{}]"])
def test_a_suite_may_not_say_it(tmp_path, layered, settings):
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"layered: {layered}\n{settings}\n")
    result = CliRunner().invoke(app, ["suite", str(suite), "--dry-run"])
    assert "weights = 'auto'" in str(result.exception)
    assert "rite imagenet, none" in str(result.exception)
