"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): a batch with the same batch, rolled by one; sampled from
(seed, epoch, batch, rank) alone.

The loss is that of both images' targets, each by its share of the image. For cross-entropy this equals the loss of the
mixed target; it also holds for class weights, whose mean is one per label, and for losses that take one class per
image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.errors import SpecError
from fer_bench.spec import RunSpec

Targets = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Prepared:
    """A training batch as the network sees it.

    Args:
        images: (B, C, H, W), uint8 or float in 0..255.
        targets: named columns of B rows.
        share: of each image that is its own; the rest is of the image before it in the batch, the last one for the
            first.
        lengths: (clips,), frames of each clip; None where the images are no clips.
    """

    images: torch.Tensor
    targets: Targets
    share: float = 1.0
    lengths: torch.Tensor | None = None

    @property
    def partners(self) -> Targets:
        """The targets of the other part of each image."""
        return {name: column.roll(1, 0) for name, column in self.targets.items()}

    @property
    def larger(self) -> Targets:
        """The targets of the larger part of each image."""
        return self.targets if self.share >= 0.5 else self.partners


@dataclass(frozen=True)
class Mixing:
    """Mixes the images of training batches.

    Args:
        seed: of the run.
        mixup: parameter of the Beta distribution of shares; 0: no mixup.
        cutmix: the same of CutMix. Where both are asked for, each batch gets one of them, by a fair coin.
        probability: of a batch to be mixed.
        epochs: mixing ends after so many.
    """

    seed: int
    mixup: float
    cutmix: float
    probability: float
    epochs: float

    @classmethod
    def of(cls, spec: RunSpec) -> Mixing | None:
        """The mixing of a run; None where it mixes nothing."""
        if not (spec.mixup or spec.cutmix):
            return None
        return cls(spec.seed, spec.mixup, spec.cutmix, spec.mix_probability, spec.mix_until * spec.epochs)

    def mix(self, batch: Prepared, epoch: int, index: int, rank: int = 0) -> Prepared:
        """Mix a batch, or leave it as it is.

        Args:
            batch: not mixed yet.
            epoch: from 0.
            index: of the batch in its epoch.
            rank: of the process.
        """
        rng = np.random.default_rng([self.seed, 40_961, epoch, index, rank])
        if epoch >= self.epochs or rng.random() >= self.probability:
            return batch
        cut = bool(self.cutmix) and (not self.mixup or rng.random() < 0.5)
        shape = self.cutmix if cut else self.mixup
        share = float(rng.beta(shape, shape))
        if cut:
            return _cut(batch, share, rng.random(2))
        images = batch.images.float()
        return replace(batch, images=images.mul(share).add_(images.roll(1, 0), alpha=1 - share), share=share)


def _cut(batch: Prepared, share: float, centre: npt.NDArray[np.float64]) -> Prepared:
    """Put a rectangle of the other image around a centre (y, x in shares of the sides), with ``1 - share`` of the area
    as far as it is inside.
    """
    box = []
    for side, middle in zip(batch.images.shape[2:], centre, strict=True):
        half = side * (1 - share) ** 0.5 / 2
        box.append(slice(max(round(side * middle - half), 0), min(round(side * middle + half), side)))
    images, (rows, columns) = batch.images.clone(), box
    images[:, :, rows, columns] = batch.images.roll(1, 0)[:, :, rows, columns]
    height, width = batch.images.shape[2:]
    return replace(
        batch, images=images, share=1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    )


def check_mixing(spec: RunSpec, kind: str) -> None:
    """Reject mixing where it does not apply.

    Args:
        spec: the run.
        kind: of its task, ``classes``, ``labels`` or ``values``.

    Raises:
        SpecError: names the setting and what to use instead.
    """
    mixes = bool(spec.mixup or spec.cutmix)
    for key in ("mix_probability", "mix_until"):
        if not mixes and (value := getattr(spec, key)) != 1:
            problem = f"{key} = {value:g} without mixup and cutmix changes nothing."
            raise SpecError(problem, f"Set mixup or cutmix too, or leave {key} out.")
    if spec.cutmix and kind == "values":
        problem = (
            f"cutmix = {spec.cutmix:g}: the values of two halves of a face are not those of the whole, task"
            f" {spec.task!r} has values."
        )
        raise SpecError(problem, "Use mixup, which mixes the values too, or leave cutmix out.")
    if mixes and spec.method in ("multitask", "two_stage"):
        problem = (
            f"{'mixup' if spec.mixup else 'cutmix'} with method = {spec.method!r}: a mixture of faces is nothing to"
            " reconstruct."
        )
        raise SpecError(problem, "Leave mixup and cutmix out, or use method=plain.")
