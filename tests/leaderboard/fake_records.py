"""Small records with real predictions behind them."""

from __future__ import annotations

import numpy as np

from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import Record, pack_outcomes
from fer_bench.scoring.score import correct, score

N = 400
CHECKSUMS = {"train": "a" * 8, "validation": "b" * 8, "test": "c" * 8}
PROTOCOL = Protocol("toy", TASKS["fer7"], title="Toy", about="Drawn numbers.")


def predictions(accuracy, seed, n=N, n_classes=7, duplicates=0, sample_seed=0, groups=None):
    """Class probabilities that answer about this share rightly; which samples are hard is the same for every seed."""
    targets = np.random.default_rng(sample_seed).integers(n_classes, size=n)
    generator = np.random.default_rng(seed)
    hardness = 0.7 * np.random.default_rng(sample_seed + 1).random(n) + 0.3 * generator.random(n)
    hit = hardness <= np.quantile(hardness, accuracy)
    answers = np.where(hit, targets, (targets + generator.integers(1, n_classes, size=n)) % n_classes)
    outputs = np.full((n, n_classes), 0.4 / n_classes)
    outputs[np.arange(n), answers] += 0.6
    flags = {"duplicate": np.arange(n) < duplicates} if duplicates else {}
    return Predictions(np.array([f"s{i:05d}" for i in range(n)]), targets, outputs.astype(np.float32), flags, groups)


def record(model="net", row="r0", seed=0, protocol=PROTOCOL, test=None, **fields):
    content = {
        "run_id": f"{row}-s{seed}",
        "row": row,
        "protocol": protocol.name,
        "task": protocol.task.name,
        "dataset": protocol.dataset,
        "model": model,
        "seed": seed,
        "data": {"checksums": CHECKSUMS},
        "spec": {"epochs": 3, "lr": 0.1, "seed": seed},
        "parameters": {"trainable": 1_000_000, "total": 1_250_000},
    }
    if test is not None:
        content |= {"metrics": score(protocol, test), "n_scored": len(test), "outcomes": pack_outcomes(correct(test))}
        duplicates = test.flags.get("duplicate")
        if duplicates is not None:
            content["data"] = content["data"] | {"n_test_duplicates": int(duplicates.sum())}
    return Record(**(content | fields))


def run(accuracy, model="net", row="r0", seed=0, protocol=PROTOCOL, n=N, duplicates=0, **fields):
    """A finished record and its predictions."""
    n_classes = len(protocol.task.labels)
    shift = 1000 * sum(map(ord, model + row)) + seed
    test = predictions(accuracy, shift + 7, n, n_classes, duplicates)
    validation = predictions(accuracy, shift + 8, 100, n_classes, sample_seed=5)
    made = record(model, row, seed, protocol, test, validation_metrics=score(protocol, validation), **fields)
    return made, {"test": test, "validation": validation}


def put(store, *runs):
    return [store.put(made, splits) for made, splits in runs]
