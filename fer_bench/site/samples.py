"""What the predictions of a row show that no score says: its hardest samples, how sure it is, and where its values
are; pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_bench.escaping import one_line
from fer_bench.leaderboard.significance import align
from fer_bench.metrics import NONE
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.copies import same_order
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.classification import predicted_classes
from fer_bench.scoring.probabilities import reliability
from fer_bench.scoring.undefined import Float

_HARDEST = 20
_POINTS = 600
_ROUND = 4


class Hard(NamedTuple):
    """A test sample that a row finds hard.

    Args:
        id: of the sample.
        truth: its label, in words.
        answer: the most frequent of the runs' answers, in words.
        score: what the runs gave to the truth on average, or by how much they missed it.
    """

    id: str
    truth: str
    answer: str
    score: str


def aligned(store: Store, records: Sequence[Record]) -> list[Predictions]:
    """Test predictions of the runs of a row, in the order of the first; none where a run has none.

    Raises:
        RecordError: predictions are missing, altered, or of other samples.
    """
    if not all("test" in record.predictions for record in records):
        return []
    first = store.predictions(records[0])
    rest = [
        align(store.predictions(one), first, f"record {one.run_id}", same=same_order(one, records[0], "test"))
        for one in records[1:]
    ]
    return [first, *rest]


def hardest(protocol: Protocol, runs: Sequence[Predictions]) -> list[Hard]:
    """The test samples that a row misses most, the worst first.

    Args:
        protocol: the row's.
        runs: their predictions, of the same samples in the same order.
    """
    if not runs:
        return []
    outputs = np.stack([run.outputs.astype(np.float64) for run in runs])
    targets, ids = np.asarray(runs[0].targets, dtype=np.float64), runs[0].ids
    if protocol.task.labels is not None:
        names = protocol.task.labels.names
        given = np.nan_to_num(outputs[:, np.arange(len(ids)), targets.astype(np.intp)]).mean(axis=0)
        answers = np.stack([predicted_classes(run.outputs) for run in runs])
        order = np.lexsort((ids, given))[:_HARDEST]
        return [
            Hard(one_line(ids[i]), names[int(targets[i])], _most(answers[:, i], names), f"{100 * given[i]:.1f} %")
            for i in order
        ]
    if protocol.task.kind == "labels":
        missed = np.abs(np.nan_to_num(outputs) - targets).mean(axis=(0, 2))
        shown, answered = [_categories(protocol, row) for row in targets], outputs.mean(axis=0)
        order = np.lexsort((ids, -missed))[:_HARDEST]
        return [
            Hard(one_line(ids[i]), shown[i], _categories(protocol, answered[i] > 0.5), f"{missed[i]:.3f}")
            for i in order
        ]
    middle = sum(protocol.scale) / 2
    answered = np.where(np.isnan(outputs), middle, outputs).mean(axis=0)
    missed = np.sqrt(((answered - targets) ** 2).sum(axis=1))
    order = np.lexsort((ids, -missed))[:_HARDEST]
    return [Hard(one_line(ids[i]), _values(targets[i]), _values(answered[i]), f"{missed[i]:.3f}") for i in order]


def reliability_data(runs: Sequence[Predictions]) -> dict[str, Any]:
    """The bars of a reliability diagram, over all runs together."""
    bars = reliability(np.concatenate([run.targets for run in runs]), np.concatenate([run.outputs for run in runs]))
    share = bars["count"] / max(bars["count"].sum(), 1)
    return {
        "edges": _rounded(bars["edges"]),
        "accuracy": _rounded(bars["accuracy"]),
        "confidence": _rounded(bars["confidence"]),
        "share": _rounded(share),
    }


def value_points(protocol: Protocol, runs: Sequence[Predictions]) -> dict[str, Any]:
    """True and predicted values of at most 600 samples, evenly taken, means over runs."""
    outputs = np.stack([run.outputs.astype(np.float64) for run in runs]).mean(axis=0)
    step = -(-len(outputs) // _POINTS)
    targets, outputs = runs[0].targets[::step].astype(np.float64), outputs[::step]
    return {
        "scale": list(protocol.scale),
        "dimensions": [
            {"name": name, "true": _rounded(targets[:, d]), "predicted": _rounded(outputs[:, d])}
            for d, name in enumerate(protocol.task.dimensions)
        ],
    }


def _rounded(values: Float) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), _ROUND) for value in values]


def _most(answers: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    counts = np.bincount(answers[answers >= 0], minlength=len(names))
    return names[int(counts.argmax())] if counts.any() else NONE


def _categories(protocol: Protocol, has: npt.NDArray[Any]) -> str:
    return ", ".join(name for name, one in zip(protocol.task.dimensions, has, strict=True) if one) or NONE


def _values(values: npt.NDArray[Any]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
