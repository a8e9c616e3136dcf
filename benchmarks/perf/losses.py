"""Speed of the unbalanced cross-entropy against torch's cross-entropy, forward and backward, as a ratio.

Usage: python benchmarks/perf/losses.py   (CPU, one thread; one line per batch size)

Small batches measure the overhead of dispatching some thirty operations against four; from B=1024 on it no longer shows.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch.nn.functional import cross_entropy

from fer_bench.labels import EMO8
from fer_bench.tasks.losses_unbalanced import UnbalancedCrossEntropyLoss

LIMIT = 1.5
BATCHES = (64, 128, 256, 512, 1024)
EMO8_COUNTS = (7026, 3549, 2401, 888, 2665, 1000, 2439, 5901)


def seconds(step, repeats=300):
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def ratio(batch, fused, rounds=15):
    """Median over interleaved rounds of time(unbalanced) / time(cross_entropy): other load hits both alike."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 8, generator=generator, requires_grad=True)
    target = torch.randint(0, 8, (batch,), generator=generator)
    unbalanced = UnbalancedCrossEntropyLoss(EMO8_COUNTS, EMO8.distances, fused=fused)

    def reference():
        logits.grad = None
        cross_entropy(logits, target, unbalanced.class_weights).backward()

    def ours():
        logits.grad = None
        unbalanced(logits, target).backward()

    for step in (reference, ours):
        seconds(step)
    pairs = [(seconds(ours), seconds(reference)) for _ in range(rounds)]
    return statistics.median(a / b for a, b in pairs), min(a for a, _ in pairs), min(b for _, b in pairs)


def main():
    torch.set_num_threads(1)
    for fused in (False, True):
        for batch in BATCHES:
            r, ours, reference = ratio(batch, fused)
            name = "fused" if fused else "eager"
            verdict = "" if r <= LIMIT else f"  above {LIMIT}"
            print(f"{name} B={batch:5d} C=8: unbalanced {ours * 1e6:6.1f} us, cross_entropy {reference * 1e6:6.1f} us, ratio {r:.2f}{verdict}")


if __name__ == "__main__":
    main()
