"""How long a user waits: `fer-bench --help`, and the leaderboards of many records.

    python benchmarks/perf/startup.py [--records 10000]

Prints seconds beside what they should stay under; judges nothing, because machines differ.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fer_bench.leaderboard.render import render_all
from fer_bench.protocols import PROTOCOLS
from fer_bench.results.record import Record, pack_outcomes
from fer_bench.results.store import Store

PROBE = """
import sys, time
began = time.perf_counter()
from fer_bench.cli.main import main
sys.argv = ["fer-bench", "--help"]
try:
    main()
except SystemExit:
    pass
print(f"\\nPROBE {time.perf_counter() - began:.3f} {'torch' in sys.modules}")
"""


def help_seconds(repeats=3):
    """Best of some runs of a fresh process (whole process, main() alone) and whether torch was imported."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
        inside, torch = result.stdout.rsplit("PROBE", 1)[1].split()
        found.append((time.perf_counter() - began, float(inside), torch == "True"))
    return min(found)


def write_records(store, n_records, seeds=3):
    """Records as runs leave them, without predictions, which a leaderboard of accuracies does not open."""
    protocol = PROTOCOLS["fer2013-fer7"]
    generator, draw = np.random.default_rng(0), random.Random(0)
    hardness = generator.random(protocol.n_test)
    confusion = generator.integers(400, size=(7, 8)).tolist()
    for i in range(n_records):
        skill = 0.6 + 0.15 * (i // seeds) * seeds / n_records
        right = 0.8 * hardness + 0.2 * generator.random(protocol.n_test) < skill
        accuracy = float(right.mean())
        names = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")
        scores = {name: accuracy - 0.01 * k for k, name in enumerate(names)}
        metrics = {
            **scores,
            "macro_ap": 0.7,
            "nll": 0.9,
            "brier": 0.4,
            "ece": 0.03,
            "n": protocol.n_test,
            "n_unanswered": 0,
            "intervals": {name: [value - 0.015, value + 0.015] for name, value in scores.items()},
            "per_class": {name: generator.random(7).tolist() for name in ("precision", "recall", "f1")},
            "confusion": confusion,
            "clean": {"n": 3400, **scores},
        }
        row = f"{i // seeds:010x}"
        curves = {
            name: [draw.random() for _ in range(30)]
            for name in ("train/loss", "validation/loss", "validation/accuracy")
        }
        record = Record(
            run_id=f"{row}-s{i % seeds}",
            row=row,
            protocol=protocol.name,
            task="fer7",
            dataset="fer2013",
            model=f"net{i // seeds % 50}",
            seed=i % seeds,
            metrics=metrics,
            validation_metrics=metrics,
            n_scored=protocol.n_test,
            spec={"epochs": 30, "lr": draw.random(), "batch_size": 128, "augment": "standard"},
            data={"checksums": {"train": "a", "validation": "b", "test": "c"}, "n_test_duplicates": 189},
            training={"epochs": 30, "curves": curves},
            parameters={"trainable": 1_300_000, "total": 1_300_000},
            outcomes=pack_outcomes(right),
        )
        path = store.path(record.protocol, record.model, record.run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if importlib.util.find_spec("fer_bench.cli.main") is None:
        print("fer-bench --help            not there yet")
    else:
        process, inside, torch = help_seconds()
        print(
            f"fer-bench --help            {process:.2f} s in all, {inside:.2f} s after Python's own start (aim: 0.5 s);"
            f" torch imported: {torch}"
        )
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        write_records(store, arguments.records, arguments.seeds)
        began, used = time.perf_counter(), time.process_time()
        render_all(store)
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        print(
            f"leaderboard, {arguments.records:,} records  {wall:.2f} s, of which {cpu:.2f} s of processor time (aim:"
            " 5 s)"
        )


if __name__ == "__main__":
    main()
