"""What a task of a suite gets: enough to see whether a network behind its own has seen what it tests."""

from __future__ import annotations

import torch

from fer_bench.apps.suites import exchange
from fer_bench.apps.suites.plan import runs_in_files
from fer_bench.models.weights import weights_digest
from fer_bench.models.zoo import build_network
from fer_bench.results.lineage import lineage
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.sweeps.engines.seam import OUTBOX


def record(run_id, training=None, **spec):
    facts = {"run_id": run_id, "row": run_id, "protocol": "raf_db-fer7", "task": "fer7", "dataset": "raf_db"}
    return Record.model_validate({**facts, "model": "net", "training": training or {}, "spec": spec})


def test_a_task_gets_the_networks_behind_its_own(tmp_path):
    store = Store(tmp_path / "store")
    first, second = record("first-s0"), record("second-s0", weights="run:first-s0")
    third = record("third-s0", method_options={"teachers": ["second-s0"]})
    for each in (first, second, third):
        store.put(each, {})
    exchange.give(tmp_path / "task", store, [third])
    there = Store(tmp_path / "task" / OUTBOX)
    known = lineage([there.get("third-s0")], there)
    assert [one.run_id for one in known] == ["third-s0", "second-s0", "first-s0"]


def test_a_task_gets_the_run_whose_checkpoint_is_a_file(tmp_path):
    network = build_network("five_layer_cnn", 7, options={"width": 2})
    torch.save(network.state_dict(), tmp_path / "net.pth")
    store = Store(tmp_path / "store")
    store.put(record("first-s0", {"weights_sha256": weights_digest(network)}), {})
    assert runs_in_files(build({"weights": str(tmp_path / "net.pth")}), store) == ["first-s0"]
    assert runs_in_files(build({}), store) == []
