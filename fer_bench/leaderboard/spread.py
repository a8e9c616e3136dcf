"""Where the score of another training of a row would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_bench.counting import counted
from fer_bench.leaderboard.uncertainty import Uncertainty
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row, metric, rows_of
from fer_bench.scoring.training_noise import Noises, half_width


class Spread(NamedTuple):
    """A 95 % prediction interval of the score of one more training on the same test samples.

    Args:
        low: its lower end.
        high: its upper end.
        how: what it is of, in words.
    """

    low: float
    high: float
    how: str


def of_seeds(scores: Sequence[float]) -> Spread:
    """From the seeds of a row: mean ± t s sqrt(1 + 1/n), with n - 1 degrees of freedom (Student's t).

    Args:
        scores: two or more.
    """
    n = len(scores)
    mean, std = float(np.mean(scores)), float(np.std(scores, ddof=1))
    half = half_width(1.0, n - 1) * std * float(np.sqrt(1 + 1 / n))
    return Spread(mean - half, mean + half, f"{n} seeds")


def of_pool(score: float, variance: float, df: float, n_rows: int) -> Spread:
    """From one score, and the variance over seeds of comparable rows: x ± t s sqrt(2).

    Args:
        score: of the row.
        variance: over seeds, pooled.
        df: its degrees of freedom.
        n_rows: that were pooled.
    """
    half = half_width(1.0, df) * float(np.sqrt(2 * variance))
    rows = counted(n_rows, "row")
    return Spread(score - half, score + half, f"one seed, and the variance over seeds of {rows} of its board")


def spread_of(store: Store, record: Record) -> Spread | None:
    """The interval of a record's score if its row were trained once more; None where no row of its board has several
    seeds, or the score is undefined.

    Args:
        store: with the records of its board.
        record: of a finished run.
    """
    protocol = protocol_of(record)
    beside = rows_of(one for one in store.records(record.protocol) if _comparable(one, record))
    own = next(
        (row for row in beside if (row.model, row.key) == (record.model, record.row)), Row(record.row, (record,))
    )
    scores = [metric(one.metrics, protocol.primary) for one in own.records]
    known = [score for score in scores if score is not None]
    if len(known) > 1:
        return of_seeds(known)
    score = metric(record.metrics, protocol.primary)
    noise = Uncertainty(protocol, beside, store.predictions).noise(record.kind)
    if noise is None or score is None:
        return None
    assumed = Noises.of([noise], [1])
    return of_pool(score, float(assumed.trained[0]), float(assumed.df[0]), noise.n_rows)


def _comparable(one: Record, record: Record) -> bool:
    """Whether both are ranked on the same samples."""
    checksums = [(each.data.get("checksums") or {}).get("test") for each in (one, record)]
    return (
        one.status == "finished"
        and one.ranked
        and not one.data.get("fold")
        and one.protocol_version == record.protocol_version
        and one.n_scored == record.n_scored
        and checksums[0] == checksums[1]
    )
