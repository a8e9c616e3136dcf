"""A job that does what its task says, at once: ``python -m tests.sweeps.jobs FOLDER``."""

from fer_bench.sweeps.engines.watch import watch_starter

if __name__ == "__main__":
    watch_starter()

import json
import os
import subprocess
import sys
import time
from pathlib import Path

MODULE = "tests.sweeps.jobs"


def write_task(folder: Path, **task) -> Path:
    """Put a task into a folder: ``do`` is done, fail, die, leave or sleep; ``mark`` gets its processes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.json").write_text(json.dumps(task))
    return folder


def main(folder: Path) -> int:
    task = json.loads((folder / "task.json").read_text())
    print("does", task["do"], "with", os.environ.get("OMP_NUM_THREADS"), "threads", flush=True)
    if task["do"] == "die":
        os.kill(os.getpid(), 9)
    if task["do"] in ("sleep", "leave"):
        # A loader or a rank, which knows nothing of the pipe.
        child = subprocess.Popen(["sleep", "300"])
        Path(task["mark"]).write_text(f"{os.getpid()} {child.pid}")
        if task["do"] == "sleep":
            time.sleep(300)
    if task["do"] == "fail":
        print("it went wrong", file=sys.stderr)
        return 2
    (folder / "outbox").mkdir(exist_ok=True)
    (folder / "outbox" / "made").write_text(os.environ.get("FER_BENCH_MADE", ""))
    (folder / "result.json").write_text("{}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
