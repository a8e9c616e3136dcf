"""Speed on a GPU, as ratios side by side, in alternating rounds.

loop    ResNet-18 at 224 px: images per second of this suite (faces of 48 px in memory, augmented and enlarged on the
device, datamodule, LightningModule,
        Trainer) against the same network, optimiser and precision in a plain loop over one random batch that is on the
        device already
layout  that plain loop with weights and images in channels-last or contiguous memory, as it is and with
``torch.compile`` probes  a grid of linear heads on cached features, stacked against one after the other in plain
PyTorch ddp     the suite on one and on two devices of this machine, where two are there

Without a GPU it says so and ends; ``--cpu`` shows that the script works, with tiny sizes that measure nothing.

Usage: python benchmarks/perf/gpu.py [--parts loop layout probes ddp] [--batch 256] [--steps 60] [--rounds 3] [--cpu]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from probes import measure, paper_grid

from fer_bench.datasets.load import build_datamodule
from fer_bench.models.zoo import build_network, in_channels_last
from fer_bench.protocols import protocol_for
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import autocast
from fer_bench.tasks.schedules import build_optimizer
from fer_bench.training.build import build_task
from fer_bench.training.callbacks import History
from fer_bench.training.hardware import Device, keep_freed_memory, resolve
from fer_bench.training.trainer import build_trainer

PARTS = ("loop", "layout", "probes", "ddp")
AIMS = {"loop": 0.9, "probes": 25.0}
WARM_UP = 10
# Synthetic faces; an epoch repeats them.
N_FACES = 512


def main(given: list[str] | None = None) -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--batch", type=int, default=256, help="on all devices together")
    parser.add_argument("--steps", type=int, default=60, help="that are measured, behind a warm-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.cpu:
        options.batch, options.steps, options.rounds = 4, 2, 1
    elif not torch.cuda.is_available():
        print("PyTorch finds no GPU on this machine: nothing is measured (--cpu tries the script with tiny sizes).")
        return
    keep_freed_memory()
    spec = spec_of(options)
    device = resolve(spec)
    if options.devices:
        print(f"speed {suite(spec, device, options)}", flush=True)
        return
    name = "CPU, a trial of the script: these figures mean nothing" if options.cpu else torch.cuda.get_device_name()
    print(
        f"{name}; {device.precision}, PyTorch {torch.__version__}, batch {options.batch}, {options.steps} steps,"
        f" {options.rounds} rounds",
        flush=True,
    )
    for part in options.parts:
        {"loop": loop, "layout": layout, "probes": probes, "ddp": ddp}[part](spec, device, options)


def spec_of(options: argparse.Namespace) -> RunSpec:
    """ResNet-18 on grey faces of 48 px, as a suite of this project would train it."""
    return RunSpec(
        dataset="synthfaces",
        dataset_options={"n_train": 16 if options.cpu else N_FACES, "n_validation": 14, "n_test": 14},
        model="resnet18",
        model_options={"width": 0.25} if options.cpu else {},
        image_size=32 if options.cpu else 224,
        epochs=1,
        batch_size=options.batch,
        augment="standard",
        augment_on="device",
        execution={
            "accelerator": "cpu" if options.cpu else "gpu",
            "devices": options.devices or 1,
            "strategy": "ddp" if options.devices else "auto",
        },
    )


def loop(spec: RunSpec, device: Device, options: argparse.Namespace) -> None:
    """The suite against the plain loop."""
    ways = {
        "suite": lambda: suite(spec, device, options),
        "plain loop, images on the device": lambda: plain(spec, device, options),
    }
    found = alternately(ways, options.rounds)
    ours, theirs = (np.array(found[name]) for name in ways)
    print(
        f"suite / plain loop {np.median(ours) / np.median(theirs):.2f}x, by round {np.median(ours / theirs):.2f}x (aim:"
        f" at least {AIMS['loop']})",
        flush=True,
    )


def layout(spec: RunSpec, device: Device, options: argparse.Namespace) -> None:
    """Memory formats and the compiler."""
    ways: dict[str, Callable[[], float]] = {
        f"{'channels last' if last else 'contiguous'}, {'compiled' if compiled else 'as it is'}": (
            lambda last=last, compiled=compiled: plain(spec, device, options, channels_last=last, compiled=compiled)
        )
        for last in (False, True)
        for compiled in (False, True)
    }
    found = {name: float(np.median(speeds)) for name, speeds in alternately(ways, options.rounds).items()}
    base = found["contiguous, as it is"]
    print(
        "against contiguous, as it is: "
        + ", ".join(f"{name} {speed / base:.2f}x" for name, speed in found.items() if speed != base),
        flush=True,
    )


def probes(spec: RunSpec, device: Device, options: argparse.Namespace) -> None:
    """A grid of heads, all at once and one by one."""
    heads, samples, widths = (paper_grid()[:2], 128, (32,)) if options.cpu else (paper_grid(), 2048, (512, 2048))
    for width in widths:
        stacked, plain_seconds, off = measure(width, heads, samples, 2, device.device)
        print(
            f"probes, {width} dims, {len(heads)} heads: stacked {stacked:.2f} s, one by one {plain_seconds:.2f} s,"
            f" ratio {plain_seconds / stacked:.1f}x (aim: at least {AIMS['probes']:g}); probabilities differ by at most"
            f" {off.max(initial=0):.1e}",
            flush=True,
        )


def ddp(spec: RunSpec, device: Device, options: argparse.Namespace) -> None:
    """The suite on one device and on two, each in processes of its own."""
    if not options.cpu and torch.cuda.device_count() < 2:
        print("ddp: this machine has one GPU: not measured", flush=True)
        return
    found = alternately(
        {f"suite, {n} device{'s' if n > 1 else ''}": lambda n=n: in_processes(n, options) for n in (1, 2)},
        options.rounds,
    )
    one, two = (float(np.median(speeds)) for speeds in found.values())
    print(f"two devices / one {two / one:.2f}x", flush=True)


def alternately(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Images per second of each way, round by round, printed."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            speeds[name].append(way())
    for name, each in speeds.items():
        print(
            f"  {name:34s} {np.median(each):8.0f} images/s   rounds: {', '.join(f'{speed:.0f}' for speed in each)}",
            flush=True,
        )
    return speeds


class Clock(L.Callback):
    """Time of the steps behind the warm-up, all work on the device included."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up, self.steps = warm_up, 0
        self.began = self.ended = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Waits for the device twice: when the warm-up has ended, and at the end."""
        if batch_idx + 1 == self.warm_up:
            self.began = now()
        elif trainer.is_last_batch:
            self.ended, self.steps = now(), batch_idx + 1 - self.warm_up


def now() -> float:
    """Seconds, with nothing left to do on the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def warm_up_of(options: argparse.Namespace) -> int:
    """Steps that are not measured."""
    return 1 if options.cpu else WARM_UP


def suite(spec: RunSpec, device: Device, options: argparse.Namespace) -> float:
    """Images per second through the suite's own path, on all of its devices together."""
    devices = spec.execution.devices
    datamodule = build_datamodule(spec, batch_size=options.batch // devices, workers=device.workers)
    datamodule.setup()
    samples = datamodule.read_samples
    train, rest = np.flatnonzero(samples.split == "train"), np.flatnonzero(samples.split != "train")
    datamodule.samples = samples.select(
        np.concatenate([np.resize(train, (warm_up_of(options) + options.steps) * options.batch), rest])
    )
    protocol = protocol_for(spec.dataset, spec.task)
    clock = Clock(warm_up_of(options))
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(spec, protocol, device, Path(folder), History(verbose=False))
        trainer.callbacks.append(clock)
        trainer.fit(build_task(spec, protocol, native_size=48), datamodule=datamodule)
    # A loop of one's own would not have it, and Lightning leaves it on for the process.
    torch.use_deterministic_algorithms(mode=False)
    return clock.steps * options.batch / (clock.ended - clock.began)


def plain(
    spec: RunSpec, device: Device, options: argparse.Namespace, *, channels_last: bool = True, compiled: bool = False
) -> float:
    """Images per second of a loop that does nothing but train, on one batch that is on the device already."""
    side = int(spec.image_size or 224)
    memory = torch.channels_last if channels_last else torch.contiguous_format
    body = build_network("resnet18", 7, image_size=side, options=dict(spec.model_options)).body.to(device.device)
    network: Any = in_channels_last(body) if channels_last else body.to(memory_format=torch.contiguous_format)
    optimizer = build_optimizer(spec.optimizer, network, spec.lr, spec.weight_decay, dict(spec.optimizer_options))
    images = torch.randn(options.batch, 3, side, side, device=device.device).contiguous(memory_format=memory)
    target = torch.randint(7, (options.batch,), device=device.device)
    network.train()
    if compiled:
        torch.compiler.reset()
        network = torch.compile(network, backend="eager" if options.cpu else "inductor")
    began, warm_up = 0.0, warm_up_of(options)
    for step in range(warm_up + options.steps):
        if step == warm_up:
            began = now()
        with autocast(device.accelerator, device.precision):
            logits = network(images)
        loss = nn.functional.cross_entropy(logits.float(), target, label_smoothing=spec.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return options.steps * options.batch / (now() - began)


def in_processes(devices: int, options: argparse.Namespace) -> float:
    """The suite's speed on so many devices, in a process that starts the others itself."""
    sizes = ["--batch", str(options.batch), "--steps", str(options.steps), *(["--cpu"] if options.cpu else [])]
    done = subprocess.run(
        [sys.executable, __file__, "--devices", str(devices), *sizes], capture_output=True, text=True, check=False
    )
    speeds = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("speed ")]
    if done.returncode or not speeds:
        raise SystemExit(f"{devices} devices: {done.stderr.strip()[-500:] or 'no figure came back'}")
    # Each process prints the speed of all of them together.
    return float(speeds[0])


if __name__ == "__main__":
    main()
