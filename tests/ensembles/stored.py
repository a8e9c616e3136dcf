"""Small members of ensembles: noisy probabilities on the same samples, in a store."""

from __future__ import annotations

import numpy as np

from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.record import Record, pack_outcomes
from fer_bench.scoring.score import correct, score

CHECKSUMS = {"train": "a" * 8, "validation": "b" * 8, "test": "c" * 8}
PROTOCOL = Protocol("toy", TASKS["fer7"], title="Toy")
SIZES = {"validation": 140, "test": 210}


def predictions(seed, split="test", skill=1.2, n=None, n_classes=7):
    n = n or SIZES[split]
    targets = np.random.default_rng(SIZES[split]).integers(n_classes, size=n)
    logits = np.random.default_rng([seed, SIZES[split]]).normal(size=(n, n_classes))
    logits[np.arange(n), targets] += skill
    outputs = np.exp(logits)
    return Predictions(
        np.array([f"{split[0]}{i:04d}" for i in range(n)]),
        targets,
        (outputs / outputs.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def member(seed, skill=1.2, *, model=None, splits=None, protocol=PROTOCOL, **fields):
    """A finished record and its predictions."""
    splits = splits or {split: predictions(seed, split, skill, n_classes=len(protocol.task.labels)) for split in SIZES}
    test = splits["test"]
    content = {
        "run_id": f"r{seed}-s{seed}",
        "row": f"r{seed}",
        "protocol": protocol.name,
        "task": protocol.task.name,
        "dataset": protocol.dataset,
        "model": model or f"net{seed}",
        "seed": seed,
        "metrics": score(protocol, test),
        "n_scored": len(test),
        "outcomes": pack_outcomes(correct(test)),
        "data": {"checksums": CHECKSUMS},
        "parameters": {"trainable": 10, "total": 12},
    }
    if "validation" in splits:
        content["validation_metrics"] = score(protocol, splits["validation"])
    return Record(**(content | fields)), splits


def fill(store, n=5):
    """Members of growing skill."""
    return [store.put(*member(seed, 0.8 + 0.15 * seed)) for seed in range(n)]
