"""Images per second from JPEG files to batches of 224 px, side by side: torchvision's ImageFolder with a DataLoader,
and this suite's own path, from the files and from a packed copy.

The files are crops of the photographs of a folder, each cut, scaled and compressed (quality 75 to 95) in its own way:
half of them 512 x 512, half 1,024 x 1,024; nothing is enlarged. What is measured ends with the batch in the training
process, and no network is trained.

torchvision   ImageFolder (PIL), Resize(256), CenterCrop(224), ToTensor, Normalize; DataLoader
stream        ``dataset_options.decode=reduced``: a half or a quarter of the file by the decoder itself, then by area
stream, full  ``dataset_options.decode=full``, the default: the whole file, then by area
packed        from the copy that ``fer-bench pack`` makes, of ``decode=full``

All have the same number of loader processes and a shuffled order. torchvision's batches are float32 and normalised;
the suite's are 8-bit, and normalised on the device: what that takes on this CPU is printed, and not counted.

The ways take turns, part by part, so that whatever else the machine does hits all of them; ratios are medians over
parts that are next to each other. Memory is what the process and the loaders of a way hold for themselves (anonymous
and shared memory), in MB, at the beginning of a pass, at most, and at its end.

Usage: python benchmarks/perf/images.py --photographs FOLDER [--images 20000] [--workers 2] [--parts 8] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

BATCH = 32
SIDE = 224
SIZES = (512, 1024)
WARM_UP = 4
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
AIMS = {("stream", 512): 2.0, ("stream", 1024): 3.0, ("packed", 512): 10.0, ("packed", 1024): 10.0}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="folder of JPEG photographs, at any depth")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", type=int, default=8, help="parts of a pass, between which the ways take turns")
    parser.add_argument("--work", type=Path, help="where the files are made and kept; none: a folder that is removed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Before anything of the suite asks where its cache is.
        os.environ["FER_BENCH_CACHE"] = str(work / "cache")
        for size in SIZES:
            measure(options, work, size)


def measure(options: argparse.Namespace, work: Path, size: int) -> None:
    """The ways on the files of one size."""
    n = options.images // len(SIZES)
    folder = work / f"crops{size}-{n}"
    files = crops(options.photographs, folder, size, n)
    n_bytes = sum(file.stat().st_size for file in files) / len(files)
    print(f"{n:,} JPEGs of {size} x {size} px, {n_bytes / 1000:.0f} kB each, to batches of {BATCH} x {SIDE} px,")
    print(f"  {options.workers} loader processes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    began = time.perf_counter()
    modules = {name: datamodule(folder, options.workers, how) for name, how in HOW.items()}
    print(f"  looked at and packed in {time.perf_counter() - began:.0f} s")
    ways = {"torchvision": torchvision_loader(folder, options.workers)} | {
        name: module.train_dataloader() for name, module in modules.items()
    }
    rates, memory = turns(ways, options.parts)
    base = rates["torchvision"]
    for name, values in rates.items():
        ratio = statistics.median(own / other for own, other in zip(values, base, strict=True))
        aim = AIMS.get((name, size))
        held = memory[name]
        print(
            f"  {name:13s} {statistics.median(values):8.0f} images/s {ratio:6.1f}x"
            f"{f' (aim: at least {aim:g})' if aim else '':20s}"
            f"  memory {held[0]:.0f}, at most {max(held):.0f}, {held[-1]:.0f} MB"
        )
    print(f"  normalising here: {normalising() * 1000:.2f} ms an image")


# Options of the dataset, and where images come from.
HOW = {
    "stream": ({"decode": "reduced"}, "stream"),
    "stream, full": ({}, "stream"),
    "packed": ({}, "packed"),
}


def datamodule(folder: Path, workers: int, how):
    """The suite's path, read."""
    from fer_bench.datasets.load import build_datamodule
    from fer_bench.spec import Execution, RunSpec

    options, images = how
    spec = RunSpec(
        dataset=f"folder:{folder.name}",
        dataset_options=options,
        image_size=SIDE,
        execution=Execution(data_dir=str(folder.parent), images=images),
    )
    found = build_datamodule(spec, batch_size=BATCH, workers=workers)
    found.setup()
    return found


def torchvision_loader(folder: Path, workers: int) -> DataLoader:
    """The usual way."""
    import torchvision
    from torchvision import transforms as T

    transform = T.Compose(
        [T.Resize(256), T.CenterCrop(SIDE), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    dataset = torchvision.datasets.ImageFolder(str(folder / "train"), transform)
    return DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def turns(ways: dict[str, DataLoader], parts: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """One pass of each way, in parts that alternate: images per second of each part, and memory at their ends."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    batches = {name: iter(loader) for name, loader in ways.items()}
    length = min(len(loader) for loader in ways.values())
    each = (length - WARM_UP) // parts
    if each <= max(ahead(loader) for loader in batches.values()):
        sys.exit(f"{length} batches are too few for {parts} parts: take more --images, or fewer --parts")
    memory: dict[str, list[float]] = {}
    for name, loader in batches.items():
        for _ in range(WARM_UP):
            taken(next(loader))
        memory[name] = [private(loader)]
    for _ in range(parts):
        for name, loader in batches.items():
            # What the loaders have made ahead while others had their turn is not counted, nor what they make ahead now.
            for _ in range(ahead(loader)):
                taken(next(loader))
            began, images = time.perf_counter(), 0
            for _ in range(each - ahead(loader)):
                images += taken(next(loader))
            rates[name].append(images / (time.perf_counter() - began))
            memory[name].append(private(loader))
    return rates, memory


def normalising() -> float:
    """Seconds that it takes to make a normalised image of an 8-bit one, in batches."""
    batch = torch.zeros((BATCH, 3, SIDE, SIDE), dtype=torch.uint8)
    began = time.perf_counter()
    for _ in range(5):
        batch.float().mul_(1 / 64).sub_(2)
    return (time.perf_counter() - began) / 5 / BATCH


def ahead(loader: Iterator) -> int:
    """Batches that loader processes make before they are asked for."""
    return 2 * len(getattr(loader, "_workers", ()))


def taken(batch) -> int:
    """Images of a batch."""
    images = batch["image"] if isinstance(batch, dict) else batch[0]
    return len(images)


def private(loader: Iterator) -> float:
    """MB of memory that this process and a loader's own hold, without files that are mapped."""
    processes = [os.getpid(), *(worker.pid for worker in getattr(loader, "_workers", ()))]
    total = 0
    for process in processes:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(("RssAnon", "RssShmem")):
                total += int(line.split()[1])
    return total / 1024


def crops(photographs: Path, folder: Path, size: int, n: int) -> list[Path]:
    """So many different JPEG files of one size, in class folders; those of an earlier call are taken as they are."""
    done = folder / "done"
    if not done.is_file():
        print(f"{folder}: making {n:,} files", flush=True)
        large = [file for file in sorted(photographs.rglob("*.jpg")) if shorter_side(file) >= size]
        for at, file in enumerate(large):
            photograph = cv2.imread(str(file))
            for number in range(at, n, len(large)):
                write_crop(photograph, place(folder, number), size, np.random.default_rng([size, number]))
        for split in ("validation", "test"):
            # A few of them again, so that the dataset is complete.
            for number in range(2 * len(CLASSES)):
                file = place(folder, number)
                copy = folder / split / file.relative_to(folder / "train")
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        done.touch()
    return sorted((folder / "train").rglob("*.jpg"))


def place(folder: Path, number: int) -> Path:
    """Where a file is."""
    return folder / "train" / CLASSES[number % len(CLASSES)] / f"{number:06d}.jpg"


def shorter_side(file: Path) -> int:
    """Of a photograph, from its header."""
    from fer_bench.image_files import read_content, read_header

    header = read_header(read_content(file))
    return 0 if header is None else min(header.width, header.height)


def write_crop(photograph, file: Path, size: int, rng: np.random.Generator) -> None:
    """A square of a photograph, scaled down to a size, perhaps mirrored, and compressed."""
    height, width = photograph.shape[:2]
    side = int(rng.integers(size, min(height, width) + 1))
    y, x = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    part = cv2.resize(photograph[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = part[:, ::-1] if rng.random() < 0.5 else part
    cv2.imwrite(str(file), part, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 96))])


if __name__ == "__main__":
    main()
