"""Small members that predict values: the truth with noise and a bias, on frames of clips, in a store."""

from __future__ import annotations

import numpy as np

from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import Record
from fer_bench.scoring.folds import pooled
from fer_bench.scoring.score import score

CHECKSUMS = {"train": "a" * 8, "validation": "b" * 8, "test": "c" * 8}
SCALE = (-1.0, 1.0)
PROTOCOL = Protocol("toy", TASKS["va"], title="Toy", scale=SCALE)
SIZES = {"validation": 120, "test": 150}
N_FOLDS = 3


def predictions(seed, split="test", noise=0.3, fold=0):
    """Ten frames a clip; ids differ by fold in test, and are those of another part of the data in validation."""
    n, place = SIZES[split], fold + (split == "validation")
    truth = np.random.default_rng([place, n]).uniform(-0.8, 0.8, size=(n // 10, 2)).repeat(10, axis=0)
    generator = np.random.default_rng([seed, place, n])
    outputs = 0.7 * truth + generator.normal(size=(n, 2)) * noise + 0.1 * generator.normal()
    ids = np.array([f"{split[0]}{fold}-{i:04d}" for i in range(n)])
    groups = np.array([f"{split[0]}{fold}-clip{i // 10:02d}" for i in range(n)])
    return Predictions(ids, truth, outputs.clip(*SCALE).astype(np.float32), {}, groups)


def record(run_id, splits, *, protocol=PROTOCOL, model="net", **fields):
    content = {
        "run_id": run_id,
        "row": run_id,
        "protocol": protocol.name,
        "task": protocol.task.name,
        "dataset": protocol.dataset,
        "model": model,
        "metrics": score(protocol, splits["test"]),
        "n_scored": len(splits["test"]),
        "data": {"checksums": CHECKSUMS},
        "parameters": {"trainable": 10, "total": 12},
    }
    if "validation" in splits:
        content["validation_metrics"] = score(protocol, splits["validation"])
    return Record(**(content | fields))


def fill(store, n=4, protocol=PROTOCOL):
    """Members of growing skill."""
    made = []
    for seed in range(n):
        splits = {split: predictions(seed, split, 0.6 - 0.1 * seed) for split in SIZES}
        made.append(store.put(record(f"r{seed}-s{seed}", splits, model=f"net{seed}", protocol=protocol), splits))
    return made


def fill_folds(store, n=3):
    """Cross-validations: the runs of each fold, and a record over all of them."""
    made = []
    for seed in range(n):
        parts = []
        for fold in range(N_FOLDS):
            splits = {split: predictions(seed, split, 0.6 - 0.1 * (seed + (fold == seed)), fold) for split in SIZES}
            data = {
                "checksums": {split: f"{split[0]}{fold}" * 4 for split in SIZES},
                "fold": {"fold": fold, "folds": N_FOLDS, "copy": "w" * 8},
            }
            name = f"f{seed}{fold}-s0"
            store.put(record(name, splits, model=f"net{seed}", data=data), splits)
            parts.append((name, splits["test"]))
        whole = {"test": pooled([test for _, test in parts])}
        data = {"checksums": {"test": "w" * 8}, "folds": [name for name, _ in parts], "n": {"test": len(whole["test"])}}
        made.append(store.put(record(f"all{seed}-s0", whole, model=f"net{seed}", data=data), whole))
    return made
