"""Kill what writes, again and again, at any moment, and count what is lost: ``make torture``.

A child writes without end; SIGKILL ends it after a random time, every other time while a neighbour writes into the same
folder. Then everything is read back:

- lost: a record or a board whose writing had returned is not there any more, or an older one is;
- doubled: a run is there twice;
- torn: a file of records that cannot be parsed, predictions that are not the ones named, a board that is neither the
  old nor the new;
- mismatched: predictions that are whole, but of another writing of the record;
- left over: a file that belongs to nothing, after the next command (another record, or the rendering of the boards).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.leaderboard.render import render, render_all
from fer_bench.predictions import Predictions
from fer_bench.results import provenance
from fer_bench.results.grids import SUFFIX, StackedPredictions, load_grid
from fer_bench.results.leftovers import names_in
from fer_bench.results.record import Record
from fer_bench.results.store import Store

COUNTS = ("lost", "doubled", "torn", "mismatched", "left over")
N, CLASSES, HEADS, SEATS = 200, 7, 4, 3
IDS = np.array([f"sample{i:04d}" for i in range(N)])
TARGETS = np.arange(N) % CLASSES


def outputs(generation):
    """What a record of this generation predicts; no two generations agree anywhere."""
    return np.full((N, CLASSES), (generation % 1000) / 1000 + 1e-4, dtype=np.float32)


def make_record(run_id, generation=0, **fields):
    content = {
        "run_id": run_id,
        "row": run_id,
        "protocol": "toy-fer7",
        "task": "fer7",
        "dataset": "toy",
        "model": "net",
        "spec": {"generation": generation},
    }
    return Record(**(content | {"metrics": {"accuracy": 0.5}, "n_scored": N} | fields))


def put(store, run_id, generation, **fields):
    content = Predictions(IDS, TARGETS, outputs(generation))
    store.put(make_record(run_id, generation, **fields), {"test": content, "validation": content})


def put_grid(store, grid, generation):
    records = [make_record(f"{grid}h{h}", generation) for h in range(HEADS)]
    stacked = StackedPredictions(
        Predictions(IDS, TARGETS, outputs(0)), np.stack([outputs(generation)] * HEADS).astype(np.float16)
    )
    store.put_grid(grid, records, {"test": stacked, "validation": stacked})


def pages_of(store):
    return {path: text.encode() for path, text in render(store).items()}


class Torture:
    """One kind of writing under kills."""

    def __init__(self, root, seed):
        self.root, self.random, self.counts = root, random.Random(seed), Counter()
        self.known = {}
        self.generation = 0

    @property
    def store(self):
        return Store(self.root)

    def prepare(self):
        """Made once, before the first kill."""

    def write(self, step):
        """One writing; returns (what was written, its generation)."""
        raise NotImplementedError

    def neighbour(self):
        """What another process writes at the same time."""
        for seat in range(SEATS):
            put(self.store, f"neighbour{seat}", self.generation)

    def read_back(self):
        """Generation by name of all that is there; counts what is torn, doubled or mismatched."""
        found = {}
        for path in [*self.store.files(), *self.store.grids()]:
            try:
                records = [Record.load(path)] if not path.name.endswith(SUFFIX) else load_grid(path)
            except FerBenchError:
                self.counts["torn"] += 1
                continue
            for record in records:
                self.counts["doubled"] += record.run_id in found
                found[record.run_id] = record.spec["generation"]
                for split in record.predictions:
                    try:
                        stored = self.store.predictions(record, split).outputs
                    except FerBenchError:
                        self.counts["torn"] += 1
                        continue
                    self.counts["mismatched"] += not np.allclose(
                        stored, outputs(record.spec["generation"]), atol=1e-3, rtol=0
                    )
        return found

    def strays(self):
        """Files that belong to nothing."""
        mine = set(self.pages())
        for path in self.root.glob("results/*/*/*.json"):
            mine |= {path, *(path.parent / name for name in names_in(path) or ())}
        return [path for path in self.root.rglob("*") if path.is_file() and path not in mine]

    def pages(self):
        return [path for path in self.root.glob("*.md") if not path.name.startswith(".")]

    def next_command(self, kill):
        if kill % 2:
            render_all(self.store)
        else:
            put(self.store, "witness", kill)

    def check(self, acknowledged):
        found = self.read_back()
        for name, generation in (self.known | acknowledged).items():
            self.counts["lost"] += found.get(name, -1) < generation
        self.known = found

    def once(self, kill, patience):
        """One kill, and everything that is checked after it."""
        acknowledged, beside = self._kill(patience)
        self.counts["kills"] += 1
        self.counts["writings that had returned"] += acknowledged.pop("", 0)
        self.counts["neighbours that failed"] += beside != 0
        self.counts["kills that left something behind"] += bool(self.strays())
        self.check(acknowledged)
        self.next_command(kill)
        self.counts["left over"] += len(self.strays())
        self.check({})

    def _kill(self, patience):
        self.generation += 100
        reading, writing = os.pipe()
        writer = _child(lambda: self._write_for_ever(writing))
        os.close(writing)
        neighbour = _child(self.neighbour) if self.counts["kills"] % 2 else None
        # The first line says that it is in full swing.
        text = os.read(reading, 1)
        time.sleep(self.random.uniform(0, patience))
        os.kill(writer, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(writer, 0)[1])
        beside = os.waitpid(neighbour, 0)[1] if neighbour else 0
        with os.fdopen(reading, "rb") as pipe:
            text += pipe.read()
        acknowledged, n = {}, 0
        for line in text.split(b"\n")[:-1]:
            acknowledged.update(json.loads(line))
            n += 1
        return acknowledged | {"": n}, beside

    def _write_for_ever(self, writing):
        for step in itertools.count():
            os.write(writing, json.dumps(self.write(step)).encode() + b"\n")


class NewRecords(Torture):
    def write(self, step):
        name = f"new{self.generation}x{step}"
        put(self.store, name, self.generation)
        return {name: self.generation}

    def check(self, acknowledged):
        super().check(acknowledged)
        # The folder stays as small as a real one.
        for path in self.store.files():
            if path.stem.startswith("new") and self.known.get(path.stem, -1) <= self.generation - 500:
                record = Record.load(path)
                for entry in record.predictions.values():
                    (path.parent / entry.file).unlink()
                path.unlink()
                del self.known[path.stem]


class RewrittenRecords(Torture):
    def prepare(self):
        put(self.store, "one", 0)

    def write(self, step):
        put(self.store, "one", self.generation + step)
        return {"one": self.generation + step}


class Grids(Torture):
    def prepare(self):
        put_grid(self.store, "grid", 0)

    def write(self, step):
        name = "grid" if step % 2 else f"grid{self.generation // 100 % 3}"
        put_grid(self.store, name, self.generation + step)
        return {f"{name}h{h}": self.generation + step for h in range(HEADS)}


class Rendering(Torture):
    """Boards of a store that changes from one state to another and back; a page is one of both, whole."""

    def prepare(self):
        self.whole = {}
        for seed in range(1, 10):
            put(self.store, f"run{seed}", 0)
        self._set(0)
        render_all(self.store)
        board = self.root / "toy-fer7.md"
        board.write_text("By hand.\n" + board.read_text())
        for state in (1, 0):
            self._set(state)
            for path, content in pages_of(self.store).items():
                self.whole.setdefault(path, set()).add(content)
        assert len(self.whole[board]) == 2

    def _set(self, state):
        put(self.store, "run0", state, recipe=f"in state {state}")

    def write(self, step):
        self._set(step % 2)
        render_all(self.store)
        return {"run0": step % 2}

    def neighbour(self):
        for _ in range(2):
            render_all(self.store)

    def next_command(self, kill):
        render_all(self.store)
        self.counts["torn"] += len(render_all(self.store, check=True))

    def check(self, acknowledged):
        self.known = {}
        found = self.read_back()
        self.counts["lost"] += 10 - len(found)
        for path, contents in self.whole.items():
            if not path.is_file():
                self.counts["lost"] += 1
            elif path.read_bytes() not in contents:
                self.counts["torn"] += 1


KINDS = {"new records": NewRecords, "rewritten records": RewrittenRecords, "grids": Grids, "rendering": Rendering}


def _child(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def torture(kind, kills, seed=0):
    """Counts of one kind of writing."""
    root = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        made = KINDS[kind](root, seed)
        made.prepare()
        made.write(0)
        began = time.perf_counter()
        made.write(1)
        once = time.perf_counter() - began
        made.known = made.read_back()
        # Kills fall anywhere in the next few writings.
        for kill in range(kills):
            made.once(kill, 3 * once)
    finally:
        shutil.rmtree(root)
    return made.counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of each kind")
    parser.add_argument("--log", type=Path, help="where the result is written")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    code = provenance.code()
    commit = f"{code['commit']}{', modified' if code['modified'] else ''}"
    lines = [
        f"{provenance.now()}  fer_bench {code['version']}, commit {commit}",
        f"Python {code['python']}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        f"{arguments.kills} SIGKILLs of each kind, seed {arguments.seed}",
        "",
    ]
    began, failed = time.perf_counter(), 0
    for kind in KINDS:
        counts = torture(kind, arguments.kills, arguments.seed)
        wrong = {name: counts[name] for name in (*COUNTS, "neighbours that failed")}
        failed += sum(wrong.values())
        seen = {
            name: counts[name] for name in ("kills", "writings that had returned", "kills that left something behind")
        }
        lines.append(f"{kind}: " + ", ".join(f"{name} {count}" for name, count in (seen | wrong).items()))
        print(lines[-1], flush=True)
    lines.append(f"\n{'Nothing was lost.' if not failed else f'{failed} faults.'} {time.perf_counter() - began:.0f} s")
    if arguments.log:
        arguments.log.write_text("\n".join(lines) + "\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
