"""AffectDataModule: from the samples of a reader to batches, the same for every dataset.

The batch contract: ``{"image": uint8 (B, C, H, W) with C 1 or 3, "target": int64 (B,) or float32 (B, D), "index": int64
(B,)}``, where ``index`` is the position within the split. Normalisation, grey to RGB and resizing to the network's
input happen on the device, in ``models/adapter.py``. With ``augment_on: device`` a batch also carries ``"drawn":
float32 (B, 15)``, its changes, until it is on the device.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from fer_bench.cross_validation import KEYS as FOLDING_KEYS
from fer_bench.cross_validation import Folding, folding_of
from fer_bench.data.augmentation import Augmenter, is_function
from fer_bench.data.batch_augmentation import BatchAugmenter
from fer_bench.data.duplicates import flag_duplicates
from fer_bench.data.gaps import with_gaps
from fer_bench.data.label_file import relabel_training
from fer_bench.data.samples import SPLITS, Images, Samples, stack_images
from fer_bench.data.splits import all_as_test, fold_samples
from fer_bench.errors import BadDataError, SpecError
from fer_bench.plugins import Plugin
from fer_bench.protocols import DATASETS, DatasetInfo, DatasetOptions, read_options

Batch = dict[str, torch.Tensor]
AnyAugmenter = Augmenter | BatchAugmenter
VA = ("valence", "arousal")
OptionsT = TypeVar("OptionsT", bound=DatasetOptions)


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
        stacked = torch.from_numpy(self._stacked(index))
        at = torch.tensor(index)
        return {
            "image": stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2),
            "target": self.targets[at],
            "index": at,
            **drawn,
        }

    def _stacked(self, index: list[int]) -> npt.NDArray[np.uint8]:
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
    always runs in the loader.
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


class AffectDataModule(L.LightningDataModule):
    """Base of all datasets. A subclass names itself and implements :meth:`read`.

    Args:
        task: which target column is served.
        name: the dataset's name where it differs from the class's own.
        data_dir: dataset root directory.
        batch_size: per process.
        eval_batch_size: for validation and test.
        seed: of the run.
        augment: name of a training augmentation, with its options.
        augment_on: ``loader``: image by image as it is read; ``device``: batch by batch, after the transfer.
        target_mode: which targets training sees; validation and test always see the task's own.
        image_size: side for datasets whose images have no fixed size.
        channels: 1 makes images grey, 3 makes them RGB, for datasets that hold both; None: as they are.
        workers: loader processes.
        labels: a label file whose labels replace the dataset's own in training.
        options: the dataset's own settings; ``fold``, ``folds`` and ``fold_by`` split any dataset into folds, instead
            of its own splits.
    """

    dataset = ""
    # Of a dataset from outside the package: where it is from, and what it says of itself.
    plugin: Plugin | None = None
    info: DatasetInfo | None = None
    default_folding: Folding | None = None

    def __init__(
        self,
        task: str,
        *,
        name: str = "",
        data_dir: str | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 256,
        seed: int = 0,
        augment: str = "none",
        augment_options: dict[str, Any] | None = None,
        augment_on: str = "loader",
        target_mode: str = "hard",
        image_size: int | None = None,
        channels: int | None = None,
        workers: int = 0,
        labels: Path | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.task, self.name, self.data_dir = task, name or self.dataset, data_dir
        self.batch_size, self.eval_batch_size, self.seed = batch_size, eval_batch_size, seed
        self.augmenter: AnyAugmenter = make_augmenter(augment, augment_options, augment_on)
        self.target_mode, self.image_size, self.channels, self.workers = target_mode, image_size, channels, workers
        self.labels = labels
        self.folding = folding_of(options or {}) or self.default_folding
        self.options = {key: value for key, value in (options or {}).items() if key not in FOLDING_KEYS}
        info = self.info if self.plugin is not None else DATASETS.get(self.dataset)
        if info is not None and info.options is not None:
            self.chosen(info.options)
        self.samples: Samples | None = None
        # Set for a network of another dataset: then a dataset that is split into folds is one test set.
        self.test_only = False
        # Where a resumed run continues.
        self.first_epoch = 0

    def chosen(self, model: type[OptionsT]) -> OptionsT:
        """The dataset's own options.

        Args:
            model: what there is.

        Raises:
            SpecError: an unknown option, or a value that cannot be.
        """
        return read_options(model, self.options, self.dataset or self.name)

    @abstractmethod
    def read(self) -> Samples:
        """Read the dataset from disk; the task's column must be among its targets."""

    def prepare_data(self) -> None:
        """Read once before training, so that every rank later finds the cache."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Read the dataset and keep the samples that have a label of the task."""
        if self.samples is not None:
            return
        samples = self.read()
        if self.folding is not None and self.test_only:
            samples = all_as_test(samples)
        elif self.folding is not None:
            samples = fold_samples(samples, self.folding)
        if "no_face" in samples.columns:
            # In test such a frame stays, as a wrong answer: see training/inference.py.
            samples = samples.select(~samples.columns["no_face"].astype(bool) | (samples.split == "test"))
        flag_duplicates(samples)
        if self.task in VA and self.task not in samples.targets and "va" in samples.targets:
            samples.targets[self.task] = samples.targets["va"][:, [VA.index(self.task)]]
        if self.task not in samples.targets:
            problem = f"dataset {self.name!r} has no labels for the task {self.task!r}."
            raise SpecError(problem, f"It has {', '.join(sorted(samples.targets))}.")
        if self.labels is not None:
            relabel_training(samples, self.task, self.labels)
        labels: npt.NDArray[Any] = samples.targets[self.task]
        if labels.ndim == 1 and (labels < 0).any():
            samples = samples.select(labels >= 0)
        elif np.issubdtype(labels.dtype, np.floating) and np.isnan(labels).any():
            samples = samples.select(~np.isnan(labels).any(axis=1))
        for split in ("test",) if self.test_only else SPLITS:
            if len(samples.where(split)) == 0:
                problem = f"dataset {self.name!r}: the {split} split is empty."
                raise BadDataError(problem, "Use a complete copy.")
        self.samples = with_gaps(samples, self.task, ("test",) if self.test_only else SPLITS)

    @property
    def read_samples(self) -> Samples:
        """The samples, read on first use."""
        self.setup()
        assert self.samples is not None
        return self.samples

    def targets(self, split: str, *, training: bool = False) -> npt.NDArray[Any]:
        """Targets of one split: the task's own, or what ``target_mode`` says for training."""
        samples = self.read_samples
        column = self.task
        if training and self.target_mode != "hard":
            column = f"{self.task}:{self.target_mode}"
            if column not in samples.targets:
                problem = f"target_mode = {self.target_mode!r}: dataset {self.name!r} has no such targets."
                raise SpecError(problem, "Use target_mode=hard, or a dataset with votes such as ferplus.")
        values = samples.targets[column][samples.where(split)]
        return (
            values.astype(np.int64)
            if values.ndim == 1 and np.issubdtype(values.dtype, np.integer)
            else values.astype(np.float32)
        )

    def class_counts(self, n_classes: int) -> npt.NDArray[np.int64]:
        """How many training samples each class has."""
        return np.bincount(self.targets("train"), minlength=n_classes)

    def split_dataset(self, split: str, *, augmented: bool = False, seed: int | None = None) -> SplitDataset:
        """One split as a dataset; ``augmented`` applies the training augmentation (also used for test-time
        augmentation).
        """
        samples = self.read_samples
        augmenter = self.augmenter if augmented and not self.augmenter.is_identity else None
        images = samples.select(samples.split == split).images
        training = split == "train" and augmented
        return SplitDataset(
            images, self.targets(split, training=training), augmenter, self.seed if seed is None else seed
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, augmented; the last batch is dropped only if it has a single sample (batch norm)."""
        targets = self.targets("train", training=True)
        samples = self.read_samples
        augmenter = None if self.augmenter.is_identity else self.augmenter
        dataset = SplitDataset(samples.select(samples.split == "train").images, targets, augmenter, self.seed)
        rank, world = self._place()
        sampler = EpochSampler(len(dataset), self.seed, shuffle=True, rank=rank, world=world)
        # Loader processes are handed their first batches before the Trainer calls set_epoch.
        sampler.set_epoch(self.first_epoch)
        drop_last = len(sampler) % self.batch_size == 1 and len(sampler) > 1
        return self._loader(dataset, sampler, self.batch_size, drop_last=drop_last)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation, in order; ranks share it without padding."""
        dataset = self.split_dataset("validation")
        rank, world = self._place()
        return self._loader(
            dataset, EpochSampler(len(dataset), 0, shuffle=False, rank=rank, world=world), self.eval_batch_size
        )

    def predict_loader(self, split: str, *, augmented: bool = False, view: int = 0) -> DataLoader[Batch]:
        """A whole split, in order, on one device; ``augmented`` views differ only by their number."""
        dataset = self.split_dataset(split, seed=view_seed(self.seed, view))
        if augmented:
            dataset.augmenter = self.augmenter
        return self._loader(dataset, EpochSampler(len(dataset), 0, shuffle=False), self.eval_batch_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Change the images of a batch that carries what was sampled for it."""
        if "drawn" not in batch:
            return batch
        assert isinstance(self.augmenter, BatchAugmenter)
        kept = {key: value for key, value in batch.items() if key != "drawn"}
        return {**kept, "image": self.augmenter.change(batch["image"], batch["drawn"])}

    def _place(self) -> tuple[int, int]:
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)

    def _loader(
        self, dataset: SplitDataset, sampler: EpochSampler, batch_size: int, *, drop_last: bool = False
    ) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=whole_batch,
            drop_last=drop_last,
            pin_memory=torch.cuda.is_available(),
            # Workers that persist would keep the epoch they were started in only if it were in the dataset; it travels
            # with the keys.
            persistent_workers=self.workers > 0,
        )
