"""``suite``: trainings and grids of heads in one file, what is done of both, and what a missing dataset costs."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.errors import SpecError
from fer_bench.sweeps.suite import read
from tests.cli.every_kind import SIZES

FACES = f"dataset: synthfaces, dataset_options: {SIZES}"
TINY = f"{FACES}, model_options: {{width: 2}}, epochs: 1, batch_size: 14, precision: 32-true"
HEADS = f"{FACES}, task: fer7, lr: [0.01], loss: [cross_entropy], max_epochs: 1"
MIXED = f"""\
about: trainings and heads
seeds: [0]
networks:
  net: {{{TINY}, recipe: network}}
runs:
  - {{{TINY}, lr: 0.01, recipe: plain}}
  - {{{HEADS}, streams: ["features:{{backbone}}"], grid: {{backbone: ["{{net}}"]}}}}
"""
CPU = "--accelerator=cpu"


@pytest.fixture
def suite(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return write


def test_both_kinds_are_listed_carried_out_and_then_done(fer_bench, own_folders, suite, drawn_cache):
    path = suite(MIXED)
    asked = fer_bench("suite", path, "--dry-run")
    assert asked.code == 0, asked.err
    first = asked.out.splitlines()[0]
    assert "1 run, 0 done, 1 to do. 1 grid of heads, 0 done, 1 to do. 1 network to be" in first
    assert asked.out.count("\n  to do  ") == 3
    assert not list((own_folders / "leaderboards").rglob("*.json"))
    done = fer_bench("suite", path, CPU)
    assert done.code == 0, done.err
    assert "cross_entropy" in done.out
    assert "over 1 seeds" not in done.out, "one seed has no spread"
    again = fer_bench("suite", path, "--dry-run")
    assert "1 run, 1 done, 0 to do. 1 grid of heads, 1 done, 0 to do." in again.out
    assert again.out.count("\n  done   ") == 2
    assert "to do  " not in again.out.partition("\n")[2]
    # What is done is not begun again, and needs no network.
    assert "network" not in fer_bench("suite", path, CPU).out
    assert fer_bench("probe", path, CPU).code == 0
    assert fer_bench("verify").code == 0


def test_a_missing_dataset_is_said_once_and_costs_the_others_nothing(fer_bench, own_folders, suite, drawn_cache):
    missing = "dataset: fer2013, epochs: 1"
    path = suite(f"seeds: [0, 1, 2]\nruns:\n  - {{{missing}}}\n  - {{{missing}, lr: 0.5}}\n")
    done = fer_bench("suite", path, CPU)
    assert done.code == 2
    assert (done.out + done.err).count("name its folder with") == 1
    assert "6 left out, for fer2013 is not here" in done.err
    assert "nothing of it can be done without fer2013" in done.err
    path = suite(
        f"runs:\n  - {{{missing}}}\n  - {{{TINY}}}\n  - {{{missing}, task: fer7, streams: ['features:resnet18']}}\n"
    )
    path.write_text(path.read_text().replace("epochs: 1, task", "task"))
    done = fer_bench("suite", path, CPU)
    assert done.code == 1
    assert "2 left out" in done.err
    assert "synthfaces-fer7 five_layer_cnn: 0" in done.out
    assert (done.out + done.err).count("name its folder with") == 1


def test_one_reason_is_said_once(fer_bench, own_folders, suite, drawn_cache):
    path = suite(f"seeds: [0, 1, 2]\nruns:\n  - {{{TINY}, tta_kind: flip}}\n")
    done = fer_bench("suite", path, CPU)
    assert done.code == 2
    assert "five_layer_cnn seed 0 failed: tta_kind" in done.err
    assert "five_layer_cnn seed 2 failed: for the same reason" in done.err
    assert done.err.count("for the same reason") == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "about: x\nruns:\n  - {epochs: 3}\n  - {epochs: 3,\n     lrr: 1}\n",
            r"mine\.yaml, line 5, run 2: unknown setting 'lrr'",
        ),
        ("defaults: {lr: -1}\nruns:\n  - {epochs: 3}\n", r"mine\.yaml, line 1, run 1: lr = -1"),
        ("runs:\n  - &a\n    lr: -1\n", r"line 3, run 1: lr = -1"),
        ("runs:\n  - {seeds: 3}\n", r"line 2, run 1: 'seeds' must be a list"),
        ("runs:\n  - grid: {lr: 3}\n", r"line 2, run 1: 'grid' of 'lr'"),
        ("runs:\n  - {streams: ['features:resnet18'], lrr: [1]}\n", r"line 2, run 1: unknown setting 'lrr'"),
        ("runs:\n  - {streams: ['features:resnet18'], patience: 0}\n", r"line 2, run 1: patience = 0"),
        (
            "networks:\n  net: {epochs: 0}\nruns:\n  - {streams: ['features:{net}']}\n",
            r"line 2, network 'net': epochs = 0",
        ),
        ("networks: 3\nruns:\n  - {streams: ['features:{net}']}\n", r"line 1: 'networks' must hold"),
        ("about: x\nrnus: []\n", r"line 2: unknown key 'rnus'"),
        ("defaults: 3\nruns: [{}]\n", r"line 1: 'defaults' must be"),
        ("runs: []\n", r"'runs' must be a list"),
        ("about: x\n", r"'runs' must be a list"),
        ("probes: [3]\n", r"'probes' must be a list"),
        ("runs:\n  - {epochs: 1}\nruns:\n  - {epochs: 2}\n", r"line 3: key 'runs' is given twice"),
        ("runs:\n  - {weights: auto}\n", r"line 2, run 1: weights = 'auto'"),
        ("runs:\n  - {test_on: [{dataset: ferplus}]}\n", r"line 2, run 1: 'test_on' must be a list of names"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_entry(suite, text, says):
    with pytest.raises(SpecError, match=says):
        found = read(suite(text))
        _ = (found.trainings, found.grids)


def test_the_older_words_for_grids_of_heads_mean_the_same(suite):
    heads = "streams: ['features:{backbone}'], lr: [0.1]"
    new = read(suite(f"runs:\n  - {{{heads}, grid: {{backbone: [vgg16, resnet18]}}}}\n")).grids
    old = read(suite(f"probes:\n  - {{{heads}, matrix: {{backbone: [vgg16, resnet18]}}}}\n")).grids
    assert new == old
    assert [grid.streams for grid in new] == [("features:vgg16",), ("features:resnet18",)]
    # A backbone alone makes a grid of heads.
    assert read(suite("runs:\n  - {grid: {backbone: [vgg16]}}\n")).grids[0].streams == ("features:vgg16",)


def test_probe_says_what_to_type(fer_bench, own_folders, suite):
    path = suite(f"runs:\n  - {{{TINY}}}\n")
    assert f"Type: fer-bench suite {path}" in fer_bench("probe", path).err
    path = suite(MIXED)
    assert "--lr is said by the suite" in fer_bench("probe", path, "--lr", "0.1").err
    assert "1 grid of heads" in fer_bench("probe", path, "--dry-run").out
    assert "1 run, 0 done" in fer_bench("suite", path, "--dry-run", "--only", "synthfaces-fer7").out, "by protocol too"
    only_heads = suite("runs:\n  - {streams: ['features:resnet18']}\n")
    assert "Leave --devices out" in fer_bench("suite", only_heads, "--devices", "2").err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dataset", "fer2031"], "--dataset 'fer2031' matches no recipe of the suites.*'fer2013'"),
        (["--model", "resnet19"], "--model 'resnet19' matches no recipe.*'resnet18'"),
        (["--dataset", "afew_va", "--model", "five_layer_cnn"], "--model 'five_layer_cnn' .* for afew_va.*'resnet152'"),
    ],
)
def test_recipes_of_nothing_are_an_error(monkeypatch, arguments, says):
    import re

    from tests.training.conftest import ROOT

    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    result = CliRunner().invoke(app, ["list", "recipes", *arguments])
    assert re.search(says, str(result.exception))


@pytest.mark.parametrize("seeds", ["-1", "0,x", "", "2147483648"])
def test_seeds_of_the_command_are_not_looked_for_in_the_file(fer_bench, suite, seeds):
    asked = fer_bench("suite", suite(f"runs:\n  - {{{TINY}}}\n"), "--seeds", seeds, "--dry-run")
    assert asked.code == 2
    assert asked.err.startswith(f"fer-bench: --seeds {seeds!r}: expected integers from 0 to 2147483647")


def test_no_suite_says_which_verb_to_use(monkeypatch):
    from tests.training.conftest import ROOT

    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))
    assert "run with" not in CliRunner().invoke(app, ["list", "suites"]).output


def test_a_wrong_name_is_found_without_carrying_the_suite_out(fer_bench, suite):
    path = suite(f"seeds: [0]\nruns:\n  - {{{TINY}, recipe: plain, augment: flop}}\n")
    asked = fer_bench("suite", path, "--dry-run")
    assert asked.code == 2
    assert f"{path}, line 3, run 1 (plain): unknown augmentation 'flop'" in asked.err


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("runs:\n  - {recipe: one}\n  -\n    recipe: two\n    model: five_layer_cmn\n", "line 7, run 2 (two)"),
        (
            "runs:\n  - {recipe: one}\n  - recipe: grid\n    grid:\n      loss: [cross_entropie]\n",
            "line 7, run 2 (grid)",
        ),
        ("runs:\n  - {schedule: cosinus}\n", "line 4, run 1: unknown schedule"),
    ],
    ids=["entry", "grid", "flow"],
)
def test_a_wrong_name_is_named_with_its_line(fer_bench, suite, text, where):
    asked = fer_bench("suite", suite(f"defaults: {{{TINY}}}\nseeds: [0]\n{text}"), "--dry-run")
    assert asked.code == 2
    assert where in asked.err
