"""Small members of ensembles: noisy probabilities on the same samples, in a store."""

from __future__ import annotations

import copy

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


def _predictions(protocol, seed, split, skill):
    return predictions(seed, split, skill, n_classes=len(protocol.task.labels))


_SCORED = {}


def _scores(protocol, seed, split, skill):
    """Computed once: most members are stored again by the next test."""
    key = repr((protocol, seed, split, skill))
    if key not in _SCORED:
        _SCORED[key] = score(protocol, _predictions(protocol, seed, split, skill))
    return copy.deepcopy(_SCORED[key])


def member(seed, skill=1.2, *, model=None, splits=None, protocol=PROTOCOL, **fields):
    """A finished record and its predictions."""
    scores = (
        (lambda split: score(protocol, splits[split]))
        if splits
        else (lambda split: _scores(protocol, seed, split, skill))
    )
    splits = splits or {split: _predictions(protocol, seed, split, skill) for split in SIZES}
    test = splits["test"]
    content = {
        "run_id": f"r{seed}-s{seed}",
        "row": f"r{seed}",
        "protocol": protocol.name,
        "task": protocol.task.name,
        "dataset": protocol.dataset,
        "model": model or f"net{seed}",
        "seed": seed,
        "metrics": scores("test"),
        "n_scored": len(test),
        "outcomes": pack_outcomes(correct(test)),
        "data": {"checksums": CHECKSUMS},
        "parameters": {"trainable": 10, "total": 12},
    }
    if "validation" in splits:
        content["validation_metrics"] = scores("validation")
    return Record(**(content | fields)), splits


def fill(store, n=5):
    """Members of growing skill."""
    return [store.put(*member(seed, 0.8 + 0.15 * seed)) for seed in range(n)]
