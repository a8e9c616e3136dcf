"""A trained network as one ``nn.Module``, for further use in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from fer_bench.deploy.exported import is_exported
from fer_bench.deploy.model_card import Card
from fer_bench.deploy.predictor import RunPredictor
from fer_bench.deploy.probe import ProbeTask
from fer_bench.errors import SpecError
from fer_bench.results.store import Store
from fer_bench.tasks.base import AffectTask
from fer_bench.tasks.ensemble import EnsembleTask


class TrainedModel(nn.Module):
    """A run's network, with its test-time augmentation, a probe, or the networks of an ensemble; in evaluation mode.

    Args:
        task: in evaluation mode.
        card: how it is fed, and what its outputs mean.
    """

    def __init__(self, task: AffectTask | EnsembleTask | ProbeTask, card: Card) -> None:
        super().__init__()
        self.task, self.card = task, card
        self.eval()

    @classmethod
    def load(cls, store: Store, reference: str, accelerator: str = "auto") -> TrainedModel:
        """Load it.

        Args:
            store: where the run's record is.
            reference: run id, or whatever :meth:`Store.get` takes; or ``hf:ORG/NAME``.
            accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.

        Raises:
            SpecError: an exported file.
            RecordError, WeightsError: no such run, or its weights are not here.
        """
        if is_exported(reference):
            problem = f"{reference} is an exported file, which ONNX Runtime runs, not PyTorch."
            raise SpecError(problem, "Give a run id; fer_bench.predict takes exported files too.")
        predictor = RunPredictor.load(store, reference, accelerator)
        return cls(predictor.task, predictor.card)

    @property
    def names(self) -> tuple[str, ...]:
        """Classes, or values, in the order of the outputs."""
        return self.card.names

    @property
    def network(self) -> nn.Module:
        """The network itself, from uint8 images to logits or unscaled values; of an ensemble, all of its networks."""
        network: nn.Module = self.task.networks if isinstance(self.task, EnsembleTask) else self.task.network
        return network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, C), or values (B, D) in the dataset's units, of uint8 images (B, 1 or 3, H, W); of a
        temporal model these are the frames of one clip, in their order.
        """
        outputs: torch.Tensor = self.task.predict_step({"image": images})
        return outputs.float()
