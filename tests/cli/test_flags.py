"""Flags come from the fields of the settings: all of them, with their checks, their texts and their descriptions."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from fer_bench.apps.runs import gathered
from fer_bench.assignments import parse_assignments
from fer_bench.cli import train
from fer_bench.cli.flags import agreed, flag_of, typed
from fer_bench.cli.main import app
from fer_bench.errors import SpecError
from fer_bench.probes.settings import ProbeSettings
from fer_bench.spec import Execution, RunSpec

# Of before, when they were written by hand.
FORMER = {
    "run": "dataset model task seed epochs batch-size lr weights loss augment tta tta-kind precision labels"
    " folds fold-by recipe use dry-run data-dir accelerator devices strategy num-nodes workers wandb force set"
    " scratch import help",
    "suite": "dry-run data-dir accelerator devices workers only seeds scratch import help",
    "probe": "dataset task backbone run weights lr loss seeds epochs recipe data-dir accelerator set only dry-run force"
    " scratch import help",
    "fuse": "dataset task weights lr loss seeds epochs recipe data-dir accelerator set dry-run force scratch import",
}


def options(verb):
    group = typer.main.get_command(app)
    command = group.get_command(None, verb)
    with command.make_context(verb, [], resilient_parsing=True) as context:
        return {name: parameter for parameter in command.get_params(context) for name in parameter.opts}


@pytest.mark.parametrize("verb", FORMER)
def test_flags_keep_their_names(verb):
    assert {f"--{name}" for name in FORMER[verb].split()} <= set(options(verb))


def test_every_field_is_a_flag_with_its_description():
    shown = options("run")
    fields = {**RunSpec.model_fields, **Execution.model_fields}
    for name in set(fields) - {"execution", *train.PLACES}:
        assert fields[name].description, name
        assert fields[name].description.rstrip(".")[1:] in shown[flag_of(name)].help, name
    assert set(train.GROUPS) <= set(RunSpec.model_fields)
    for name in ("image_size", "detector", "standardise", "batch_size", "patience"):
        assert ProbeSettings.model_fields[name].description[1:] in options("probe")[flag_of(name)].help


@pytest.mark.parametrize("verb", ["run", "suite", "probe", "fuse"])
def test_help_is_grouped_and_readable(verb):
    help_ = CliRunner().invoke(app, [verb, "--help"], terminal_width=100).output
    assert max(map(len, help_.splitlines())) <= 100
    assert "Command:" in help_
    assert "Options:" not in help_


def test_help_needs_no_pytorch():
    code = (
        "import sys\nsys.argv = ['fer-bench', 'run', '--help']\nfrom fer_bench.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'lightning', 'numpy', 'pandas', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy & {'torch', 'lightning'} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--gradient-clip" in done.stdout


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("epochs", "many"),
        ("epochs", "2.5"),
        ("epochs", "0"),
        ("lr", "-1"),
        ("lr", "fast"),
        ("image_size", "4"),
        ("image_size", "large"),
        ("snapshot", "first"),
        ("stopper", "never"),
        ("ema", "1"),
        ("gradient_clip", "-1"),
        ("target_mode", "soft"),
        ("tta", "101"),
        ("seed", "[1"),
        ("recipe", "x" * 300),
        ("class_weights", "1"),
        ("epochs", "yes"),
        ("lr", "on"),
        ("gradient_clip", "true"),
        ("epochs", ""),
        ("image_size", " "),
    ],
)
def test_a_flag_and_set_end_in_the_same_error(fer_bench, own_folders, field, text):
    by_flag, by_set = fer_bench("run", flag_of(field), text), fer_bench("run", "--set", f"{field}={text}")
    assert by_flag.code == by_set.code == 2
    assert by_flag.err == by_set.err
    assert field in by_flag.err
    assert by_flag.err.count("\n") == 1


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("image_size", "none", None),
        ("image_size", "null", None),
        ("backbone_lr", "None", None),
        ("progressive_from", "32", 32),
        ("lr", "1e-3", 0.001),
        ("lr", "1", 1.0),
        ("recipe", "1e3", "1e3"),
        ("recipe", "12", "12"),
        ("model", "timm:convnext_tiny", "timm:convnext_tiny"),
        ("weights", "none", "none"),
        ("precision", "32-true", "32-true"),
    ],
)
def test_a_text_means_what_its_field_is(field, text, value):
    assert typed(RunSpec, {field: text}) == {field: value}
    assert parse_assignments([f"{field}={text}"], RunSpec) == {field: value}


def test_options_are_pairs_or_a_mapping():
    given = {
        "augment_options": ["rotate=10", "flip=0.5"],
        "model_options": ["{width: 0.5}"],
        "lr": None,
        "loss_options": [],
    }
    assert typed(RunSpec, given) == {"augment_options": {"rotate": 10, "flip": 0.5}, "model_options": {"width": 0.5}}
    assert typed(ProbeSettings, {"lr": "0.1,0.01", "seeds": "0,1", "loss": "cross_entropy"}) == {
        "lr": [0.1, 0.01],
        "seeds": [0, 1],
        "loss": ["cross_entropy"],
    }
    with pytest.raises(SpecError, match="KEY=VALUE"):
        typed(RunSpec, {"augment_options": ["rotate"]})


def test_flags_reach_the_run(fer_bench, own_folders, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "_describe", seen.append)
    flags = "--image-size 64 --gradient-clip 1 --snapshot last --strict-determinism --max-memory-halvings 1 --folds 3"
    options_ = "--model-options width=4 --augment-options rotate=3 --dataset-options fold_by=frame"
    done = fer_bench("run", "--dry-run", *flags.split(), *options_.split(), "--set", "lr=0.5", "--ema", "0.9")
    assert done.code == 0, done.err
    (spec,) = seen
    assert (spec.image_size, spec.gradient_clip, spec.snapshot, spec.lr, spec.ema) == (64, 1.0, "last", 0.5, 0.9)
    assert (spec.execution.strict_determinism, spec.execution.max_memory_halvings) == (True, 1)
    assert spec.model_options["width"] == 4
    assert spec.augment_options["rotate"] == 3
    assert (spec.folding.folds, spec.folding.by) == (3, "frame")


@pytest.mark.parametrize(
    ("flag", "assignment", "named"),
    [
        ("--epochs 1", "epochs=2", "epochs is given twice"),
        ("--model-options width=4", "model_options.width=8", "model_options.width is given twice"),
        ("--folds 3", "dataset_options.folds=5", "dataset_options.folds is given twice"),
        ("--workers 0", "execution.workers=2", "execution.workers is given twice"),
    ],
)
def test_a_setting_with_two_values_is_refused(fer_bench, own_folders, flag, assignment, named):
    done = fer_bench("run", "--dry-run", *flag.split(), "--set", assignment)
    assert done.code == 2
    assert named in done.err


@pytest.mark.parametrize(
    "flags", ["--folds 3 --dataset-options folds=5", "--dataset-options fold_by=clip --fold-by frame"]
)
def test_folds_with_two_values_are_refused(fer_bench, own_folders, flags):
    done = fer_bench("run", "--dry-run", *flags.split())
    assert done.code == 2
    assert "is given twice" in done.err
    assert gathered({"folds": 3, "dataset_options": {"folds": 3}}) == {"dataset_options": {"folds": 3}}


def test_a_setting_may_be_given_twice_with_one_value():
    assert agreed({"epochs": 1, "model_options": {"a": 1}}, {"epochs": 1, "model_options": {"b": 2}}) == {
        "epochs": 1,
        "model_options": {"a": 1, "b": 2},
    }


@pytest.mark.parametrize("settings", [{"epochs": True}, {"lr": True}, {"tta": False}, {"execution": {"workers": True}}])
def test_true_is_no_number(settings):
    with pytest.raises(ValidationError, match="should not be true or false"):
        RunSpec(**settings)


def test_the_suites_verb_has_the_execution_alone():
    shown = " ".join(options("suite"))
    assert re.search(r"--wandb\b", shown)
    assert "--epochs" not in shown


def test_a_grid_refuses_two_values_too(fer_bench, own_folders):
    done = fer_bench("probe", "--dry-run", "--backbone", "resnet18", "--lr", "0.1", "--set", "lr=0.2")
    assert done.code == 2
    assert "lr is given twice" in done.err
