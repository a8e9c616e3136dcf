"""In place of the process of a job: forked from a server that has imported everything, which saves ten seconds each."""

from __future__ import annotations

import os
import sys

import pytest

from fer_bench.sweeps.engines.seam import LOG, RESULT
from tests.forks import Forked

SCRIPT = """\
import importlib, sys, torch
torch.set_num_threads(1)
from pathlib import Path
code = importlib.import_module({module!r}).main(Path(sys.argv[1]))
sys.stdout.flush()
sys.exit(code)
"""


class ForkedJob:
    """Has the interface of :class:`fer_bench.sweeps.engines.processes.Process`."""

    def __init__(self, module, folder, environment, cwd=""):
        (folder / RESULT).unlink(missing_ok=True)
        self._folder = folder
        script = folder / "job.py"
        script.write_text(SCRIPT.format(module=module))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            self.process = Forked(script, str(folder), folder=None)
        self.text = ""

    def ended(self):
        if self.process.poll() is None:
            return False
        self.text = f"exit code {self.process.returncode}"
        said = [self._folder / f"job.{end}" for end in ("out", "err")]
        with (self._folder / LOG).open("a") as log:
            log.write("".join(path.read_text() for path in said if path.exists()))
        return True

    def ask_to_stop(self):
        self.process.send_signal(15)

    def stop(self, until=None):
        self.process.kill()
        self.process.wait(20)
        print("stopped", os.getpid(), file=sys.stderr)


def jobs_killed(first):
    """A kind of job whose first processes are killed when they have begun.

    Args:
        first: so many.
    """

    class Killed(ForkedJob):
        n = 0

        def __init__(self, *arguments):
            super().__init__(*arguments)
            Killed.n += 1
            if Killed.n <= first:
                self.process.kill()

    return Killed
