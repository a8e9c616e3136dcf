"""A board as the data of its page: every row, its scores as text and as numbers, and what it is filtered by; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fer_bench.counting import counted
from fer_bench.escaping import one_line
from fer_bench.leaderboard.costs import RowCost
from fer_bench.leaderboard.formatting import short_interval, short_score, shortened_name
from fer_bench.leaderboard.rank import Board, Placed
from fer_bench.leaderboard.ranking import KINDS, kind_of, of_values
from fer_bench.metrics import get, in_words, is_share, number, shown_of, title_of, unit_sign
from fer_bench.results.costs import Timing
from fer_bench.scoring.rows import Row
from fer_bench.site import addresses

_DIGITS = 6
# Shown at first, beside rank, model and score; the others can be chosen.
_AT_FIRST = ("macro_f1", "mean_auc", "valence/ccc", "arousal/ccc")
_HOURS = 3600.0
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Column:
    """A number of a row, as a column.

    Args:
        key: its name in the data.
        title: its heading.
        value: of a row; None where there is none.
        digits: after the point, of what is shown.
        percent: whether the value is a share that is shown in per cent.
        about: what it means, where the title does not say.
        shown: at first.
        cost: whether scores are plotted against it.
    """

    key: str
    title: str
    value: Callable[[Placed], float | None]
    digits: int = 2
    percent: bool = False
    about: str = ""
    shown: bool = False
    cost: bool = False


def name_of(metric: str) -> str:
    """Title of a metric, with that of its dimension."""
    dimension, _, name = metric.rpartition("/")
    return f"{dimension.capitalize()} {title_of(name)}".strip()


def board_data(board: Board) -> dict[str, Any]:
    """What a board's page shows in its table and plots.

    Args:
        board: with the boards of other copies of the data, whose rows are in it too.
    """
    protocol = board.protocol
    primary = protocol.primary
    boards = [board, *board.others]
    found = {kind_of(placed.row) for one in boards for placed in one.placed}
    columns = [column for column in _columns(board) if any(_has(column, one) for one in boards)]
    return {
        "protocol": protocol.name,
        "slug": addresses.slug(protocol.name),
        "title": one_line(protocol.title or protocol.name),
        "metric": name_of(primary),
        "inWords": in_words(primary),
        "unit": unit_sign(primary).strip(),
        "percent": is_share(primary),
        "higherIsBetter": protocol.higher_is_better,
        "kinds": {kind: about.title for kind, about in KINDS.items() if kind in found},
        "copies": [one.copy for one in boards if one.placed],
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "digits": column.digits,
                "percent": column.percent,
                "about": column.about,
                "shown": column.shown,
                "cost": column.cost,
            }
            for column in columns
        ],
        "rows": [line for one in boards for line in _rows(one, columns, "" if one is board else one.copy)],
    }


def _has(column: Column, board: Board) -> bool:
    return any(column.value(placed) is not None for placed in board.placed)


def _rows(board: Board, columns: list[Column], copy: str) -> Iterator[dict[str, Any]]:
    for placed in board.placed:
        address = {"id": addresses.row_id(placed.row, copy)}
        yield address | _line(board, placed, board.names[placed.row.model, placed.row.key], columns)


def _line(board: Board, placed: Placed, name: str, columns: list[Column]) -> dict[str, Any]:
    row, primary = placed.row, board.protocol.primary
    seeds = [value for record in row.records if (value := _plain(record.metrics.get(primary))) is not None]
    values = {column.key: column.value(placed) for column in columns}
    found: dict[str, Any] = {
        "name": one_line(name),
        "short": one_line(shortened_name(name)),
        "model": one_line(row.model),
        "kind": kind_of(row),
        "rank": [placed.rank, placed.last] if placed.rank is not None else None,
        "value": rounded(placed.value),
        "text": short_score(row, primary),
        "seeds": len(row.records),
        "interval": [rounded(end) for end in row.interval(primary) or ()] or None,
        "between": short_interval(row, primary),
        "year": year_of(row),
        "pretraining": pretraining(row),
        "caveats": [one_line(caveat) for caveat in row.caveats],
        "numbers": {key: rounded(value) for key, value in values.items() if value is not None},
    }
    if len(seeds) > 1:
        found["each"] = [rounded(value) for value in seeds]
    if again := trained_again(board, row):
        found["again"] = again
    if board.copy:
        found["copy"] = board.copy
    return found


def _columns(board: Board) -> list[Column]:
    protocol, primary = board.protocol, board.protocol.primary
    records = [record for one in (board, *board.others) for placed in one.placed for record in placed.row.records]
    if protocol.task.kind == "values":
        names = of_values(protocol)
    else:
        names = [metric.name for metric in shown_of(protocol.task.kind, [record.code for record in records])]
    scores = [_score(name) for name in names if name != primary]
    return [*scores, *_costs(board), *_OTHERS, *([_clean(primary)] if protocol.task.kind != "values" else [])]


def _score(name: str) -> Column:
    return Column(
        name,
        name_of(name) + unit_sign(name),
        lambda placed: placed.row.value(name),
        *_format(name),
        shown=name in _AT_FIRST,
    )


def _clean(primary: str) -> Column:
    return Column(
        f"clean/{primary}",
        f"Without duplicates{unit_sign(primary)}",
        lambda placed: placed.row.value(f"clean/{primary}"),
        *_format(primary),
        "the score on the test samples that have no near-duplicate in another split",
        shown=True,
    )


def _format(name: str) -> tuple[int, bool]:
    """Digits of a metric, and whether it is in per cent: as boards show it."""
    found = get(name.rsplit("/", 1)[-1])
    return (1, True) if is_share(name) else (found.decimals if found else 3, False)


def _costs(board: Board) -> list[Column]:
    """What one face costs the rows of a board."""
    about = "for one face, of all networks and views"
    return [
        Column("parameters", "Parameters (M)", partial(_parameters, board), shown=True, cost=True),
        Column("macs", "Multiply-adds (M)", partial(_macs, board), 1, about=about, cost=True),
        *_timed(board),
    ]


def _cost(board: Board, placed: Placed) -> RowCost | None:
    return board.costs.get(placed.row.records[0].run_id)


def _parameters(board: Board, placed: Placed) -> float | None:
    total, cost = placed.row.records[0].parameters.get("total"), _cost(board, placed)
    total = total if total is not None or cost is None else cost.parameters
    return None if total is None else total / 1e6


def _macs(board: Board, placed: Placed) -> float | None:
    cost = _cost(board, placed)
    return None if cost is None else cost.macs / 1e6


def _timed(board: Board) -> Iterator[Column]:
    """How fast rows of one network and one view are, on each device on which any was timed."""
    devices = sorted({_device(timing) for cost in board.costs.values() for timing in cost.timings})
    for i, device in enumerate(devices):
        # Titles stay short where there is one device, which the explanation names.
        more, key = (f", {device}", f"_{i}") if len(devices) > 1 else ("", "")
        for name, title, digits, about in _TIMED:
            value = partial(_timing, board, device, name)
            yield Column(f"{name}{key}", f"{title}{more}", value, digits, about=f"{about}, on {device}", cost=True)


def _timing(board: Board, device: str, name: str, placed: Placed) -> float | None:
    cost = _cost(board, placed)
    found = [timing for timing in (cost.timings if cost else ()) if _device(timing) == device]
    return _plain(getattr(found[0], name)) if found else None


_TIMED = (
    ("latency", "Latency (ms)", 2, "of one face, the median"),
    ("throughput", "Faces/s", 0, "in batches"),
    ("memory", "Memory (MB)", 0, "at the peak, of weights and one batch"),
)


def _device(timing: Timing) -> str:
    threads = "" if timing.threads is None else f", {counted(timing.threads, 'thread')}"
    return one_line(f"{timing.name}{threads}, {timing.precision}")


def _of_training(key: str, unit: float = 1.0) -> Callable[[Placed], float | None]:
    def mean(placed: Placed) -> float | None:
        values = [_plain(record.training.get(key)) for record in placed.row.records]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) / unit if known and len(known) == len(values) else None

    return mean


def _plain(value: Any) -> float | None:
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        else None
    )


_OTHERS = (
    Column(
        "hours",
        "Training (h)",
        _of_training("seconds", _HOURS),
        about="on the machine that the row's page names",
        cost=True,
    ),
    Column("epochs", "Epochs", _of_training("epochs"), 0),
    Column(
        "images_per_second",
        "Images/s in training",
        _of_training("images_per_second"),
        0,
        about="on the machine that the row's page names",
        cost=True,
    ),
)


def trained_again(board: Board, row: Row) -> list[str]:
    """What came of training a row again, in words; empty where nobody did."""
    said = [text for record in row.records for text in board.reproduced.get(record.run_id, ())]
    return [one_line(text.replace("**", "")) for text in dict.fromkeys(said)]


def rounded(value: float | None) -> float | None:
    """A number as it is in the data of pages: six significant digits, which are more than anybody sees."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{_DIGITS}g}")


def year_of(row: Row) -> int | None:
    """In which year a row was measured, the first of its runs."""
    years = [int(record.created[:4]) for record in row.records if record.created[:4].isdecimal()]
    return min(years, default=None)


def pretraining(row: Row) -> str:
    """What a row's network was trained on before, in one or two words."""
    record = row.records[0]
    if record.kind in ("ensemble", "human"):
        return ""
    if record.kind == "external":
        stated = record.training.get("trained_on")
        return one_line(" + ".join(map(str, stated))) if isinstance(stated, list) and stated else NOT_STATED
    if record.kind == "probe":
        return "frozen features"
    weights = record.spec.get("weights")
    if weights in (None, "", "none"):
        return "none"
    return {"imagenet": "ImageNet"}.get(str(weights), one_line(str(weights).rsplit("/", 1)[-1]))


def rank_text(placed: Placed) -> str:
    """A rank as a range, in words; a dash for people."""
    if placed.rank is None:
        return number(None, "")
    return str(placed.rank) if placed.rank == placed.last else f"{placed.rank} to {placed.last}"
