"""Suites: which runs and which tests on other datasets a file asks for, and which of them the store lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_bench import paths
from fer_bench.errors import SpecError
from fer_bench.protocols import protocol_for
from fer_bench.results.begin import begin_record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.suite import names_of, read, read_plan, read_suite
from fer_bench.sweeps.todo import todo

SUITE = """
about: x
defaults: {dataset: afew_va, task: va, model: resnet18, loss: mse}
seeds: [0, 1]
runs:
  - {recipe: folds, dataset_options: {folds: 2}, test_on: [semaine], seeds: [0]}
  - recipe: grid
    dataset: fer2013
    task: fer7
    loss: cross_entropy
    grid: {lr: [0.1, 0.01]}
    test_on: [ferplus, "folder:ck"]
"""


def put(store: Store, spec: RunSpec, run_id: str = "", **changes: object) -> None:
    record = begin_record(spec, protocol_for(spec.dataset, spec.task), spec.run_id()).model_copy(
        update={"created": "2026-01-01T00:00:00+00:00", **changes}
    )
    store.put(record.model_copy(update={"run_id": run_id or record.run_id}))


def test_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "nothing"))
    (tmp_path / "s.yaml").write_text(SUITE)
    plan = read_plan(tmp_path / "s.yaml")
    assert [spec for spec, _ in plan] == read_suite(tmp_path / "s.yaml")
    assert [(spec.recipe, spec.lr, spec.seed, on) for spec, on in plan[1:]] == [
        ("grid", lr, seed, ("ferplus", "folder:ck")) for lr in (0.1, 0.01) for seed in (0, 1)
    ]
    store = Store(tmp_path / "boards")
    assert len(todo(plan, store).tests) == 1 + 4 * 2

    folds, grid = plan[0][0], plan[1][0]
    put(store, folds, data={"folds": ["a-s0", "b-s0"]})
    put(store, grid)
    # Without the data, settings alone decide.
    assert len(todo(plan, store).runs) == 3
    # the fold that was tested on SEMAINE stands for its experiment
    put(
        store,
        RunSpec(dataset="semaine", task="va", loss="mse", model=folds.model),
        run_id="b-s0-on-semaine",
        kind="evaluated",
    )
    put(store, RunSpec(dataset="folder:ck", model=grid.model), run_id=f"{grid.run_id()}-on-ck", kind="evaluated")
    assert [(spec, on) for spec, on in todo(plan, store).tests if spec in (folds, grid)] == [(grid, "ferplus")]


def test_runs_are_listed_by_what_sets_them_apart() -> None:
    runs = [RunSpec(recipe="grid", lr=lr, seed=seed) for lr in (0.1, 0.01) for seed in (0, 1)] + [
        RunSpec(recipe="grid", tta=2),
        RunSpec(model="resnet18"),
    ]
    net = "five_layer_cnn (grid)"
    assert names_of(runs) == [*[f"{net}: lr 0.1"] * 2, *[f"{net}: lr 0.01"] * 2, f"{net} + TTA 2 random", "resnet18"]


def test_a_wrong_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE.replace('["ferplus', "[ferplus").replace("[semaine]", "semaine"))
    with pytest.raises(SpecError, match=r"run 1: 'test_on' must be a list"):
        read_plan(tmp_path / "s.yaml")


def test_the_suites_that_ship_can_be_read() -> None:
    for path in sorted((paths.benchmarks_dir() / "suites").glob("*.yaml")):
        try:
            suite = read(path)
            assert suite.trainings or suite.grids
        except SpecError as error:
            pytest.fail(str(error))
