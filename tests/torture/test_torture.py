"""The kill test in small; ``make torture`` is the whole, and ``log.txt`` what it found."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KINDS = ("new records", "rewritten records", "grids", "rendering")


def test_nothing_is_lost_under_kills(tmp_path):
    log = tmp_path / "log.txt"
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.torture", "--kills", "5", "--log", str(log)],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [f"{kind}: kills 5" for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_is_of_the_whole(kind):
    (line,) = [line for line in (HERE / "log.txt").read_text().splitlines() if line.startswith(f"{kind}: ")]
    counts = {
        name: int(count)
        for name, _, count in (part.rpartition(" ") for part in line.removeprefix(f"{kind}: ").split(", "))
    }
    assert counts["kills"] >= 200
    assert counts["kills that left something behind"] > 0
    assert [counts[name] for name in ("lost", "doubled", "torn", "mismatched", "left over")] == [0] * 5
