"""Small records with real predictions behind them."""

from __future__ import annotations

import functools

import numpy as np

from fer_bench.metrics import revision
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import Record, pack_outcomes
from fer_bench.scoring.classification import confusion_matrix, confusion_statistic, predicted_classes
from fer_bench.scoring.score import correct, score
from tests.plain_bootstrap import paired_bootstrap

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


def record(model="net", row="r0", seed=0, protocol=PROTOCOL, test=None, scores=None, **fields):
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
        content |= {
            "metrics": scores,
            "metrics_version": revision(),
            "n_scored": len(test),
            "outcomes": pack_outcomes(correct(test)),
        }
        duplicates = test.flags.get("duplicate")
        if duplicates is not None:
            content["data"] = content["data"] | {"n_test_duplicates": int(duplicates.sum())}
    return Record(**(content | fields))


@functools.cache
def _scored(protocol_name, task, accuracy, seed, n, duplicates, sample_seed):
    protocol = Protocol(protocol_name, TASKS[task])
    made = predictions(accuracy, seed, n, len(protocol.task.labels), duplicates, sample_seed)
    return made, score(protocol, made)


def run(accuracy, model="net", row="r0", seed=0, protocol=PROTOCOL, n=N, duplicates=0, **fields):
    """A finished record and its predictions; scored once per test session, so nobody may change what it returns."""
    shift = 1000 * sum(map(ord, model + row)) + seed
    test, metrics = _scored(protocol.dataset, protocol.task.name, accuracy, shift + 7, n, duplicates, 0)
    validation, validation_metrics = _scored(protocol.dataset, protocol.task.name, accuracy, shift + 8, 100, 0, 5)
    made = record(model, row, seed, protocol, test, metrics, validation_metrics=validation_metrics, **fields)
    return made, {"test": test, "validation": validation}


def put(store, *runs):
    return [store.put(made, splits) for made, splits in runs]


def paired_weighted_f1(a, b):
    """Predictions a against b, one resample at a time."""

    def weighted_f1(targets, predicted):
        return float(confusion_statistic(confusion_matrix(targets, predicted, 8), "weighted_f1"))

    return paired_bootstrap(weighted_f1, *([p.targets, predicted_classes(p.outputs)] for p in (a, b)))
