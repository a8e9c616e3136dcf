"""Time that the five-layer CNN takes to an accuracy on FER2013's PublicTest, three ways side by side, as ratios.

- today: this suite's own recipe of the network (benchmarks/models/five_layer_cnn.yaml), through the path of ``fer-bench
  run``
- usual: the same network, optimiser, schedule and number of epochs the usual way: ImageFolder of PNG files, PIL
  transforms, DataLoader, float32
- fast: the recipe of benchmarks/suites/fast.yaml, through the path of ``fer-bench run``

Every leg (one way with one seed) is a process of its own, with the C library's settings that the way has by itself; the
legs are interleaved, and each ends with the first epoch whose accuracy on validation reaches the target. The clock runs
while a leg trains: loading, augmentation, steps. It stands still, for all three alike, while the data are read or
written as files, while validation is predicted and while checkpoints are written. The test split is never looked at. A
finished leg is appended to a file, so that the same command goes on where it was interrupted; the file tells how much
of the cores each leg had.

Usage: python benchmarks/perf/time_to_accuracy.py [--seeds 3] [--target 0.655] [--ways today usual fast] [--to
time_to_accuracy.jsonl] [--quick]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WAYS = ("today", "usual", "fast")
AIMS = {"today": 2.5, "usual": 8.0}
# Below this share of its cores, another process was at work beside a leg.
IDLE = 0.85
# Steps that decide on the number of loader processes.
TRIAL = 20
QUICK = {
    "dataset": "synthfaces",
    "dataset_options": {"n_train": 64, "n_validation": 28, "n_test": 14, "size": 48},
    "epochs": 2,
    "batch_size": 32,
}


def main(given: list[str] | None = None) -> None:
    """Run the legs that the file has not, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="legs of each way")
    parser.add_argument("--target", type=float, default=0.655, help="accuracy on validation, 0 to 1")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
    parser.add_argument("--data-dir")
    parser.add_argument("--to", type=Path, default=Path("time_to_accuracy.jsonl"), help="the file of the finished legs")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two epochs of a few synthetic faces: shows that it works, measures nothing",
    )
    parser.add_argument("--leg", nargs=2, metavar=("WAY", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.leg:
        print(json.dumps(leg(options.leg[0], int(options.leg[1]), options)))
        return
    for seed in range(options.seeds):
        for way in options.ways:
            if (way, seed) not in finished(options):
                append(options.to, measured(way, seed, options))
    print(table(finished(options), options))


def measured(way: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One leg in a process of its own, whose lines are shown as they come; the last one is the result."""
    own = [
        "--leg",
        way,
        str(seed),
        "--target",
        str(options.target),
        "--threads",
        str(options.threads),
        *(["--quick"] if options.quick else []),
    ]
    command = [sys.executable, __file__, *own, *(["--data-dir", options.data_dir] if options.data_dir else [])]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(options.threads))
    print(f"{way}, seed {seed}", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = ""
        for line in process.stdout:
            if not line.startswith("{"):
                print(f"  {line}", end="", flush=True)
    if process.returncode:
        raise SystemExit(
            f"{way}, seed {seed}: the leg ended with {process.returncode}; what is finished stands in {options.to}."
        )
    return {**json.loads(line), "key": key_of(way, options), "created": time.strftime("%Y-%m-%dT%H:%M:%S")}


def append(path: Path, result: dict[str, Any]) -> None:
    """Add a leg to the file, as one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_short = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if cut_short else "") + json.dumps(result) + "\n")
        file.flush()
        os.fsync(file.fileno())


def finished(options: argparse.Namespace) -> dict[tuple[str, int], dict[str, Any]]:
    """The legs in the file that are of this command: of the same recipe, target and number of threads. A line cut short
    by an interruption counts as none.
    """
    found = {}
    for line in options.to.read_text().splitlines() if options.to.is_file() else []:
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if (
            result["way"] in options.ways
            and result["seed"] < options.seeds
            and result["key"] == key_of(result["way"], options)
        ):
            found[result["way"], result["seed"]] = result
    return found


def key_of(way: str, options: argparse.Namespace) -> str:
    """What two legs must share to stand in one table."""
    parts = [way, spec_of(way, 0, options).identity(), options.target, options.threads, options.quick]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def spec_of(way: str, seed: int, options: argparse.Namespace) -> Any:
    """Settings of a way."""
    from fer_bench import spec as specs
    from fer_bench.layering import layered
    from fer_bench.sweeps.suite import read_plan

    if way == "fast":
        settings = read_plan(Path("fast"), seeds=[seed])[0][0].model_dump(mode="json", exclude_defaults=True)
    else:
        settings = layered({"dataset": "fer2013", "task": "fer7", "model": "five_layer_cnn"})
    smaller = QUICK if options.quick else {}
    return specs.build(
        {**settings, **smaller, "seed": seed, "execution": {"data_dir": options.data_dir, "accelerator": "cpu"}}
    )


def table(legs: dict[tuple[str, int], dict[str, Any]], options: argparse.Namespace) -> str:
    """Seconds by way, with the ratios to the fast recipe, seed by seed and in the median."""
    lines = [
        f"five-layer CNN to {options.target:.1%} on validation, {options.threads} threads,"
        f" {'quick, ' if options.quick else ''}seconds of training"
    ]
    seconds = {}
    for way in options.ways:
        own = [legs[way, seed] for seed in range(options.seeds)]
        # One that never got there took longer than it ran.
        seconds[way] = np.array([one["seconds"] if one["reached"] else np.inf for one in own])
        each = ", ".join(
            f"{one['seconds']:.0f} s in {one['reached']}" if one["reached"] else f"never (best {one['best']:.2%})"
            for one in own
        )
        speed, share = np.median([one["images_per_second"] for one in own]), min(one["share"] for one in own)
        busy = "" if share >= IDLE else f"   NOT IDLE: a leg had {share:.0%} of its cores"
        lines.append(f"  {way:6s} {np.median(seconds[way]):7.0f} s   {speed:5.0f} images/s   epochs: {each}{busy}")
    for way, aim in AIMS.items():
        if way in seconds and "fast" in seconds:
            by_seed = [
                f"{a / b:.2f}x" if np.isfinite([a, b]).all() else "-"
                for a, b in zip(seconds[way], seconds["fast"], strict=True)
            ]
            middle = np.median(seconds[way]), np.median(seconds["fast"])
            ratio = (
                f"{middle[0] / middle[1]:.2f}x"
                if np.isfinite(middle).all()
                else "no ratio: one of them did not reach the target"
            )
            lines.append(f"{way} / fast {ratio} (aim: at least {aim:g}), by seed {', '.join(by_seed)}")
    return "\n".join(lines)


def leg(way: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one way with one seed until the target is reached, in this process."""
    import torch

    torch.set_num_threads(options.threads)
    spec = spec_of(way, seed, options)
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(options.target, spec.epochs)
        (usual if way == "usual" else suite)(spec, Path(folder), clock)
    return {"way": way, "seed": seed, **clock.result(options.threads)}


class Clock:
    """Counts seconds of training, and says when the target is reached.

    Args:
        target: accuracy on validation.
        epochs: of the recipe.
    """

    def __init__(self, target: float, epochs: int) -> None:
        self.target, self.epochs = target, epochs
        self.curve: list[float] = []
        self.ends: list[float] = []
        self.seconds = self.cpu = 0.0
        self.images = 0
        self._began = (0.0, 0.0)

    def start(self) -> None:
        """An epoch's training begins."""
        self._began = (time.perf_counter(), _cpu_seconds())

    def stop(self, images: int) -> None:
        """An epoch's training has ended, with so many images."""
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu += _cpu_seconds() - self._began[1]
        self.images += images

    def reached(self, accuracy: float) -> bool:
        """Note an epoch's accuracy on validation; whether the leg is over."""
        self.curve.append(round(accuracy, 6))
        self.ends.append(round(self.seconds, 3))
        print(f"epoch {len(self.curve)}/{self.epochs}  {self.seconds:.0f} s  validation {accuracy:.4f}", flush=True)
        return accuracy >= self.target

    def result(self, threads: int) -> dict[str, Any]:
        """What the file keeps of a leg."""
        return {
            "reached": next((i for i, value in enumerate(self.curve, 1) if value >= self.target), None),
            "best": max(self.curve),
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images / self.seconds, 1),
            # Near 1 where nothing else runs beside it; loader processes count too.
            "share": round(self.cpu / (self.seconds * threads), 3),
            "curve": self.curve,
            "ends": self.ends,
        }


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def suite(spec: Any, folder: Path, clock: Clock) -> None:
    """Through the suite's own path, but for the test."""
    import lightning as L

    from fer_bench.datasets.load import build_datamodule
    from fer_bench.protocols import protocol_for
    from fer_bench.training import hardware
    from fer_bench.training.build import build_task
    from fer_bench.training.callbacks import History
    from fer_bench.training.trainer import build_trainer

    class Timed(L.Callback):
        """Lets the clock run from an epoch's start to its validation."""

        def on_train_epoch_start(self, trainer, module):
            clock.start()

        def on_validation_start(self, trainer, module):
            clock.stop(len(datamodule.targets("train")))

        def on_validation_end(self, trainer, module):
            trainer.should_stop = (
                clock.reached(float(trainer.callback_metrics["validation/accuracy"])) or trainer.should_stop
            )

    device = hardware.resolve(spec)
    hardware.keep_freed_memory()
    datamodule = build_datamodule(spec, workers=device.workers)
    datamodule.setup()
    protocol = protocol_for(spec.dataset, spec.task)
    L.seed_everything(spec.seed, workers=True, verbose=False)
    task = build_task(spec, protocol, native_size=48)
    trainer = build_trainer(spec, protocol, device, folder, History(verbose=False))
    trainer.callbacks.append(Timed())
    trainer.fit(task, datamodule=datamodule)


def usual(spec: Any, folder: Path, clock: Clock) -> None:
    """ImageFolder, PIL, float32, with the recipe's own optimiser and schedule."""
    import torch

    from fer_bench.datasets.load import build_datamodule
    from fer_bench.models.zoo import build_network

    datamodule = build_datamodule(spec)
    datamodule.setup()
    loaders = [as_files(datamodule, split, folder / split, spec.batch_size) for split in ("train", "validation")]

    def begin() -> tuple[Any, Any]:
        torch.manual_seed(spec.seed)
        network = build_network("five_layer_cnn", 7, native_size=48, options=dict(spec.model_options)).body.to(
            memory_format=torch.contiguous_format
        )
        return network, torch.optim.AdamW(network.parameters(), lr=spec.lr, weight_decay=spec.weight_decay)

    # The faster number of loader processes is found out before the clock starts.
    trials = {}
    for workers in (0, 2):
        began = time.perf_counter()
        steps(*begin(), loaders[0](workers), spec, limit=TRIAL)
        trials[workers] = time.perf_counter() - began
    train = loaders[0](min(trials, key=lambda workers: trials[workers]))
    network, optimizer = begin()
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        spec.lr,
        total_steps=spec.epochs * len(train),
        pct_start=float(spec.schedule_options.get("warmup", 0.3)),
        cycle_momentum=False,
    )
    for _ in range(spec.epochs):
        clock.start()
        clock.stop(steps(network, optimizer, train, spec, schedule))
        network.eval()
        with torch.no_grad():
            right = [(network(batch).argmax(1) == target).float() for batch, target in loaders[1](0)]
        if clock.reached(float(torch.cat(right).mean())):
            return


def steps(network: Any, optimizer: Any, loader: Any, spec: Any, schedule: Any = None, limit: int | None = None) -> int:
    """An epoch, or its first steps; how many images it had."""
    from torch.nn.functional import cross_entropy

    network.train()
    images = 0
    for batch, target in itertools.islice(loader, limit):
        loss = cross_entropy(network(batch), target, label_smoothing=spec.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        images += len(target)
    return images


def as_files(datamodule: Any, split: str, folder: Path, batch_size: int) -> Any:
    """A split as ImageFolder wants it, and a function from a number of processes to its loader."""
    import cv2
    import torchvision
    from torch.utils.data import DataLoader
    from torchvision import transforms as T

    images, labels = datamodule.split_dataset(split).images, datamodule.targets(split)
    for i, label in enumerate(labels):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i:05d}.png"), np.asarray(images[i]))
    changes = (
        [T.RandomHorizontalFlip(), T.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1))]
        if split == "train"
        else []
    )
    transform = T.Compose([T.Grayscale(3), *changes, T.ToTensor(), T.Normalize([0.5] * 3, [0.25] * 3)])
    # Named by their labels, which are digits: ImageFolder's numbers are the labels where every class is there.
    dataset = torchvision.datasets.ImageFolder(
        str(folder), transform, target_transform=lambda at: int(dataset.classes[at])
    )
    return lambda workers: DataLoader(
        dataset, batch_size=batch_size, shuffle=split == "train", num_workers=workers, drop_last=split == "train"
    )


if __name__ == "__main__":
    main()
