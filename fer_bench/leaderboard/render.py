"""From the store to the pages: every board, and the index of boards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fer_bench.atomic import locked, sweep_parts, write_atomically
from fer_bench.errors import HardwareError, RecordError
from fer_bench.leaderboard.cost_section import pictures
from fer_bench.leaderboard.costs import FindCost, cost_of, finder
from fer_bench.leaderboard.markdown import BEGIN, board_markdown, index_markdown, place_between_markers
from fer_bench.leaderboard.rank import Board, rank
from fer_bench.leaderboard.reported import Reported, read_reported
from fer_bench.leaderboard.split_comparison import Sibling
from fer_bench.protocols import PROTOCOLS, Protocol, TaskInfo
from fer_bench.results import corruptions, costs, reproductions
from fer_bench.results.copies import read_present
from fer_bench.results.protocol import find_protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store

INDEX = "README.md"


def render_all(store: Store, check: bool = False) -> list[Path]:
    """Update all pages from the records, and remove leftovers of killed processes.

    Args:
        store: records below ``results/``, papers' claims below ``reported/``; the pages are in its root.
        check: write nothing.

    Returns:
        The pages that were, or would have been, written.

    Raises:
        RecordError: there is no record, no claim and no page.
        FerBenchError: a damaged record, a wrong claim, a page with broken markers, a full disk; no page is written
            then, or only whole ones.
    """
    with _held(store.root, check):
        records = list(store.records())
        if not check:
            sweep_parts(store.root)
            store.sweep(records)
        pages = render(store, records)
        if not pages:
            problem = (
                f"there is nothing to {'check' if check else 'render'}: no record in {store.results}, no claim in"
                f" {store.root / 'reported'}, no board."
            )
            raise RecordError(
                problem, "`fer-bench run` makes a first record; FER_BENCH_LEADERBOARDS names another folder."
            )
        changed = [path for path, content in pages.items() if _text(path) != content]
        if not check:
            try:
                for path in changed:
                    write_atomically(path, pages[path].encode())
            except OSError as error:
                raise _unwritable(store.root, error) from None
        return changed


def render(store: Store, records: Sequence[Record] | None = None) -> dict[Path, str]:
    """The up-to-date pages, by path; writes nothing.

    Args:
        store: claims and pages, and predictions for paired tests.
        records: all of its records; None: they are read.
    """
    reported = read_reported(store.root / "reported")
    boards = build_boards(store, reported, records)
    pages = {store.root / f"{board.protocol.name}.md": board_markdown(board, reported) for board in boards}
    if boards or (store.root / INDEX).is_file():
        pages[store.root / INDEX] = index_markdown(boards, reported)
    placed = {path: place_between_markers(_text(path), content, str(path)) for path, content in pages.items()}
    return {**placed, **pictures(store.root, boards)}


def build_boards(store: Store, reported: Sequence[Reported], found: Sequence[Record] | None = None) -> list[Board]:
    """Boards of all protocols that have a record, a claim of a paper, or an existing page, by name."""
    records: dict[str, list[Record]] = {}
    for record in store.records() if found is None else found:
        records.setdefault(record.protocol, []).append(record)
    pages = {path.stem for path in store.root.glob("*.md") if path.name != INDEX and BEGIN in (_text(path) or "")}
    claimed = {row.protocol for paper in reported for row in paper.rows}
    # A dataset's other declared splits have the claims too.
    variants = {known.name for known in PROTOCOLS.in_order() if known.options and known.plain_name in claimed}
    names = sorted(records.keys() | claimed | variants | pages)
    boards = [
        rank(
            find_protocol(name, records.get(name, ())) or _claimed(name, reported),
            records.get(name, []),
            store.predictions,
            present=read_present(store, name),
        )
        for name in names
    ]
    boards = [_with_reproductions(store, _with_corrupted(store, board)) for board in boards]
    if next(costs.files(store), None) is not None:
        boards = [_with_costs(board, finder(store), records.get(board.protocol.name, [])) for board in boards]
    return [replace(board, siblings=_siblings(board, boards)) for board in boards]


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


def _text(path: Path) -> str | None:
    """A page's content; None where there is none."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path}: the page cannot be read ({error})."
        raise RecordError(problem, "Restore it from version control, or delete it; it is rendered again.") from None


@contextlib.contextmanager
def _held(root: Path, check: bool) -> Iterator[None]:
    """Lock out other renderers; checking needs no write permission."""
    with contextlib.ExitStack() as stack:
        try:
            if not check:
                root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(root))
        except OSError as error:
            if not check:
                raise _unwritable(root, error) from None
        yield


def _unwritable(root: Path, error: OSError) -> HardwareError:
    problem = f"the leaderboards cannot be written to {root}: {error.strerror or error}."
    return HardwareError(problem, "Free some space or fix the permissions, and run the same command again.")
