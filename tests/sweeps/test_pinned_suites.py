"""A suite is what it was: its runs, folds and grids keep their names, whatever the defaults become."""

import json
from pathlib import Path

import pytest
import yaml

from fer_bench.spec import build, read_yaml
from fer_bench.sweeps.folds import fold_specs, is_experiment
from fer_bench.sweeps.suite import read
from tests.training.conftest import ROOT

NAMES = Path(__file__).with_name("suite_names.json")
SUITES = sorted(path.stem for path in (ROOT / "benchmarks/suites").glob("*.yaml"))
RESULTS = ROOT / "leaderboards/results"


def names_of(suite):
    """Names of everything that a suite does, in its order."""
    found = read(ROOT / f"benchmarks/suites/{suite}.yaml")
    trainings = [*found.networks.values(), *(spec for spec, _ in found.trainings)]
    return [
        *(one.run_id() for spec in trainings for one in (spec, *(fold_specs(spec) if is_experiment(spec) else ()))),
        *(grid.grid_id({}) for grid in found.grids),
    ]


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    monkeypatch.setenv("FER_BENCH_HOME", str(ROOT))


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_resolves_to_the_names_that_it_had(suite):
    known = json.loads(NAMES.read_text())
    # A suite may grow at its end or lose nothing; to add to it, add the names here.
    assert names_of(suite) == known[suite].split()


@pytest.mark.parametrize("suite", SUITES)
def test_no_suite_depends_on_the_defaults(suite, tmp_path, monkeypatch):
    path = ROOT / f"benchmarks/suites/{suite}.yaml"
    before = names_of(suite)
    for file in (
        "defaults.yaml",
        *(
            f"{folder}/{name.name}"
            for folder in ("models", "datasets", "tasks")
            for name in (ROOT / f"benchmarks/{folder}").glob("*")
        ),
    ):
        copy = tmp_path / "benchmarks" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        content = read_yaml(ROOT / "benchmarks" / file)
        # Where a probe's task and options come from stays; every other default is another.
        kept = {key: content[key] for key in ("task", "dataset_options") if key in content}
        copy.write_text(yaml.safe_dump({**kept, "lr": 0.777, "epochs": 77, "ema": 0.5}))
    (tmp_path / "benchmarks/suites").symlink_to(path.parent)
    monkeypatch.setenv("FER_BENCH_HOME", str(tmp_path))
    assert names_of(suite) == before


def test_committed_runs_keep_their_names():
    seen = 0
    for path in RESULTS.glob("*/*/*-s*.json"):
        record = json.loads(path.read_text())
        if record.get("kind") == "trained" and "spec" in record:
            spec = build(record["spec"])
            assert path.stem.startswith(spec.run_id()), path
            seen += 1
    assert seen > 70


def test_the_committed_runs_are_those_of_the_suites():
    named = {name for names in json.loads(NAMES.read_text()).values() for name in names.split()}
    committed = {path.stem for path in RESULTS.glob("*/*/*-s*.json")}
    assert len(committed & named) >= 65
