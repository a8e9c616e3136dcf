"""Batches of clips: their frames one after the other, with the lengths of the clips.

A dataset has clips where its samples have the columns ``clip`` and ``frame``, a number that rises with time; a user's
table may have columns of these names. To the batch contract of
:mod:`fer_bench.data.batches` comes ``"lengths": int64 (B,)``, which sum to the N frames of the batch; there is no
padding in a batch. Where features were computed before, ``"image"`` holds them instead: float32 (N, D).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from fer_bench.data.augmentation import Augmenter
from fer_bench.data.batch_augmentation import BatchAugmenter
from fer_bench.data.batches import Batch, SplitDataset, batch_seed
from fer_bench.data.samples import ATTRIBUTE, Samples
from fer_bench.errors import BadDataError, SpecError

Clip = npt.NDArray[np.int64]
COLUMNS = ("clip", "frame")
# Frames of a batch of validation or test, about.
_FRAMES = 256


def clips_of(samples: Samples, split: str, dataset: str) -> list[Clip]:
    """The clips of a split, in the order in which they first occur.

    Args:
        samples: of the dataset.
        split: ``train``, ``validation`` or ``test``.
        dataset: its name, for the error.

    Returns:
        Of each clip the positions of its frames within the split, in the order of time.

    Raises:
        SpecError: the dataset does not say which clip a sample is of, and which frame of it.
    """
    found = [samples.columns.get(name, samples.columns.get(ATTRIBUTE + name)) for name in COLUMNS]
    if lacking := [name for name, column in zip(COLUMNS, found, strict=True) if column is None]:
        problem = f"dataset {dataset!r} has no clips: its samples do not have {' and '.join(lacking)}."
        raise SpecError(problem, "A temporal model needs frames of videos in their order; use temporal=none here.")
    at = samples.where(split)
    clip, frame = (np.asarray(column)[at] for column in found)
    _, first, inverse = np.unique(clip.astype(str), return_index=True, return_inverse=True)
    try:
        frames = frame.astype(np.float64)
    except ValueError as error:
        problem = f"dataset {dataset!r}: the column frame holds something that is not a number ({error})."
        raise BadDataError(problem, "Number the frames of each clip in the order of time.") from None
    if lost := int((~np.isfinite(frames)).sum() + (np.char.strip(clip.astype(str)) == "").sum()):
        problem = f"dataset {dataset!r}: {lost} samples of {split} do not say their clip or their place in it."
        raise BadDataError(problem, "Fill in the columns clip and frame.")
    order = np.lexsort((frames, first[inverse]))
    bounds = np.flatnonzero(np.diff(first[inverse][order])) + 1
    return [part for part in np.split(order.astype(np.int64), bounds) if len(part)]


def pieces(clips: Sequence[Clip], frames: int) -> list[Clip]:
    """Clips cut into as few pieces of at most so many frames as hold all of them, evenly spaced; 0: whole clips."""
    found: list[Clip] = []
    for clip in clips:
        if not frames or len(clip) <= frames:
            found.append(clip)
            continue
        starts = np.linspace(0, len(clip) - frames, -(-len(clip) // frames)).round().astype(int)
        found += [clip[start : start + frames] for start in starts]
    return found


def clips_at_once(clips: Sequence[Clip]) -> int:
    """Clips in a batch of validation or test."""
    return max(int(_FRAMES * len(clips) // max(sum(map(len, clips)), 1)), 1)


class ClipDataset(Dataset[Batch]):
    """Clips of a split, read a batch at a time; all frames of a clip are augmented alike.

    Args:
        frames: the split.
        clips: positions within it.
        features: (N, D) of the split's frames, where they are known.
    """

    def __init__(
        self, frames: SplitDataset, clips: Sequence[Clip], features: npt.NDArray[np.float32] | None = None
    ) -> None:
        self.frames, self.clips, self.features = frames, list(clips), features

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """One batch from (epoch, number of the clip) pairs."""
        chosen = [self.clips[number] for _, number in keys]
        at, lengths = np.concatenate(chosen), torch.tensor([len(clip) for clip in chosen])
        index = torch.from_numpy(at)
        known = {"target": self.frames.targets[index], "index": index, "lengths": lengths}
        if self.features is not None:
            return {"image": torch.from_numpy(np.asarray(self.features[at])), **known}
        seed, augmenter = batch_seed(self.frames.seed, keys[0][0], int(at[0])), self.frames.augmenter
        if isinstance(augmenter, Augmenter):
            images = [self._alike(augmenter, clip, seed + i) for i, clip in enumerate(chosen)]
            return {"image": SplitDataset.channels_first(np.concatenate(images)), **known}
        drawn = {}
        if isinstance(augmenter, BatchAugmenter):
            drawn = {"drawn": augmenter.draw(seed, len(chosen)).repeat_interleave(lengths, dim=0)}
        return {"image": SplitDataset.channels_first(self.frames.stacked(at.tolist())), **known, **drawn}

    def _alike(self, augmenter: Augmenter, clip: Clip, seed: int) -> npt.NDArray[np.uint8]:
        changed = []
        for i in clip:
            augmenter.seed(seed % 2**32)
            changed.append(augmenter(np.asarray(self.frames.images[int(i)])))
        return np.stack(changed)
