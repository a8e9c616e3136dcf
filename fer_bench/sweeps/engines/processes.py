"""The process of a job: in a group of its own, with a log of its own, watched, and ended with all that it has started.

What ``local`` runs here, workers of Ray and jobs of SLURM run on their node.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from fer_bench.sweeps.engines.seam import LOG, RESULT
from fer_bench.sweeps.engines.watch import WATCHED

# From a polite request to a killed group: a training ends after its present batch.
_GRACE_SECONDS = 5.0


class Process:
    """A job's process; it begins at once.

    Args:
        module: to be run.
        folder: its argument; the log goes there, after what an earlier try has left in it.
        environment: variables on top of the present ones.
        cwd: where it begins, if there is such a folder.
    """

    def __init__(self, module: str, folder: Path, environment: Mapping[str, str], cwd: str = "") -> None:
        (folder / RESULT).unlink(missing_ok=True)
        self.folder = folder
        with (folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, WATCHED: "1", "PYTHONUNBUFFERED": "1"},
                cwd=cwd if cwd and Path(cwd).is_dir() else None,
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether it has ended; then nothing is left of what it has started."""
        if self._process.poll() is None:
            return False
        self._let_go()
        return True

    @property
    def text(self) -> str:
        """How it ended, where it says nothing itself."""
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def wait(self) -> None:
        """Until it has ended."""
        self._process.wait()
        self._let_go()

    def ask_to_stop(self) -> None:
        """Request that it ends, with what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def stop(self, until: float | None = None) -> None:
        """Have it ended, politely at first.

        Args:
            until: on the monotonic clock; None: some seconds from now.
        """
        self.ask_to_stop()
        until = time.monotonic() + _GRACE_SECONDS if until is None else until
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))
        self._let_go()
        self._process.wait()

    def _let_go(self) -> None:
        """What is left of the group ends now: directly, and by the watcher, which takes the closed pipe for the
        starter's end.
        """
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
