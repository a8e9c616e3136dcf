"""From a trained task and a split to Predictions: one device, every sample once, with or without test-time
augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fer_bench.data.augmentation import Augmenter
from fer_bench.data.batches import AnyAugmenter, batch_seed, make_augmenter, view_seed
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.predictions import Predictions
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask, autocast
from fer_bench.training.hardware import Device

View = Callable[[torch.Tensor], torch.Tensor]


def predict(task: AffectTask, datamodule: AffectDataModule, split: str, device: Device, spec: RunSpec) -> Predictions:
    """Predict a whole split.

    Args:
        task: trained.
        datamodule: of the dataset.
        split: ``validation`` or ``test``.
        device: where.
        spec: ``tta`` and ``tta_kind`` say which views are averaged. ``random``: that many views of the training
            augmentation, each sampled from (seed, view); ``flip``: the image and its mirror image; ``five_crop``: four
            corners and the centre at 11/12 of the side; ``ten_crop``: these and their mirror images.

    Returns:
        Predictions whose outputs are the mean over the views.
    """
    task = task.to(device.device).eval()
    if spec.tta and spec.tta_kind == "random":
        outputs = np.mean(
            [_run(task, datamodule, split, device, [_plain], view=view) for view in range(spec.tta)], axis=0
        )
    else:
        outputs = _run(task, datamodule, split, device, fixed_views(spec))
    samples = datamodule.read_samples
    at = samples.where(split)
    flags = (
        {"duplicate": samples.columns["duplicate"][at].astype(bool)}
        if "duplicate" in samples.columns and split == "test"
        else {}
    )
    if "no_face" in samples.columns:
        outputs[samples.columns["no_face"][at].astype(bool)] = np.nan
    groups = None if samples.groups is None else samples.groups[at]
    return Predictions(
        np.asarray(samples.ids[at]), datamodule.targets(split), outputs.astype(np.float32), flags, groups
    )


def _run(
    task: AffectTask,
    datamodule: AffectDataModule,
    split: str,
    device: Device,
    views: list[View],
    view: int | None = None,
) -> npt.NDArray[np.float64]:
    loader = datamodule.predict_loader(split, augmented=view is not None, view=view or 0)
    parts, order = [], []
    with torch.inference_mode(), autocast(device.accelerator, device.precision):
        for batch in loader:
            there = {
                key: value.to(device.device, non_blocking=True)
                for key, value in batch.items()
                if key in ("image", "drawn", "lengths")
            }
            there = datamodule.on_after_batch_transfer(there, 0)
            outputs = [task.predict_step({**there, "image": change(there["image"])}) for change in views]
            parts.append(torch.stack(outputs).mean(dim=0).float().cpu().numpy())
            order.append(batch["index"].numpy())
    found = np.concatenate(parts).astype(np.float64)
    # Clips are read one after the other, however their frames are mixed in the split.
    ordered = np.empty_like(found)
    ordered[np.concatenate(order)] = found
    return ordered


def fixed_views(spec: RunSpec) -> list[View]:
    """Changes of a batch of images that need no random numbers, one per view: the image as it is, or those of
    ``tta_kind`` as :func:`predict` lists them.
    """
    if not spec.tta:
        return [_plain]
    return (
        _flip()
        if spec.tta_kind == "flip"
        else list(_crops(mirrors=(False, True) if spec.tta_kind == "ten_crop" else (False,)))
    )


@dataclass(frozen=True)
class RandomView:
    """One view of ``tta_kind: random``, the same pixels as :meth:`AffectDataModule.predict_loader` makes.

    That samples the changes of a whole batch from one seed, which depends on the position of the batch in its split.
    Called with that position this view is equal to it, bit for bit. An image from elsewhere has none: each is then
    changed as the first image of a split is, whatever else is in its batch.

    Args:
        augmenter: of the training.
        seed: of the view, from :func:`view_seed`.
    """

    augmenter: AnyAugmenter
    seed: int

    def __call__(self, images: torch.Tensor, first: int | None = None) -> torch.Tensor:
        """Change uint8 images (B, 1 or 3, H, W); ``first``: position of the first one in its split."""
        if not isinstance(self.augmenter, Augmenter):
            seed = batch_seed(self.seed, 0, first or 0)
            drawn = self.augmenter.draw(seed, len(images))
            if first is None:
                drawn = drawn[:1].expand(len(images), -1)
            return self.augmenter.change(images, drawn.to(images.device))
        changed = []
        for i, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            if i == 0 or first is None:
                self.augmenter.seed(batch_seed(self.seed, 0, first or 0))
            changed.append(self.augmenter(np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image)))
        stacked = torch.from_numpy(np.stack(changed)).to(images.device)
        return stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)


def random_views(spec: RunSpec) -> list[RandomView]:
    """The views of a spec with ``tta_kind: random``."""
    augmenter = make_augmenter(spec.augment, dict(spec.augment_options), spec.augment_on)
    return [RandomView(augmenter, view_seed(spec.seed, view)) for view in range(spec.tta)]


def _plain(images: torch.Tensor) -> torch.Tensor:
    return images


def _mirror(images: torch.Tensor) -> torch.Tensor:
    return images.flip(3)


def _flip() -> list[View]:
    return [_plain, _mirror]


def _crops(mirrors: Sequence[bool]) -> Iterator[View]:
    def crop(top: float, left: float, mirrored: bool) -> View:
        def apply(images: torch.Tensor) -> torch.Tensor:
            height, width = images.shape[2:]
            tall, wide = round(height * 11 / 12), round(width * 11 / 12)
            y, x = round((height - tall) * top), round((width - wide) * left)
            part = images[:, :, y : y + tall, x : x + wide].float()
            part = nn.functional.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)
            return part.flip(3) if mirrored else part

        return apply

    for mirrored in mirrors:
        for top, left in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)):
            yield crop(top, left, mirrored)
