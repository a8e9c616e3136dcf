"""Many linear heads in one tensor: one gather, one batched product forward, one backward, one Adam step for all.

Heads are packed into rows: ``weight`` has shape (R, K, C, D), row r holds up to K heads of one seed. After every epoch
finished heads are taken out and the rest is packed anew, so that a finished head costs nothing.

Source of Adam: Kingma and Ba (2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_bench.probes.head import Head
from fer_bench.probes.losses import Losses
from fer_bench.probes.packing import Packing, pack
from fer_bench.tasks.rules_findingemo import learning_rates

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Split:
    """Features and targets of one split, on the device that trains.

    Args:
        features: shape (N, D), float32.
        targets: shape (N,), int64, class ids; or (N, C), float32, values.
    """

    features: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


def data_order(seed: int, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """Order of the training samples in one epoch, shape (N,): a function of seed and epoch, as for networks trained
    whole.
    """
    return np.random.default_rng([seed, epoch]).permutation(n)


class Stack:
    """Heads that still train, packed into rows, with their Adam moments.

    Args:
        heads: settings of all heads of the grid.
        packing: which of them sit where.
        tensors: weight, bias and their first and second moments, each of shape (R, K, C, D) or (R, K, C).
        steps: Adam steps taken so far; the same for all, since all began together.
    """

    def __init__(self, heads: Sequence[Head], packing: Packing, tensors: list[Tensor], steps: int) -> None:
        self.heads, self.packing, self.tensors, self.steps = heads, packing, tensors, steps
        self.members = packing.members
        self.slots = torch.from_numpy(packing.slots).to(tensors[0].device)
        self.by_loss = {
            name: torch.from_numpy(packing.slots[at]).to(tensors[0].device)
            for name in sorted({heads[m].loss for m in packing.members})
            for at in [np.array([heads[m].loss == name for m in packing.members], dtype=bool)]
        }

    @classmethod
    def filled(cls, heads: Sequence[Head], members: npt.NDArray[np.int64], flat: list[Tensor], steps: int = 0) -> Stack:
        """Pack heads.

        Args:
            heads: settings of all heads.
            members: which of them, shape (M,).
            flat: their tensors, each of shape (M, C, ...).
            steps: Adam steps taken.
        """
        packing = pack(members, np.array([heads[m].seed for m in members]))
        slots = torch.from_numpy(packing.slots).to(flat[0].device)
        tensors = []
        for values in flat:
            packed = values.new_zeros(packing.rows * packing.width, *values.shape[1:])
            packed[slots] = values[torch.from_numpy(packing.order).to(values.device)]
            tensors.append(packed.view(packing.rows, packing.width, *values.shape[1:]))
        return cls(heads, packing, tensors, steps)

    def without(self, finished: npt.NDArray[np.bool_]) -> Stack:
        """The stack without finished heads (a mask over all heads of the grid); itself where none of its heads has
        finished.
        """
        stay = ~finished[self.members]
        if stay.all() or not stay.any():
            return self
        keep = self.slots[torch.from_numpy(stay).to(self.slots.device)]
        return self.filled(
            self.heads, self.members[stay], [self._flat(tensor)[keep] for tensor in self.tensors], self.steps
        )

    def copy_to(self, target: list[Tensor], chosen: npt.NDArray[np.bool_]) -> None:
        """Copy weight and bias of some heads (a mask over all heads of the grid) to stacks of all heads."""
        mine = chosen[self.members]
        if not mine.any():
            return
        to = torch.from_numpy(self.members[mine]).to(self.slots.device)
        at = self.slots[torch.from_numpy(mine).to(self.slots.device)]
        for tensor, own in zip(target, self.tensors, strict=False):
            tensor[to] = self._flat(own)[at]

    def train_epoch(self, train: Split, losses: Losses, epoch: int, batch_size: int) -> npt.NDArray[np.float64]:
        """One epoch of all heads; returns each head's mean loss over the batches, shape (M,), in the order of
        ``members``.
        """
        n, device = len(train), train.features.device
        orders = {seed: data_order(seed, epoch, n) for seed in set(self.packing.seeds.tolist())}
        order = torch.from_numpy(np.stack([orders[seed] for seed in self.packing.seeds.tolist()])).to(device)
        slot_rates = np.zeros(self.packing.rows * self.packing.width)
        slot_rates[self.packing.slots] = learning_rates([self.heads[m].lr for m in self.members], epoch)
        rates = torch.from_numpy(slot_rates).view(self.packing.rows, self.packing.width)
        total = torch.zeros(self.packing.rows * self.packing.width, dtype=torch.float64, device=device)
        starts = range(0, n, batch_size)
        for begin in starts:
            rows = order[:, begin : begin + batch_size]
            # index_select copies whole rows; indexing with a matrix takes several times as long on a CPU.
            gathered = train.features.index_select(0, rows.flatten()).view(*rows.shape, -1)
            total += self._step(gathered, train.targets[rows], losses, rates)
        return (total[self.slots] / len(starts)).cpu().numpy()

    def _step(self, x: Tensor, targets: Tensor, losses: Losses, rates: Tensor) -> Tensor:
        """One Adam step of all heads on x (R, B, D) and targets (R, B, ...); returns the losses, shape (R * K,)."""
        weight, bias = self.tensors[:2]
        r, k, c, d = weight.shape
        outputs = torch.baddbmm(bias.view(r, 1, k * c), x, weight.view(r, k * c, d).transpose(1, 2))
        loss, slope = self._slopes(outputs.view(r, -1, k, c), targets, losses)
        slope = slope.reshape(r, -1, k * c)
        gradients = [torch.bmm(slope.transpose(1, 2), x).view_as(weight), slope.sum(dim=1).view_as(bias)]
        self.steps += 1
        adam_step(self.tensors[:2], gradients, self.tensors[2:4], self.tensors[4:6], rates, self.steps)
        return loss

    def _slopes(self, outputs: Tensor, targets: Tensor, losses: Losses) -> tuple[Tensor, Tensor]:
        """Losses (R * K,) and their derivatives by the outputs (R, B, K, C); empty slots have neither."""
        r, b, k, c = outputs.shape
        by_head = outputs.transpose(1, 2).reshape(r * k, b, c)
        loss = outputs.new_zeros(r * k)
        slope = torch.zeros_like(by_head)
        for name, slots in self.by_loss.items():
            loss[slots], slope[slots] = losses(
                name, by_head[slots], targets[torch.div(slots, k, rounding_mode="floor")]
            )
        return loss, slope.view(r, k, b, c).transpose(1, 2)

    def evaluate(self, split: Split, losses: Losses) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Loss and watched score of each head on a split, shapes (M,), in the order of ``members``."""
        weight, bias = (self._flat(tensor)[self.slots] for tensor in self.tensors[:2])
        m, c, d = weight.shape
        outputs = (
            torch.addmm(bias.reshape(1, -1), split.features, weight.reshape(-1, d).T).view(-1, m, c).transpose(0, 1)
        )
        targets = split.targets.expand(m, *split.targets.shape)
        loss = torch.zeros(m, device=outputs.device, dtype=outputs.dtype)
        names = [self.heads[i].loss for i in self.members]
        for name in set(names):
            at = torch.tensor([own == name for own in names], device=outputs.device)
            loss[at] = losses(name, outputs[at], targets[at])[0]
        values, scores = loss.double().cpu().numpy(), losses.scores(outputs, split.targets)
        # What a head answers after its loss became NaN means nothing.
        return values, np.where(np.isfinite(values), scores, np.nan)

    @staticmethod
    def _flat(tensor: Tensor) -> Tensor:
        return tensor.flatten(0, 1)


def adam_step(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    rates: Tensor,
    step: int,
) -> None:
    """One step of Adam with PyTorch's default settings and a learning rate per head, in place.

    On a CPU it goes row by row, so that a row's parameters, gradients and moments stay in the cache between the
    operations.

    Args:
        parameters: each of shape (R, K, ...).
        gradients: alike; used as scratch space.
        first: first moments, alike.
        second: second moments, alike.
        rates: shape (R, K), float64, on the CPU.
        step: counted from 1.
    """
    size = -rates / (1 - _BETA1**step)
    root = (1 - _BETA2**step) ** 0.5
    for parameter, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
        scale = size.to(parameter.device, parameter.dtype).view(*size.shape, *[1] * (parameter.ndim - 2))
        rows = parameter.device.type == "cpu" and parameter[0].numel() > 1 << 14
        for at in range(len(parameter)) if rows else [slice(None)]:
            g = gradient[at]
            m[at].lerp_(g, 1 - _BETA1)
            v[at].mul_(_BETA2).addcmul_(g, g, value=1 - _BETA2)
            torch.sqrt(v[at], out=g).div_(root).add_(_EPSILON)
            torch.div(m[at], g, out=g).mul_(scale[at])
            parameter[at].add_(g)
