"""Features of a dataset under a frozen network: computed once, kept on disk, and never mistaken for another's.

A cache's name is a hash of everything that decides its content: the images (checksums and ids of the dataset, its
options), the weights, the preprocessing and the precision; see :mod:`fer_bench.data.computed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from fer_bench.data.batches import SplitDataset, whole_batch
from fer_bench.data.computed import BLOCK, read_or_compute
from fer_bench.data.samples import Images
from fer_bench.errors import BadDataError
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


def extract(
    backbone: Backbone, images: Images, identity: dict[str, Any], place: Place | None = None, block: int = BLOCK
) -> Features:
    """Features of all images, from the cache or computed into it.

    Args:
        backbone: the frozen network.
        images: N images of one size.
        identity: what decides the images, as :func:`~fer_bench.data.computed.dataset_identity`.
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
        "version": VERSION,
        "backbone": backbone.name,
        "weights": backbone.digest,
        "preprocessing": backbone.preprocessing,
        "precision": place.precision,
        "n": len(images),
        **identity,
    }
    found = read_or_compute(about, len(images), lambda start: _rows(backbone, images, place, start), np.float16, block)
    return Features(found.values, found.key, found.n_computed)


def batch_size_for(image: npt.NDArray[np.uint8], side: int | None = None) -> int:
    """Images per batch, so that the activations of wide networks fit: 4 of 800 x 600, 39 of 224 x 224, 256 of 48 x 48.

    Args:
        image: one of them, shape (H, W) or (H, W, 3).
        side: of the network's input, to which small images are enlarged.
    """
    pixels = max(image.shape[0] * image.shape[1], (side or 0) ** 2)
    return int(min(max(_PIXELS // pixels, 1), _MOST))


def _rows(backbone: Backbone, images: Images, place: Place, start: int) -> Iterator[npt.NDArray[np.float16]]:
    """Features of the images from ``start`` on, a batch at a time."""
    module = backbone.module.to(place.device)
    size = batch_size_for(np.asarray(images[0]), backbone.side)
    for batch in _loader(images, range(start, len(images)), size, place.workers):
        yield run_batch(module, batch["image"], place)


def run_batch(module: torch.nn.Module, images: torch.Tensor, place: Place) -> npt.NDArray[np.float16]:
    """Features of one batch.

    Args:
        module: gives shape (B, D).
        images: uint8 (B, C, H, W).
        place: device and precision.

    Returns:
        float16 (B, D); what is beyond half precision is moved to its limit.
    """
    kind = _TYPES.get(place.precision)
    with (
        torch.inference_mode(),
        torch.autocast(place.device.type, dtype=kind or torch.bfloat16, enabled=kind is not None),
    ):
        found = module(images.to(place.device, non_blocking=True)).float()
    # What is beyond half precision would come back as infinity.
    half: npt.NDArray[np.float16] = found.clamp(-_HALF_LIMIT, _HALF_LIMIT).to(torch.float16).cpu().numpy()
    return half


def _loader(images: Images, positions: Sequence[int], batch_size: int, workers: int) -> DataLoader[Any]:
    dataset = SplitDataset(images, np.zeros(len(images), dtype=np.int64), None, 0)
    sampler: Any = [(0, i) for i in positions]
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=whole_batch,
        pin_memory=torch.cuda.is_available(),
    )
