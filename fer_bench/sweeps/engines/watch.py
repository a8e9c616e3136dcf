"""No orphans: everything that a job has started ends with the process that started the job, however that one dies.

Neither a worker of Ray that is killed nor a driver that gets SIGKILL can tell anybody. But the kernel closes their
files. A job therefore reads from a pipe that its starter holds: a small process beside it waits for the end of that
pipe, and then kills the job's process group. It is forked before anything is imported, so it costs a millisecond and
one megabyte. Loaders and ranks are in the same group, and what a job leaves behind ends with it too.
"""

from __future__ import annotations

import contextlib
import os
import signal

# Says that the standard input is such a pipe; ranks inherit it, and are watched already.
WATCHED = "FER_BENCH_WATCHED"


def watch_starter() -> None:
    """Fork the watcher. To be called first in the job's process, which leads a group; elsewhere it does nothing."""
    if os.environ.pop(WATCHED, "") != "1" or not hasattr(os, "fork"):
        return
    group = os.getpgrp()
    if os.fork():
        # The pipe is the watcher's alone: nothing of the job reads from it by mistake.
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        return
    try:
        # Out of the group that it will kill, and of the terminal's signals.
        os.setsid()
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        with open(os.devnull, "w") as nothing:  # noqa: PTH123
            # A reader of the job's log must not wait for the watcher.
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)
