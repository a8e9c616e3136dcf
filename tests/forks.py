"""Processes of their own that begin with everything imported: forked from one server a session, where a fresh
interpreter takes ten seconds of a core."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

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
