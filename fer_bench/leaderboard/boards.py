"""Which boards there are, and what is on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fer_bench.leaderboard.costs import FindCost, cost_of, finder
from fer_bench.leaderboard.markdown import BEGIN
from fer_bench.leaderboard.pages import INDEX, page_text
from fer_bench.leaderboard.rank import Board, rank
from fer_bench.leaderboard.reported import Reported
from fer_bench.leaderboard.split_comparison import Sibling
from fer_bench.protocols import PROTOCOLS, Protocol, TaskInfo
from fer_bench.results import corruptions, costs, reproductions
from fer_bench.results.copies import read_present
from fer_bench.results.protocol import find_protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store


def board_names(store: Store, reported: Sequence[Reported], with_records: Iterable[str]) -> list[str]:
    """Names of the protocols that have a board: a record, a claim of a paper, or an existing page."""
    pages = {path.stem for path in store.root.glob("*.md") if path.name != INDEX and BEGIN in (page_text(path) or "")}
    claimed = {row.protocol for paper in reported for row in paper.rows}
    # A dataset's other declared splits have the claims too.
    variants = {known.name for known in PROTOCOLS.in_order() if known.options and known.plain_name in claimed}
    return sorted({*with_records, *claimed, *variants, *pages})


def protocol_of_board(name: str, records: Iterable[Record], reported: Sequence[Reported]) -> Protocol:
    """What a board ranks.

    Args:
        name: of the protocol.
        records: of it; one is enough.
        reported: all claims.
    """
    return find_protocol(name, records) or _claimed(name, reported)


def boards_of(store: Store, names: Iterable[str], reported: Sequence[Reported], found: Iterable[Record]) -> list[Board]:
    """Boards.

    Args:
        store: predictions for paired tests.
        names: of protocols; those of one dataset and task show each other's rows, and are all among them.
        reported: all claims.
        found: their records.
    """
    records: dict[str, list[Record]] = {}
    for record in found:
        records.setdefault(record.protocol, []).append(record)
    boards = [
        rank(
            protocol_of_board(name, records.get(name, ()), reported),
            records.get(name, []),
            store.predictions,
            present=read_present(store, name),
        )
        for name in names
    ]
    boards = [_with_reproductions(store, _with_corrupted(store, board)) for board in boards]
    if next(costs.files(store), None) is not None:
        cost = finder(store)
        boards = [_with_costs(board, cost, records.get(board.protocol.name, [])) for board in boards]
    return [replace(board, siblings=_siblings(board, boards)) for board in boards]


def build_boards(store: Store, reported: Sequence[Reported]) -> list[Board]:
    """All boards, by name; arguments as of :func:`boards_of`."""
    records = list(store.records())
    names = board_names(store, reported, {record.protocol for record in records})
    return boards_of(store, names, reported, records)


def _with_corrupted(store: Store, board: Board) -> Board:
    """A board with the scores on corrupted images of its rows and those of other copies."""
    if next(corruptions.files(store, board.protocol.name), None) is None:
        return board
    records = [record for placed in board.placed for record in placed.row.records]
    found = {record.run_id: one for record in records if (one := corruptions.find_intact(store, record)) is not None}
    return replace(board, corrupted=found, others=tuple(_with_corrupted(store, other) for other in board.others))


def _with_reproductions(store: Store, board: Board) -> Board:
    """A board that says of its rows, and those of other copies, whether they were trained again."""
    if next(reproductions.files(store, board.protocol.name), None) is None:
        return board
    records = [record for placed in board.placed for record in placed.row.records]
    found = {
        record.run_id: tuple(dict.fromkeys(one.verdict for one in each))
        for record in records
        if (each := reproductions.find(store, record))
    }
    return replace(board, reproduced=found, others=tuple(_with_reproductions(store, other) for other in board.others))


def _with_costs(board: Board, cost: FindCost, records: Sequence[Record]) -> Board:
    """A board with what its rows cost that were measured."""
    by_id = {(record.model, record.run_id): record for record in records}
    found = {
        first.run_id: one
        for placed in board.placed
        if (one := cost_of(first := placed.row.records[0], cost, lambda _, model, run: by_id.get((model, run))))
        is not None
    }
    return replace(board, costs=found)


def _siblings(board: Board, boards: Sequence[Board]) -> tuple[Sibling, ...]:
    """Boards of the same dataset and task, but other folds, that have rows."""
    protocol = board.protocol
    if protocol.is_relabelled:
        return ()
    alike = [
        other
        for other in boards
        if (other.protocol.dataset, other.protocol.task) == (protocol.dataset, protocol.task) and other is not board
    ]
    others = [other for other in alike if other.placed and not other.protocol.is_relabelled]
    return tuple(Sibling(other.protocol, tuple(placed.row for placed in other.placed)) for other in others)


def _claimed(name: str, reported: Sequence[Reported]) -> Protocol:
    """A protocol that only papers have claims on."""
    dataset, _, task = name.rpartition("-")
    metrics = [metric for paper in reported for row in paper.rows if row.protocol == name for metric in row.metrics]
    return Protocol(dataset or name, TaskInfo(task, "values", metrics[0] if metrics else "ccc"), title=name)
