"""EnsembleTask: trained networks combined, for images that have no stored predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fer_bench.tasks.base import autocast

# Changes a batch of images; the second argument is the position of the first image in its split, None for images from
# elsewhere.
View = Callable[[torch.Tensor, int | None], torch.Tensor]
Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """How one member predicts.

    Args:
        name: ``model/run_id``.
        network: position of its network among those of the task; members that differ only in how they are tested share
            one.
        views: its test-time augmentation; a single identity view where it has none.
        precision: Lightning's name of the precision of its stored predictions.
    """

    name: str
    network: int
    views: Sequence[View]
    precision: str = "32-true"


class EnsembleTask(L.LightningModule):
    """Members that predict each batch and are combined by the rule of the ensemble; it is not trained.

    For the images of a split, in the batches of ``predict_loader`` (which carry ``index``), the outputs are those of
    the stored ensemble: every member sees what it saw when its predictions were stored, random views too, and the
    joining function is the same one. For other images all of that still holds except for ``tta_kind: random``, whose
    views were sampled from the position of an image in its split: see :class:`fer_bench.training.inference.RandomView`.

    Args:
        networks: trained tasks or probes, each once; what has a ``predict_step``.
        members: at least one, in the order in which they are joined.
        join: member outputs (M, B, C) to those of the ensemble, (B, C).
    """

    def __init__(
        self, networks: Sequence[nn.Module], members: Sequence[Member], join: Callable[[Float], Float]
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.members = tuple(members)
        self.join = join

    def member_outputs(self, images: torch.Tensor, first: int | None = None) -> torch.Tensor:
        """Outputs of each member.

        Args:
            images: shape (B, 1 or 3, H, W), uint8.
            first: position of the first image in its split; None for images from elsewhere.

        Returns:
            Shape (M, B, C), float32: each member's mean over its views.
        """
        means = []
        for member in self.members:
            task = self.networks[member.network]
            with autocast(images.device.type, member.precision):
                views = [task.predict_step({"image": view(images, first)}) for view in member.views]  # type: ignore[operator]
            means.append(torch.stack(views).double().mean(dim=0).float())
        return torch.stack(means)

    def forward(self, images: torch.Tensor, first: int | None = None) -> torch.Tensor:
        """Outputs (B, C), float32, of images as :meth:`member_outputs` takes them."""
        with torch.no_grad():
            outputs = self.member_outputs(images, first).double().cpu().numpy()
        return torch.from_numpy(self.join(outputs)).float().to(images.device)

    def predict_step(self, batch: dict[str, torch.Tensor], batch_idx: int = 0) -> torch.Tensor:
        """Predictions of a batch, (B, C), float32; ``index``, where there is one, holds the positions in the split."""
        return self(batch["image"], int(batch["index"][0]) if "index" in batch else None)
