"""Scores, and what they say together: verification, comparisons and boards. Needs no PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_bench.api.arguments import StoreLike, run_reference
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from fer_bench.leaderboard.compare import Comparison
    from fer_bench.leaderboard.differences import VerificationReport


def score(protocol: str | Protocol, predictions: Predictions | str | os.PathLike[str]) -> dict[str, Any]:
    """Score predictions under a protocol; needs no PyTorch.

    Args:
        protocol: itself, or its name, ``<dataset>-<task>``.
        predictions: itself, or the path of a predictions file (``.npz``).

    Returns:
        Metrics, in float64, with intervals, per-class values and the confusion matrix.

    Raises:
        UnknownNameError: no such protocol.
        RecordError: the predictions are damaged, or do not fit the protocol.

    Example:
        >>> import fer_bench, numpy as np
        >>> outputs = np.eye(7, dtype=np.float32)[[0, 2]]
        >>> found = fer_bench.Predictions(ids=np.array(["a", "b"]), targets=np.array([0, 1]), outputs=outputs)
        >>> fer_bench.score("fer2013-fer7", found)["accuracy"]
        0.5
        >>> fer_bench.score("fer2031-fer7", found)
        Traceback (most recent call last):
        fer_bench.errors.UnknownNameError: unknown protocol 'fer2031-fer7'. Did you mean 'fer2013-fer7'...
    """
    from fer_bench.results.protocol import named_protocol
    from fer_bench.scoring.score import score as scored

    judge = named_protocol(protocol, Store())
    found = predictions if isinstance(predictions, Predictions) else Predictions.load(Path(predictions))
    return scored(judge, found)


def verify(protocols: str | Iterable[str] | None = None, *, store: StoreLike = None) -> VerificationReport:
    """Recompute every stored score from its predictions; needs no PyTorch, and imports no plugin.

    Args:
        protocols: names; None: all.
        store: as for :func:`run`.

    Returns:
        The report: ``differences``, empty if everything agrees, and ``summary()``.

    Raises:
        FerBenchError: no such protocol, or nothing to verify.
    """
    from fer_bench.leaderboard.verify import verify as recompute

    report = recompute(
        Store.at(store), [protocols] if isinstance(protocols, str) else None if protocols is None else list(protocols)
    )
    report.require_any()
    return report


def compare(a: str | Record, b: str | Record, *, given_networks: bool = False, store: StoreLike = None) -> Comparison:
    """Test whether two rows, or two runs, differ on the same test samples: over other samples and over training again.

    Args:
        a: a record, a row's digest, a run id, or the beginning of either.
        b: the other.
        given_networks: test the trained networks as they are, over test samples alone.
        store: as for :func:`run`.

    Returns:
        ``difference``, its 95 % interval (``low``, ``high``), ``p``, ``significant``, and ``text()``.

    Raises:
        RecordError: no such row, or they cannot be compared.
    """
    from fer_bench.leaderboard.compare import compare as compared

    return compared(Store.at(store), run_reference(a), run_reference(b), given_networks=given_networks)


def leaderboard(protocol: str | Protocol, *, store: StoreLike = None) -> pd.DataFrame:
    """The ranked rows of a protocol, the best first; needs no PyTorch.

    Args:
        protocol: itself, or its name.
        store: as for :func:`run`.

    Returns:
        One ranked row per line: ``rank`` and ``last_rank``, the range that the rank is in (missing for people),
        ``name``, ``model``, ``recipe``, ``kind``, the primary metric under its own name with ``std`` over seeds and the
        95 % interval ``low`` and ``high``, ``seeds``,
        ``p_above``, ``parameters``, ``caveats``, ``copy`` and ``row``.

    Raises:
        UnknownNameError: no such protocol.
        RecordError: a damaged record.

    Example:
        >>> import fer_bench
        >>> list(fer_bench.leaderboard("fer2013-fer7").columns[:6])
        ['rank', 'last_rank', 'name', 'model', 'recipe', 'kind']
    """
    from fer_bench.leaderboard.table import table

    return table(Store.at(store), protocol)
