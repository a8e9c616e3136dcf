"""Linear heads on cached features, a whole grid of them at once.

A grid trains the same small model many times: learning rates x losses x seeds. One after the other, each step of each
head is a handful of operations on small tensors whose cost is mostly the dispatch of the operations. Here all heads
live in one tensor: one gather, one batched product forward, one backward, one Adam step. A head's seed decides its
initial weights and its order of the data, so heads that share a seed share the gathered batch.

Heads are packed into rows: ``weight`` has shape (R, K, C, D), row r holds up to K heads of one seed. After every epoch
finished heads are taken out and the rest is packed anew, so that a finished head costs nothing.

Source of schedule, stopping rule and optimiser: Mertens et al., FindingEmo (2024), section 3; Adam: Kingma and Ba
(2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_bench.errors import SpecError
from fer_bench.labels import LabelSet
from fer_bench.probes.packing import Packing, pack
from fer_bench.registry import unknown_name
from fer_bench.scoring.classification import confusion_statistic
from fer_bench.tasks.losses_unbalanced import balanced_class_weights, loss_and_slope, misclassification_weights
from fer_bench.tasks.rules_findingemo import MAX_EPOCHS, PATIENCE, StoppingRules, learning_rates

LOSSES = ("cross_entropy", "unbalanced_cross_entropy")
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Head:
    """Settings of one head.

    Args:
        lr: starting learning rate.
        loss: ``cross_entropy`` or ``unbalanced_cross_entropy``, both with class weights.
        seed: of the initial weights and the order of the data.
    """

    lr: float
    loss: str = "cross_entropy"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            kind = "loss of a probe"
            raise unknown_name(kind, self.loss, LOSSES)
        if not self.lr > 0:
            problem = f"lr = {self.lr}: a learning rate is positive."
            raise SpecError(problem)


@dataclass(frozen=True)
class Split:
    """Features and targets of one split, on the device that trains.

    Args:
        features: shape (N, D), float32.
        targets: shape (N,), int64.
    """

    features: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass
class TrainedHeads:
    """Heads at their chosen epochs.

    Args:
        heads: their settings, H in number.
        weight: shape (H, C, D).
        bias: shape (H, C).
        chosen_epoch: shape (H,), epoch (from 0) of the weights; -1 where the loss was never finite.
        epochs: shape (H,), how many epochs each head trained.
        history: per epoch, arrays of shape (H,): train_loss, validation_loss, validation_weighted_f1; NaN where a head
            had stopped.
    """

    heads: tuple[Head, ...]
    weight: Tensor
    bias: Tensor
    chosen_epoch: npt.NDArray[np.int64]
    epochs: npt.NDArray[np.int64]
    history: list[dict[str, npt.NDArray[np.float64]]] = field(default_factory=list)

    def probabilities(self, features: Tensor, block: int = 4096) -> npt.NDArray[np.float32]:
        """Class probabilities of every head.

        Args:
            features: shape (N, D).
            block: samples at a time.

        Returns:
            Shape (H, N, C).
        """
        n_heads, n_classes, width = self.weight.shape
        flat, parts = self.weight.reshape(-1, width), []
        for start in range(0, len(features), block):
            logits = torch.addmm(self.bias.reshape(1, -1), features[start : start + block], flat.T)
            parts.append(logits.view(-1, n_heads, n_classes).softmax(dim=-1).cpu())
        return np.ascontiguousarray(torch.cat(parts).numpy().transpose(1, 0, 2))


class ClassLosses:
    """Both losses for stacked heads, with the class weights of FindingEmo's equation (3).

    Args:
        counts: training samples per class, shape (C,).
        labels: the classes; ``unbalanced_cross_entropy`` needs their distances.
        like: gives device and type.
    """

    def __init__(self, counts: npt.ArrayLike, labels: LabelSet, like: Tensor) -> None:
        weights = balanced_class_weights(torch.as_tensor(np.asarray(counts)))
        self.class_weights = weights.to(like)
        self.pair_weights = misclassification_weights(weights, labels.distances).to(like) if labels.distances else None
        self.name = labels.name

    def __call__(self, loss: str, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss of each head, weighted by the targets' classes, and its derivative by the logits.

        Args:
            loss: name.
            logits: shape (H, B, C).
            targets: shape (H, B).

        Returns:
            Shapes (H,) and (H, B, C).
        """
        if loss != "cross_entropy" and self.pair_weights is None:
            problem = f"loss 'unbalanced_cross_entropy': the classes of {self.name} have no distances."
            raise SpecError(problem, "Use cross_entropy.")
        pairs = None if loss == "cross_entropy" else self.pair_weights
        each, slope = loss_and_slope(logits.flatten(0, 1), targets.flatten(), self.class_weights, pairs)
        total = self.class_weights[targets].sum(dim=1)
        return each.view_as(targets).sum(dim=1) / total, slope.view_as(logits).div_(total[:, None, None])


def initial_weights(seed: int, n_classes: int, width: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Weights (C, D) and bias (C,) as ``nn.Linear`` initialises them: uniform in +-1 / sqrt(D), from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    bound = width**-0.5
    weight = torch.empty(n_classes, width, dtype=dtype).uniform_(-bound, bound, generator=generator)
    return weight, torch.empty(n_classes, dtype=dtype).uniform_(-bound, bound, generator=generator)


def data_order(seed: int, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """Order of the training samples in one epoch, shape (N,): a function of seed and epoch, as for networks trained
    whole.
    """
    return np.random.default_rng([seed, epoch]).permutation(n)


def train_heads(
    heads: Sequence[Head],
    train: Split,
    validation: Split,
    labels: LabelSet,
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
        labels: the classes, C in number.
        batch_size: samples per step.
        max_epochs: limit of epochs.
        patience: epochs without a new best loss, or a new best weighted F1, after which a head stops.

    Returns:
        The heads at their chosen epochs.

    Raises:
        BadDataError: a class has no training sample.
        SpecError: a loss that these classes have no distances for.
    """
    n_classes, width = len(labels), train.features.shape[1]
    device, dtype = train.features.device, train.features.dtype
    losses = ClassLosses(np.bincount(train.targets.cpu().numpy(), minlength=n_classes), labels, train.features)
    rules = StoppingRules(len(heads), patience, max_epochs)
    drawn = {seed: initial_weights(seed, n_classes, width, dtype) for seed in {head.seed for head in heads}}
    start = [torch.stack([drawn[head.seed][i] for head in heads]).to(device) for i in (0, 1)]
    best = {name: [tensor.clone() for tensor in start] for name in ("loss", "f1")}
    stack = _Stack.filled(
        heads,
        np.arange(len(heads)),
        [*start, *(torch.zeros_like(t) for t in start), *(torch.zeros_like(t) for t in start)],
    )
    history = []
    while rules.running.any():
        epoch = rules.epoch
        train_loss = stack.train_epoch(train, losses, epoch, batch_size)
        loss, f1 = stack.evaluate(validation, losses)
        seen = {"train_loss": train_loss, "validation_loss": loss, "validation_weighted_f1": f1}
        history.append({name: _spread(values, stack.members, len(heads)) for name, values in seen.items()})
        rules.update(history[-1]["validation_loss"], history[-1]["validation_weighted_f1"])
        for name, at in (("loss", rules.best_loss_epoch), ("f1", rules.best_f1_epoch)):
            stack.copy_to(best[name], at == epoch)
        stack = stack.without(~rules.running)
    chosen = np.asarray(rules.chosen_epoch, dtype=np.int64)
    # Where the chosen epoch is the best of both criteria, both copies are the same.
    by_f1 = torch.from_numpy(chosen == rules.best_f1_epoch).to(device)
    weight, bias = (
        torch.where(by_f1.view(-1, *[1] * (f.ndim - 1)), f, o) for f, o in zip(best["f1"], best["loss"], strict=True)
    )
    return TrainedHeads(tuple(heads), weight, bias, chosen, rules.stopped_at + 1, history)


def _spread(values: npt.NDArray[np.float64], members: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    spread = np.full(n, np.nan)
    spread[members] = values
    return spread


class _Stack:
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
            for name in LOSSES
            if (at := np.array([heads[m].loss == name for m in packing.members], dtype=bool)).any()
        }

    @classmethod
    def filled(
        cls, heads: Sequence[Head], members: npt.NDArray[np.int64], flat: list[Tensor], steps: int = 0
    ) -> _Stack:
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

    def without(self, finished: npt.NDArray[np.bool_]) -> _Stack:
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

    def train_epoch(self, train: Split, losses: ClassLosses, epoch: int, batch_size: int) -> npt.NDArray[np.float64]:
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

    def _step(self, x: Tensor, targets: Tensor, losses: ClassLosses, rates: Tensor) -> Tensor:
        """One Adam step of all heads on x (R, B, D) and targets (R, B); returns the losses, shape (R * K,)."""
        weight, bias = self.tensors[:2]
        r, k, c, d = weight.shape
        logits = torch.baddbmm(bias.view(r, 1, k * c), x, weight.view(r, k * c, d).transpose(1, 2))
        loss, slope = self._slopes(logits.view(r, -1, k, c), targets, losses)
        slope = slope.reshape(r, -1, k * c)
        gradients = [torch.bmm(slope.transpose(1, 2), x).view_as(weight), slope.sum(dim=1).view_as(bias)]
        self.steps += 1
        adam_step(self.tensors[:2], gradients, self.tensors[2:4], self.tensors[4:6], rates, self.steps)
        return loss

    def _slopes(self, logits: Tensor, targets: Tensor, losses: ClassLosses) -> tuple[Tensor, Tensor]:
        """Losses (R * K,) and their derivatives by the logits (R, B, K, C); empty slots have neither."""
        r, b, k, c = logits.shape
        by_head = logits.transpose(1, 2).reshape(r * k, b, c)
        loss = logits.new_zeros(r * k)
        slope = torch.zeros_like(by_head)
        for name, slots in self.by_loss.items():
            loss[slots], slope[slots] = losses(
                name, by_head[slots], targets[torch.div(slots, k, rounding_mode="floor")]
            )
        return loss, slope.view(r, k, b, c).transpose(1, 2)

    def evaluate(self, split: Split, losses: ClassLosses) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Loss and weighted F1 of each head on a split, shapes (M,), in the order of ``members``."""
        weight, bias = (self._flat(tensor)[self.slots] for tensor in self.tensors[:2])
        m, c, d = weight.shape
        logits = (
            torch.addmm(bias.reshape(1, -1), split.features, weight.reshape(-1, d).T).view(-1, m, c).transpose(0, 1)
        )
        targets = split.targets.expand(m, -1)
        loss = torch.zeros(m, device=logits.device, dtype=logits.dtype)
        names = [self.heads[i].loss for i in self.members]
        for name in set(names):
            at = torch.tensor([own == name for own in names], device=logits.device)
            loss[at] = losses(name, logits[at], targets[at])[0]
        cells = (torch.arange(m, device=logits.device)[:, None] * c + targets) * c + logits.argmax(dim=-1)
        confusion = torch.bincount(cells.flatten(), minlength=m * c * c).view(m, c, c)
        values, f1 = loss.double().cpu().numpy(), confusion_statistic(confusion.cpu().numpy(), "weighted_f1")
        # The classes that a head answers after its loss became NaN mean nothing.
        return values, np.where(np.isfinite(values), f1, np.nan)

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
