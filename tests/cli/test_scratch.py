"""Trying things leaves the repository as it is: scratch mode, and the store of a shell that is in no project."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_bench import paths, scratch
from fer_bench.results.store import Store
from fer_bench.training.run import run
from tests.cli.every_kind import SIZES, spec_of

TINY = [f"--set=dataset_options.{key}={value}" for key, value in SIZES.items()] + [
    "--set=model_options.width=2",
    "--set=precision=32-true",
]
TRAIN = [*TINY, "--epochs=1", "--batch-size=14", "--accelerator=cpu"]


def files(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A shell in a folder of no project, of a user without settings."""
    for name in ("HOME", "CACHE", "RUNS", "LEADERBOARDS", "DATA", "SCRATCH"):
        monkeypatch.delenv(f"FER_BENCH_{name}", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    folder = tmp_path / "somewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_outside_a_project_results_are_the_users_own(nowhere, tmp_path, monkeypatch):
    own = tmp_path / "user" / "fer_bench"
    assert (paths.leaderboards_dir(), paths.runs_dir(), paths.data_root()) == (
        own / "leaderboards",
        own / "runs",
        own / "data",
    )
    (nowhere / "data").mkdir()
    assert paths.data_root() == nowhere / "data"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.project_root() == tmp_path / "home" / ".local" / "share" / "fer_bench"
    assert (paths.benchmarks_dir() / "defaults.yaml").is_file()


@pytest.mark.parametrize("mark", ["benchmarks/defaults.yaml", "leaderboards/results/x"])
def test_a_project_is_a_folder_with_settings_or_results(nowhere, mark, monkeypatch):
    (nowhere / mark).parent.mkdir(parents=True)
    (nowhere / mark).touch()
    (nowhere / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(nowhere / "deep" / "er")
    assert paths.project_root() == nowhere
    monkeypatch.setenv("FER_BENCH_HOME", str(nowhere / "other"))
    assert paths.leaderboards_dir() == nowhere / "other" / "leaderboards"


def test_scratch_is_a_folder_of_its_own_for_as_long_as_it_lasts(nowhere, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(tmp_path / "boards"))
    with scratch() as folder:
        assert folder == tmp_path / "user" / "fer_bench" / "scratch"
        assert (Store().root, paths.runs_dir()) == (folder / "leaderboards", folder / "runs")
        monkeypatch.setenv("FER_BENCH_SCRATCH", str(tmp_path / "mine"))
        assert Store().root == tmp_path / "mine" / "leaderboards"
    assert Store().root == tmp_path / "boards"


@pytest.fixture
def project(own_folders, monkeypatch, drawn_cache):
    """A project with two runs, and a scratch folder beside it."""
    monkeypatch.setenv("FER_BENCH_SCRATCH", str(own_folders / "scratch"))
    ids = [run(spec_of(seed=seed)).run_id for seed in (0, 1)]
    return own_folders, ids


def test_verbs_in_scratch_mode_use_the_projects_runs_and_leave_them_as_they_are(project, fer_bench):
    folder, ids = project
    before = {name: files(folder / name) for name in ("leaderboards", "runs")}
    assert fer_bench("run", "--scratch", "--seed=2", *TRAIN).code == 0
    assert fer_bench("evaluate", "--scratch", ids[0], "--on=synthfaces", "--accelerator=cpu").code == 0
    assert fer_bench("evaluate", "--scratch", ids[0], "--train", "--accelerator=cpu").code == 0
    assert fer_bench("ensemble", "--scratch", "--protocol=synthfaces-fer7").code == 0
    assert fer_bench("compare", "--scratch", *ids).code == 0
    assert fer_bench("verify", "--scratch").code == 0
    assert {name: files(folder / name) for name in ("leaderboards", "runs")} == before
    written = {path.parent.name for path in (folder / "scratch" / "leaderboards" / "results").rglob("*.json")}
    assert written == {"five_layer_cnn", "ensemble"}
    assert len(fer_bench("list", "runs").out.splitlines()) == 2, "the next command is not in scratch mode"
    assert len(fer_bench("list", "runs", "--scratch").out.splitlines()) == 4


def test_scratch_finds_what_it_has_itself_first(project):
    _, ids = project
    with paths.scratch():
        mine = run(spec_of(seed=0), force=True)
        assert Store().get(ids[0]).created == mine.created


def test_the_checkout_of_these_tests_is_a_project(nowhere, monkeypatch):
    root = Path(paths.__file__).parents[1]
    monkeypatch.chdir(root / "tests")
    assert paths.project_root() == root
