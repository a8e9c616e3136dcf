"""Speed of a whole grid of linear heads: stacked against one after the other in plain PyTorch, as a ratio, on the same
cached features.

Usage: python benchmarks/perf/probes.py [--threads 2] [--heads 80] [--epochs 2] [--samples 2048] [--dims 512 2048 4096]
[--images 24]

Both do the paper's work: batches of 64, Adam, the learning-rate rule, loss and weighted F1 on validation after every
epoch, and both must end with the same weights. The way without a cache is not run (it would take days) but composed of
what is measured here: the backbone's time per image, times the images that each head would see.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

from fer_bench.labels import EMO8
from fer_bench.probes.head import Head
from fer_bench.probes.heads import initial_weights, train_heads
from fer_bench.probes.stack import Split, data_order
from fer_bench.scoring.classification import confusion_matrix, scores_from_confusion
from fer_bench.tasks.losses_unbalanced import UnbalancedCrossEntropyLoss, balanced_class_weights
from fer_bench.tasks.rules_findingemo import learning_rate_factor

TARGETS = {512: 8.0, 2048: 4.0, 4096: 2.0}
BATCH = 64


def features(n, width, seed, device="cpu"):
    """Rectified random features that say something about the class, about as many as zeros as a real backbone's."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(8, size=n)
    centres = np.random.default_rng(7).normal(size=(8, width))
    values = np.maximum(0.3 * centres[targets] + generator.normal(size=(n, width)), 0).astype(np.float32)
    return Split(torch.from_numpy(values).to(device), torch.from_numpy(targets).to(device))


def one_by_one(heads, train, validation, epochs):
    """The loop that everyone writes, once per head, on the device that the features are on."""
    counts = np.bincount(train.targets.cpu().numpy(), minlength=8).tolist()
    device, final = train.features.device, []
    for head in heads:
        layer = nn.Linear(train.features.shape[1], 8, device=device)
        with torch.no_grad():
            for parameter, values in zip(
                layer.parameters(),
                initial_weights(head.seed, 8, train.features.shape[1], train.features.dtype),
                strict=True,
            ):
                parameter.copy_(values)
        balanced = nn.CrossEntropyLoss(weight=balanced_class_weights(counts).to(train.features))
        loss_of = (
            balanced
            if head.loss == "cross_entropy"
            else UnbalancedCrossEntropyLoss(counts, EMO8.distances).to(train.features)
        )
        optimizer = torch.optim.Adam(layer.parameters(), lr=head.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor)
        best, kept = np.inf, None
        for epoch in range(epochs):
            for at in torch.from_numpy(data_order(head.seed, epoch, len(train))).to(device).split(BATCH):
                optimizer.zero_grad()
                loss_of(layer(train.features[at]), train.targets[at]).backward()
                optimizer.step()
            schedule.step()
            with torch.no_grad():
                logits = layer(validation.features)
                loss = loss_of(logits, validation.targets).item()
            scores_from_confusion(confusion_matrix(validation.targets.cpu().numpy(), logits.argmax(1).cpu().numpy(), 8))
            if loss < best:
                best, kept = loss, [p.detach().clone() for p in layer.parameters()]
        final.append(([p.detach().clone() for p in layer.parameters()], kept))
    return final


def measure(width, heads, n, epochs, device="cpu"):
    """Seconds of both, and by how much the validation probabilities of the last epoch differ (largest, 99.9 %
    quantile).
    """
    train, validation = features(n, width, 0, device), features(n // 8, width, 1, device)
    train_heads(heads[:2], train, validation, EMO8, max_epochs=1)
    one_by_one(heads[:2], train, validation, 1)
    stacked = []
    for _ in range(2):
        began = time.perf_counter()
        # The patience is never reached: both train all epochs, and what is compared is the last.
        found = train_heads(heads, train, validation, EMO8, batch_size=BATCH, max_epochs=epochs, patience=epochs + 1)
        stacked.append(time.perf_counter() - began)
    began = time.perf_counter()
    expected = one_by_one(heads, train, validation, epochs)
    plain = time.perf_counter() - began
    return min(stacked), plain, differences(found, expected, epochs, validation)


def differences(found, expected, epochs, validation):
    """Absolute differences of validation probabilities, of the heads whose chosen epoch is the last."""
    ours = found.outputs(validation.features)
    each = [
        np.abs(ours[h] - nn.functional.linear(validation.features, *last).softmax(1).cpu().numpy())
        for h, (last, _) in enumerate(expected)
        if found.chosen_epoch[h] == epochs - 1
    ]
    return np.concatenate(each).ravel()


def exact(width, heads, n):
    """Largest difference of weights in double precision, where Adam does not blow rounding up: gradients near zero move
    a weight by their sign alone.
    """
    train, validation = (
        Split(s.features.double(), s.targets) for s in (features(n, width, 0), features(n // 8, width, 1))
    )
    torch.set_default_dtype(torch.float64)
    try:
        found = train_heads(heads, train, validation, EMO8, batch_size=BATCH, max_epochs=1)
        expected = one_by_one(heads, train, validation, 1)
    finally:
        torch.set_default_dtype(torch.float32)
    return max(
        float((found.weight[h] - last[0]).abs().max() / last[0].abs().max()) for h, (last, _) in enumerate(expected)
    )


def seconds_per_image(n):
    """ResNet-18, untrained, at 224 px."""
    import torchvision

    network = torchvision.models.resnet18(weights=None).eval().to(memory_format=torch.channels_last)
    images = torch.randn(n, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(images[:2])
        began = time.perf_counter()
        network(images)
    return (time.perf_counter() - began) / n


def paper_grid():
    """The heads of the paper's grid, 80 in number."""
    return [
        Head(lr, loss, seed)
        for lr in (0.1, 0.01, 0.001, 0.0001)
        for loss in ("cross_entropy", "unbalanced_cross_entropy")
        for seed in range(10)
    ]


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("threads", 2), ("heads", 80), ("epochs", 2), ("samples", 2048), ("images", 24)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 2048, 4096])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    heads = paper_grid()[: given.heads]
    per_image = seconds_per_image(given.images)
    for width in given.dims:
        stacked, plain, off = measure(width, heads, given.samples, given.epochs)
        worst = exact(width, heads[:: max(len(heads) // 8, 1)], min(given.samples, 512))
        steps = given.epochs * -(-given.samples // BATCH)
        uncached = per_image * given.samples * (1 + 1 / 8) * given.epochs * len(heads) + plain
        cached = per_image * given.samples * (1 + 1 / 8) + stacked
        target = TARGETS.get(width)
        verdict = (
            "" if target is None else f" (target {target:g}: {'reached' if plain / stacked >= target else 'missed'})"
        )
        print(
            f"{width:5d} dims, {len(heads)} heads, {given.threads} threads: stacked {1e3 * stacked / steps:7.2f} ms a"
            f" step, one by one {1e3 * plain / steps:7.2f} ms, ratio {plain / stacked:5.1f}{verdict}; probabilities"
            f" differ by at most {off.max():.1e} (99.9 %: {np.quantile(off, 0.999):.1e}), weights in double precision"
            f" by {worst:.1e}; without a cache (ResNet-18 at 224 px, {1e3 * per_image:.1f} ms an image, composed)"
            f" {uncached / cached:,.0f} times as long"
        )


if __name__ == "__main__":
    main()
