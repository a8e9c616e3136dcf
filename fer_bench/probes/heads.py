"""Linear heads on cached features, a whole grid of them at once.

A grid trains the same small model many times: learning rates x losses x seeds. One after the other, each step of each
head is a handful of operations on small tensors whose cost is mostly the dispatch of the operations. Here all heads
live in one tensor (:mod:`fer_bench.probes.stack`). A head's seed decides its initial weights and its order of the data,
so heads that share a seed share the gathered batch.

Source of schedule, stopping rule and optimiser: Mertens et al., FindingEmo (2024), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_bench.probes.head import AnyHead, Head
from fer_bench.probes.losses import Predicted, Values, losses_of
from fer_bench.probes.stack import Split, Stack
from fer_bench.tasks.rules_findingemo import MAX_EPOCHS, PATIENCE, StoppingRules


@dataclass
class TrainedHeads:
    """Heads as they are chosen.

    Args:
        heads: their settings, H in number.
        weight: shape (H, C, D).
        bias: shape (H, C).
        chosen_epoch: shape (H,), epoch (from 0) of the weights; -1 where the loss was never finite.
        epochs: shape (H,), how many epochs each head trained; 0 of a closed form.
        history: per epoch, arrays of shape (H,): train_loss, validation_loss, and validation_weighted_f1 or that of the
            metric of values; NaN where a head had stopped.
        classes: whether outputs are class probabilities.
    """

    heads: tuple[AnyHead, ...]
    weight: Tensor
    bias: Tensor
    chosen_epoch: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int64]
    history: list[dict[str, npt.NDArray[np.float64]]] = field(default_factory=list)
    classes: bool = True

    def outputs(self, features: Tensor, block: int = 4096) -> npt.NDArray[np.float32]:
        """What every head answers: class probabilities, or values.

        Args:
            features: shape (N, D).
            block: samples at a time.

        Returns:
            Shape (H, N, C).
        """
        n_heads, n_outputs, width = self.weight.shape
        flat, parts = self.weight.reshape(-1, width), []
        for start in range(0, len(features), block):
            found = torch.addmm(self.bias.reshape(1, -1), features[start : start + block], flat.T)
            found = found.view(-1, n_heads, n_outputs)
            parts.append((found.softmax(dim=-1) if self.classes else found).cpu())
        return np.ascontiguousarray(torch.cat(parts).numpy().transpose(1, 0, 2))

    def in_units(self, middle: float, half: float) -> TrainedHeads:
        """Heads of values on the scale -1 to 1 as heads of values in the dataset's units."""
        return replace(self, weight=self.weight * half, bias=self.bias * half + middle)


def joined(parts: Sequence[TrainedHeads]) -> TrainedHeads:
    """Heads of several fits, one after the other; the history is left out."""
    return TrainedHeads(
        tuple(head for part in parts for head in part.heads),
        torch.cat([part.weight for part in parts]),
        torch.cat([part.bias for part in parts]),
        np.concatenate([part.chosen_epoch for part in parts]),
        np.concatenate([part.epochs for part in parts]),
        classes=parts[0].classes,
    )


def initial_weights(seed: int, n_outputs: int, width: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Weights (C, D) and bias (C,) as ``nn.Linear`` initialises them: uniform in +-1 / sqrt(D), from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    bound = width**-0.5
    weight = torch.empty(n_outputs, width, dtype=dtype).uniform_(-bound, bound, generator=generator)
    return weight, torch.empty(n_outputs, dtype=dtype).uniform_(-bound, bound, generator=generator)


def train_heads(
    heads: Sequence[Head],
    train: Split,
    validation: Split,
    predicted: Predicted,
    *,
    batch_size: int = 64,
    max_epochs: int = MAX_EPOCHS,
    patience: int = PATIENCE,
) -> TrainedHeads:
    """Train heads side by side; each comes out as if it had been trained alone.

    Args:
        heads: their settings.
        train: what they learn from; the last, smaller batch of an epoch counts as well.
        validation: what stops them and chooses their epoch.
        predicted: the classes, or the values, C in number.
        batch_size: samples per step.
        max_epochs: limit of epochs.
        patience: epochs without a new best loss, or a new best score (weighted F1, or the metric of values), after
            which a head stops.

    Returns:
        The heads at their chosen epochs.

    Raises:
        BadDataError: a class has no training sample.
        SpecError: a loss that these classes have no distances for.
    """
    n_outputs, width = len(predicted), train.features.shape[1]
    device, dtype = train.features.device, train.features.dtype
    losses = losses_of(predicted, train.targets, train.features)
    rules = StoppingRules(len(heads), patience, max_epochs)
    initial = {seed: initial_weights(seed, n_outputs, width, dtype) for seed in {head.seed for head in heads}}
    start = [torch.stack([initial[head.seed][i] for head in heads]).to(device) for i in (0, 1)]
    best = {name: [tensor.clone() for tensor in start] for name in ("loss", "score")}
    stack = Stack.filled(
        heads,
        np.arange(len(heads)),
        [*start, *(torch.zeros_like(t) for t in start), *(torch.zeros_like(t) for t in start)],
    )
    history = []
    watched = f"validation_{losses.score}"
    while rules.running.any():
        epoch = rules.epoch
        train_loss = stack.train_epoch(train, losses, epoch, batch_size)
        loss, score = stack.evaluate(validation, losses)
        seen = {"train_loss": train_loss, "validation_loss": loss, watched: score}
        history.append({name: _spread(values, stack.members, len(heads)) for name, values in seen.items()})
        rules.update(history[-1]["validation_loss"], losses.sign * history[-1][watched])
        for name, at in (("loss", rules.best_loss_epoch), ("score", rules.best_f1_epoch)):
            stack.copy_to(best[name], at == epoch)
        stack = stack.without(~rules.running)
    chosen = np.asarray(rules.chosen_epoch, dtype=np.int64)
    # The score of values may be undefined in every epoch: then the loss decides.
    chosen = np.where(chosen < 0, rules.best_loss_epoch, chosen)
    # Where the chosen epoch is the best of both criteria, both copies are the same.
    by_score = torch.from_numpy(chosen == rules.best_f1_epoch).to(device)
    weight, bias = (
        torch.where(by_score.view(-1, *[1] * (s.ndim - 1)), s, o)
        for s, o in zip(best["score"], best["loss"], strict=True)
    )
    classes = not isinstance(predicted, Values)
    return TrainedHeads(tuple(heads), weight, bias, chosen, rules.stopped_at + 1, history, classes)


def _spread(values: npt.NDArray[np.float64], members: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    spread = np.full(n, np.nan)
    spread[members] = values
    return spread
