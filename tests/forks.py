"""Processes of their own that begin with everything imported: forked from one server a session, where a fresh
interpreter takes ten seconds of a core."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

# Coverage, where it is measured, begins in every process; it would be counted among what some of them import or write.
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
MEASURED = len(UNMEASURED) < len(os.environ)
PRELOADED = ["fer_bench.cli.main", "fer_bench.training.run", "fer_bench.deploy.predictor", "fer_bench.faces.detector"]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


def _begin(script, arguments, environment, folder, out, err):
    for path, descriptor in ((out, 1), (err, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    # The server's environment and folder are those of the test that happened to be its first.
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


class Forked:
    """A script in a process of its own; what it says is in two files beside it. The part of ``subprocess.Popen`` that
    the tests use.

    Args:
        script: what it runs, as ``__main__``.
        arguments: behind the script's name in ``sys.argv``.
        folder: its working folder.
    """

    def __init__(self, script: Path, *arguments: str, folder: Path | None = None) -> None:
        self._said = [script.with_suffix(suffix) for suffix in (".out", ".err")]
        told = (script, arguments, dict(os.environ), folder or Path.cwd(), *self._said)
        self._process = _CONTEXT.Process(
            target=_begin, args=told, daemon=False
        )  # a daemon may not have loaders' workers
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a forked script", timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        self.wait(timeout)
        return tuple(path.read_text() if path.exists() else "" for path in self._said)

    def wait_for_line(self, line: str, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while not self._said[0].exists() or line not in self._said[0].read_text().splitlines():
            assert self.poll() is None, self.communicate()[1]
            assert time.monotonic() < end, f"it did not say {line!r} in time"
            time.sleep(0.02)


COMMAND = "from fer_bench.cli.main import main\nmain()\n"


def run_alone(script: str, *arguments: object, folder: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a script to its end in a process of its own, which nothing that it breaks can take along.

    Args:
        script: text; ``COMMAND`` is the command line.
        arguments: behind the script's name in ``sys.argv``.
        folder: its working folder.
        timeout: seconds.
    """
    beside = folder / ".alone"
    beside.mkdir(exist_ok=True)
    path = beside / f"{len(list(beside.glob('*.py')))}.py"
    path.write_text(script)
    process = Forked(path, *map(str, arguments), folder=folder)
    try:
        out, err = process.communicate(timeout)
    finally:
        if process.poll() is None:
            process.kill()
    return subprocess.CompletedProcess([str(path), *map(str, arguments)], process.returncode, out, err)


class ForkedPopen:
    """In place of ``subprocess.Popen`` of a Python script whose output is read as a pipe's: forked, and read when it
    has ended.
    """

    def __init__(self, command: list[str], *, env: dict[str, str], folder: Path, **_: object) -> None:
        assert command[0] == sys.executable
        script = f"import os, runpy, sys\nos.environ.update({env!r})\nsys.argv = sys.argv[1:]\n"
        script += "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        done = run_alone(script, *command[1:], folder=folder)
        self.stdout, self.returncode = done.stdout.splitlines(keepends=True), done.returncode

    def __enter__(self) -> ForkedPopen:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Again:
    """In place of ``subprocess.Popen`` where Lightning's launcher starts the script again: forked from before the
    script has done anything, as if an interpreter had just imported what it needs.

    Args:
        ask: sends a question to the process that forks, and gives the answer.
        command: interpreter, script and arguments.
        env: of the new process.
    """

    def __init__(self, ask, command: list[str], env: dict[str, str], **_: object) -> None:
        self._ask, self.returncode = ask, None
        self.pid = ask((command[1:], env))

    def poll(self) -> int | None:
        self.returncode = self._ask(self.pid)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def relaunch_by_forking() -> None:
    """Called first by a script that Lightning's launcher will start again; see :class:`Again`."""
    if "LOCAL_RANK" in os.environ:
        return
    from lightning.pytorch.strategies.launchers import subprocess_script

    context, lock = multiprocessing.get_context("fork"), threading.Lock()
    ours, theirs = context.Pipe()
    if not os.fork():
        ours.close()
        _fork_when_asked(theirs, context)
        os._exit(0)
    theirs.close()

    def ask(question):
        with lock:
            ours.send(question)
            return ours.recv()

    subprocess_script.subprocess = SimpleNamespace(Popen=lambda command, **how: Again(ask, command, **how))


def _fork_when_asked(pipe, context) -> None:
    """Until the other end is closed, begin what is asked for, and say how it ended."""
    begun = {}
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        if isinstance(question, int):
            pipe.send(begun[question].exitcode)
        else:
            process = context.Process(target=_begin_again, args=question)
            process.start()
            begun[process.pid] = process
            pipe.send(process.pid)


def _begin_again(command, environment) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
