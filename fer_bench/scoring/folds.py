"""The predictions of a cross-validation, from those of its folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_bench.predictions import Predictions
from fer_bench.scoring.value_scores import FOLD_FLAG


def pooled(predictions: Sequence[Predictions]) -> Predictions:
    """Predictions of all folds together, by id, with a flag per fold; every sample is in one fold, or the folds overlap
    and this raises a RecordError.
    """
    order = np.argsort(np.concatenate([part.ids for part in predictions]), kind="stable")
    fold = np.repeat(np.arange(len(predictions)), [len(part) for part in predictions])[order]
    groups = (
        None
        if any(part.groups is None for part in predictions)
        else np.concatenate([part.groups for part in predictions if part.groups is not None])
    )
    return Predictions(
        np.concatenate([part.ids for part in predictions])[order],
        np.concatenate([part.targets for part in predictions])[order],
        np.concatenate([part.outputs for part in predictions])[order],
        {f"{FOLD_FLAG}{number}": fold == number for number in range(len(predictions))},
        None if groups is None else groups[order],
    )
