"""Speed of the unbalanced cross-entropy against torch's cross-entropy, forward and backward, as a ratio.

Usage: python benchmarks/perf/losses.py   (CPU, one thread; one line per batch size)

Measured is the time of this process, not of the clock on the wall, so that a busy machine counts less.

At 64 samples the limit is not kept, and the last lines show why. There the whole cross-entropy is three compiled
kernels: what it costs is their dispatch. Of a scalar whose gradient is known already, handing it on (``dot``) costs two
thirds of that. The loss and its gradient are some twenty-five operations on arrays (argmax, exp, two logarithms,
gathers and scatters by guess and by target) of about a microsecond each. Each of the two alone is within the limit; in
turn, as a step of training has them, they take half as long again as the sum of both. Three ways were tried, beside a
ratio of 2.3: the gradient handed on by ``dot`` instead of an autograd Function: 2.3; that and a closed form of seven
operations fewer (sums as products, the underflow looked for once): 1.9; the formula in differentiable operations of
PyTorch: 4.6.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from fer_bench.labels import EMO8
from fer_bench.tasks.losses_unbalanced import UnbalancedCrossEntropyLoss, loss_and_slope

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


def profile(batch=64, rounds=15):
    """Microseconds of what a step consists of, the least of several rounds: the whole of cross-entropy, a gradient
    that is only handed on, the loss and its gradient in closed form, both of these in turn, and a single operation on
    an array of this size.
    """
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 8, generator=generator, requires_grad=True)
    target = torch.randint(0, 8, (batch,), generator=generator)
    known, array = logits.detach().view(-1), logits.detach().numpy()
    unbalanced = UnbalancedCrossEntropyLoss(EMO8_COUNTS, EMO8.distances)
    weights = unbalanced.class_weights, unbalanced.pair_weights

    def handed_on():
        logits.grad = None
        torch.dot(logits.view(-1), known).backward()

    def whole():
        logits.grad = None
        cross_entropy(logits, target, weights[0]).backward()

    steps = {
        "cross-entropy": whole,
        "a known gradient handed on": handed_on,
        "loss and gradient in closed form": lambda: loss_and_slope(logits, target, *weights, "mean"),
        "both in turn": lambda: (loss_and_slope(logits, target, *weights, "mean"), handed_on()),
        "one operation (exp)": lambda: np.exp(array),
    }
    for step in steps.values():
        seconds(step)
    times = [[seconds(step) for step in steps.values()] for _ in range(rounds)]
    return {name: 1e6 * min(column) for name, column in zip(steps, zip(*times, strict=True), strict=True)}


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
    parts = profile()
    print(f"B=   64, parts: {', '.join(f'{name} {value:.1f} us' for name, value in parts.items())}")
    print(f"both in turn are {parts['both in turn'] / parts['cross-entropy']:.2f} times cross-entropy; limit {LIMIT}")


if __name__ == "__main__":
    main()
