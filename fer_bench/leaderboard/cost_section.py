"""The part of a board that sets scores against costs: which picture, and its text; pure but for the file that is
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fer_bench.leaderboard.cost_picture import Point, draw, is_of, within
from fer_bench.leaderboard.formatting import shortened_name, title
from fer_bench.leaderboard.rank import Board, Placed
from fer_bench.metrics import is_share, unit_sign
from fer_bench.results.costs import FOLDER

# Fewer rows make no picture.
_LEAST = 3
_GROUPS = {"ensemble": "ensemble"}


def picture_of(board: Board) -> str:
    """The file of a board's picture, below the folder of boards; empty where too few rows were measured."""
    return f"{FOLDER}/{board.protocol.name}.svg" if len(points_of(board)) >= _LEAST else ""


def points_of(board: Board) -> list[Point]:
    """The measured rows of a board."""
    names, primary = board.names, board.protocol.primary
    scale = 100.0 if is_share(primary) else 1.0
    found = []
    for placed in board.placed:
        cost = board.costs.get(placed.row.records[0].run_id)
        if cost is None:
            continue
        low, high = placed.row.interval(primary) or (None, None)
        found.append(
            Point(
                shortened_name(names[placed.row.model, placed.row.key]),
                _group(placed),
                cost.macs,
                round(scale * placed.value, 6),
                None if low is None else round(scale * low, 6),
                None if high is None else round(scale * high, 6),
            )
        )
    return found


def cost_section(board: Board) -> list[str]:
    """The picture of a board, with what must be known to read it."""
    file = picture_of(board)
    if not file:
        return []
    label, points = _label(board), points_of(board)
    below = len(points) - len(within(points, board.protocol.higher_is_better))
    missing = sum(placed.row.records[0].run_id not in board.costs for placed in board.placed)
    left_out = f" {missing} {'row was' if missing == 1 else 'rows were'} not measured." if missing else ""
    left_out += f" {below} {'is' if below == 1 else 'are'} far below the picture." if below else ""
    return [
        f"## {title(board.protocol.primary)} against cost",
        f"![{label} against multiply-adds for one face]({file})",
        (
            "Multiply-adds of all networks and views of a row, for one face; bars are 95 % intervals over test samples."
            f" On the line are the rows than which nothing cheaper is better.{left_out}"
        ),
    ]


def pictures(root: Path, boards: list[Board]) -> Mapping[Path, str]:
    """Pictures of boards, by path: those that are there as they are where they show the same."""
    found: dict[Path, str] = {}
    for board in boards:
        if not (file := picture_of(board)):
            continue
        path, points = root / file, points_of(board)
        drawn_of = points, _label(board), board.protocol.higher_is_better
        there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found[path] = there if is_of(there, *drawn_of) else draw(*drawn_of)
    return found


def _label(board: Board) -> str:
    primary = board.protocol.primary
    return f"{title(primary)}{unit_sign(primary)}".replace("\u00a0", " ")


def _group(placed: Placed) -> str:
    record = placed.row.records[0]
    return _GROUPS.get(record.kind) or ("several views" if record.spec.get("tta") else "one view")
