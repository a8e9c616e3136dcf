"""Test images and their reconstructions by a trained autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import SpecError
from fer_bench.results.record import Record
from fer_bench.spec import Execution
from fer_bench.tasks.autoencoding import AutoencodingTask
from fer_bench.training.loading import load_record

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reconstructions:
    """Some test images.

    Args:
        originals: shape (N, S, S, 3), pixels in [0, 1], as the network gets them.
        reconstructed: the same; may reach outside of [0, 1].
        names: of their classes.
    """

    originals: Float
    reconstructed: Float
    names: tuple[str, ...]


def reconstruct(record: Record, n: int, data_dir: str | None = None) -> Reconstructions:
    """Reconstruct test images: the first one of every class, then the second ones, and so on, so that all runs of a
    dataset show the same.

    Args:
        record: of a run whose network has a decoder.
        n: how many images.
        data_dir: dataset root directory.

    Raises:
        SpecError: the network has no decoder.
        WeightsError: its checkpoint is not on this machine.
        MissingDataError: nor is its data.
    """
    trained = load_record(record, Execution(data_dir=data_dir, accelerator="cpu"))
    labels = trained.protocol.task.labels
    if not isinstance(trained.task, AutoencodingTask) or labels is None:
        problem = f"run {record.run_id}: its network reconstructs nothing."
        raise SpecError(problem, "Choose a run of the autoencoder, trained as multitask or two_stage.")
    datamodule = build_datamodule(trained.spec)
    datamodule.setup()
    dataset = datamodule.split_dataset("test")
    targets = dataset.targets.numpy()
    # Rank of each sample within its class: a stable sort by it goes round the classes.
    rank = np.empty(len(targets), dtype=np.int64)
    for label in np.unique(targets):
        rank[targets == label] = np.arange((targets == label).sum())
    chosen = np.lexsort((targets, rank))[:n]
    batch = dataset.__getitems__([(0, int(i)) for i in chosen])
    with torch.inference_mode():
        originals, reconstructed = (
            x.permute(0, 2, 3, 1).double().numpy() for x in trained.task.reconstructions(batch["image"])
        )
    return Reconstructions(originals, reconstructed, tuple(labels.names[int(targets[i])] for i in chosen))
