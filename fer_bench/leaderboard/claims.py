"""Claims of papers on a board's page: what was printed, under which conditions, and what is known of it; pure."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.escaping import markdown as escape
from fer_bench.leaderboard.formatting import URL, markdown_table, title
from fer_bench.leaderboard.rank import Board
from fer_bench.leaderboard.reported import Reported, ReportedRow, Source, Value
from fer_bench.metrics import METRICS, NONE, number, unit_sign
from fer_bench.protocols import Protocol

Claim = tuple[Source, ReportedRow]
_UNKNOWN = "not checked"


def claims(board: Board, reported: Sequence[Reported]) -> list[str]:
    """The section of a board's page with the claims on its protocol; empty without any.

    Args:
        board: its protocol decides which claims are shown.
        reported: claims of all papers.
    """
    primary = board.protocol.primary
    # Scores of single classes are shown by class.
    found = [(source, row) for source, row in claims_on(board.protocol, reported) if not _of_classes_alone(row)]
    if not found:
        return []
    checked = any(row.status for _, row in found)
    header = ["Model", "Setting", f"{title(primary)}{unit_sign(primary)}", "Other scores", "Where", "Notes"]
    if checked:
        # The best first: a reader looks for the highest number, and for what is known of it.
        sign = -1 if board.protocol.higher_is_better else 1
        found.sort(key=lambda pair: sign * pair[1].metrics[primary].mean if primary in pair[1].metrics else 2.0**60)
        header.insert(3, "Status")
    rows = []
    for source, row in found:
        cells = [
            escape(row.model),
            escape(setting_of(row)) or NONE,
            _claimed(row, primary),
            _others(row, primary),
            where(source, row),
            escape(row.notes) or NONE,
        ]
        if checked:
            cells.insert(3, ", ".join(row.status) or _UNKNOWN)
        rows.append(cells)
    sources = {source.short: source for source, _ in found}
    said = (
        "As printed in the papers; not measured here, and not ranked. Settings differ from this board's wherever the"
        " notes say so."
    )
    return [
        "## Claims of papers",
        said,
        markdown_table(header, rows, [name == header[2] for name in header]),
        *_known_of(found),
        "\n".join(f"- {_citation(source)}" for source in sources.values()),
    ]


def claims_on(protocol: Protocol, reported: Sequence[Reported]) -> list[Claim]:
    """What papers claim on a protocol, or on the plain one that it is a declared variant of."""
    names = (protocol.name, protocol.plain_name)
    return [(paper.source, row) for paper in reported for row in paper.rows if row.protocol in names]


def where(source: Source, row: ReportedRow) -> str:
    """Where a claim is printed."""
    return f"{escape(source.short)}, {escape(row.location)}"


def _of_classes_alone(row: ReportedRow) -> bool:
    return not row.metrics and bool(row.per_class or row.train_per_class)


def _known_of(found: Sequence[tuple[Source, ReportedRow]]) -> list[str]:
    """What each status rests on, a line a claim."""
    lines = [
        f"- {escape(row.model)} ({escape(source.short)}), {', '.join(row.status)}: "
        + " ".join(f"{escape(evidence.says)} {_address(evidence.url)}" for evidence in row.evidence)
        for source, row in found
        if row.evidence
    ]
    return ["What is known of these claims:", "\n".join(lines)] if lines else []


def setting_of(row: ReportedRow) -> str:
    """The paper's setting, and the conditions that decide what may be compared."""
    return "; ".join(
        part
        for part in (
            row.setting,
            row.pretraining and f"pretrained on {row.pretraining}",
            row.extra_data and f"extra data: {row.extra_data}",
            f"{row.views} views" if row.views and row.views > 1 else "",
            f"{row.members} networks" if row.members and row.members > 1 else "",
            f"{row.image_size} px" if row.image_size else "",
        )
        if part
    )


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


def _citation(source: Source) -> str:
    text = f"{source.short}: {source.authors} ({source.year or 'undated'}). {source.title}."
    if not source.url:
        return escape(text)
    return f"{escape(text)} {_address(source.url)}"


def _address(url: str) -> str:
    return f"<{url}>" if URL.fullmatch(url) else escape(url)
