"""A trained temporal model: asked for a whole clip at once, or for one frame after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from fer_bench.deploy.model_card import Card
from fer_bench.deploy.predictor import RunPredictor, Step
from fer_bench.errors import SpecError
from fer_bench.models.clip_network import ClipNetwork
from fer_bench.training.inference import View, fixed_views

if TYPE_CHECKING:
    from fer_bench.training.loading import Trained

Float = npt.NDArray[np.float32]


class ClipPredictor(RunPredictor):
    """A run's temporal model, averaged over the views of its test-time augmentation if any.

    Args:
        trained: the run.
        card: its description.
        device: where it runs.
    """

    def __init__(self, trained: Trained, card: Card, device: torch.device) -> None:
        super().__init__(trained.task, card, device)
        network = trained.task.network
        assert isinstance(network, ClipNetwork)
        self._network, self._task = network, trained.task
        self._views: list[View] = fixed_views(trained.spec)
        self._kind = trained.spec.temporal

    def predict(self, images: npt.NDArray[np.uint8]) -> Float:
        """As of any predictor; the images are the frames of one clip, in their order."""
        return self.clip(self.features(images))

    def features(self, images: npt.NDArray[np.uint8]) -> Float:
        """Features (B, views, D) of single frames, uint8 (B, channels, height, width)."""
        if len(images) == 0:
            return np.zeros((0, len(self._views), 1), dtype=np.float32)
        with torch.inference_mode():
            given = torch.from_numpy(images).to(self._device)
            found = torch.stack([self._network.features(view(given)) for view in self._views], dim=1)
        return np.asarray(found.float().cpu().numpy(), dtype=np.float32)

    def clip(self, features: Float) -> Float:
        """Outputs (T, C) of the frames of one clip, from their features (T, views, D)."""
        if len(features) == 0:
            return np.zeros((0, len(self.card.names)), dtype=np.float32)
        with torch.inference_mode():
            given = torch.from_numpy(features).to(self._device).unbind(dim=1)
            found = torch.stack([self._task.outputs(self._network(view).float()) for view in given]).mean(dim=0)
        return np.asarray(found.cpu().numpy(), dtype=np.float32)

    def memory(self) -> Step:
        """A function from the features (views, D) of the next frame of one face to its outputs (C,); it remembers the
        frames before.

        Raises:
            SpecError: the model looks at later frames too.
        """
        if not self._network.is_causal:
            problem = f"run {self.card.run_id} looks at later frames too (temporal_options.causal = false)."
            raise SpecError(
                problem,
                "Choose a run with causal=true, which answers frame by frame; `fer-bench predict` takes whole clips.",
            )
        memories = [self._network.memory() for _ in self._views]

        def step(frame: Float) -> Float:
            with torch.inference_mode():
                given = torch.from_numpy(np.ascontiguousarray(frame)).to(self._device)
                logits = [memory.step(view)[None].float() for memory, view in zip(memories, given, strict=True)]
                found = torch.stack([self._task.outputs(one) for one in logits]).mean(dim=0)[0]
            return np.asarray(found.cpu().numpy(), dtype=np.float32)

        return step
