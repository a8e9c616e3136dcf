"""What papers claim, on the page of a board: as printed, never ranked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.formatting import markdown_table, title
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.reported import Reported, ReportedRow, Source, Value
from fer_bench.metrics import METRICS, NONE, number, unit_sign

URL = re.compile(r"https?://[!-;=?-~]+")


def claims_of(board: Board, reported: Sequence[Reported]) -> list[str]:
    """The blocks of a board's page that say what papers claim: a table, and where it is printed; none without a
    claim.
    """
    primary = board.protocol.primary
    claims = [(paper.source, row) for paper in reported for row in paper.rows if row.protocol == board.protocol.name]
    if not claims:
        return []
    rows = [
        [
            escape(row.model),
            escape(row.setting) or NONE,
            _claimed(row, primary),
            _others(row, primary),
            _where(source, row),
            escape(row.notes) or NONE,
        ]
        for source, row in claims
    ]
    header = ["Model", "Setting", f"{title(primary)}{unit_sign(primary)}", "Other scores", "Where", "Notes"]
    sources = {source.short: source for source, _ in claims}
    listed = "\n".join(f"- {citation(source)}" for source in sources.values())
    said = (
        "As printed in the papers; not measured here, and not ranked. Settings differ from this board's wherever the"
        " notes say so."
    )
    return [
        "## Claims of papers",
        said,
        markdown_table(header, rows, [False, False, True, False, False, False]),
        listed,
    ]


def _claimed(row: ReportedRow, name: str) -> str:
    return _value(row.metrics[name], name) if name in row.metrics else NONE


def _others(row: ReportedRow, primary: str) -> str:
    return (
        ", ".join(
            f"{_claim_title(name)} {_value(value, name)}{unit_sign(name)}"
            for name, value in row.metrics.items()
            if name != primary
        )
        or NONE
    )


def _claim_title(name: str) -> str:
    """Papers also give scores of other splits (``train_accuracy``)."""
    split, _, rest = name.partition("_")
    return (
        f"{METRICS[rest].in_words} on {split}" if split in ("train", "validation") and rest in METRICS else title(name)
    )


def _value(value: Value, name: str) -> str:
    return number(value.mean, name) + ("" if value.std is None else f" ± {number(value.std, name)}")


def _where(source: Source, row: ReportedRow) -> str:
    return f"{escape(source.short)}, {escape(row.location)}"


def citation(source: Source) -> str:
    """A source in one line of Markdown; its address is a link where it is one."""
    text = f"{source.short}: {source.authors} ({source.year or 'undated'}). {source.title}."
    if not source.url:
        return escape(text)
    return f"{escape(text)} " + (f"<{source.url}>" if URL.fullmatch(source.url) else escape(source.url))
