"""What carrying out a suite side by side costs beside the runs: short runs on two workers, against half of the time of
the same child processes one after the other.

    python benchmarks/perf/suite_overhead.py                     # 24 runs, local:2
    python benchmarks/perf/suite_overhead.py --runs 8 --on ray   # on a cluster that is there, or a new one

Both sides are timed with the same processes, on the same folders of their own; the suite's time includes reading the
suite, finding what is done, writing the records and rendering the boards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = """\
defaults: {{dataset: synthfaces, dataset_options: {{n_train: {n}, n_validation: 35, n_test: 70, size: 32}},
  model_options: {{width: 4}}, epochs: {epochs}, batch_size: 28, precision: 32-true}}
seeds: [{seeds}]
runs: [{{recipe: short}}]
"""
MODULE = "fer_bench.apps.suites.child"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=560)
    parser.add_argument("--on", default="local:2")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        file = home / "short.yaml"
        seeds = ", ".join(map(str, range(asked.runs)))
        file.write_text(SUITE.format(n=asked.images, epochs=asked.epochs, seeds=seeds))
        command = [sys.executable, "-m", "fer_bench", "suite", str(file), "--on", asked.on, "--accelerator", "cpu"]
        # The faces are generated before anything is timed, and the files of the libraries are read once.
        timed([*command, "--seeds", str(asked.runs)], environment(home, "warm"))
        side_by_side = timed(command, environment(home, "suite"))
        one_by_one = in_turn(home)
    ratio = side_by_side / (one_by_one / 2)
    print(
        json.dumps(
            {
                "runs": asked.runs,
                "on": asked.on,
                "side by side, s": round(side_by_side, 1),
                "one after the other, s": round(one_by_one, 1),
                "of half of that": round(ratio, 3),
            }
        )
    )


def environment(home: Path, name: str) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "FER_BENCH_HOME": str(home),
        "FER_BENCH_CACHE": str(home / "cache"),
        "FER_BENCH_RUNS": str(home / name / "runs"),
        "FER_BENCH_LEADERBOARDS": str(home / name / "leaderboards"),
        "FER_BENCH_DATA": str(home / "data"),
    }


def timed(command: list[str], variables: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def in_turn(home: Path) -> float:
    """The tasks that the suite has left, once more, one process after the other, in a folder of runs of their own."""
    tasks = sorted((home / "suite" / "runs" / "suites").glob("*/*/task.json"))
    variables = environment(home, "in turn")
    return sum(timed([sys.executable, "-m", MODULE, str(task.parent)], variables) for task in tasks)


if __name__ == "__main__":
    main()
