"""Boards in parts that are rendered by themselves: those of one dataset and task, which show each other's rows. What
has not changed since it was rendered is taken from what is kept.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_bench.errors import UnknownFieldsWarning
from fer_bench.leaderboard.boards import board_names, boards_of, protocol_of_board
from fer_bench.leaderboard.cost_section import pictures
from fer_bench.leaderboard.markdown import board_markdown, index_line
from fer_bench.leaderboard.processes import each_result
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.reported import Reported, read_reported
from fer_bench.protocols import Protocol
from fer_bench.results import corruptions, costs, reproductions
from fer_bench.results.grids import SUFFIX, load_grid
from fer_bench.results.kept import Kept, stamp_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store

# Bytes of records below which processes take longer to begin than to render.
_FEW_BYTES = 2**25


@dataclass(frozen=True)
class Part:
    """What a protocol adds to the pages.

    Args:
        board: the generated part of its page.
        line: its cells of the index.
        pictures: files of the page, by their place below the folder of boards.
    """

    board: str
    line: list[str]
    pictures: dict[str, str]


@dataclass(frozen=True)
class _Seen:
    """The files of a protocol.

    Args:
        key: digest of the folders' and the records' stamps; predictions are named by the records, by digest.
        changed: when the last of them was, in nanoseconds.
        n_bytes: of its records.
        first: the file of a record; None without any.
    """

    key: str
    changed: int
    n_bytes: int
    first: Path | None


def parts(store: Store, kept: Kept | None, *, sweep: bool, processes: int = 1) -> dict[str, Part]:
    """The parts of all boards, by protocol.

    Args:
        store: records, claims and pages.
        kept: where parts are kept; None: all are rendered, and none is kept.
        sweep: remove what killed processes left next to the records that are read.
        processes: at work at the same time.

    Raises:
        FerBenchError: a damaged record, or a wrong claim.
    """
    reported = read_reported(store.root / "reported")
    # What all boards depend on.
    common = [*sorted((store.root / "reported").glob("*.yaml")), *costs.files(store)]
    claims = _digest(path.read_bytes() for path in common)
    results = store.results
    folders = [folder.name for folder in _folders(results)] if results.is_dir() else []
    seen = {name: _look(store, name) for name in folders}
    names = board_names(store, reported, (name for name in folders if seen[name].first))
    keys = {name: _digest([claims.encode(), seen[name].key.encode() if name in seen else b""]) for name in names}
    known = {} if kept is None else {name: kept.read(f"board-{name}") for name in names}
    unchanged = {
        name
        for name, entry in known.items()
        if entry and all(keys.get(other) == key for other, key in entry["keys"].items())
    }
    group_of = {
        name: known[name]["group"]
        if name in unchanged
        else _group(protocol_of_board(name, _records_at(seen[name].first if name in seen else None), reported))
        for name in names
    }
    stale: dict[str, list[str]] = {group_of[name]: [] for name in names if name not in unchanged}
    for name in names:
        if group_of[name] in stale:
            stale[group_of[name]].append(name)
    found = {
        name: Part(*(known[name][part] for part in ("board", "line", "pictures")))
        for name in names
        if group_of[name] not in stale
    }
    n_bytes = sum(seen[name].n_bytes for group in stale.values() for name in group if name in seen)
    # The largest first, so that none is left to wait for at the end.
    groups = sorted(stale.values(), key=lambda group: -sum(seen[name].n_bytes for name in group if name in seen))
    for fresh, fields in each_result(
        _render, [(store.root, group, reported, sweep) for group in groups], processes if n_bytes > _FEW_BYTES else 1
    ):
        store.notice.see(fields)
        found |= fresh
        for name, part in fresh.items() if kept is not None else ():
            together = stale[group_of[name]]
            if kept is not None and all(kept.settled_at(seen[other].changed) for other in together if other in seen):
                stamps = {other: keys[other] for other in together}
                kept.write(
                    f"board-{name}",
                    {"keys": stamps, "group": group_of[name], **asdict(part)},
                )
    store.notice.give()
    if sweep:
        # Folders without a record have no board.
        for name in folders:
            if not seen[name].first:
                store.sweep([], [name])
    return {name: found[name] for name in names}


def _render(
    root: Path, names: Sequence[str], reported: Sequence[Reported], sweep: bool
) -> tuple[dict[str, Part], list[str]]:
    """The parts of protocols of one group, and the fields of their records that this version does not know."""
    store = Store(root)
    with warnings.catch_warnings():
        # Said once, of the whole store, by whoever asked.
        warnings.simplefilter("ignore", UnknownFieldsWarning)
        records = [record for name in names for record in store.records(name)]
    if sweep:
        store.sweep(records, names)
    made = {
        board.protocol.name: Part(board_markdown(board, reported), index_line(board, reported), _pictures(root, board))
        for board in boards_of(store, names, reported, records)
    }
    return made, sorted({field for record in records for field in record.unknown_fields})


def _pictures(root: Path, board: Board) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): content for path, content in pictures(root, [board]).items()}


def _records_at(path: Path | None) -> list[Record]:
    if path is None:
        return []
    return load_grid(path) if path.name.endswith(SUFFIX) else [Record.load(path)]


def _group(protocol: Protocol) -> str:
    return f"{protocol.dataset}/{protocol.task.name}"


def _look(store: Store, protocol: str) -> _Seen:
    """What the files of a protocol are; of predictions only that none was added or taken away."""
    digest = hashlib.sha256()
    changed = n_bytes = 0
    first: Path | None = None
    beside = (store.root / folder / protocol for folder in (corruptions.FOLDER, reproductions.FOLDER))
    for root in (store.results / protocol, *beside):
        for folder in (root, *_folders(root)) if root.is_dir() else ():
            with os.scandir(folder) as found:
                files = [(each.name, stamp_of(each.stat())) for each in found if each.name.endswith((".json", ".txt"))]
            files.sort()
            # A folder's own times tell of whatever was added or taken away.
            stamps = [(".", stamp_of(folder.stat())), *files]
            digest.update(repr((str(folder), stamps)).encode())
            changed = max(changed, *(made[-1] for _, made in stamps))
            if folder.parent.parent == store.results:
                sizes = {name: made[2] for name, made in files if name.endswith(".json")}
                n_bytes += sum(sizes.values())
                first = first or (folder / next(iter(sizes)) if sizes else None)
    return _Seen(digest.hexdigest(), changed, n_bytes, first)


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as found:
        return sorted(Path(entry.path) for entry in found if entry.is_dir())


def _digest(content: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for each in content:
        digest.update(hashlib.sha256(each).digest())
    return digest.hexdigest()
