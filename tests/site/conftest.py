"""A site of small records: several seeds, kinds, claims, notes, and a name that would break out of any page."""

from __future__ import annotations

import json

import pytest
import yaml

from fer_bench.protocols import TASKS, Protocol
from fer_bench.results import costs, reproductions
from fer_bench.results.corruptions import made_with
from fer_bench.results.costs import Cost, Timing
from fer_bench.results.store import Store
from fer_bench.site.build import build_site
from tests.leaderboard.fake_records import put, run

HOSTILE = "</script><b onmouseover=\"alert(1)\">'{{ 7*7 }}' \u202e \u2028 `${x}`"
EMOTIONS = Protocol("toyemo", TASKS["emo8"], title="Toy emotions")
SECONDS = {"training": {"seconds": 3600.0, "epochs": 3}}
LINES = {f"{split}/{name}": [0.5] * 5 for split in ("train", "validation") for name in ("loss", "accuracy")}
MEMBERS = [
    {"model": "alpha", "run_id": f"a-s{i}", "weight": 1.0, "validation_accuracy": 0.6, "test_accuracy": 0.7}
    for i in range(2)
]
BY_SIZE = {
    "metric": "accuracy",
    "order": "validation",
    "validation": {"soft": [0.6, 0.7]},
    "test": {"soft": [0.6, 0.7]},
}
STATED = {"reference": "javascript:alert(1)", "trained_on": ["AffectNet"]}


def runs():
    first = {"recipe": "three seeds", "created": "2025-02-01T00:00:00+00:00", "training": {"curves": LINES}}
    yield from (run(0.7, "alpha", "a", seed, duplicates=40, **first) for seed in range(3))
    for seed in range(2):
        yield run(0.69, "alpha", "b", seed, recipe="two seeds", created="2026-02-01T00:00:00+00:00", **SECONDS)
    yield run(0.6, "beta", "c", recipe="one seed", spec={"epochs": 3, "lr": 0.1, "seed": 0, "weights": "imagenet"})
    views = {"spec": {"tta": 10, "seed": 0}, "parameters": {"total": 90_000_000}}
    yield run(0.5, "gamma", "d", caveats=["selected on test"], **views)
    together = {"spec": {"rule": "soft", "n_members": 2}, "training": {"members": MEMBERS, "curve": BY_SIZE}}
    yield run(0.71, "ensemble", "e", kind="ensemble", **together)
    yield run(0.65, "people", "h", kind="human")
    yield run(0.55, "from outside", "x", kind="external", spec={}, training=STATED)
    yield run(0.45, HOSTILE, "y", recipe=HOSTILE, caveats=[HOSTILE])
    yield from (run(0.6, "alpha", "m", seed, protocol=EMOTIONS) for seed in range(2))
    yield run(0.5, "beta", "n", protocol=EMOTIONS)


def _measure(store):
    """What one face costs a network, on two devices, and what came of training it again."""
    record = store.get("c-s0")
    timings = [
        Timing(device="cpu", name=name, threads=1, latency=latency, throughput=400, batch=64, memory=120.5)
        for name, latency in (("Some <i>CPU</i>", 2.5), ("Other CPU", 3.5))
    ]
    network = costs.network_of(record)
    costs.put(store, Cost(network=network, parameters=1_250_000, macs=60_000_000, timings=timings))
    again = {"metric": "accuracy", "recorded": 0.6, "score": 0.6, "identical": True, "within": True}
    of = reproductions.Reproduction(
        run_id=record.run_id, protocol=record.protocol, model=record.model, of=made_with(record), **again
    )
    reproductions.put(store, of, store.predictions(record))


def write_records(root):
    store = Store(root)
    put(store, *runs())
    _measure(store)
    (root / "reported").mkdir()
    claim = {"model": HOSTILE, "metrics": {"accuracy": {"mean": 0.9, "std": 0.01}}}
    claim |= {"location": HOSTILE, "notes": HOSTILE}
    checked = {"status": ["reproduced lower"], "evidence": [{"says": HOSTILE, "url": "javascript:x"}]}
    paper = {
        "source": {"title": HOSTILE, "authors": HOSTILE, "year": 2017, "short": HOSTILE, "url": "javascript:alert(1)"},
        "rows": [
            {**claim, **checked, "protocol": "toy-fer7"},
            {**claim, "protocol": "toy-fer7", "model": "alpha", "pretraining": "faces"},
            {**claim, "protocol": "other-fer7"},
        ],
    }
    (root / "reported" / "paper.yaml").write_text(yaml.safe_dump(paper))
    (root / "notes").mkdir()
    note = f"# Title\n\n## What\n\n{HOSTILE} [the board](../toy-fer7.md) [away](../../secret) ![p](../../x.png)\n"
    (root / "notes" / "toy.md").write_text(note)
    return store


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="session")
def site(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "built"
    build_site(store, out, docs="docs/")
    return out


def given(path):
    """The data of a script."""
    text = path.read_text()
    return json.loads(text[text.index(",") + 1 : text.rindex(")")])
