"""A dataset's page: what it is, its splits and labels as records state them, how people do on it, what is known to be
wrong with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fer_bench.escaping import one_line
from fer_bench.leaderboard.formatting import URL
from fer_bench.leaderboard.rank import Board
from fer_bench.metrics import in_units
from fer_bench.predictions import Predictions
from fer_bench.protocols import VIA, Protocol, info_at_hand
from fer_bench.report.rows import tables
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.site import addresses
from fer_bench.site.table import name_of

_SPLITS = ("train", "validation", "test")
_BINS = 8


def dataset_page(store: Store, name: str, boards: Sequence[Board]) -> dict[str, Any]:
    """What the template of a dataset's page gets.

    Args:
        store: of the records.
        name: of the dataset.
        boards: of its protocols, with at least one.
    """
    info = info_at_hand(name)
    copies = [one for board in boards for one in (board, *board.others)]
    records = [record for board in copies for placed in board.placed for record in placed.row.records]
    return {
        "info": info,
        "title": info.title or name,
        "homepage": info.homepage if URL.fullmatch(info.homepage) else "",
        "boards": [(board.protocol, addresses.board(board.protocol.name), len(board.placed)) for board in boards],
        "splits": _splits(records),
        "labels": [found for board in boards if (found := _labels(store, board)) is not None],
        "people": list(_people(boards)),
        "agreement": [table for record in records if record.kind == "human" for table in tables(record)][:1],
        "faults": list(dict.fromkeys(_faults(info.unverified, boards, records))),
    }


def _splits(records: Iterable[Record]) -> list[list[str]]:
    """Samples of each split and what identifies them, as often as records differ in it."""
    lines: dict[tuple[str, ...], None] = {}
    for record in records:
        sizes, checksums = record.data.get("n") or {}, record.data.get("checksums") or {}
        if record.kind in ("trained", "probe", "human") and not record.data.get("fold"):
            counts = [f"{sizes[split]:,}" if isinstance(sizes.get(split), int) else "" for split in _SPLITS]
            found = record.data.get("n_test_duplicates")
            duplicates = f"{found:,}" if isinstance(found, int) else ""
            lines[(str(record.data.get("layout", "")), *counts, duplicates, str(checksums.get("test", "")))] = None
    return [list(line) for line in sorted(lines)]


def _labels(store: Store, board: Board) -> dict[str, Any] | None:
    """How often each label occurs in the splits of which predictions are stored."""
    record = next((r for placed in board.placed for r in placed.row.records if "test" in r.predictions), None)
    if record is None or not _of_its_own(board.protocol):
        return None
    splits = [split for split in _SPLITS if split in record.predictions]
    names, counted = list[str](), list[tuple[list[int], int]]()
    for split in splits:
        predictions = store.predictions(record, split)
        names, counts = _counts(board.protocol, predictions)
        counted.append((counts, max(len(predictions), 1)))
    lines = [(name, [(counts[k], 100 * counts[k] / n) for counts, n in counted]) for k, name in enumerate(names)]
    return {"protocol": board.protocol, "splits": splits, "lines": lines}


def _of_its_own(protocol: Protocol) -> bool:
    """Whether the labels are the dataset's own, all of them."""
    return not protocol.is_relabelled and VIA not in protocol.name


def _counts(protocol: Protocol, predictions: Predictions) -> tuple[list[str], list[int]]:
    targets, task = predictions.targets, protocol.task
    if task.labels is not None:
        return list(task.labels.names), np.bincount(targets.astype(np.intp), minlength=len(task.labels)).tolist()
    if task.kind == "labels":
        return list(task.dimensions), np.asarray(targets).sum(axis=0).tolist()
    edges = np.linspace(*protocol.scale, _BINS + 1)
    names, counts = list[str](), list[int]()
    for d, dimension in enumerate(task.dimensions):
        names += [f"{dimension} {low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
        counts += np.histogram(targets[:, d].astype(np.float64), edges)[0].tolist()
    return names, counts


def _people(boards: Iterable[Board]) -> Iterable[tuple[str, str, str]]:
    for board in boards:
        names = board.names
        for placed in board.placed:
            if placed.row.kind == "human":
                primary = board.protocol.primary
                name = one_line(names[placed.row.model, placed.row.key])
                yield name, f"{name_of(primary)} {in_units(placed.value, primary)}", addresses.row(placed.row)


def _faults(unverified: str, boards: Iterable[Board], records: Iterable[Record]) -> Iterable[str]:
    if unverified:
        yield f"Never tried on a real file: {unverified}"
    for board in boards:
        for caveat in board.protocol.caveats:
            yield f"{board.protocol.title or board.protocol.name}: {caveat}"
        if board.n_duplicates and board.n_test and _of_its_own(board.protocol):
            yield (
                f"{board.n_duplicates:,} of {board.n_test:,} test samples have a near-duplicate in another split"
                f" ({board.protocol.name}); every row shows its score without them."
            )
    for record in records:
        yield from (str(note) for note in record.data.get("notes") or ())
        if record.data.get("n_quarantined"):
            yield f"{record.data['n_quarantined']:,} samples are set aside, because they cannot be used."
