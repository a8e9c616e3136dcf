"""AffectDataModule: from the samples of a reader to batches, the same for every dataset.

Reading needs no PyTorch: :meth:`AffectDataModule.reading` makes a module that only reads. Every other is a
``LightningDataModule``, and its batches are those of :mod:`fer_bench.data.batches`.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fer_bench.cross_validation import KEYS as FOLDING_KEYS
from fer_bench.cross_validation import Folding, folding_of
from fer_bench.data.duplicates import flag_duplicates
from fer_bench.data.gaps import with_gaps
from fer_bench.data.label_file import relabel_training
from fer_bench.data.packed import is_packable, pack, packed
from fer_bench.data.samples import SPLITS, Images, Samples
from fer_bench.data.splits import SEARCHED, all_as_test, fold_samples, without_test
from fer_bench.errors import BadDataError, SpecError
from fer_bench.plugins import Plugin
from fer_bench.protocols import DATASETS, DatasetInfo, DatasetOptions, find_task, read_options

if TYPE_CHECKING:
    from lightning import LightningDataModule as _Base
    from torch.utils.data import DataLoader

    from fer_bench.data.batches import AnyAugmenter, Batch, EpochSampler, SplitDataset
    from fer_bench.data.clips import Clip, ClipDataset
else:
    _Base = object

VA = ("valence", "arousal")
OptionsT = TypeVar("OptionsT", bound=DatasetOptions)


@functools.cache
def _with_batches(kind: type[AffectDataModule]) -> type[AffectDataModule]:
    """A dataset's class as a ``LightningDataModule``."""
    from lightning import LightningDataModule

    body = {"__module__": kind.__module__, "__doc__": kind.__doc__, "__reduce__": _reduced, "reads_only": False}
    return type(kind.__name__, (kind, LightningDataModule), body)


def _reduced(module: AffectDataModule) -> tuple[Any, ...]:
    """For processes that are sent a module: its class has no name of its own to be found by."""
    kind = type(module).__mro__[1]
    return kind.__new__, (kind,), module.__dict__


class AffectDataModule(_Base):
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
    # Whether it has no batches, and so needs no PyTorch.
    reads_only = True

    def __new__(cls, *_arguments: Any, **_settings: Any) -> Self:
        """An instance that gives batches; it is of the class, and a ``LightningDataModule``."""
        made: Self = object.__new__(_with_batches(cls) if cls.reads_only else cls)  # type: ignore[arg-type]
        return made

    @classmethod
    def reading(cls, *arguments: Any, **settings: Any) -> Self:
        """An instance that reads, and gives no batches.

        Args:
            arguments: of the class.
            settings: likewise; those of training are left alone.
        """
        made = object.__new__(cls)
        made.__init__(*arguments, **settings)  # type: ignore[misc]
        return made

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
        if not self.reads_only:
            from fer_bench.data.batches import make_augmenter

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
        # Set while settings are searched for: the test split is dropped as soon as it is read, so that nothing can look
        # at it.
        self.untested = False
        # Where a resumed run continues.
        self.first_epoch = 0
        # Batches are of clips, in training of pieces of so many frames (0: whole clips); None: of single images.
        self.clip_frames: int | None = None
        # Whether images are decoded when they are asked for (stream), come from a packed copy, or what is best (auto).
        self.images_from = "auto"
        # Of all samples, (N, D), where a temporal model is given no images.
        self.features: npt.NDArray[np.float32] | None = None

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
        samples.images = self._from_packed(samples.images)
        if self.folding is not None and self.test_only:
            samples = all_as_test(samples)
        elif self.folding is not None:
            samples = fold_samples(samples, self.folding)
        if self.untested:
            samples = without_test(samples, self.name)
        if "no_face" in samples.columns:
            if len(samples) and samples.columns["no_face"].all():
                problem = f"dataset {self.name!r}: no face was found in any of {len(samples):,} frames."
                raise BadDataError(problem, "Look at a video: is it the camera on the user's face, and does it play?")
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
        if np.issubdtype(labels.dtype, np.integer) and (labels < 0).any():
            samples = samples.select(np.asarray((labels.reshape(len(samples), -1) >= 0).all(axis=1)))
        elif np.issubdtype(labels.dtype, np.floating) and np.isnan(labels).any():
            samples = samples.select(~np.isnan(labels).any(axis=1))
        splits = ("test",) if self.test_only else SEARCHED if self.untested else SPLITS
        for split in splits:
            if len(samples.where(split)) == 0:
                problem = f"dataset {self.name!r}: the {split} split is empty."
                hint = f", or change dataset_options ({', '.join(self.options)})" if self.options else ""
                raise BadDataError(problem, f"Use a complete copy{hint}.")
        self.samples = with_gaps(samples, self.task, splits)

    def _from_packed(self, images: Images) -> Images:
        if self.images_from == "packed" and is_packable(images):
            for _ in pack(self.name, images):
                pass
        return images if self.images_from == "stream" else packed(self.name, images)

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
        if find_task(self.task).kind == "labels":
            return values.astype(np.int8)
        return (
            values.astype(np.int64)
            if values.ndim == 1 and np.issubdtype(values.dtype, np.integer)
            else values.astype(np.float32)
        )

    def class_counts(self, n_classes: int) -> npt.NDArray[np.int64]:
        """How many training samples each class has."""
        return np.bincount(self.targets("train"), minlength=n_classes)

    def label_counts(self) -> npt.NDArray[np.int64]:
        """How many training samples are without, and how many with each category, shape (2, K)."""
        targets = self.targets("train").astype(np.int64)
        return np.stack([(1 - targets).sum(axis=0), targets.sum(axis=0)])

    def split_dataset(self, split: str, *, augmented: bool = False, seed: int | None = None) -> SplitDataset:
        """One split as a dataset; ``augmented`` applies the training augmentation (also used for test-time
        augmentation).
        """
        from fer_bench.data.batches import SplitDataset

        samples = self.read_samples
        augmenter = self.augmenter if augmented and not self.augmenter.is_identity else None
        images = samples.select(samples.where(split)).images
        training = split == "train" and augmented
        return SplitDataset(
            images, self.targets(split, training=training), augmenter, self.seed if seed is None else seed
        )

    def clips(self, split: str, *, training: bool = False) -> list[Clip]:
        """The clips of a split, positions within it; for training, cut into pieces of ``clip_frames``."""
        from fer_bench.data.clips import clips_of, pieces

        whole = clips_of(self.read_samples, split, self.name)
        return pieces(whole, self.clip_frames or 0) if training else whole

    def items(self, split: str) -> int:
        """What batches count: images, or clips (of the training split their pieces)."""
        if self.clip_frames is None:
            return len(self.read_samples.where(split))
        return len(self.clips(split, training=split == "train"))

    def eval_batch(self, split: str) -> int:
        """Items in a batch of validation or test."""
        if self.clip_frames is None:
            return self.eval_batch_size
        from fer_bench.data.clips import clips_at_once

        return min(clips_at_once(self.clips(split)), self.eval_batch_size)

    def _in_batches(self, frames: SplitDataset, split: str, *, training: bool = False) -> SplitDataset | ClipDataset:
        if self.clip_frames is None:
            return frames
        from fer_bench.data.clips import ClipDataset

        features = None if self.features is None else self.features[self.read_samples.where(split)]
        return ClipDataset(frames, self.clips(split, training=training), features)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, augmented; the last batch is left out only where it would hold a single sample (batch norm)."""
        from fer_bench.data.batches import SplitDataset

        targets = self.targets("train", training=True)
        samples = self.read_samples
        augmenter = None if self.augmenter.is_identity else self.augmenter
        frames = SplitDataset(samples.select(samples.split == "train").images, targets, augmenter, self.seed)
        dataset = self._in_batches(frames, "train", training=True)
        rank, world = self._place()
        sampler = self._train_sampler(len(dataset), rank, world)
        # Loader processes are handed their first batches before the Trainer calls set_epoch.
        sampler.set_epoch(self.first_epoch)
        drop_last = len(sampler) % self.batch_size == 1 and len(sampler) > 1
        return self._loader(dataset, sampler, self.batch_size, drop_last=drop_last)

    def _train_sampler(self, n: int, rank: int, world: int) -> EpochSampler:
        """The order of n training samples."""
        from fer_bench.data.batches import EpochSampler

        return EpochSampler(n, self.seed, shuffle=True, rank=rank, world=world)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation, in order; ranks share it without padding."""
        from fer_bench.data.batches import EpochSampler

        dataset = self._in_batches(self.split_dataset("validation"), "validation")
        rank, world = self._place()
        sampler = EpochSampler(len(dataset), 0, shuffle=False, rank=rank, world=world)
        return self._loader(dataset, sampler, self.eval_batch("validation"))

    def predict_loader(self, split: str, *, augmented: bool = False, view: int = 0) -> DataLoader[Batch]:
        """A whole split, in order (of clips: one after the other), on one device; ``augmented`` views differ by their
        number and by nothing else.
        """
        from fer_bench.data.batches import EpochSampler, view_seed

        frames = self.split_dataset(split, seed=view_seed(self.seed, view))
        if augmented:
            frames.augmenter = self.augmenter
        dataset = self._in_batches(frames, split)
        return self._loader(dataset, EpochSampler(len(dataset), 0, shuffle=False), self.eval_batch(split))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Change the images of a batch that carries what was sampled for it."""
        if "drawn" not in batch:
            return batch
        from fer_bench.data.batch_augmentation import BatchAugmenter

        assert isinstance(self.augmenter, BatchAugmenter)
        kept = {key: value for key, value in batch.items() if key != "drawn"}
        return {**kept, "image": self.augmenter.change(batch["image"], batch["drawn"])}

    def _place(self) -> tuple[int, int]:
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)

    def _loader(
        self, dataset: SplitDataset | ClipDataset, sampler: EpochSampler, batch_size: int, *, drop_last: bool = False
    ) -> DataLoader[Batch]:
        import torch
        from torch.utils.data import DataLoader

        from fer_bench.data.batches import whole_batch

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
