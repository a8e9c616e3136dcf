"""A board as a pandas table; pure except for reading records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_bench.leaderboard.rank import Board, rank
from fer_bench.leaderboard.rows import row_names
from fer_bench.protocols import Protocol
from fer_bench.results.copies import read_present
from fer_bench.results.protocol import named_protocol
from fer_bench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd


def table(store: Store, protocol: str | Protocol) -> pd.DataFrame:
    """The ranked rows of a protocol, best first; those of other copies of the data after those of the first.

    Args:
        store: of the records.
        protocol: itself, or its name.

    Returns:
        ``rank`` and ``last_rank``, the range that the rank is in (missing for people), ``name``, ``model``,
        ``recipe``, ``kind``, the primary metric (mean over seeds)
        with ``std``, ``low`` and ``high`` (95 % interval over test samples), ``seeds``, ``p_above``, ``parameters``,
        ``caveats``, ``copy`` and ``row``.

    Raises:
        UnknownNameError: no such protocol.
        RecordError: a damaged record.
    """
    import pandas as pd

    protocol = named_protocol(protocol, store)
    board = rank(protocol, store.records(protocol.name), store.predictions, present=read_present(store, protocol.name))
    columns = [
        "rank",
        "last_rank",
        "name",
        "model",
        "recipe",
        "kind",
        protocol.primary,
        "std",
        "low",
        "high",
        "seeds",
        "p_above",
        "parameters",
        "caveats",
        "copy",
        "row",
    ]
    lines = [line for one in (board, *board.others) for line in _lines(one)]
    return pd.DataFrame(lines, columns=columns).astype(
        {"rank": "Int64", "last_rank": "Int64", "seeds": "Int64", "parameters": "Int64"}
    )


def _lines(board: Board) -> list[list[object]]:
    names = row_names([placed.row for placed in board.placed])
    lines: list[list[object]] = []
    for placed in board.placed:
        row, primary = placed.row, board.protocol.primary
        low, high = row.interval(primary) or (None, None)
        first, caveats = row.records[0], "; ".join(row.caveats)
        name = names[(row.model, row.key)]
        about = [placed.rank, placed.last, name, row.model, row.recipe, row.kind]
        scores = [placed.value, row.std(primary), low, high, len(row.records), placed.p_above]
        lines.append([*about, *scores, first.parameters.get("total"), caveats, board.copy, row.key])
    return lines
