"""A network over clips: one of the catalogue's without its last layer, frame by frame, and a temporal model over its
features.
"""

from __future__ import annotations

import torch
from torch import nn

from fer_bench.models.network import Network
from fer_bench.models.penultimate import penultimate
from fer_bench.models.temporal import Memory, TemporalHead
from fer_bench.models.temporal_options import TemporalOptions

# Frames at once where nothing is trained: a clip may have thousands.
_CHUNK = 256


class ClipBody(nn.Module):
    """Features of frames, and what is made of them over time.

    Args:
        trunk: returns the features of normalised images.
        head: the temporal model.
        frozen: whether the trunk never trains; then it has no dropout, and its norms keep their statistics.
    """

    def __init__(self, trunk: nn.Module, head: TemporalHead, *, frozen: bool) -> None:
        super().__init__()
        self.trunk, self.head, self.frozen = trunk, head, frozen

    def get_classifier(self) -> nn.Module:
        """What is new, and no stage of the network: see :mod:`fer_bench.models.stages`."""
        return self.head

    def train(self, mode: bool = True) -> ClipBody:
        """As of any module, but for a frozen trunk."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self


class ClipNetwork(Network):
    """Outputs for every frame of clips; its body is a :class:`ClipBody`."""

    body: ClipBody

    @property
    def is_frozen(self) -> bool:
        """Whether the features of a frame are always the same."""
        return self.body.frozen

    @property
    def is_causal(self) -> bool:
        """Whether a frame's output depends on no later frame."""
        return self.body.head.model.causal

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) of uint8 images (N, 1 or 3, H, W)."""
        frozen = self.body.frozen
        chunk = _CHUNK if frozen or not torch.is_grad_enabled() else max(len(images), 1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            parts = [self.body.trunk(self.adapter(part)).flatten(1) for part in images.split(chunk)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs (N, C).

        Args:
            frames: images (N, 1 or 3, H, W), uint8 or 0..255, clip after clip, or their features (N, D).
            lengths: (B,), frames of each clip; None: all are of one.
        """
        features = frames if frames.ndim == 2 else self.features(frames)
        outputs: torch.Tensor = self.body.head(features, lengths)
        return outputs

    def memory(self) -> Memory:
        """To answer frame by frame, as they come."""
        return Memory(self.body.head)


def over_clips(network: Network, outputs: int, options: TemporalOptions, *, frozen: bool) -> ClipNetwork:
    """Put a temporal model over a network.

    Args:
        network: whose last layer is left out.
        outputs: classes or values.
        options: of the temporal model.
        frozen: whether the network's features never train.

    Raises:
        SpecError: the network has no last linear layer.
    """
    trunk, side = penultimate(network.body), network.adapter.size or 48
    with torch.no_grad():
        blank = torch.zeros(1, 3, side, side, device=next(trunk.parameters()).device)
        width = trunk.eval()(network.adapter(blank)).flatten(1).shape[1]
    body = ClipBody(trunk, TemporalHead(width, outputs, options), frozen=frozen)
    clips = ClipNetwork(network.adapter, body.train())
    clips.initial = network.initial
    return clips
