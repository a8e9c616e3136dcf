"""Images per second of training, three ways side by side: this suite, a hand-tuned raw PyTorch loop, and the usual way.

The same five-layer CNN, the same faces, the same batch size, in one process, in alternating rounds, so that whatever
else the machine does hits all three.

Each runs as it would on its own: the first two keep freed memory, as the suite does; the third has the C library's own
settings back. Only the suite asks PyTorch for deterministic algorithms. All three have the suite's network, with its
dropout.

suite   the path of ``fer-bench run``: datamodule, albumentations, LightningModule, Trainer, the precision that the
suite chooses raw     a plain loop over arrays in memory, the same augmentation, channels-last, the same precision, no
logging, no checkpoints usual   ImageFolder of PNG files, PIL transforms, DataLoader (the faster of 0 and 2 workers),
float32

Usage: python benchmarks/perf/training.py [--images 1280] [--rounds 3]
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import lightning as L
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from fer_bench.data.augmentation import Augmenter
from fer_bench.datasets.load import build_datamodule
from fer_bench.models.zoo import build_network
from fer_bench.protocols import protocol_for
from fer_bench.spec import RunSpec
from fer_bench.training.build import build_task
from fer_bench.training.callbacks import History
from fer_bench.training.hardware import keep_freed_memory, resolve
from fer_bench.training.trainer import build_trainer

BATCH = 128
WARM_UP = 2


class Clock(L.Callback):
    """Time from the end of the warm-up batches to the end of the last one, loading included."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.images = 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        """Count what comes after the warm-up."""
        if batch_idx + 1 == WARM_UP:
            self.began = time.perf_counter()
        elif batch_idx >= WARM_UP:
            self.images += len(batch["index"])
            self.ended = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    n = arguments.images + WARM_UP * BATCH
    options = {"n_train": n + 400, "n_validation": 60, "n_test": 60}
    spec = RunSpec(
        dataset="synthfaces",
        model="five_layer_cnn",
        epochs=1,
        batch_size=BATCH,
        augment="standard",
        dataset_options=options,
    )
    device = resolve(spec)
    datamodule = build_datamodule(spec)
    datamodule.setup()
    faces = np.stack([datamodule.split_dataset("train").images[i] for i in range(n)])
    labels = datamodule.targets("train")[:n]
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[], float]] = {
            "suite": lambda: suite(spec, device, datamodule, Path(folder), n),
            "raw": lambda: raw(faces, labels, device.precision),
        }
        write_pngs(Path(folder) / "images", faces, labels)
        for workers in (0, 2):
            ways[f"usual, {workers} workers"] = lambda workers=workers: usual(Path(folder) / "images", workers)
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                (library_memory if name.startswith("usual") else keep_freed_memory)()
                # Lightning leaves this on for the process; a loop of one's own would not have it.
                torch.use_deterministic_algorithms(mode=False)
                speeds[name].append(way())
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    print(
        f"five-layer CNN, 48 px, batch {BATCH}, {arguments.images} images a round, {arguments.rounds} rounds,"
        f" {device.accelerator}, {device.precision}"
    )
    for name, value in medians.items():
        print(f"  {name:18s} {value:7.0f} images/s   rounds: {', '.join(f'{v:.0f}' for v in speeds[name])}")
    best_usual = max(value for name, value in medians.items() if name.startswith("usual"))
    by_round = float(np.median(np.array(speeds["suite"]) / np.array(speeds["raw"])))
    print(f"suite / usual {medians['suite'] / best_usual:.2f}x (aim: at least 2.4)")
    print(f"suite / raw   {medians['suite'] / medians['raw']:.2f}x, by round {by_round:.2f}x (aim: at least 0.95)")


def library_memory() -> None:
    """Give glibc the settings back that it comes to by itself in a process with large blocks: mapping from 32 MiB on,
    trimming at twice that.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
    for parameter, value in ((m_mmap_threshold, 32 << 20), (m_trim_threshold, 64 << 20), (m_top_pad, 128 << 10)):
        library.mallopt(parameter, value)
    library.malloc_trim(0)


def suite(spec: RunSpec, device, datamodule, folder: Path, n: int) -> float:
    """One epoch through the suite's own path."""
    protocol = protocol_for(spec.dataset, spec.task)
    task = build_task(spec, protocol, native_size=48)
    trainer = build_trainer(spec, protocol, device, folder / "run", History(verbose=False))
    clock = Clock()
    trainer.callbacks.append(clock)
    trainer.fit_loop.epoch_loop.max_steps = -1
    trainer.limit_train_batches = n // BATCH
    trainer.fit(task, datamodule=datamodule)
    return clock.images / (clock.ended - clock.began)


def raw(faces: np.ndarray, labels: np.ndarray, precision: str) -> float:
    """A plain loop, tuned by hand."""
    network = build_network("five_layer_cnn", 7, native_size=48)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    augmenter = Augmenter("standard")
    targets = torch.from_numpy(labels)
    order = np.random.default_rng(0).permutation(len(faces))
    network.train()
    began, images = 0.0, 0
    for step in range(len(faces) // BATCH):
        if step == WARM_UP:
            began = time.perf_counter()
        index = order[step * BATCH : (step + 1) * BATCH]
        batch = torch.from_numpy(np.stack([augmenter(faces[i]) for i in index])).unsqueeze(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            logits = network(batch)
        loss = nn.functional.cross_entropy(logits.float(), targets[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        images += len(index) if step >= WARM_UP else 0
    return images / (time.perf_counter() - began)


def usual(folder: Path, workers: int) -> float:
    """ImageFolder, PIL, float32."""
    import torchvision
    from torchvision import transforms as T

    transform = T.Compose(
        [
            T.Grayscale(3),
            T.RandomHorizontalFlip(),
            T.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1)),
            T.ToTensor(),
            T.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    dataset = torchvision.datasets.ImageFolder(str(folder), transform)
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers, drop_last=True)
    network = build_network("five_layer_cnn", 7, native_size=48).body.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()
    began, images = 0.0, 0
    for step, (batch, target) in enumerate(loader):
        if step == WARM_UP:
            began = time.perf_counter()
        loss = nn.functional.cross_entropy(network(batch), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        images += len(target) if step >= WARM_UP else 0
    return images / (time.perf_counter() - began)


def write_pngs(folder: Path, faces: np.ndarray, labels: np.ndarray) -> None:
    """The layout that ImageFolder wants."""
    for i, (face, label) in enumerate(zip(faces, labels, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i:05d}.png"), face)


if __name__ == "__main__":
    main()
