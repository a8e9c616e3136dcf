"""Temporal models: from the features of a clip's frames, in their order, to an output for each frame.

Frames of several clips come one after the other, ``(N, D)``, with the lengths of the clips. They are padded to the
longest clip only inside a model, and what is padded is masked there, so that neither a loss nor a score, nor another
frame's output, ever contains it.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import nn

from fer_bench.models.temporal_options import GruOptions, TcnOptions, TemporalOptions, TransformerOptions


def padded(frames: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips beside each other.

    Args:
        frames: (N, D), clip after clip.
        lengths: (B,), which sum to N.

    Returns:
        (B, T, D) with zeros behind shorter clips, and the mask (B, T) of what is a frame; ``values[mask]`` are the
        frames again.
    """
    clips = nn.utils.rnn.pad_sequence(list(frames.split(lengths.tolist())), batch_first=True)
    mask = torch.arange(clips.shape[1], device=frames.device)[None] < lengths.to(frames.device)[:, None]
    return clips, mask


class Recurrence(nn.Module):
    """A GRU, or one in each direction.

    Args:
        options: its settings.
    """

    # A state sums up all earlier frames.
    reach: int | None = None

    def __init__(self, options: GruOptions) -> None:
        super().__init__()
        self.causal = options.causal
        self.gru = nn.GRU(
            options.width,
            options.width if options.causal else options.width // 2,
            options.layers,
            batch_first=True,
            dropout=options.dropout if options.layers > 1 else 0.0,
            bidirectional=not options.causal,
        )

    def forward(self, clips: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, W) of (B, T, W)."""
        if self.causal:
            # What follows a clip comes too late for its frames.
            outputs: torch.Tensor = self.gru(clips)[0]
            return outputs
        lengths = mask.sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(clips, lengths, batch_first=True, enforce_sorted=False)
        found = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=clips.shape[1])
        return found[0]

    def step(self, frame: torch.Tensor, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """One more frame (1, W), and the state behind it."""
        output, state = self.gru(frame[None], state)
        return output[0], state


class Convolutions(nn.Module):
    """Residual dilated convolutions.

    Args:
        options: its settings.
    """

    def __init__(self, options: TcnOptions) -> None:
        super().__init__()
        dilations = [2**layer for layer in range(options.layers)]
        # Frames before and after, together, that each layer adds to what is seen.
        self.spans = [(options.kernel - 1) * dilation for dilation in dilations]
        self.reach = 1 + sum(self.spans)
        self.causal, width = options.causal, options.width
        # Norms of single frames: statistics over time would mix in what is padded, and later frames.
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in dilations)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, options.kernel, dilation=dilation) for dilation in dilations
        )
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, clips: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, W) of (B, T, W)."""
        for norm, convolution, span in zip(self.norms, self.convolutions, self.spans, strict=True):
            after = 0 if self.causal else span // 2
            # Zeros behind a short clip, as there are behind the longest.
            there = (norm(clips) * mask[..., None]).transpose(1, 2)
            found = convolution(nn.functional.pad(there, (span - after, after)))
            clips = clips + self.dropout(nn.functional.gelu(found)).transpose(1, 2)
        return clips


class _Attention(nn.Module):
    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        width, self.heads = options.width, options.heads
        self.norm, self.joined, self.leave = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.weights = nn.Parameter(torch.zeros(options.heads, options.window * (1 if options.causal else 2)))
        self.further = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, clips: torch.Tensor, distance: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        n, time, width = clips.shape
        parts = self.joined(self.norm(clips)).view(n, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = self.weights[:, distance].expand(n, -1, -1, -1).masked_fill(~seen[:, None], float("-inf"))
        query, key, value = parts.unbind(0)
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=weights.to(parts.dtype))
        clips = clips + self.dropout(self.leave(found.transpose(1, 2).reshape(n, time, width)))
        return clips + self.dropout(self.further(clips))


class Transformer(nn.Module):
    """Attention of each frame to those within a window.

    Args:
        options: its settings.
    """

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        self.causal, self.window = options.causal, options.window
        self.reach = 1 + options.layers * (options.window - 1)
        self.layers = nn.ModuleList(_Attention(options) for _ in range(options.layers))

    def forward(self, clips: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, W) of (B, T, W)."""
        at = torch.arange(clips.shape[1], device=clips.device)
        back = at[:, None] - at[None]
        near = (back < self.window) & (back >= 0 if self.causal else back > -self.window)
        # A padded frame sees itself: a row without anything to attend to would be NaN.
        seen = (near & mask[:, None, :]) | (back == 0)
        distance = back.clamp(0 if self.causal else 1 - self.window, self.window - 1) + (
            0 if self.causal else self.window - 1
        )
        for layer in self.layers:
            clips = layer(clips, distance, seen)
        return clips


def _model(options: TemporalOptions) -> Recurrence | Convolutions | Transformer:
    if isinstance(options, TcnOptions):
        return Convolutions(options)
    if isinstance(options, TransformerOptions):
        return Transformer(options)
    assert isinstance(options, GruOptions)
    return Recurrence(options)


class TemporalHead(nn.Module):
    """A temporal model between two layers that look at single frames.

    Args:
        features: D, numbers per frame.
        outputs: C, classes or values.
        options: of the model; their type is its kind.
    """

    def __init__(self, features: int, outputs: int, options: TemporalOptions) -> None:
        super().__init__()
        self.norm, self.enter = nn.LayerNorm(features), nn.Linear(features, options.width)
        self.model = _model(options)
        self.dropout = nn.Dropout(options.dropout)
        self.leave = nn.Linear(options.width, outputs)

    def single(self, features: torch.Tensor) -> torch.Tensor:
        """What the model is given of each frame, (N, W) of (N, D)."""
        return self.dropout(nn.functional.gelu(self.enter(self.norm(features))))

    def answer(self, entered: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """Outputs (N, C) of what the model was given and what it found, (N, W) each."""
        outputs: torch.Tensor = self.leave(self.dropout(entered + found))
        return outputs

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs (N, C) of the frames of clips.

        Args:
            features: (N, D), clip after clip.
            lengths: (B,), frames of each clip; None: all are of one.
        """
        entered = self.single(features)
        clips, mask = padded(entered, torch.tensor([len(features)]) if lengths is None else lengths)
        return self.answer(entered, self.model(clips, mask)[mask])


class Memory:
    """What a causal model remembers of one face: a recurrence its state, the others the frames that they reach back to.
    Outputs are those of the whole clip at once.

    Args:
        head: in evaluation mode.
    """

    def __init__(self, head: TemporalHead) -> None:
        self._head = head
        self._state: torch.Tensor | None = None
        self._frames: deque[torch.Tensor] = deque(maxlen=head.model.reach)

    @torch.inference_mode()
    def step(self, frame: torch.Tensor) -> torch.Tensor:
        """Outputs (C,) of the next frame (D,)."""
        head = self._head
        if isinstance(head.model, Recurrence):
            entered = head.single(frame[None])
            found, self._state = head.model.step(entered, self._state)
            return head.answer(entered, found)[0]
        self._frames.append(frame)
        return head(torch.stack(list(self._frames)))[-1]
