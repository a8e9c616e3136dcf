"""The ranking of a board as tables that fit a page: the best of each kind, then rows by network; pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from fer_bench.escaping import markdown as escape
from fer_bench.escaping import one_line
from fer_bench.leaderboard.formatting import (
    NBSP,
    URL,
    clean_value,
    corrupted,
    epochs,
    link,
    markdown_table,
    parameters,
    record_folder,
    record_link,
    short_interval,
    short_score,
    shortened_name,
    title,
)
from fer_bench.leaderboard.rank import Board, Placed
from fer_bench.metrics import METRICS, NONE, number, shown_of, unit_sign
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row, metric

# A board of this many rows is one table: there is nothing to group.
_FEW = 10
_BESIDE = ("accuracy", "macro_f1", "balanced_accuracy", "ece")
# For classes as imbalanced as FindingEmo's, average precision and the scores of each class are reported.
UNEVEN = "weighted_f1"
_BESIDE_OF_LABELS = ("mean_auc", "binary_nll")
_BESIDE_OF_VALUES = ("ccc", "rmse", "rmse_scaled", "pcc", "icc31")
_UNIT = (-1.0, 1.0)
# What an address keeps within a link in a table; brackets and bars would end either.
_IN_LINKS = ":/?#@!$&*+,;=%~"
_LIVE_IN_TITLES = re.compile(r"""[\\"'`*<>|$@\[\]{}~&#!^]""")
_DIGEST_SHOWN = 10
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Names = Mapping[tuple[str, str], str]


class Kind(NamedTuple):
    """A kind of row.

    Args:
        title: of its best row.
        section: of all its rows.
        mark: behind the name of a row among rows of other kinds.
    """

    title: str
    section: str
    mark: str


KINDS = {
    "single": Kind("Single network, one view", "Networks", ""),
    "views": Kind("Single network, several views", "Networks", ""),
    "evaluated": Kind("Network trained on other data", "Networks", " *evaluated*"),
    "ensemble": Kind("Ensemble", "Ensembles", " *ensemble*"),
    "probe": Kind("Frozen features", "Frozen features", " *probe*"),
    "external": Kind("Predictions from outside", "Predictions from outside", " *external*"),
    "human": Kind("People", "People", " *human*"),
}


class Column(NamedTuple):
    """A column; omitted if it is empty in every row, unless ``keep`` is set."""

    title: str
    cell: Callable[[Placed], str]
    right: bool = True
    keep: bool = False


def kind_of(row: Row) -> str:
    """The key in :data:`KINDS` of a row."""
    if row.kind != "trained":
        return row.kind
    return "views" if row.records[0].spec.get("tta") else "single"


def mark(record: Record) -> str:
    """The kind of a record, behind its name; of predictions from elsewhere, a link to where they are described."""
    found, reference = KINDS.get(record.kind, KINDS["single"]).mark, record.training.get("reference")
    if record.kind == "external" and isinstance(reference, str) and URL.fullmatch(reference):
        return f" [{found.strip()}]({quote(reference, safe=_IN_LINKS)})"
    return found


def ranking(board: Board, names: Names) -> list[str]:
    """The tables of a board's ranked rows, and what their marks mean.

    Args:
        board: with at least one row.
        names: of rows, by model and key.
    """
    notes = _Notes()
    if len(board.placed) <= _FEW:
        parts = [_table(board.placed, _columns(board, names, notes))]
    else:
        parts = [_best(board, names, notes), *_sections(board, names, notes)]
    parts += _folded(board)
    parts += notes.text()
    return [*parts, *_other_scores(board, names)]


class _Notes:
    """Caveats as numbered notes below the tables, in the order of their first row."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, caveats: Iterable[str]) -> str:
        numbers = [self._known.setdefault(caveat, len(self._known) + 1) for caveat in caveats]
        return "".join(f" {str(n).translate(_SUPERSCRIPTS)}" for n in numbers)

    def text(self) -> list[str]:
        lines = [f"{str(n).translate(_SUPERSCRIPTS)} {escape(caveat)}" for caveat, n in self._known.items()]
        return ["; ".join(lines) + "."] if lines else []


def _best(board: Board, names: Names, notes: _Notes) -> str:
    """The first row of each kind; people come last."""
    first: dict[str, Placed] = {}
    for placed in board.placed:
        first.setdefault(kind_of(placed.row), placed)
    rows = [first[kind] for kind in KINDS if kind in first]
    columns = _columns(board, names, notes, marked=False)
    kind = Column("Best of", lambda placed: KINDS[kind_of(placed.row)].title, right=False, keep=True)
    return _table(rows, [kind, *columns])


def _sections(board: Board, names: Names, notes: _Notes) -> list[str]:
    parts: list[str] = []
    for section in dict.fromkeys(kind.section for kind in KINDS.values()):
        rows = [placed for placed in board.placed if KINDS[kind_of(placed.row)].section == section]
        if not rows:
            continue
        parts.append(f"## {section}")
        marked = section == "Networks"
        columns = _columns(board, names, notes, marked=marked)
        if section in ("Networks", "Frozen features"):
            groups = _by_model(rows)
            chosen = {id(_chosen(group, board.protocol)) for group in groups}
            shown = [placed for placed in rows if id(placed) in chosen]
            parts.append(_table(shown, columns))
            if len(shown) < len(rows):
                everything = _table([placed for group in groups for placed in group], columns)
                how = _how(groups, board.protocol)
                summary = f"All {len(rows)} rows, by network; above is the one of each that {how}"
                parts.append(_details(summary, everything))
        elif section == "Ensembles":
            parts.append(
                _details(f"{len(rows)} {'ensemble' if len(rows) == 1 else 'ensembles'}", _table(rows, columns))
            )
        else:
            parts.append(_table(rows, columns))
    return parts


def _by_model(rows: Sequence[Placed]) -> list[list[Placed]]:
    """Rows by network, in the order of each network's first."""
    groups: dict[str, list[Placed]] = {}
    for placed in rows:
        groups.setdefault(placed.row.model, []).append(placed)
    return list(groups.values())


def _chosen(group: Sequence[Placed], protocol: Protocol) -> Placed:
    """The row that is best on validation; the first of them where none says how it did there."""
    sign = 1.0 if protocol.higher_is_better else -1.0
    known = {id(placed): _on_validation(placed, protocol) for placed in group}
    return max(group, key=lambda placed: -math.inf if (value := known[id(placed)]) is None else sign * value)


def _how(groups: Sequence[Sequence[Placed]], protocol: Protocol) -> str:
    several = [group for group in groups if len(group) > 1]
    known = all(any(_on_validation(placed, protocol) is not None for placed in group) for group in several)
    return "is best on validation" + ("" if known else "; where none is known, the one that is best on test")


def _on_validation(placed: Placed, protocol: Protocol) -> float | None:
    """Mean over the seeds of a row; None where one has none."""
    values = [metric(record.validation_metrics or {}, protocol.primary) for record in placed.row.records]
    return None if None in values else math.fsum(value for value in values if value is not None) / len(values)


def _folded(board: Board) -> list[str]:
    """Ensembles that the tables omit."""
    if not board.folded:
        return []
    primary, n = board.protocol.primary, len(board.folded)
    sign = -1.0 if board.protocol.higher_is_better else 1.0
    ordered = sorted(board.folded, key=lambda row: (sign * (row.value(primary) or 0.0), row.key))
    listed = ", ".join(link(number(row.value(primary), primary), record_link(row.records[0])) for row in ordered)
    about = (
        "Of ensembles that were built in the same way from candidates of the same kind, one is ranked: the best on"
        f" validation. {title(primary)}{unit_sign(primary)} of the others: {listed}."
    )
    return [_details(f"{n} more {'ensemble' if n == 1 else 'ensembles'} on record, not ranked", about)]


def _details(summary: str, content: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n\n</details>"


def _table(rows: Sequence[Placed], columns: Sequence[Column]) -> str:
    cells = [[column.cell(placed) for placed in rows] for column in columns]
    shown = [i for i, column in enumerate(columns) if column.keep or any(cell != NONE for cell in cells[i])]
    lines = list(zip(*(cells[i] for i in shown), strict=True))
    return markdown_table([columns[i].title for i in shown], lines, [columns[i].right for i in shown])


def _columns(board: Board, names: Names, notes: _Notes, *, marked: bool = True) -> list[Column]:
    """At most seven, of which the first four are always there."""
    protocol, primary = board.protocol, board.protocol.primary
    sign = unit_sign(primary)

    short = _short_names(names)

    def name(placed: Placed) -> str:
        record, key = placed.row.records[0], (placed.row.model, placed.row.key)
        text = _named(names[key], short[key], record_link(record))
        again = dict.fromkeys(said for one in placed.row.records for said in board.reproduced.get(one.run_id, ()))
        return text + (mark(record) if marked else "") + notes.of([*placed.row.caveats, *again])

    beside = [_second(protocol)] if protocol.task.kind == "classes" else []
    if protocol.task.kind == "labels":
        beside = list(_BESIDE_OF_LABELS[:1])
    if protocol.task.kind == "values" and len(protocol.task.dimensions) > 1:
        beside = [f"{dimension}/ccc" for dimension in protocol.task.dimensions][:2]
    return [
        Column("Rank", _range, keep=True),
        Column("Model", name, right=False, keep=True),
        Column(f"{title(primary)}{sign}", lambda p: _score(p, primary), keep=True),
        Column("95 % interval", lambda p: short_interval(p.row, primary), keep=True),
        *(Column(_head(each), lambda p, each=each: short_score(p.row, each, seeds=False)) for each in beside),  # type: ignore[misc]
        Column(f"Without duplicates{sign}", lambda p: clean_value(p.row, primary)),
        Column("Parameters (M)", lambda p: parameters(p.row)),
    ]


def _second(protocol: Protocol) -> str:
    return next(name for name in _of_classes(protocol.primary) if name != protocol.primary)


def _head(name: str) -> str:
    return f"{title(name)}{unit_sign(name)}"


def _short_names(names: Names) -> dict[tuple[str, str], str]:
    """Names that fit their column, no two of them equal."""
    short = {key: shortened_name(name) for key, name in names.items()}
    times = Counter(short.values())
    return {key: name if times[name] == 1 else f"{name}: {key[1][:_DIGEST_SHOWN]}" for key, name in short.items()}


def _named(name: str, short: str, target: str) -> str:
    """A link to a record under a short name; the whole name where one points at it."""
    if short == name:
        return link(name, target)
    # In an attribute, the elements that part what is alive elsewhere would be shown.
    whole = _LIVE_IN_TITLES.sub(lambda found: f"&#{ord(found.group())};", one_line(name))
    return f'{link(short, target)[:-1]} "{whole}")'


def _range(placed: Placed) -> str:
    if placed.rank is None or placed.last is None:
        return NONE
    return str(placed.rank) if placed.rank == placed.last else f"{placed.rank}{NBSP}to{NBSP}{placed.last}"


def _score(placed: Placed, primary: str) -> str:
    """Mean ± standard deviation (seeds), bold where the row may be the best."""
    text, n = short_score(placed.row, primary), len(placed.row.records)
    text = f"**{text}**" if placed.rank == 1 else text
    return text if n == 1 else f"{text}{NBSP}{link(f'({n})', record_folder(placed.row.records[0]))}"


def _other_scores(board: Board, names: Names) -> list[str]:
    """What has no place in eight columns: other metrics, and epochs; of values a table a dimension."""
    tables: list[str] = []
    primary = board.protocol.primary
    for about, metrics in _groups_of_metrics(board):
        columns = [
            Column("Model", lambda p: escape(names[p.row.model, p.row.key]), right=False, keep=True),
            *(Column(_head(name), lambda p, name=name: number(p.row.value(name), name)) for name in metrics),  # type: ignore[misc]
        ]
        if not tables:
            columns += [
                Column(f"By the dataset's own labels{unit_sign(primary)}", _own_labels(primary)),
                Column(f"Corrupted{unit_sign(primary)} (drop)", lambda p: corrupted(p.row, primary, board.corrupted)),
                Column("Epochs", lambda p: epochs(p.row)),
                Column("Multiply-adds (M)", lambda p: _macs(board, p)),
            ]
        table = _table(board.placed, columns)
        tables.append(f"{about}\n\n{table}" if about else table)
    return [_details("Other scores of every row", "\n\n".join(tables))] if tables else []


def _macs(board: Board, placed: Placed) -> str:
    """Multiply-adds for one face, in millions."""
    cost = board.costs.get(placed.row.records[0].run_id)
    return NONE if cost is None else f"{cost.macs / 1e6:,.1f}"


def _own_labels(primary: str) -> Callable[[Placed], str]:
    return lambda placed: number(placed.row.by_own_labels(primary), primary)


def _groups_of_metrics(board: Board) -> list[tuple[str, list[str]]]:
    protocol = board.protocol
    plugins = [
        found.name
        for found in shown_of(protocol.task.kind, [r.code for p in board.placed for r in p.row.records])
        if found.name not in METRICS
    ]
    if protocol.task.kind == "classes":
        beside = [name for name in _of_classes(protocol.primary) if name != protocol.primary]
        return [("", [*beside, *plugins])]
    if protocol.task.kind == "labels":
        return [("", [*_BESIDE_OF_LABELS, *plugins])]
    single = len(protocol.task.dimensions) < 2
    found = [
        (
            "" if single else f"{dimension.capitalize()}:",
            [name for name in of_values(protocol) if name.startswith(f"{dimension}/")],
        )
        for dimension in protocol.task.dimensions
    ]
    return [*found, *([("", plugins)] if plugins else [])]


def of_values(protocol: Protocol) -> list[str]:
    """Each dimension's scores; errors in the dataset's units and, where those differ from it, on the common scale."""
    names = [name for name in _BESIDE_OF_VALUES if name != "rmse_scaled" or protocol.scale != _UNIT]
    single = len(protocol.task.dimensions) < 2
    return [
        f"{dimension}/{name}"
        for dimension in protocol.task.dimensions
        for name in names
        if not (single and name == protocol.primary)
    ]


def _of_classes(primary: str) -> tuple[str, ...]:
    return ("macro_ap", *_BESIDE) if primary == UNEVEN else ("macro_f1", *(x for x in _BESIDE if x != "macro_f1"))
