"""Images per second of the two ways to augment, side by side: image by image in the loader, or batch by batch on the
device.

Both do what a named augmentation says to batches of 128 grey faces of 48 px, in alternating rounds; drawing the changes
counts. Where there is a GPU, the second way is also measured there, the transfer of the bytes included.

Usage: python benchmarks/perf/augmentation.py [--name strong] [--batches 20] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from fer_bench.data.augmentation import Augmenter
from fer_bench.data.batch_augmentation import BatchAugmenter

BATCH = 128


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="strong")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, 48, 48), dtype=np.uint8)
    one_by_one, whole = Augmenter(options.name), BatchAugmenter(options.name)

    def loader(seed: int) -> None:
        one_by_one.seed(seed)
        torch.from_numpy(np.stack([one_by_one(face) for face in faces]))

    def on(device: str) -> Callable[[int], None]:
        return lambda seed: _seen(
            whole.change(torch.from_numpy(faces).unsqueeze(1).to(device), whole.draw(seed, BATCH).to(device))
        )

    ways = {"loader, one process": loader, "device, cpu": on("cpu")}
    if torch.cuda.is_available():
        ways["device, cuda"] = on("cuda")
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            way(0)
            began = time.perf_counter()
            for seed in range(options.batches):
                way(seed)
            rates[name].append(options.batches * BATCH / (time.perf_counter() - began))
    base = statistics.median(rates["loader, one process"])
    print(f"{options.name}, batches of {BATCH}, {torch.get_num_threads()} threads on the CPU")
    for name, values in rates.items():
        print(f"  {name:20} {statistics.median(values):9.0f} images/s  {statistics.median(values) / base:5.1f}x")


def _seen(images: torch.Tensor) -> None:
    # Waits for the device.
    images[-1, -1, -1, -1].item()


if __name__ == "__main__":
    main()
