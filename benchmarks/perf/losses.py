"""Speed of the unbalanced cross-entropy against torch's cross-entropy, forward and backward, as a ratio.

Usage: python benchmarks/perf/losses.py   (CPU, one thread; one line per batch size)

Measured is the time of this process, not of the clock on the wall, so that a busy machine counts less.
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
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def ratios(batch, rounds=15):
    """Medians over interleaved rounds of time(unbalanced) / time(cross_entropy), with and without class weights: other
    load hits all alike.
    """
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 8, generator=generator, requires_grad=True)
    target = torch.randint(0, 8, (batch,), generator=generator)
    unbalanced = UnbalancedCrossEntropyLoss(EMO8_COUNTS, EMO8.distances)

    def weighted():
        logits.grad = None
        cross_entropy(logits, target, unbalanced.class_weights).backward()

    def plain():
        logits.grad = None
        cross_entropy(logits, target).backward()

    def ours():
        logits.grad = None
        unbalanced(logits, target).backward()

    for step in (weighted, plain, ours):
        seconds(step)
    times = [(seconds(ours), seconds(weighted), seconds(plain)) for _ in range(rounds)]
    return [statistics.median(own / other[i] for own, *other in times) for i in (0, 1)], [
        min(column) for column in zip(*times, strict=True)
    ]


def main():
    torch.set_num_threads(1)
    for batch in BATCHES:
        (weighted, plain), least = ratios(batch)
        verdict = "" if max(weighted, plain) <= LIMIT else f"  above {LIMIT}"
        ours, of_weighted, of_plain = (f"{1e6 * value:.1f} us" for value in least)
        print(
            f"B={batch:5d} C=8: unbalanced {ours}, cross_entropy with weights {of_weighted}, without {of_plain}; "
            f"ratio {weighted:.2f} to the one with weights, {plain:.2f} to the one without{verdict}"
        )


if __name__ == "__main__":
    main()
