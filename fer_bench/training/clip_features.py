"""Features of frames whose network is frozen: computed once, kept on disk, and given to the temporal model as they
are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.data.augmentation import changes_nothing, settings_of
from fer_bench.data.batches import SplitDataset
from fer_bench.data.computed import dataset_identity, read_or_compute
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.models.clip_network import ClipNetwork
from fer_bench.models.weights import weights_digest
from fer_bench.spec import RunSpec
from fer_bench.tasks.base import AffectTask, autocast
from fer_bench.training.hardware import Device

_VERSION = 1
_BATCH = 128


def attach_features(spec: RunSpec, task: AffectTask, datamodule: AffectDataModule, device: Device) -> None:
    """Let the batches of a datamodule hold features instead of images, where these never change: nothing of the network
    below the temporal model trains, and no image is augmented.

    Args:
        spec: the run.
        task: with the weights that it begins with.
        datamodule: whose data have been read.
        device: where they are computed.

    Raises:
        HardwareError: the disk is full.
    """
    network = task.network
    if not isinstance(network, ClipNetwork) or not network.is_frozen or not _same_images(spec):
        return
    samples, adapter = datamodule.read_samples, network.adapter
    about = {
        "what": "frames",
        "version": _VERSION,
        "weights": weights_digest(network.body.trunk),
        "input": [adapter.size, adapter.mean.flatten().tolist(), adapter.std.flatten().tolist()],
        "images": [datamodule.image_size, datamodule.channels],
        "accelerator": device.accelerator,
        "precision": device.precision,
        "n": len(samples),
        **dataset_identity(datamodule),
    }
    found = read_or_compute(about, len(samples), lambda start: _rows(network, datamodule, device, start), np.float32)
    if found.n_computed:
        print(f"features    of {len(samples):,} frames, computed once: they are frozen", flush=True)
    datamodule.features = np.asarray(found.values)


def _same_images(spec: RunSpec) -> bool:
    return not spec.tta and changes_nothing(settings_of(spec.augment, spec.augment_options))


def _rows(
    network: ClipNetwork, datamodule: AffectDataModule, device: Device, start: int
) -> Iterator[npt.NDArray[np.float32]]:
    images = datamodule.read_samples.images
    frames = SplitDataset(images, np.zeros(len(images), dtype=np.int64), None, 0)
    was, network = network.training, network.to(device.device).eval()
    with torch.inference_mode(), autocast(device.accelerator, device.precision):
        for first in range(start, len(images), _BATCH):
            batch = frames.__getitems__([(0, i) for i in range(first, min(first + _BATCH, len(images)))])
            yield network.features(batch["image"].to(device.device)).float().cpu().numpy()
    network.train(was)
