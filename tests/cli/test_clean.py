"""`clean` removes what can be made again, by kind; never a record, a run in progress, or what is not the suite's."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from fer_bench import paths
from fer_bench.apps import clean, disk
from fer_bench.atomic import write_atomically
from fer_bench.data import cache
from fer_bench.data.computed import read_or_compute
from fer_bench.errors import SpecError
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import put, run

HOUR = 3600


@pytest.fixture
def home(own_folders):
    """Something of every kind, made by the code that makes it."""
    store = Store()
    put(store, run(0.7))
    for name in ("abc", "def"):
        write_atomically(paths.runs_dir() / name / "best.ckpt", bytes(3 * 2**20))
        write_atomically(paths.runs_dir() / name / "inputs.json", b"{}")
    write_atomically(paths.runs_dir() / "reports" / "page" / "report.html", b"x" * 1000)
    write_atomically(paths.runs_dir() / "auto" / "0123456789.json", b"{}")
    write_atomically(paths.runs_dir() / "tracked" / "wandb" / "offline-run-1-a" / "run-a.wandb", b"x")
    write_atomically(paths.runs_dir() / "suites" / "paper-abcdef" / "state.json", b"{}")
    cache.cached("toy", "2" * 24, lambda: ({"images": np.zeros((4, 8, 8), np.uint8)}, {}))
    cache.cached("other", "1-" + "a" * 22, lambda: ({"images": np.zeros((4, 8, 8), np.uint8)}, {}))
    read_or_compute({"about": 1}, 3, lambda start: iter([np.zeros((3 - start, 2), np.float32)]), np.float32)
    write_atomically(paths.cache_dir() / "digests" / f"{'0' * 24}.npz", b"x")
    write_atomically(paths.cache_dir() / "crops" / "c-4-8" / "pixels", b"x")
    write_atomically(paths.cache_dir() / "weights" / f"{'0' * 64}.safetensors", b"x")
    # Of killed processes, and what the suite has not made.
    (paths.runs_dir() / "abc" / ".best.ckpt.999999.part").write_bytes(bytes(2**20))
    (paths.cache_dir() / "toy" / f".2-{'3' * 22}.abcd.part").mkdir()
    for place in (paths.runs_dir() / "notes", paths.cache_dir() / "toy" / "mine"):
        place.mkdir()
        (place / "thesis.tex").write_text("not ours")
    (paths.runs_dir() / "linked").symlink_to(own_folders / "elsewhere")
    (own_folders / "elsewhere").mkdir()
    (own_folders / "elsewhere" / "best.ckpt").write_bytes(b"x")
    return own_folders


def held(folder):
    """All files below a folder that are more than a lock."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def kinds():
    return sorted(entry.kind for entry in disk.entries())


EVERYTHING = sorted(
    [
        *["trainings"] * 2,
        "reports",
        "choices",
        "suites",
        "tracked runs",
        *["decoded copies"] * 2,
        "crops",
        "digests",
        "published weights",
        "features",
        *["leftovers"] * 2,
    ]
)
TOP = [kind for i, kind in enumerate(EVERYTHING) if i != EVERYTHING.index("leftovers")]


def test_of_every_kind_something_is_found(home):
    assert kinds() == EVERYTHING
    # Nested in a training that goes, a leftover is not counted twice.
    assert sorted(entry.kind for entry in clean.find(list(disk.KINDS)).chosen) == TOP
    sizes = {entry.paths[0].name: entry.n_bytes for entry in disk.entries()}
    assert sizes["abc"] == 4 * 2**20 + 2
    assert {kind for of in disk.KINDS.values() for kind in of} == set(EVERYTHING)


def test_copies_of_what_is_at_an_address_are_found(own_folders, monkeypatch):
    monkeypatch.setenv("FER_BENCH_RUNS", (own_folders / "shared").as_uri())
    write_atomically(paths.runs_dir() / "abc" / "best.ckpt", b"x")
    assert kinds() == ["trainings"]
    monkeypatch.setenv("FER_BENCH_RUNS", str(own_folders / "runs"))
    # Whatever the variable says later.
    assert kinds() == ["trainings"]


@pytest.mark.parametrize(
    ("flag", "gone"),
    [
        ("--runs", {"trainings", "reports", "choices", "suites", "tracked runs"}),
        ("--cache", {"decoded copies", "crops", "digests", "published weights"}),
        ("--features", {"features"}),
        ("--leftovers", {"leftovers"}),
        ("--all", set(EVERYTHING)),
    ],
)
def test_each_flag_removes_its_kinds_and_nothing_else(home, fer_bench, flag, gone):
    records = held(paths.leaderboards_dir())
    before = held(home)
    looked = fer_bench("clean", flag, "--dry-run")
    assert (looked.code, held(home)) == (0, before)
    done = fer_bench("clean", flag, "--yes")
    assert done.code == 0, done.err
    left = set(kinds())
    # The leftover in a training's folder goes with it.
    assert left == set(EVERYTHING) - gone
    assert held(paths.leaderboards_dir()) == records
    assert {
        "runs/notes/thesis.tex",
        "cache/toy/mine/thesis.tex",
        "elsewhere/best.ckpt",
        "runs/linked/best.ckpt",
    } - held(home) <= {"runs/linked/best.ckpt"}
    assert (paths.runs_dir() / "linked").is_symlink()
    assert re.search(r"would remove \d+ entr(y|ies), [\d.]+ (B|KiB|MiB)\.", looked.out)
    assert done.out.splitlines()[-1].startswith("removed ")


def test_a_run_in_progress_keeps_its_checkpoints_and_its_crops(home, fer_bench):
    with FileLock(paths.runs_dir() / "abc" / "run.lock"):
        done = fer_bench("clean", "--all", "--yes")
    assert done.code == 0
    assert f"in use, kept: {paths.runs_dir() / 'abc'}" in done.err
    assert (paths.runs_dir() / "abc" / "best.ckpt").is_file()
    assert not (paths.runs_dir() / "def").exists()
    assert (paths.cache_dir() / "crops" / "c-4-8" / "pixels").is_file()


def test_what_is_being_written_stays(home):
    found = clean.find(["cache", "features", "leftovers"])
    key = next(entry for entry in found.chosen if entry.kind == "features").lock
    with FileLock(key), FileLock(paths.cache_dir() / "toy" / f"2-{'3' * 22}.lock"):
        done = clean.remove(found.chosen)
    assert {entry.kind for entry in done.kept} == {"features", "leftovers"}
    assert done.failed == ()
    assert kinds() == sorted(
        [*["trainings"] * 2, "reports", "choices", "suites", "tracked runs", "features", "leftovers"]
    )


def test_older_than(home, fer_bench):
    old = time.time() - 50 * HOUR
    for path in [paths.runs_dir() / "def", *(paths.runs_dir() / "def").iterdir()]:
        os.utime(path, (old, old))
    assert fer_bench("clean", "--runs", "--older-than", "3d", "--yes").out == "there is nothing to remove.\n"
    assert fer_bench("clean", "--runs", "--older-than", "2d", "--yes").out.endswith("removed 1 entry, 3.0 MiB.\n")
    assert (paths.runs_dir() / "abc").is_dir()
    assert [clean.seconds_of(age) for age in ("12h", "30d", "2w")] == [12 * HOUR, 720 * HOUR, 336 * HOUR]
    for age in ("30", "d", "-3d", "1.5d", "3m", " 3d"):
        with pytest.raises(SpecError, match="is not an age"):
            clean.seconds_of(age)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_it_asks(home, fer_bench, monkeypatch, answer, code):
    import io

    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    done = fer_bench("clean", "--runs")
    assert done.code == code
    assert "Without checkpoints" in done.out
    assert (paths.runs_dir() / "abc").exists() is bool(code)
    assert ("nothing was removed" in done.out) is bool(code)


def test_where_nobody_can_answer_it_refuses(home, fer_bench):
    done = fer_bench("clean", "--all")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "Give --yes, or --dry-run" in done.err
    assert kinds() == EVERYTHING


def test_folders_that_hold_records_or_data_are_never_removed(home, monkeypatch):
    for name in ("LEADERBOARDS", "DATA"):
        inside = paths.runs_dir() / "abc" / name
        inside.mkdir()
        monkeypatch.setenv(f"FER_BENCH_{name}", str(inside))
        assert "abc" not in {entry.paths[0].name for entry in disk.entries()}
        monkeypatch.setenv(f"FER_BENCH_{name}", str(home / name))
    assert "abc" in {entry.paths[0].name for entry in disk.entries()}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: no permission can be denied")
def test_what_the_system_refuses_is_one_line(home, fer_bench):
    (paths.runs_dir()).chmod(0o500)
    try:
        done = fer_bench("clean", "--runs", "--yes")
    finally:
        (paths.runs_dir()).chmod(0o700)
    assert (done.code, "could not be removed; the first: " in done.err) == (2, True)


def test_what_the_system_refuses_is_said_and_the_rest_removed(home, fer_bench, monkeypatch):
    rename = Path.rename

    def refuse(self, target):
        if self.name == "abc":
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    done = fer_bench("clean", "--runs", "--yes")
    assert done.code == 2
    assert f"1 could not be removed; the first: {paths.runs_dir() / 'abc'}: Permission denied." in done.err
    assert kinds().count("trainings") == 1


def test_doctor_says_what_they_take(home, fer_bench):
    out = fer_bench("doctor").out
    sizes = (
        r"trainings 7\.0 MiB \(2\), reports 1000 B \(1\), choices 2 B \(1\), suites 2 B \(1\), tracked runs 1 B \(1\)"
    )
    assert re.search(rf"disk +{sizes}: `fer-bench clean --runs`", out)
    assert re.search(r"disk +features .* \(1\): `fer-bench clean --features`", out)


def test_sizes_are_for_people():
    assert [disk.size_text(n) for n in (0, 1023, 1024, 3 * 2**20, 5 * 2**30, 2**42)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
        "4.0 TiB",
    ]
