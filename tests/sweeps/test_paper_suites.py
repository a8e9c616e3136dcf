from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fer_bench import spec as specs
from fer_bench.cli.main import app
from fer_bench.data.augmentation import AUGMENTATIONS
from fer_bench.layering import layered
from fer_bench.protocols import protocol_for
from fer_bench.spec import read_yaml
from fer_bench.sweeps.suite import read, read_suite
from fer_bench.tasks.autoencoding import AutoencodingTask
from fer_bench.training.build import build_task, check_names
from tests.paper_models import SEVENTEEN
from tests.training.conftest import ROOT

PAIR = ("findingemo_baselines", "findingemo_paper_split")


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))


def by_recipe(suite):
    found = {}
    for spec in read_suite(Path(suite)):
        found.setdefault(spec.recipe, []).append(spec)
    return found


@pytest.mark.parametrize("suite", ["cnn_ensembles", "fer2013_scratch"])
def test_names_are_known(suite):
    # Of each recipe the first network of a family; the proof below has all of them.
    first = {(spec.recipe, spec.model[:3]): spec for spec in reversed(read_suite(Path(suite)))}
    for spec in first.values():
        check_names(spec)


@pytest.mark.parametrize(
    "suite",
    ["autoencoder", *(pytest.param(name, marks=pytest.mark.proof) for name in ("cnn_ensembles", "fer2013_scratch"))],
)
def test_every_name_is_known_and_the_command_line_lists_the_suite(suite):
    chosen = read_suite(Path(suite))
    for spec in chosen:
        check_names(spec)
    result = CliRunner().invoke(app, ["suite", suite, "--dry-run"], catch_exceptions=False)
    assert result.output.startswith(f"{suite}: {len(chosen)} runs, 0 done, {len(chosen)} to do.")


def test_a_run_has_the_name_that_it_always_had():
    former = {
        "recipe": "one cycle",
        "optimizer": "adamw",
        "lr": 0.004,
        "weight_decay": 0.01,
        "batch_size": 128,
        "epochs": 24,
        "schedule": "one_cycle",
    }
    former |= {
        "dataset": "fer2013",
        "task": "fer7",
        "model": "five_layer_cnn",
        "label_smoothing": 0.05,
        "augment": "standard",
    }
    assert specs.build(former).run_id() == "3c8a0f2201-s0"


def test_the_default_of_fer2013_is_the_first_run_of_the_suite():
    default = specs.build(layered({"dataset": "fer2013", "model": "five_layer_cnn"}))
    assert default.run_id() == read_suite(Path("five_layer_cnn"))[0].run_id() == "f1ea129eb7-s0"


def test_the_ensemble_papers_recipe():
    chosen = read_suite(Path("cnn_ensembles"))
    assert tuple(spec.model for spec in chosen) == SEVENTEEN
    for spec in chosen:
        assert (spec.optimizer, spec.lr, spec.weight_decay, spec.optimizer_options["momentum"]) == (
            "sgd",
            1e-2,
            5e-4,
            0.9,
        )
        assert (spec.schedule, spec.schedule_options["factor"]) == ("plateau", 0.5)
        assert (spec.epochs, spec.batch_size, spec.image_size, spec.weights) == (30, 64, 224, "imagenet")
        assert (spec.label_smoothing, spec.loss, spec.class_weights) == (0.0, "cross_entropy", "none")
    assert AUGMENTATIONS[chosen[0].augment] == {"flip": 0.5, "rotate": 45.0, "border": 0.0}


def test_table_5_is_reported_as_printed():
    # Training, validation and test accuracy in thousandths.
    printed = {
        "resnet18": (872, 688, 691),
        "resnet34": (912, 706, 699),
        "resnet50": (933, 708, 693),
        "resnet101": (936, 701, 692),
        "resnet152": (961, 719, 693),
        "resnext50": (975, 725, 694),
        "resnext101": (983, 720, 708),
        "wide_resnet50": (970, 709, 703),
        "wide_resnet101": (970, 711, 706),
        "densenet121": (952, 720, 698),
        "densenet161": (971, 727, 705),
        "densenet169": (956, 713, 700),
        "densenet201": (970, 722, 703),
        "vgg11": (900, 696, 683),
        "vgg13": (886, 698, 683),
        "vgg16": (899, 707, 682),
        "vgg19": (925, 701, 685),
    }
    rows = read_yaml(ROOT / "leaderboards/reported/cnn_ensembles.yaml")["rows"]
    found = {
        row["model"]: tuple(
            round(1000 * row["metrics"][name]["mean"]) for name in ("train_accuracy", "validation_accuracy", "accuracy")
        )
        for row in rows
        if row["location"] == "Table 5"
    }
    assert found == printed
    assert set(printed) == set(SEVENTEEN)


def test_all_seventeen_are_trained_from_scratch_too():
    recipes = by_recipe("fer2013_scratch")
    assert {spec.model for spec in recipes["scratch"]} == set(SEVENTEEN)
    for spec in recipes["scratch"]:
        assert (spec.weights, spec.image_size, spec.epochs) == ("none", 48, 30)
        assert (spec.optimizer, spec.schedule, spec.label_smoothing, spec.augment) == (
            "adamw",
            "one_cycle",
            0.05,
            "standard",
        )
        assert spec.model_options["stem"] == "small"
        assert spec.model_options.get("zero_init_residual", False) == ("res" in spec.model)
    assert all(spec.model_options["width"] == 0.5 for spec in recipes["scratch, half width"])


def test_the_narrow_networks_are_built_as_the_suite_asks():
    for spec in by_recipe("fer2013_scratch")["scratch, half width"]:
        with torch.device("meta"):
            task = build_task(spec, protocol_for(spec.dataset, spec.task), native_size=48)
            assert task.eval()(torch.zeros(1, 1, 48, 48)).shape == (1, 7)
            # Half the channels, a quarter of the weights.
            assert sum(p.numel() for p in task.network.parameters()) < 6e6


def test_the_autoencoders_variants():
    recipes = by_recipe("autoencoder")
    codes = {name: [spec.model_options.get("code", 686) for spec in chosen] for name, chosen in recipes.items()}
    assert sorted(codes["multitask, paper"]) == [500, 686, 1000]
    assert sorted(codes["two-stage, paper"]) == [200, 500, 686, 1000]
    assert {spec.loss for spec in recipes["multitask, paper, sigmoid"]} == {"sigmoid_cross_entropy"}
    # The same encoder trained alike: only the method and the decoder differ, and there is none.
    for with_decoder, without in (("multitask", "no decoder"), ("multitask, paper", "no decoder, paper")):
        one = next(
            spec
            for spec in recipes[with_decoder]
            if "code" not in spec.model_options or spec.model_options["code"] == 686
        )
        (other,) = (spec for spec in recipes[without] if spec.seed == one.seed and not spec.tta)
        different = {key for key in type(one).model_fields if getattr(one, key) != getattr(other, key)} - {"recipe"}
        assert different == {"method", "model_options"}
        task = build_task(other, protocol_for(other.dataset, other.task), native_size=48)
        assert task.network.body.decoder is None
        assert not isinstance(task, AutoencodingTask)


def test_findingemo_is_fine_tuned_on_the_frame_as_it_is():
    recipes = by_recipe("findingemo_finetuning")
    assert set(recipes) == {"fine-tuned", "unfrozen by stage"}
    for spec in (spec for found in recipes.values() for spec in found):
        options = spec.dataset_options
        assert (options["width"] / options["height"], options["fit"], spec.aspect) == (4 / 3, "letterbox", "keep")
        assert (spec.weights, spec.class_weights, spec.image_size) == ("imagenet", "balanced", options["height"])
        assert spec.backbone_lr < spec.lr <= 3e-4
        assert spec.protocol == f"findingemo-{spec.task}" + ("-paper" if options["split"] == "paper" else "")


def test_the_papers_split_has_the_heads_of_the_clean_one():
    clean, paper = (read(ROOT / f"benchmarks/suites/{name}.yaml").grids for name in PAIR)
    assert len(clean) == len(paper) == 42
    for one, other in zip(clean, paper, strict=True):
        options = {key: value for key, value in other.dataset_options.items() if key != "split"}
        assert other.model_copy(update={"dataset_options": options}).identity() == one.identity()
        assert other.protocol == f"{one.protocol}-paper"


def test_what_is_tested_on_the_other_dataset_is_trained_by_the_suites_of_both():
    trained = {spec.run_id() for suite in ("afew_va", "semaine") for spec in read_suite(Path(suite))}
    assert {spec.run_id() for spec in read_suite(Path("generalisation"))} <= trained
