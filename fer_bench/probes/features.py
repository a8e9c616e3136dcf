"""Features of a dataset under a frozen network: computed once, kept on disk, and never mistaken for another's.

A cache's name is a hash of everything that decides its content: the images (checksums and ids of the dataset, its options), the weights, the preprocessing and
the precision. It is written block by block into a ``.part`` file with a marker of how far it has come, so that an interrupted pass goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch.utils.data import DataLoader

from fer_bench import paths
from fer_bench.data.base import AffectDataModule, SplitDataset, whole_batch
from fer_bench.data.samples import Images
from fer_bench.errors import BadDataError, HardwareError
from fer_bench.predictions import write_atomically
from fer_bench.probes.backbones import Backbone

VERSION = 1
# Pixels per batch: activations of the widest networks stay below a gigabyte on a CPU.
_PIXELS = 2_000_000
_MOST = 256
_HALF_LIMIT = float(np.finfo(np.float16).max)
_TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Place:
    """Where and how features are computed; what it changes of them (the precision) is part of a cache's name.

    Args:
        device: of the network.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``: the fastest that the machine does well.
        workers: loader processes.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "32-true"
    workers: int = 0


@dataclass(frozen=True)
class Features:
    """Features of N images.

    Args:
        values: shape (N, D), float16, memory-mapped.
        key: name of the cache, from all that decides its content.
        n_computed: images that were put through the network this time; 0 where the cache was complete.
    """

    values: npt.NDArray[np.float16]
    key: str
    n_computed: int

    @property
    def width(self) -> int:
        """D."""
        return int(self.values.shape[1])


def dataset_identity(datamodule: AffectDataModule) -> dict[str, Any]:
    """What decides a dataset's images and their order.

    Raises:
        BadDataError: the dataset does not say what its images are.
    """
    samples = datamodule.read_samples
    if not samples.checksums:
        problem = f"dataset {datamodule.name!r} has no checksums: features of it cannot be told from those of another copy."
        raise BadDataError(problem, "Its reader must fill in Samples.checksums.")
    ids = hashlib.sha256("\n".join(samples.ids.tolist()).encode()).hexdigest()
    return {"dataset": datamodule.name, "options": datamodule.options, "checksums": samples.checksums, "key": samples.key, "ids": ids}


def extract(backbone: Backbone, images: Images, identity: dict[str, Any], place: Place | None = None, block: int = 512) -> Features:
    """Features of all images, from the cache or computed into it.

    Args:
        backbone: the frozen network.
        images: N images of one size.
        identity: what decides the images, as :func:`dataset_identity`.
        place: device and precision.
        block: images between two marks of progress.

    Returns:
        The features, in the order of the images.

    Raises:
        HardwareError: the disk is full.
        BadDataError: no images, or a damaged cache.
    """
    place = place or Place()
    if not len(images):
        problem = "there are no images to compute features of."
        raise BadDataError(problem)
    about = {
        "version": VERSION, "backbone": backbone.name, "weights": backbone.digest, "preprocessing": backbone.preprocessing, "precision": place.precision,
        "n": len(images), **identity,
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    path = paths.cache_dir() / "features" / f"{key}.npy"
    computed = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            with FileLock(path.with_suffix(".lock")):
                if not path.is_file():
                    computed = _compute(backbone, images, place, path, block)
                    write_atomically(path.with_suffix(".json"), (json.dumps(about, indent=1) + "\n").encode())
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        problem = f"the feature cache {path} cannot be written: {error.strerror or error}."
        raise HardwareError(problem, "Free some space, or name another place with FER_BENCH_CACHE; the same command goes on where it stopped.") from None
    try:
        values = np.load(path, mmap_mode="r")
    except (ValueError, EOFError, OSError) as error:
        problem = f"the feature cache {path} is damaged ({error})."
        raise BadDataError(problem, "Delete it; it is made anew.") from None
    return Features(values, key, computed)


def batch_size_for(image: npt.NDArray[np.uint8]) -> int:
    """Images per batch, so that the activations of wide networks fit: 4 of 800 x 600, 39 of 224 x 224, 256 of 48 x 48."""
    return int(min(max(_PIXELS // (image.shape[0] * image.shape[1]), 1), _MOST))


def _compute(backbone: Backbone, images: Images, place: Place, path: Path, block: int) -> int:
    """Fill the ``.part`` file from where it stands, and put it in place; returns how many images were computed."""
    part, marker = path.with_suffix(".part"), path.with_suffix(".progress")
    n, module = len(images), backbone.module.to(place.device)
    start, out = _resume(part, marker, n)
    done = marked = start
    size = batch_size_for(np.asarray(images[0]))
    for batch in _loader(images, range(start, n), size, place.workers):
        values = run_batch(module, batch["image"], place)
        if out is None:
            out = _begin(part, (n, values.shape[1]))
        out[done : done + len(values)] = values
        done += len(values)
        if done - marked >= block or done == n:
            # The data before the marker: a marker never speaks of what is not on the disk.
            out.flush()
            write_atomically(marker, json.dumps({"done": done, "shape": out.shape}).encode())
            marked = done
    del out
    part.replace(path)
    marker.unlink(missing_ok=True)
    return n - start


def run_batch(module: torch.nn.Module, images: torch.Tensor, place: Place) -> npt.NDArray[np.float16]:
    """Features (B, D) of a batch of uint8 images (B, C, H, W), in half precision."""
    kind = _TYPES.get(place.precision)
    with torch.inference_mode(), torch.autocast(place.device.type, dtype=kind or torch.bfloat16, enabled=kind is not None):
        found = module(images.to(place.device, non_blocking=True)).float()
    # What is beyond half precision would come back as infinity.
    half: npt.NDArray[np.float16] = found.clamp(-_HALF_LIMIT, _HALF_LIMIT).to(torch.float16).cpu().numpy()
    return half


def _loader(images: Images, positions: Sequence[int], batch_size: int, workers: int) -> DataLoader[Any]:
    dataset = SplitDataset(images, np.zeros(len(images), dtype=np.int64), None, 0)
    sampler: Any = [(0, i) for i in positions]
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, num_workers=workers, collate_fn=whole_batch, pin_memory=torch.cuda.is_available())


def _resume(part: Path, marker: Path, n: int) -> tuple[int, Any]:
    """How many images an interrupted pass has done, and its file; (0, None) where there is none that can be trusted."""
    try:
        progress = json.loads(marker.read_text())
        out = np.lib.format.open_memmap(part, mode="r+")
        if out.dtype == np.float16 and list(out.shape) == progress["shape"] and out.shape[0] == n and 0 <= progress["done"] <= n:
            return int(progress["done"]), out
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, None


def _begin(part: Path, shape: tuple[int, int]) -> Any:
    out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # A memory map that outgrows the disk ends the process; taking the space now is an error that can be told.
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    return out
