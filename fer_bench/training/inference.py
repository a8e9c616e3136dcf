"""From a trained task and a split to Predictions: one device, every sample once, with or without test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fer_bench.data.base import AffectDataModule
from fer_bench.predictions import Predictions
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask
from fer_bench.training.machine import Device

View = Callable[[torch.Tensor], torch.Tensor]


def predict(task: AffectTask, datamodule: AffectDataModule, split: str, device: Device, spec: RunSpec) -> Predictions:
    """Predict a whole split.

    Args:
        task: trained.
        datamodule: of the dataset.
        split: ``validation`` or ``test``.
        device: where.
        spec: ``tta`` and ``tta_kind`` say which views are averaged. ``random``: that many views of the training augmentation, each drawn from
            (seed, view); ``flip``: the image and its mirror image; ``ten_crop``: four corners and the centre at 11/12 of the side, and their mirror images.

    Returns:
        Predictions whose outputs are the mean over the views.
    """
    task = task.to(device.device).eval()
    if not spec.tta:
        outputs = _run(task, datamodule, split, device, [_plain])
    elif spec.tta_kind == "random":
        outputs = np.mean([_run(task, datamodule, split, device, [_plain], view=view) for view in range(spec.tta)], axis=0)
    else:
        outputs = _run(task, datamodule, split, device, _flip() if spec.tta_kind == "flip" else list(_ten_crop()))
    samples = datamodule.read_samples
    at = samples.where(split)
    flags = {"duplicate": samples.columns["duplicate"][at].astype(bool)} if "duplicate" in samples.columns and split == "test" else {}
    if "no_face" in samples.columns:
        outputs[samples.columns["no_face"][at].astype(bool)] = np.nan
    groups = None if samples.groups is None else samples.groups[at]
    return Predictions(np.asarray(samples.ids[at]), datamodule.targets(split), outputs.astype(np.float32), flags, groups)


def _run(task: AffectTask, datamodule: AffectDataModule, split: str, device: Device, views: list[View], view: int | None = None) -> npt.NDArray[np.float64]:
    loader = datamodule.predict_loader(split, augmented=view is not None, view=view or 0)
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(device.precision)
    parts = []
    with torch.inference_mode(), torch.autocast(device.accelerator, dtype=kind or torch.bfloat16, enabled=kind is not None):
        for batch in loader:
            images = batch["image"].to(device.device, non_blocking=True)
            outputs = [task.predict_step({"image": change(images)}) for change in views]
            parts.append(torch.stack(outputs).mean(dim=0).float().cpu().numpy())
    return np.concatenate(parts).astype(np.float64)


def _plain(images: torch.Tensor) -> torch.Tensor:
    return images


def _mirror(images: torch.Tensor) -> torch.Tensor:
    return images.flip(3)


def _flip() -> list[View]:
    return [_plain, _mirror]


def _ten_crop() -> Iterator[View]:
    def crop(top: float, left: float, mirrored: bool) -> View:
        def apply(images: torch.Tensor) -> torch.Tensor:
            height, width = images.shape[2:]
            tall, wide = round(height * 11 / 12), round(width * 11 / 12)
            y, x = round((height - tall) * top), round((width - wide) * left)
            part = images[:, :, y : y + tall, x : x + wide].float()
            part = nn.functional.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)
            return part.flip(3) if mirrored else part

        return apply

    for mirrored in (False, True):
        for top, left in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)):
            yield crop(top, left, mirrored)
