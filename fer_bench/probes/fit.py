"""fit(): the heads of a grid on one split of the data, whichever way each is fitted."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.probes.closed_form import fit_ridge_heads
from fer_bench.probes.head import AnyHead, Head, RidgeHead
from fer_bench.probes.heads import TrainedHeads, joined, train_heads
from fer_bench.probes.losses import Predicted, Values
from fer_bench.probes.settings import ProbeSettings
from fer_bench.probes.stack import Split
from fer_bench.protocols import Protocol


def fit(
    heads: Sequence[AnyHead], train: Split, validation: Split, protocol: Protocol, settings: ProbeSettings
) -> TrainedHeads:
    """Fit heads.

    Args:
        heads: first those that are trained step by step, then those in closed form.
        train: what they learn from; values in the dataset's units.
        validation: what chooses their epochs; likewise.
        protocol: gives the classes, or the values with their scale and metric.
        settings: give batch size and limits of epochs.

    Returns:
        The heads, in their order; what they answer is in the dataset's units.
    """
    low, high = protocol.scale
    middle, half = (low + high) / 2, (high - low) / 2
    predicted: Predicted = protocol.task.labels or Values(protocol.task.n_outputs, protocol.primary)
    if protocol.task.kind == "values":
        # As networks are trained, and so that learning rates mean the same for every dataset.
        train, validation = (Split(split.features, (split.targets - middle) / half) for split in (train, validation))
    stepwise = [head for head in heads if isinstance(head, Head)]
    closed = [head for head in heads if isinstance(head, RidgeHead)]
    parts = []
    if stepwise:
        limits = {
            "batch_size": settings.batch_size,
            "max_epochs": settings.max_epochs,
            "patience": settings.patience,
        }
        parts.append(train_heads(stepwise, train, validation, predicted, **limits))
    if closed:
        parts.append(fit_ridge_heads(closed, train))
    found = parts[0] if len(parts) == 1 else joined(parts)
    return found if found.classes else found.in_units(middle, half)
