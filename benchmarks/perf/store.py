"""How long a big store takes: verification, boards, lists.

    python benchmarks/perf/store.py [--records 100000] [--protocols 200] [--folder /tmp/store] [--verify 2]

Writes records into a folder of its own: copies of the trained records of FER2013 that are committed here, each under
its own name, of its own protocol, with hard links to its predictions, so that every file has the size of a real one and
is read as one. Then it prints seconds, processor seconds and the peak of memory of whole commands beside what they
should stay under; it judges nothing, because machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

COMMITTED = Path(__file__).parents[2] / "leaderboards" / "results"
SEEDS = 3


def templates(protocol="fer2013-fer7"):
    """Committed records with their predictions: text, settled names, and files by split."""
    for path in sorted((COMMITTED / protocol).glob("*/*.json")):
        if path.name.endswith(".grid.json"):
            continue
        content = json.loads(path.read_text())
        files = [path.parent / entry["file"] for entry in content["predictions"].values()]
        if content["kind"] == "trained" and content["status"] == "finished" and all(map(Path.is_file, files)):
            yield path.read_text(), content, files


def write_store(root, n_records, n_protocols):
    """Records in protocols of their own datasets, some with several seeds."""
    found = list(templates())
    per_protocol = n_records // n_protocols
    for p in range(n_protocols):
        for i, (text, content, files) in enumerate(islice(cycle(found), per_protocol)):
            write_one(root, f"toy{p:03d}", i, text, content, files)


def write_one(root, dataset, i, text, content, files):
    """One record: only its names are its own."""
    row, seed = f"{i // SEEDS:06x}{dataset[-3:]}a", i % SEEDS
    run_id = f"{row}-s{seed}"
    folder = root / "results" / f"{dataset}-fer7" / f"net{i // SEEDS % 8}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / file.name.replace(content["run_id"], run_id)
        if not link.exists():
            os.link(file, link)
    changed = text.replace(content["run_id"], run_id)
    for key, value in (
        ("row", row),
        ("protocol", f"{dataset}-fer7"),
        ("dataset", dataset),
        ("model", folder.name),
        ("seed", seed),
    ):
        changed = changed.replace(f'\n "{key}": {json.dumps(content[key])}', f'\n "{key}": {json.dumps(value)}', 1)
    (folder / f"{run_id}.json").write_text(changed)
    return run_id


def measure(what, limit, root, cache, *arguments):
    """Run a command; print its wall and processor seconds and the largest of its processes."""
    environment = os.environ | {
        "FER_BENCH_LEADERBOARDS": str(root),
        "FER_BENCH_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = after.ru_maxrss / 2**10
    print(f"{what:52s} {wall:8.2f} s  {cpu:8.2f} s of processors  peak {peak:6.0f} MiB so far  ({limit})")
    if done.returncode:
        print(done.stderr or done.stdout)
    return wall


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--protocols", type=int, default=200)
    parser.add_argument("--verify", type=int, default=1, help="so many protocols are verified")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--committed", action="store_true", help="verify the committed records, too")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=given.folder, prefix="fer-bench-store-"))
    try:
        began = time.perf_counter()
        write_store(root, given.records, given.protocols)
        n = sum(1 for _ in (root / "results").glob("*/*/*.json"))
        size = sum(path.stat().st_size for path in (root / "results").glob("*/*/*.json")) / n / 1024
        seconds = time.perf_counter() - began
        print(f"{n} records of {size:.1f} KiB in {given.protocols} protocols, written in {seconds:.0f} s")
        time.sleep(3)
        cache = root / "cache"
        measure("leaderboard, from nothing", "under 20 s, 1 GB", root, cache, "leaderboard")
        time.sleep(3)
        measure("leaderboard, again", "under 20 s; keeps what was too new before", root, cache, "leaderboard")
        measure("leaderboard, nothing changed", "under 1 s", root, cache, "leaderboard")
        write_one(root, "toy000", 10**6, *next(templates()))
        measure("leaderboard, after one new record", "under 1 s", root, cache, "leaderboard")
        measure("list runs", "", root, cache, "list", "runs")
        measure("list runs --protocol --best", "", root, cache, "list", "runs", "--protocol", "toy000-fer7", "--best")
        names = [f"toy{p:03d}-fer7" for p in range(given.verify)]
        each = given.verify * (given.records // given.protocols) + 1
        wall = measure(f"verify --all of {each} records", "10 ms a record", root, cache, "verify", "--all", *names)
        print(f"  {1000 * wall / each:.1f} ms a record")
        measure("verify again", "", root, cache, "verify", *names)
    finally:
        shutil.rmtree(root)
    if given.committed:
        with tempfile.TemporaryDirectory() as cache:
            measure("verify --all, committed records", "under 10 s", COMMITTED.parent, cache, "verify", "--all")
            measure("verify again, committed records", "", COMMITTED.parent, cache, "verify")


if __name__ == "__main__":
    main()
