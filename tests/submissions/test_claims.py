"""A submission in the repository is recomputed and held against what it claims."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from fer_bench.results.store import Store
from fer_bench.submissions.claims import check, table
from tests.submissions.files import PROTOCOL, faces_at, table_of, write

SCRIPT = Path(__file__).resolve().parents[2] / "leaderboards" / "submissions" / "check.py"


@pytest.fixture
def claim(tmp_path, monkeypatch):
    """Writes a statement with answers that are right for 7 of 28 samples, in a folder of its own."""
    monkeypatch.setenv("FER_BENCH_DATA", str(faces_at(tmp_path / "data")))
    from fer_bench.submissions.questions import ask

    asked = ask(Store(tmp_path / "leaderboards"), PROTOCOL)
    outputs = np.eye(7)[np.where(np.arange(28) < 7, asked.targets, (asked.targets + 1) % 7)]
    write(tmp_path / "net.csv", table_of(asked.ids.tolist(), outputs))

    def made(**changes):
        content = {"file": "net.csv", "protocol": PROTOCOL, "name": "Net", "claim": {"accuracy": 0.25}} | changes
        path = tmp_path / "net.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    return made


def test_a_claim_that_is_true_is_added(claim, tmp_path):
    store = Store(tmp_path / "leaderboards")
    found = check(store, claim())
    assert (found.problems, found.on_record, found.records[0].metrics["accuracy"]) == ((), False, 0.25)
    assert not list(store.records())
    assert "| agrees |" in table([found])
    found = check(store, claim(), add=True)
    assert found.on_record
    assert [record.run_id for record in store.records()] == [found.records[0].run_id]
    assert "agrees, on record" in table([check(store, claim())])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"claim": {"accuracy": 0.26}}, "accuracy is claimed as 0.26, and is 0.25"),
        ({"claim": {"accuracy": 25}}, "accuracy is claimed as 25"),
        ({"claim": {"ccc": 0.3}}, "ccc is claimed, and is none of the scores"),
        ({"claim": {"acc": 0.3}}, "'acc' is no metric"),
        ({"claim": {}}, "no mapping from metrics to scores"),
        ({"claim": None}, "key 'claim' is missing"),
        ({"lr": 3}, "key 'lr' is unknown"),
        ({"file": "../net.csv"}, "should be a plain name"),
        ({"file": "other.csv"}, "cannot be read"),
        ({"protocol": "fer2031-fer7"}, "unknown protocol"),
        ({"trained_on": "AffectNet"}, "trained_on is a list"),
        ({"reference": "ftp://x"}, "no address"),
        ({"name": ""}, "is empty"),
    ],
)
def test_what_is_wrong_is_said_in_the_table(claim, tmp_path, changes, says):
    store = Store(tmp_path / "leaderboards")
    found = check(store, claim(**changes), add=True)
    assert says in "; ".join(found.problems)
    assert not list(store.records())
    assert table([found]).count("\n") == 3


def test_several_files_are_seeds_and_the_claim_is_their_mean(claim, tmp_path):
    store, asked = Store(tmp_path / "leaderboards"), claim()
    other = (tmp_path / "net.csv").read_text().replace("1.0", "0.9").replace("0.0", "0.016666667")
    (tmp_path / "other.csv").write_text(other)
    found = check(store, claim(file=["net.csv", "other.csv"]), add=True)
    assert (found.problems, len(found.records), found.on_record) == ((), 2, True), asked
    assert len({record.row for record in store.records()}) == 1
    assert "an empty list" in "; ".join(check(store, claim(file=[])).problems)


def test_digits_of_a_claim_decide(claim, tmp_path):
    store = Store(tmp_path / "leaderboards")
    assert not check(store, claim(claim={"accuracy": 0.2})).problems
    assert check(store, claim(claim={"accuracy": 0.2501})).problems


def test_the_script(claim, tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, SCRIPT, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        )

    done = run(claim(), "--output", tmp_path / "table.md")
    assert (done.returncode, done.stdout) == (0, (tmp_path / "table.md").read_text()), done.stderr
    assert run(claim(claim={"accuracy": 0.5})).returncode == 1
