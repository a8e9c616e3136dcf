from __future__ import annotations

import numpy as np
import pytest

from fer_bench import __version__
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from tests.fakes import make_faces, make_votes, write_csv, write_folders, write_votes


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("datasets", "ferplus"),
        ("models", "resnext101"),
        ("tasks", "fer7"),
        ("losses", "cross_entropy"),
        ("optimizers", "adamw"),
        ("schedules", "one_cycle"),
        ("augmentations", "standard"),
        ("protocols", "fer2013-fer7"),
        ("suites", "five_layer_cnn"),
    ],
)
def test_lists_have_one_name_a_line(fer_bench, what, expected):
    done = fer_bench("list", what)
    assert done.code == 0
    assert done.err == ""
    names = [line.split()[0] for line in done.out.strip().split("\n")]
    assert expected in names
    assert len(set(names)) == len(names)


def test_list_can_be_narrowed(fer_bench):
    names = [line.split()[0] for line in fer_bench("list", "models", "--contains", "vgg").out.strip().split("\n")]
    assert len(names) == 8
    assert all("vgg" in name for name in names)


def test_list_of_runs(fer_bench):
    none = fer_bench("list", "runs")
    assert (none.code, none.out) == (0, "")
    assert "there is no run in" in none.err
    Store().put(
        Record(run_id="aa-s0", row="aa", protocol="toy-fer7", task="fer7", dataset="toy", model="net", recipe="plain")
    )
    assert fer_bench("list", "runs").out.split() == ["toy-fer7/net/aa-s0", "finished", "net", "(plain)"]


def test_protocols_of_ones_own_are_listed_and_suggested_and_an_empty_board_is_said_to_be(fer_bench):
    Store().put(Record(run_id="aa-s0", row="aa", protocol="mine-fer7", task="fer7", dataset="folder:mine", model="net"))
    assert "mine-fer7" in [line.split()[0] for line in fer_bench("list", "protocols").out.splitlines()]
    refused = fer_bench("leaderboard", "--protocol", "mein-fer77")
    assert refused.code == 2
    assert "'mine-fer7'" in refused.err
    for name in ("jaffe-fer7", "folder:yours-fer7"):
        empty = fer_bench("leaderboard", "--protocol", name)
        assert empty.code == 0
        assert f"{name.removeprefix('folder:')} has no record in" in empty.err
    assert "no record" not in fer_bench("leaderboard", "--protocol", "mine-fer7").err


def test_version_and_help(fer_bench):
    assert fer_bench("--version").out.strip() == __version__
    done = fer_bench("--help")
    assert done.code == 0
    for verb in ("run", "suite", "leaderboard", "verify", "compare", "list", "doctor", "audit"):
        assert f"  {verb}" in done.out


def test_doctor_says_where_things_lie_and_what_is_missing(fer_bench, own_folders, monkeypatch):
    write_csv(own_folders / "data" / "fer2013", make_faces())
    done = fer_bench("doctor")
    assert done.code == 0
    for part in (
        str(own_folders / "leaderboards"),
        str(own_folders / "cache"),
        "cores",
        "torch",
        str(own_folders / "data" / "fer2013" / "fer2013.csv"),
    ):
        assert part in done.out
    assert "ferplus      not there" in done.out
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "wandb" else find(name, *rest))
    assert "! wandb is missing" in fer_bench("doctor").out


def test_audit_says_what_a_copy_holds(fer_bench, tmp_path):
    faces = make_faces()
    test = int(np.flatnonzero(faces.usage == "PrivateTest")[0])
    faces.images[test] = faces.images[0]
    write_csv(tmp_path / "copy", faces)
    done = fer_bench("audit", "fer2013", "--data-dir", tmp_path / "copy")
    assert done.code == 0
    for part in (
        "70 samples, layout: fer2013.csv",
        "NOT the known copy",
        "angry 6, disgust 6",
        "not the official",
        "1 of 14 test samples occur pixel for pixel",
        f"{test:05d} (test) ~ 00000 (train), correlation 1.000",
    ):
        assert part in done.out


def test_audit_of_a_two_folder_copy_and_of_votes(fer_bench, tmp_path):
    faces = make_faces()
    write_folders(tmp_path / "two", faces, two=True)
    done = fer_bench("audit", "fer2013", "--data-dir", tmp_path / "two")
    assert "official validation split cannot be recovered" in done.out
    write_csv(tmp_path / "plus", faces)
    write_votes(tmp_path / "plus", faces, make_votes(faces))
    done = fer_bench("audit", "ferplus", "--task", "fer8", "--data-dir", tmp_path / "plus")
    assert done.code == 0
    assert "contempt 0" in done.out
    assert "layout: fer2013.csv + fer2013new.csv" in done.out
