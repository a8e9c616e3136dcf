"""Boards as Markdown; pure and deterministic. Text outside the markers is left unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from fer_bench.errors import FerBenchError
from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.claims import claims
from fer_bench.leaderboard.formatting import (
    URL,
    clean,
    corrupted,
    epochs,
    fold_mean,
    interval,
    link,
    markdown_table,
    mean_std,
    p_value,
    parameters,
    record_link,
    record_links,
    shorten,
    title,
)
from fer_bench.leaderboard.per_class import STATISTICS, category_means, per_class
from fer_bench.leaderboard.rank import Board, Placed
from fer_bench.leaderboard.reported import Reported
from fer_bench.leaderboard.rows import row_names
from fer_bench.leaderboard.significance import ALPHA
from fer_bench.leaderboard.split_comparison import side_by_side
from fer_bench.metrics import METRICS, NONE, is_share, number, shown_of, unit_sign
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.scoring.rows import metric

BEGIN = "<!-- fer_bench:begin -->"
END = "<!-- fer_bench:end -->"
_BESIDE = ("accuracy", "macro_f1", "balanced_accuracy", "ece")
# For classes as imbalanced as FindingEmo's, average precision and the scores of each class are reported.
_UNEVEN = "weighted_f1"
_BESIDE_OF_LABELS = ("map", "mean_auc", "binary_nll")
_BESIDE_OF_VALUES = ("ccc", "rmse", "rmse_scaled", "pcc", "icc31")
_UNIT = (-1.0, 1.0)
_MARKS = {
    "trained": "",
    "ensemble": " *ensemble*",
    "probe": " *probe*",
    "human": " *human*",
    "evaluated": " *evaluated*",
    "external": " *external*",
}
_PAIRS_NAMED = 10
# What an address keeps within a link in a table; brackets and bars would end either.
_IN_LINKS = ":/?#@!$&*+,;=%~"


class Column(NamedTuple):
    """A column of the ranking; omitted if it is empty in every row, unless ``keep`` is set."""

    title: str
    cell: Callable[[Placed], str]
    right: bool = True
    keep: bool = False


def board_markdown(board: Board, reported: Sequence[Reported]) -> str:
    """The generated part of a board's page.

    Args:
        board: the ranking.
        reported: claims of all papers; those on other protocols are skipped.
    """
    names = row_names([placed.row for placed in board.placed])
    protocol = board.protocol
    parts = [f"# {escape(protocol.title or protocol.name)}"]
    parts += [escape(protocol.about)] if protocol.about else []
    parts += [f"**{escape(', '.join(protocol.caveats))}**"] if protocol.caveats else []
    parts += [_copy_note(board)] if board.others else []
    parts += [_reading(board, names), _ranking(board, names)] if board.placed else ["Nothing was measured here yet."]
    parts += _folded(board)
    parts += _gains(board, names)
    parts += _per_class(board, names)
    parts += _over_folds(board, names)
    parts += _siblings(board, names)
    parts += _unranked(board)
    for other in board.others:
        parts += _other_copy(other)
    parts += claims(board, reported)
    return "\n\n".join(parts) + "\n"


def _copy_note(board: Board) -> str:
    n = len(board.others)
    others = "another copy has its own table" if n == 1 else f"{n} other copies have their own tables"
    return (
        f"Copies of these data differ from user to user. This table is of the copy `{board.copy}`; {others} below,"
        " because scores on different data cannot be compared."
    )


def _other_copy(board: Board) -> list[str]:
    """The table of another copy of the data."""
    names = row_names([placed.row for placed in board.placed])
    ranking = [_reading(board, names), _ranking(board, names)] if board.placed else ["Nothing is ranked on this copy."]
    return [f"## Copy `{board.copy}`", *ranking, *_folded(board), *_unranked(board)]


def index_markdown(boards: Sequence[Board], reported: Sequence[Reported]) -> str:
    """The generated part of the index: one line per board with its best row."""
    rows = []
    for board in sorted(boards, key=lambda board: board.protocol.name):
        protocol, best = board.protocol, board.best
        shared = sum(placed.rank == 1 for placed in board.placed if placed is not best)
        name = row_names([placed.row for placed in board.placed])[best.row.model, best.row.key] if best else ""
        label = "nothing measured yet"
        if best:
            remarks = "; ".join(
                [*best.row.caveats, *([f"{shared} more not significantly different"] if shared else [])]
            )
            label = f"{escape(name)}{_MARKS[best.row.kind]}" + (f" ({escape(remarks)})" if remarks else "")
        n_claims = sum(row.protocol == protocol.name for paper in reported for row in paper.rows)
        value = (
            f"{title(protocol.primary)} {mean_std(best.row, protocol.primary)}{unit_sign(protocol.primary)}"
            if best
            else NONE
        )
        cells = [link(protocol.title or protocol.name, f"{protocol.name}.md"), label, value]
        rows.append([*cells, str(len(board.placed)), str(board.n_records), str(len(board.unranked)), str(n_claims)])
    header = ["Leaderboard", "Best row", "Its score", "Rows", "Records", "Not ranked", "Claims of papers"]
    table = (
        markdown_table(header, rows, [False, False, False, True, True, True, True])
        if rows
        else "There is no leaderboard yet."
    )
    return (
        "\n\n".join(
            [
                "# Leaderboards",
                (
                    "Every number follows from a record and its stored predictions; `fer-bench verify` recomputes"
                    " them all."
                ),
                table,
            ]
        )
        + "\n"
    )


def place_between_markers(existing: str | None, generated: str, where: str) -> str:
    """A page with its generated part replaced.

    Args:
        existing: the page as it is; None for a new one. A page without markers gets them at its end.
        generated: the new generated part.
        where: the page's name, for the error.

    Raises:
        FerBenchError: markers that are not one pair in order, so that handwritten text cannot be recognised.
    """
    block = f"{BEGIN}\n{generated}{END}\n"
    if existing is None or not existing.strip():
        return block
    if BEGIN not in existing and END not in existing:
        return existing.rstrip("\n") + "\n\n" + block
    before, begin, rest = existing.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        problem = f"{where}: the markers {BEGIN} and {END} must occur once each, in this order."
        raise FerBenchError(problem, "Put them back around the generated part, or delete the file.")
    return before + block.rstrip("\n") + after


def _reading(board: Board, names: Mapping[tuple[str, str], str]) -> str:
    primary = title(board.protocol.primary)
    samples = f"{board.n_test:,} test samples"
    if board.n_duplicates:
        samples += (
            f", {board.n_duplicates:,} of which have a near-duplicate in another split; the column *without duplicates*"
            " leaves those out"
        )
    grouped = (
        " over whole clips or people"
        if any(metric(record.metrics, "n_groups") for placed in board.placed for record in placed.row.records)
        else ""
    )
    lines = [
        f"**How to read it.** Scored are {samples}. {primary} is the mean over seeds ± standard deviation (ddof 1); its"
        f" 95 % interval shows how much it would vary over other test sets of this size (bootstrap{grouped}; of"
        " several seeds, the mean of their ends)."
    ]
    if any(record.run_id in board.corrupted for placed in board.placed for record in placed.row.records):
        lines.append(
            "*Corrupted* is the mean over blurred, noisy, compressed, overexposed, low-contrast, small, rotated and"
            " partly occluded images, at five strengths each, and how far that is below the score on clean ones"
            " (`fer-bench evaluate RUN --corruptions`); rows without it were not measured."
        )
    if board.test:
        lines.append(
            f"*p* belongs to the difference from the row directly above, by {board.test}; it is not corrected for the"
            f" number of rows. Rows share a rank if they do not differ significantly (p ≥ {ALPHA}) from the first row"
            " of that rank: which of them is listed first means nothing."
        )
        lines.append(_significant(board, names))
    else:
        lines.append("Differences were not tested: the order may be due to chance.")
    return " ".join(lines)


def _significant(board: Board, names: Mapping[tuple[str, str], str]) -> str:
    """Which neighbouring rows differ, in words."""
    if len(board.placed) < 2:
        return "There is one row: nothing to compare it with."
    pairs = [
        f"{escape(names[above.row.model, above.row.key])} over {escape(names[below.row.model, below.row.key])}"
        for above, below in zip(board.placed, board.placed[1:], strict=False)
        if below.p_above is not None and below.p_above < ALPHA
    ]
    if not pairs:
        return "No two neighbouring rows differ significantly."
    more = f", and {len(pairs) - _PAIRS_NAMED} more" if len(pairs) > _PAIRS_NAMED else ""
    return (
        f"Of the {len(board.placed) - 1} differences between neighbouring rows, {len(pairs)} are significant:"
        f" {'; '.join(pairs[:_PAIRS_NAMED])}{more}."
    )


def _ranking(board: Board, names: Mapping[tuple[str, str], str]) -> str:
    columns = _columns(board, names)
    cells = [[column.cell(placed) for placed in board.placed] for column in columns]
    shown = [i for i, column in enumerate(columns) if column.keep or any(cell != NONE for cell in cells[i])]
    rows = list(zip(*(cells[i] for i in shown), strict=True))
    return markdown_table([columns[i].title for i in shown], rows, [columns[i].right for i in shown])


def _columns(board: Board, names: Mapping[tuple[str, str], str]) -> list[Column]:
    primary, kind = board.protocol.primary, board.protocol.task.kind
    sign = unit_sign(primary)
    shown = {"classes": _of_classes(primary), "labels": _BESIDE_OF_LABELS}.get(kind) or _of_values(board.protocol)
    beside = [name for name in shown if name != primary]
    return [
        Column("Rank", lambda p: NONE if p.rank is None else str(p.rank), keep=True),
        Column(
            "Model", lambda p: escape(names[p.row.model, p.row.key]) + _mark(p.row.records[0]), right=False, keep=True
        ),
        Column(f"{title(primary)}{sign}", lambda p: f"**{mean_std(p.row, primary)}**", keep=True),
        Column("95 % interval", lambda p: interval(p.row, primary)),
        Column(f"Mean of folds{sign}", lambda p: fold_mean(p.row, primary)),
        Column(f"By the dataset's own labels{sign}", lambda p: number(p.row.by_own_labels(primary), primary)),
        Column(f"Without duplicates{sign} (n)", lambda p: clean(p.row, primary)),
        Column(f"Corrupted{sign} (drop)", lambda p: corrupted(p.row, primary, board.corrupted)),
        *(
            Column(f"{title(name)}{unit_sign(name)}", lambda p, name=name: number(p.row.value(name), name))  # type: ignore[misc]
            for name in (*beside, *_of_plugins(board))
        ),
        Column("Parameters (M)", lambda p: parameters(p.row)),
        Column("Runs by seed", lambda p: record_links(p.row.records), right=False, keep=True),
        Column("Epochs", lambda p: epochs(p.row)),
        Column("p", lambda p: p_value(p.p_above)),
        Column("Caveats", lambda p: escape("; ".join(p.row.caveats)) or NONE, right=False),
    ]


def _mark(record: Record) -> str:
    """The kind of a record, behind its name; of predictions from elsewhere, a link to where they are described."""
    mark, reference = _MARKS[record.kind], record.training.get("reference")
    if record.kind == "external" and isinstance(reference, str) and URL.fullmatch(reference):
        return f" [{mark.strip()}]({quote(reference, safe=_IN_LINKS)})"
    return mark


def _of_classes(primary: str) -> tuple[str, ...]:
    return ("macro_ap", *_BESIDE) if primary == _UNEVEN else _BESIDE


def _of_plugins(board: Board) -> list[str]:
    """The metrics of plugins that records of the board state."""
    codes = [record.code for placed in board.placed for record in placed.row.records]
    return [found.name for found in shown_of(board.protocol.task.kind, codes) if found.name not in METRICS]


def _of_values(protocol: Protocol) -> list[str]:
    """Each dimension's scores; errors in the dataset's units and, where those differ from it, on the common scale."""
    names = [name for name in _BESIDE_OF_VALUES if name != "rmse_scaled" or protocol.scale != _UNIT]
    single = len(protocol.task.dimensions) < 2
    return [
        f"{dimension}/{name}"
        for dimension in protocol.task.dimensions
        for name in names
        if not (single and name == protocol.primary)
    ]


def _folded(board: Board) -> list[str]:
    """Ensembles that the table omits."""
    if not board.folded:
        return []
    primary, n = board.protocol.primary, len(board.folded)
    ordered = sorted(board.folded, key=lambda row: (-(row.value(primary) or 0.0), row.key))
    listed = ", ".join(link(number(row.value(primary), primary), record_link(row.records[0])) for row in ordered)
    return [
        "Of ensembles that were built in the same way from candidates of the same kind, the table shows the one that"
        f" is best on validation. {n} more {'is' if n == 1 else 'are'} on record"
        f" ({title(primary)}{unit_sign(primary)}): {listed}."
    ]


def _gains(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """What late fusion adds to a subset of its streams."""
    if not board.gains:
        return []
    primary = board.protocol.primary
    about = (
        "Late fusion against rows with some of its streams, each at the learning rate and loss that are best on"
        f" validation; significant is p < {ALPHA}, by {board.test or 'no test'}."
    )
    header = ["With", "Without", f"{title(primary)}{unit_sign(primary)} with", "without", "Difference", "p", "Verdict"]
    rows = [
        [
            *(escape(names[row.model, row.key]) for row in (gain.fused, gain.part)),
            *(mean_std(row, primary) for row in (gain.fused, gain.part)),
            f"{gain.difference * (100 if is_share(primary) else 1):+.2f}",
            p_value(gain.p),
            f"**{gain.verdict(board.protocol.higher_is_better)}**",
        ]
        for gain in board.gains
    ]
    return [
        "## Gain from additional streams",
        about,
        markdown_table(header, rows, [False, False, True, True, True, True, False]),
    ]


def _per_class(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """Recall, precision and F1 of each class, where the classes are imbalanced; of several labels the average precision
    of each.
    """
    if board.protocol.task.kind == "labels":
        return _by_category(board, names)
    labels = board.protocol.task.labels
    if labels is None or board.protocol.primary != _UNEVEN or not board.placed:
        return []
    rows = [
        [
            escape(names[placed.row.model, placed.row.key]),
            *(" / ".join(number(scores[name], _UNEVEN) for name in STATISTICS) for scores in found),
        ]
        for placed in board.placed
        if (found := per_class(placed.row, len(labels)))
    ]
    about = "Recall / precision / F1 in %, means over seeds."
    return [
        "## By class",
        about,
        markdown_table(["Model", *(escape(name) for name in labels.names)], rows, [False] + [True] * len(labels)),
    ]


def _by_category(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    if not board.placed:
        return []
    categories = board.protocol.task.dimensions
    found = [category_means(placed.row, len(categories)) for placed in board.placed]
    header = ["Category", *(escape(names[placed.row.model, placed.row.key]) for placed in board.placed)]
    rows = [[escape(name), *(number(values[k], "map") for values in found)] for k, name in enumerate(categories)]
    about = "Average precision in %, means over seeds."
    return ["## By category", about, markdown_table(header, rows, [False] + [True] * len(found))]


def _over_folds(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """The other reading of every measure of a cross-validation: mean over folds."""
    primary = board.protocol.primary
    if board.protocol.task.kind != "values":
        return []
    shown = [primary, *(name for name in _of_values(board.protocol) if name != primary)]
    rows = [
        [escape(names[placed.row.model, placed.row.key]), *(fold_mean(placed.row, name) for name in shown)]
        for placed in board.placed
        if fold_mean(placed.row, primary) != NONE
    ]
    if not rows:
        return []
    about = (
        "Each fold scored by itself: mean over folds ± standard deviation (ddof 1). The ranking is of all samples"
        " together; papers that print means over folds are to be compared with this table."
    )
    table = markdown_table(["Model", *(title(name) for name in shown)], rows, [False] + [True] * len(shown))
    return ["## Mean over folds", about, table]


def _siblings(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """The same settings under other splits of the same dataset."""
    primary = board.protocol.primary
    found = side_by_side(board.protocol, [placed.row for placed in board.placed], board.siblings)
    if not board.siblings:
        return []
    links = [link(s.protocol.title, f"{s.protocol.name}.md") + _remark(s.protocol) for s in board.siblings]
    about = f"This board: {escape(board.protocol.title)}{_remark(board.protocol)}. Other splits: {'; '.join(links)}."
    if not found:
        return ["## Under other splits", about + " No settings were run under both."]
    header = [
        "Model",
        f"{title(primary)} here",
        *(f"{title(primary)}, {escape(s.protocol.variant or 'declared folds')}" for s in board.siblings),
    ]
    rows = [
        [escape(names[e.row.model, e.row.key]), *(number(value, primary) for value in (e.here, *e.there))]
        for e in found
    ]
    return ["## Under other splits", about, markdown_table(header, rows, [False] + [True] * (len(header) - 1))]


def _remark(protocol: Protocol) -> str:
    return f" (**{escape('; '.join(protocol.caveats))}**)" if protocol.caveats else ""


def _unranked(board: Board) -> list[str]:
    if not board.unranked:
        return []
    primary = board.protocol.primary
    rows = []
    for entry in board.unranked:
        record = entry.record
        name = f"{escape(record.model + (f' ({record.recipe})' if record.recipe else ''))}{_mark(record)}"
        value = metric(record.metrics, primary) if record.status == "finished" else None
        rows.append(
            [name, link(record.run_id, record_link(record)), number(value, primary), escape(shorten(entry.reason))]
        )
    return [
        "## Not ranked",
        "Records that are left out of the ranking, and why.",
        markdown_table(
            ["Model", "Record", f"{title(primary)}{unit_sign(primary)}", "Reason"], rows, [False, False, True, False]
        ),
    ]
