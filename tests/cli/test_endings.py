"""How the process ends that a user or the system interrupts: one line, never a traceback; and ``python -m
fer_bench``."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_bench.assignments import parse_assignments
from fer_bench.errors import RecordError, SpecError
from fer_bench.results.grids import load_grid
from fer_bench.spec import read_yaml
from tests.forks import UNMEASURED

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**UNMEASURED, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SLOW = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
import atexit, sys, time
class Slow:
    def __del__(self):
        time.sleep(20)
slow = Slow()
atexit.register(time.sleep, 20)
from fer_bench.cli import inspect
def models():
    print("began", flush=True)
    time.sleep(60)
    yield "a", "b"
inspect._LISTS["models"] = models
sys.argv = ["fer-bench", "list", "models"]
from fer_bench.cli.main import main
main()
"""


def test_a_second_ctrl_c_while_it_ends():
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        line = process.stderr.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.kill()
    assert line == "fer-bench: stopped. Run the same command again to resume.\n"
    assert rest == ""
    assert process.returncode in (130, -signal.SIGINT)


def test_one_ctrl_c_is_130(fer_bench, monkeypatch):
    from fer_bench.cli import inspect, main

    def models():
        raise KeyboardInterrupt
        yield

    monkeypatch.setitem(inspect._LISTS, "models", models)
    monkeypatch.setattr(main, "_let_the_next_interrupt_kill", lambda: None)
    done = fer_bench("list", "models")
    assert (done.code, done.err) == (130, "fer-bench: stopped. Run the same command again to resume.\n")


def test_a_limit_of_the_size_of_files(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", "annotate", "init", "study.yaml"],
        # Python would leave modules that are compiled to their first thousand bytes, and everything that imports them
        # would fail.
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("fer-bench: ")
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(27, "File too large", "a/b"),
            "a file would become larger than this shell or file system allows (a/b)",
        ),
        (OSError(13, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError(21, "Is a directory", "a/b"), "a/b is a folder. Give the name of a file"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (OSError(122, "Disk quota exceeded", "a/b"), "the disk is full (a/b)"),
    ],
)
def test_what_the_system_refuses(fer_bench, monkeypatch, error, says):
    from fer_bench.cli import inspect

    def models():
        raise error
        yield

    monkeypatch.setitem(inspect._LISTS, "models", models)
    done = fer_bench("list", "models")
    assert done.code == 2
    assert says in done.err
    assert done.err.count("\n") == 1


def test_python_m(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", "list", "tasks"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    assert "fer7" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", "list"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: fer-bench list ")


@pytest.mark.parametrize("depth", [2000, 100_000])
def test_files_that_are_nested_too_deeply(tmp_path, depth):
    nested = "[" * depth + "]" * depth
    path = tmp_path / "deep.yaml"
    path.write_text(f"runs: {nested}")
    with pytest.raises(SpecError, match=r"deep\.yaml: cannot be read as YAML \(nested too deeply\)"):
        read_yaml(path)
    grid = tmp_path / "a.grid.json"
    grid.write_text(f'{{"shared": {{}}, "records": {nested}}}')
    with pytest.raises(RecordError, match=r"a\.grid\.json"):
        load_grid(grid)
    with pytest.raises(SpecError, match="--set a"):
        parse_assignments([f"a={nested}"])


def test_an_interrupt_while_the_verbs_are_imported_is_one_line(monkeypatch, capsys):
    import builtins

    from fer_bench import __main__ as entry

    real = builtins.__import__

    def interrupted(name, *arguments, **options):
        if name == "fer_bench.cli.main":
            raise KeyboardInterrupt
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "fer-bench: stopped. Run the same command again.\n"
