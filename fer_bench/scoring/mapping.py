"""Outputs of one label set as answers to another: classes are mapped by name, and those without a counterpart are left
out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.labels import LabelSet
from fer_bench.predictions import Predictions


@dataclass(frozen=True)
class Mapping:
    """Mapping of the outputs and targets of two label sets.

    Args:
        columns: shape (K,), the source's output of each shared class.
        rows: shape (C_target,), the shared class of each target class, or -1.
        dropped_source: classes that only the network has.
        dropped_target: classes that only the dataset has.
    """

    columns: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    dropped_source: tuple[str, ...]
    dropped_target: tuple[str, ...]


def map_labels(source: LabelSet, target: LabelSet, shared: LabelSet) -> Mapping:
    """Map two label sets onto their common classes.

    Args:
        source: of the network.
        target: of the dataset.
        shared: their common classes, spelt as the target's.
    """
    columns = np.array([source.index(name) for name in shared.names], dtype=np.int64)
    rows = np.array([shared.names.index(name) if name in shared.names else -1 for name in target.names], dtype=np.int64)
    dropped_source = tuple(name for i, name in enumerate(source.names) if i not in columns)
    return Mapping(columns, rows, dropped_source, tuple(name for name in target.names if name not in shared.names))


def shared_outputs(outputs: npt.NDArray[np.float32], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Probabilities of shared classes, renormalised; NaN where they are NaN.

    Args:
        outputs: shape (N, C_source).
        columns: shape (K,), as of :class:`Mapping`.
    """
    # A network that is certain of a class that is not shared still predicts the most likely of the rest.
    kept = outputs[:, columns].astype(np.float64) + 1e-12
    return np.asarray(kept / kept.sum(axis=1, keepdims=True), dtype=np.float32)


def apply_mapping(mapping: Mapping, predictions: Predictions) -> Predictions:
    """Keep shared classes: outputs are renormalised, samples of other classes are left out.

    Args:
        mapping: of the label sets.
        predictions: outputs of the source (N, C_source), targets of the target.
    """
    targets = mapping.rows[predictions.targets.astype(np.int64)]
    outputs = shared_outputs(predictions.outputs, mapping.columns)
    return Predictions(predictions.ids, targets, outputs, predictions.flags, predictions.groups).select(targets >= 0)
