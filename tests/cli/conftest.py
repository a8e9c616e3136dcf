from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def fer_bench(monkeypatch, capfd):
    """Run the real entry point in this process: exit code, standard output and standard error."""
    from fer_bench.cli.main import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fer-bench", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run
