"""The site from the records: every file of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from fer_bench import __version__
from fer_bench.errors import RecordError
from fer_bench.escaping import one_line
from fer_bench.leaderboard.boards import build_boards
from fer_bench.leaderboard.export import bibtex, export_board
from fer_bench.leaderboard.formatting import short_interval, short_score, shortened_name
from fer_bench.leaderboard.matrix import KINDS as KINDS_OF_TASKS
from fer_bench.leaderboard.matrix import collect
from fer_bench.leaderboard.rank import Board, Placed
from fer_bench.leaderboard.ranking import KINDS, kind_of
from fer_bench.leaderboard.reported import Reported, read_reported
from fer_bench.leaderboard.rows import row_names
from fer_bench.leaderboard.uncertainty import Uncertainty
from fer_bench.metrics import unit_sign
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row
from fer_bench.site import addresses, notes
from fer_bench.site.badge import badge
from fer_bench.site.dataset import dataset_page
from fer_bench.site.pages import page, script
from fer_bench.site.paper import claims_of, paper_page
from fer_bench.site.row import Subject, row_page
from fer_bench.site.table import board_data, name_of, rank_text, trained_again

_FORMATS = ("csv", "json", "parquet", "tex", "bib")
_EXPORTED = {"tex": "latex"}

# The bytes of a file, or the file that is copied.
Content = bytes | Path


@dataclass
class Site:
    """What pages are made of.

    Args:
        store: records, predictions, claims and notes.
        docs: the folder of the documentation, see :func:`fer_bench.site.pages.page`.
        boards: of all protocols.
        reported: claims of all papers.
    """

    store: Store
    docs: str = ""
    boards: Sequence[Board] = field(default_factory=list)
    reported: Sequence[Reported] = field(default_factory=list)

    def files(self) -> Iterator[tuple[str, Content]]:
        """Every file of the site: its address from the root, and its content.

        Raises:
            FerBenchError: a damaged record or wrong claims.
        """
        yield from _static()
        yield from self._overview()
        for board in self.boards:
            yield from self._board(board)
            yield from self._rows(board)
            for one in board.others:
                yield from self._rows(one, one.copy)
        yield from self._datasets()
        yield from self._papers()
        yield "matrix.html", self._page("matrix", "matrix.html", matrices=self._matrices())

    def _page(self, template: str, address: str, **content: Any) -> bytes:
        return page(template, address, self.docs, version=__version__, **content)

    def _overview(self) -> Iterator[tuple[str, bytes]]:
        measured = [board for board in self.boards if board.placed]
        lines = [
            {
                "protocol": board.protocol,
                "best": [_best(placed, board) for placed in _best_of_kinds(board)][:3],
                "rows": sum(len(one.placed) for one in (board, *board.others)),
                "records": sum(one.n_records for one in (board, *board.others)),
                "claims": len(claims_of(board, self.reported)),
            }
            for board in measured
        ]
        claimed = [
            {"protocol": board.protocol, "claims": len(claims_of(board, self.reported))}
            for board in self.boards
            if not board.placed
        ]
        yield "index.html", self._page("index", "index.html", lines=lines, claimed=claimed)

    def _board(self, board: Board) -> Iterator[tuple[str, bytes]]:
        name = board.protocol.name
        address, data = addresses.board(name), addresses.board(name, "js")
        content = board_data(board)
        claims = claims_of(board, self.reported)
        content["claims"] = claims
        files = {kind: addresses.board(name, kind) for kind in _FORMATS}
        for kind, file in files.items():
            yield file, bibtex(board.protocol, self.reported).encode() if kind == "bib" else _exported(board, kind)
        yield data, script("FerBench.give", "board", content)
        yield (
            address,
            self._page(
                "board",
                address,
                board=board,
                data=data,
                files=files,
                metric=name_of(board.protocol.primary),
                unit=unit_sign(board.protocol.primary),
                best=[_best(placed, board) for placed in _best_of_kinds(board)],
                claims=claims,
                folded=_folded(board),
                unranked=[(one_line(entry.record.run_id), entry.reason) for entry in board.unranked],
            ),
        )

    def _rows(self, board: Board, beside: str = "") -> Iterator[tuple[str, Content]]:
        known = {(placed.row.model, placed.row.key): placed for placed in board.placed}
        rows = [*(placed.row for placed in board.placed), *board.folded]
        # Of placed rows and folded ones together: a name must tell them apart.
        names = row_names(rows) if board.folded else board.names
        uncertainty = Uncertainty(board.protocol, rows, self.store.predictions)
        for row in rows:
            key = row.model, row.key
            subject = Subject(
                self.store,
                board.protocol,
                uncertainty,
                names[key],
                row,
                known.get(key),
                board.copy,
                beside,
                trained_again(board, row),
            )
            yield from self._row(subject)

    def _row(self, subject: Subject) -> Iterator[tuple[str, Content]]:
        row, protocol = subject.row, subject.protocol
        context, data = row_page(subject)
        address, script_at, badge_at = (addresses.row(row, ending, subject.beside) for ending in ("html", "js", "svg"))
        yield script_at, script("FerBench.give", addresses.row_id(row, subject.beside), data)
        score = f"{context['value']}{context['unit']}"
        rank = f", rank {context['rank']}" if subject.placed is not None and subject.placed.rank is not None else ""
        yield badge_at, badge(protocol.title or protocol.name, f"{context['metric']} {score}{rank}").encode()
        addressed = {"id": addresses.row_id(row, subject.beside), "data": script_at, "badge": badge_at}
        board_data_at = addresses.board(protocol.name, "js")
        yield address, self._page("row", address, board_data=board_data_at, **addressed, **context)
        for record in row.records:
            yield from self._stored(record)

    def _stored(self, record: Record) -> Iterator[tuple[str, Path]]:
        folder = self.store.folder(record)
        for address in (
            addresses.record(record),
            *(addresses.predictions(record, name) for name in record.predictions),
        ):
            yield address, folder / address.rpartition("/")[2]

    def _datasets(self) -> Iterator[tuple[str, Content]]:
        by_name: dict[str, list[Board]] = {}
        for board in self.boards:
            by_name.setdefault(board.protocol.dataset, []).append(board)
        beside = {f"{board.protocol.name}.md": addresses.board(board.protocol.name) for board in self.boards}
        listed = []
        for name, boards in sorted(by_name.items()):
            address, written = addresses.dataset(name), ""
            path = self.store.root / "notes" / f"{name}.md"
            if "/" not in name and path.is_file():
                written, pictures = notes.render(path, address, beside)
                yield from pictures.items()
            content = dataset_page(self.store, name, boards)
            listed.append((content["title"], address, content["info"], sum(len(board.placed) for board in boards)))
            yield address, self._page("dataset", address, notes=written, **content)
        yield "datasets/index.html", self._page("datasets", "datasets/index.html", datasets=listed)

    def _papers(self) -> Iterator[tuple[str, bytes]]:
        boards = {board.protocol.name: board for board in self.boards}
        listed = []
        for paper in self.reported:
            address = addresses.paper(paper.source)
            listed.append((paper.source, address, len(paper.rows)))
            yield address, self._page("paper", address, **paper_page(paper, boards))
        listed.sort(key=lambda entry: (-(entry[0].year or 0), entry[0].short, entry[1]))
        yield "papers/index.html", self._page("papers", "papers/index.html", papers=listed)

    def _matrices(self) -> list[dict[str, Any]]:
        """Of each network that was tested on more than one dataset."""
        records = [record for record in self.store.records() if record.ranked]
        found = []
        for model in sorted({record.model for record in records if record.kind == "trained"}):
            for kind in KINDS_OF_TASKS:
                cells = collect(records, model, kind)
                if any(len(row) > 1 for row in cells.values()):
                    tested = list(dict.fromkeys(dataset for row in cells.values() for dataset in row))
                    found.append({"model": model, "kind": kind, "cells": cells, "tested": tested})
        return found


def read_site(store: Store, docs: str = "") -> Site:
    """Rank every board, for a site.

    Args:
        store: records, predictions, claims and notes.
        docs: the folder of the documentation, see :func:`fer_bench.site.pages.page`.

    Raises:
        RecordError: there is no record and no claim; or a record is damaged.
        SpecError: claims are wrong.
    """
    reported = read_reported(store.root / "reported")
    boards = build_boards(store, reported)
    if not boards:
        problem = f"there is nothing to show: no record in {store.results}, no claim in {store.root / 'reported'}."
        raise RecordError(problem, "`fer-bench run` makes a first record; FER_BENCH_LEADERBOARDS names another folder.")
    return Site(store, docs, boards, reported)


@functools.cache
def _static() -> tuple[tuple[str, bytes], ...]:
    """Styles and scripts; published from a branch, GitHub Pages would leave out what begins with an underscore."""
    found = [(".nojekyll", b"")]
    root = resources.files("fer_bench.site") / "static"
    for folder, prefix in ((root, "static"), (root / "vendor", "static/vendor")):
        found += [
            (f"{prefix}/{file.name}", file.read_bytes())
            for file in sorted(folder.iterdir(), key=lambda file: file.name)
            if file.is_file()
        ]
    return tuple(found)


def _exported(board: Board, kind: str) -> bytes:
    return export_board(board, _EXPORTED.get(kind, kind))


def _best_of_kinds(board: Board) -> list[Placed]:
    """The first row of each kind; people come last."""
    first: dict[str, Placed] = {}
    for placed in board.placed:
        first.setdefault(kind_of(placed.row), placed)
    return [first[kind] for kind in KINDS if kind in first]


def _best(placed: Placed, board: Board) -> dict[str, Any]:
    row, primary = placed.row, board.protocol.primary
    name = board.names[row.model, row.key]
    return {
        "kind": KINDS[kind_of(row)].title,
        "name": name,
        "short": shortened_name(name),
        "page": addresses.row(row),
        "value": short_score(row, primary),
        "unit": unit_sign(primary),
        "metric": name_of(primary),
        "seeds": len(row.records),
        "interval": short_interval(row, primary),
        "rank": rank_text(placed),
        "caveats": [*row.caveats, *trained_again(board, row)],
    }


def _folded(board: Board) -> list[tuple[str, str, str]]:
    names = row_names(board.folded)

    def line(row: Row) -> tuple[str, str, str]:
        return names[row.model, row.key], short_score(row, board.protocol.primary), addresses.row(row)

    return [line(row) for row in board.folded]
