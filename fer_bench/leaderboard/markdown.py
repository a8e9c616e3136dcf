"""Boards as Markdown; pure and deterministic. Text outside the markers is left unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fer_bench.errors import FerBenchError
from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.by_class import by_class, on_train
from fer_bench.leaderboard.claims import claims, claims_on
from fer_bench.leaderboard.cost_section import cost_section
from fer_bench.leaderboard.formatting import (
    fold_mean,
    link,
    markdown_table,
    mean_std,
    p_value,
    record_link,
    shorten,
    title,
)
from fer_bench.leaderboard.per_class import category_means
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.ranking import mark, of_values, ranking
from fer_bench.leaderboard.reported import Reported
from fer_bench.leaderboard.significance import ALPHA
from fer_bench.leaderboard.split_comparison import side_by_side
from fer_bench.metrics import NONE, number, unit_sign
from fer_bench.protocols import Protocol
from fer_bench.scoring.rows import metric

BEGIN = "<!-- fer_bench:begin -->"
END = "<!-- fer_bench:end -->"
# Of several labels, rows whose categories are shown.
_BY_CATEGORY = 4
_EXPLAINED = "../docs/scores.md"


def board_markdown(board: Board, reported: Sequence[Reported]) -> str:
    """The generated part of a board's page.

    Args:
        board: the ranking.
        reported: claims of all papers; those on other protocols are skipped.
    """
    names = board.names
    protocol = board.protocol
    parts = [f"# {escape(protocol.title or protocol.name)}"]
    parts += [escape(protocol.about)] if protocol.about else []
    parts += [f"**{escape(', '.join(protocol.caveats))}**"] if protocol.caveats else []
    parts += [_copy_note(board)] if board.others else []
    parts += [_reading(board), *ranking(board, names)] if board.placed else ["Nothing was measured here yet."]
    parts += cost_section(board)
    parts += _gains(board, names)
    parts += _by_category(board, names) if board.protocol.task.kind == "labels" else by_class(board, names, reported)
    parts += on_train(board, names, reported)
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
    names = board.names
    ranked = [_reading(board), *ranking(board, names)] if board.placed else ["Nothing is ranked on this copy."]
    return [f"## Copy `{board.copy}`", *ranked, *_unranked(board)]


def index_line(board: Board, reported: Sequence[Reported]) -> list[str]:
    """The cells of a board in the index: its best row."""
    protocol, best = board.protocol, board.best
    shared = sum(placed.rank == 1 for placed in board.placed if placed is not best)
    name = board.names[best.row.model, best.row.key] if best else ""
    label = "nothing measured yet"
    if best:
        remarks = "; ".join([*best.row.caveats, *([f"{shared} more not significantly different"] if shared else [])])
        label = f"{escape(name)}{mark(best.row.records[0])}" + (f" ({escape(remarks)})" if remarks else "")
    n_claims = len(claims_on(protocol, reported))
    value = (
        f"{title(protocol.primary)} {mean_std(best.row, protocol.primary)}{unit_sign(protocol.primary)}"
        if best
        else NONE
    )
    cells = [link(protocol.title or protocol.name, f"{protocol.name}.md"), label, value]
    return [*cells, str(len(board.placed)), str(board.n_records), str(len(board.unranked)), str(n_claims)]


def index_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The generated part of the index, of the cells of :func:`index_line` of each board, by name."""
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


def _reading(board: Board) -> str:
    """Three lines: what is scored, what a rank is, what stands in brackets."""
    primary = title(board.protocol.primary)
    samples = f"{board.n_test:,} test samples"
    clean = max((n for placed in board.placed if (n := placed.row.value("clean/n")) is not None), default=None)
    if board.n_duplicates and clean:
        samples += f"; *without duplicates*: the {int(clean):,} that have no near-duplicate in another split"
    elif board.n_duplicates:
        samples += f", of which {board.n_duplicates:,} have a near-duplicate in another split"
    states = {bool(metric(record.metrics, "n_groups")) for placed in board.placed for record in placed.row.records}
    grouped = " (whole clips or people)" if states == {True} else ""
    if len(states) == 2:
        grouped = " (whole clips or people in the rows of newer records, single samples in the others)"
    lines = [
        f"{primary} on {samples}. *67.7 ± 0.1 (3)*: mean and standard deviation of three seeds; without brackets, one"
        f" seed. The interval is over test samples{grouped}."
    ]
    if board.test:
        lines.append(
            "A rank is the range that it is in with 95 % confidence, for all rows together; **bold** may be the best."
        )
        lines.append(f"Rows were compared {board.test}. [How scores and ranks are computed]({_EXPLAINED}).")
    else:
        lines.append("Differences were not tested: the order may be due to chance.")
    return "\n".join(f"- {line}" for line in lines)


def _gains(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """What late fusion adds to a subset of its streams."""
    if not board.gains:
        return []
    primary = board.protocol.primary
    about = (
        "Late fusion against rows with some of its streams, each at the learning rate and loss that are best on"
        f" validation; significant is p < {ALPHA}, {board.test or 'not tested'}."
    )
    header = ["With", "Without", f"{title(primary)}{unit_sign(primary)} with", "without", "Difference", "p", "Verdict"]
    rows = [
        [
            *(escape(names[row.model, row.key]) for row in (gain.fused, gain.part)),
            *(mean_std(row, primary) for row in (gain.fused, gain.part)),
            ("+" if gain.difference >= 0 else "") + number(gain.difference, primary),
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


def _by_category(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """Average precision of each category, of as many rows as fit a page."""
    shown, categories = board.placed[:_BY_CATEGORY], board.protocol.task.dimensions
    if not shown:
        return []
    found = [category_means(placed.row, len(categories)) for placed in shown]
    header = ["Category", *(escape(names[placed.row.model, placed.row.key]) for placed in shown)]
    rows = [[escape(name), *(number(values[k], "map") for values in found)] for k, name in enumerate(categories)]
    about = "Average precision in %, means over seeds" + (
        ", of the first rows." if len(board.placed) > len(shown) else "."
    )
    return ["## By category", about, markdown_table(header, rows, [False] + [True] * len(found))]


def _over_folds(board: Board, names: Mapping[tuple[str, str], str]) -> list[str]:
    """The other reading of every measure of a cross-validation: mean over folds."""
    primary = board.protocol.primary
    if board.protocol.task.kind != "values":
        return []
    shown = [primary, *(name for name in of_values(board.protocol) if name != primary)]
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
        f"{title(primary)}{unit_sign(primary)} here",
        *(f"{title(primary)}{unit_sign(primary)}, {escape(_split_of(s.protocol))}" for s in board.siblings),
    ]
    rows = [
        [escape(names[e.row.model, e.row.key]), *(number(value, primary) for value in (e.here, *e.there))]
        for e in found
    ]
    return ["## Under other splits", about, markdown_table(header, rows, [False] + [True] * (len(header) - 1))]


def _split_of(protocol: Protocol) -> str:
    return protocol.variant or ("declared folds" if protocol.fold_by else "plain split")


def _remark(protocol: Protocol) -> str:
    return f" (**{escape('; '.join(protocol.caveats))}**)" if protocol.caveats else ""


def _unranked(board: Board) -> list[str]:
    if not board.unranked:
        return []
    primary = board.protocol.primary
    rows = []
    for entry in board.unranked:
        record = entry.record
        name = f"{escape(record.model + (f' ({record.recipe})' if record.recipe else ''))}{mark(record)}"
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
