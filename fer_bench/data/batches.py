"""Batches of a split: what is read together, in which order, and how it is augmented.

The batch contract: ``{"image": uint8 (B, C, H, W) with C 1 or 3, "target": int64 (B,) or float32 (B, D), "index": int64
(B,)}``, where ``index`` is the position within the split. Normalisation, grey to RGB and resizing to the network's
input happen on the device, in ``models/adapter.py``. With ``augment_on: device`` a batch also carries ``"drawn":
float32 (B, 15)``, its changes, until it is on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from fer_bench.data.augmentation import Augmenter, is_function
from fer_bench.data.batch_augmentation import BatchAugmenter
from fer_bench.data.samples import Images, stack_images

Batch = dict[str, torch.Tensor]
AnyAugmenter = Augmenter | BatchAugmenter


class SplitDataset(Dataset[Batch]):
    """One split, read a batch at a time.

    Args:
        images: the split's images.
        targets: shape (N,) int64 or (N, D) float32.
        augmenter: None for images as they are.
        seed: together with the epoch and the batch's first index it seeds the augmentation, so that a resumed run and
            any number of loader processes see the same pictures.
    """

    def __init__(self, images: Images, targets: npt.NDArray[Any], augmenter: AnyAugmenter | None, seed: int) -> None:
        self.images = images
        self.targets = torch.from_numpy(np.ascontiguousarray(targets))
        self.augmenter = augmenter
        self.seed = seed

    def __len__(self) -> int:
        return len(self.targets)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """One batch from (epoch, index) pairs."""
        index = [key[1] for key in keys]
        drawn = {}
        if self.augmenter is not None:
            seed = batch_seed(self.seed, keys[0][0], index[0])
            if isinstance(self.augmenter, BatchAugmenter):
                drawn = {"drawn": self.augmenter.draw(seed, len(index))}
            else:
                self.augmenter.seed(seed)
        at = torch.tensor(index)
        return {
            "image": self.channels_first(self.stacked(index)),
            "target": self.targets[at],
            "index": at,
            **drawn,
        }

    @staticmethod
    def channels_first(images: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(N, C, H, W) of images (N, H, W) or (N, H, W, 3)."""
        stacked = torch.from_numpy(images)
        return stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)

    def stacked(self, index: list[int]) -> npt.NDArray[np.uint8]:
        """Images at these positions, augmented where that happens image by image."""
        if isinstance(self.augmenter, Augmenter):
            return np.stack([self.augmenter(np.asarray(self.images[i])) for i in index])
        return stack_images(self.images, index)


def batch_seed(seed: int, epoch: int, first: int) -> int:
    """Seed of a batch's augmentation, from that of the split, the epoch and the position of its first sample."""
    return int(np.random.SeedSequence([seed, epoch, first]).generate_state(1)[0])


def view_seed(seed: int, view: int) -> int:
    """Seed of a split for one view of test-time augmentation, from that of the run."""
    return int(np.random.SeedSequence([seed, 7919, view]).generate_state(1)[0])


def make_augmenter(name: str, options: dict[str, Any] | None, on: str) -> AnyAugmenter:
    """The augmenter of a run, by where it changes images: ``loader`` or ``device``; a plugin's function of one image
    always does in the loader.
    """
    return BatchAugmenter(name, options) if on == "device" and not is_function(name) else Augmenter(name, options)


def whole_batch(batch: Any) -> Any:
    """Collate function of a dataset that already returns batches."""
    return batch


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) pairs, shuffled from (seed, epoch), assigned to the ranks without padding when not shuffled.

    Args:
        n: samples in the split.
        seed: of the run.
        shuffle: training order; then every rank gets the same number of samples, at most ``world - 1`` are left out of
            an epoch.
        rank: this process.
        world: processes.
    """

    def __init__(self, n: int, seed: int, *, shuffle: bool, rank: int = 0, world: int = 1) -> None:
        self.n, self.seed, self.shuffle, self.rank, self.world = n, seed, shuffle, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n // self.world if self.shuffle else len(range(self.rank, self.n, self.world))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = (
            np.random.default_rng([self.seed, self.epoch]).permutation(self.n) if self.shuffle else np.arange(self.n)
        )
        own = order[self.rank :: self.world][: len(self)]
        return ((self.epoch, int(i)) for i in own)


class BalancedSampler(EpochSampler):
    """Training order in which each source has as many samples an epoch as the others: of a large one another part each
    epoch, of a small one some more than once.

    Args:
        source: shape (N,), text: where each sample is from.
        seed: of the run.
        rank: this process.
        world: processes.
    """

    def __init__(self, source: npt.NDArray[np.str_], seed: int, *, rank: int = 0, world: int = 1) -> None:
        super().__init__(len(source), seed, shuffle=True, rank=rank, world=world)
        self.members = [np.flatnonzero(source == name) for name in np.unique(source)]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        # Rounding gives the first sources one sample more.
        shares = [len(part) for part in np.array_split(np.arange(self.n), len(self.members))]
        chosen = []
        for members, share in zip(self.members, shares, strict=True):
            rounds = -(-share // len(members))
            chosen.append(np.concatenate([rng.permutation(members) for _ in range(rounds)])[:share])
        order = rng.permutation(np.concatenate(chosen))[self.rank :: self.world][: len(self)]
        return ((self.epoch, int(i)) for i in order)
