"""A board as a pandas table; pure except for reading records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_bench.leaderboard.rank import Board, rank
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
    return as_table(board_of(store, protocol))


def board_of(store: Store, protocol: str | Protocol) -> Board:
    """The board of a protocol, itself or its name.

    Raises:
        UnknownNameError: no such protocol.
        RecordError: a damaged record.
    """
    chosen = named_protocol(protocol, store)
    return rank(chosen, store.records(chosen.name), store.predictions, present=read_present(store, chosen.name))


def as_table(board: Board) -> pd.DataFrame:
    """See :func:`table`."""
    import pandas as pd

    protocol = board.protocol
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
    counts = dict.fromkeys(("rank", "last_rank", "seeds", "parameters"), "Int64")
    scores = dict.fromkeys((protocol.primary, "std", "low", "high", "p_above"), "float64")
    return pd.DataFrame(lines, columns=columns).astype(counts | scores)


def _lines(board: Board) -> list[list[object]]:
    names = board.names
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
