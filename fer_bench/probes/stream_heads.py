"""Heads inside a stream: one linear head on a backbone's features, the best on validation of a few, whose answers are
what the grid sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_bench.data.samples import Samples
from fer_bench.ensembles.selection import as_gain, metric_of
from fer_bench.errors import SpecError
from fer_bench.probes.features import Place
from fer_bench.probes.fit import fit
from fer_bench.probes.head import AnyHead, Head, RidgeHead
from fer_bench.probes.heads import TrainedHeads
from fer_bench.probes.settings import ProbeSettings
from fer_bench.probes.stack import Split
from fer_bench.protocols import Protocol, protocol_for

_BLOCK = 1024
Facts = dict[str, int | float | str]


@dataclass(frozen=True)
class StreamHead:
    """A fitted head.

    Args:
        weight: shape (C, D), float32, on the CPU.
        bias: shape (C,).
        classes: whether it answers with class probabilities; else with values.
    """

    weight: Tensor
    bias: Tensor
    classes: bool

    def of(self, features: npt.NDArray[Any], device: torch.device | None = None) -> npt.NDArray[np.float32]:
        """What it answers to features (N, D), shape (N, C)."""
        place = device or torch.device("cpu")
        weight, bias = self.weight.to(place), self.bias.to(place)
        out = np.empty((len(features), len(bias)), dtype=np.float32)
        for start in range(0, len(features), _BLOCK):
            block = torch.from_numpy(features[start : start + _BLOCK].astype(np.float32)).to(place)
            found = torch.addmm(bias[None], block, weight.T)
            out[start : start + _BLOCK] = (found.softmax(dim=1) if self.classes else found).cpu().numpy()
        return out


def fit_stream_head(
    task: str, features: npt.NDArray[Any], settings: ProbeSettings, samples: Samples, place: Place
) -> tuple[StreamHead, Facts]:
    """The best head of a task on validation: of classes among the learning rates of the settings, with cross-entropy
    and seed 0, as the paper's streams; of values among their penalties of ridge.

    Args:
        task: of the head; empty: the grid's own.
        features: shape (N, D).
        settings: of the grid.
        samples: N, with targets and splits.
        place: device.

    Returns:
        The head, and what the record says of it.

    Raises:
        SpecError: the samples have no labels of the task.
    """
    protocol = protocol_for(settings.dataset, task) if task else settings.judge
    name = protocol.task.name
    if name not in samples.targets:
        problem = f"dataset {settings.dataset!r} has no {name} labels for a stream of their predictions."
        raise SpecError(problem, "Leave the stream out.")
    of_values = protocol.task.kind == "values"
    targets = np.asarray(samples.targets[name], dtype=np.float32 if of_values else np.int64)
    train, validation = (
        Split(
            torch.from_numpy(features[at].astype(np.float32)).to(place.device),
            torch.from_numpy(targets[at]).to(place.device),
        )
        for at in (samples.where("train"), samples.where("validation"))
    )
    heads: list[AnyHead] = (
        [RidgeHead(penalty) for penalty in settings.penalty] if of_values else [Head(lr) for lr in settings.lr]
    )
    trained = fit(heads, train, validation, protocol, settings)
    best = int(np.argmax((_gains_of_values if of_values else _gains_of_classes)(trained, validation, protocol)))
    chosen = heads[best]
    facts: Facts = {f"{name}_{key}": value for key, value in chosen.settings().items() if key != "loss"}
    if isinstance(chosen, Head):
        facts[f"{name}_epoch"] = int(trained.chosen_epoch[best])
    return StreamHead(trained.weight[best].float().cpu(), trained.bias[best].float().cpu(), trained.classes), facts


def _gains_of_classes(trained: TrainedHeads, validation: Split, protocol: Protocol) -> list[float]:
    return [
        float(
            np.nanmax(
                [
                    -np.inf,
                    *(epoch["validation_weighted_f1"][h] for epoch in trained.history[: trained.chosen_epoch[h] + 1]),
                ]
            )
        )
        for h in range(len(trained.heads))
    ]


def _gains_of_values(trained: TrainedHeads, validation: Split, protocol: Protocol) -> npt.NDArray[np.float64]:
    outputs = trained.outputs(validation.features).astype(np.float64)
    targets = validation.targets.double().cpu().numpy()
    return as_gain(metric_of(outputs, targets, protocol.primary, sum(protocol.scale) / 2), protocol.primary)
