"""report(): one self-contained page, and its figures as files next to it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_bench import __version__
from fer_bench.atomic import write_atomically
from fer_bench.errors import HardwareError, RecordError
from fer_bench.html import page_templates
from fer_bench.metrics import NONE, is_share, title_of
from fer_bench.protocols import PROTOCOLS, Protocol
from fer_bench.report import figures
from fer_bench.report.robustness import draw_corrupted
from fer_bench.report.rows import Section, Shown, Table, build_section, finished_rows, name_of_row
from fer_bench.results import corruptions
from fer_bench.results.protocol import protocol_of
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row

PAGE = "report.html"
MOST_ROWS = 10


def report(
    store: Store,
    reference: str,
    out: Path,
    most_rows: int = MOST_ROWS,
    more: Sequence[Shown] = (),
    tables: Sequence[Table] = (),
) -> Path:
    """Write the report of a run, or of all rows of a protocol.

    Args:
        store: records and predictions.
        reference: a protocol's name, or a run as :meth:`Store.get` finds it.
        out: folder, made where it is missing; gets the page and the PNG files.
        most_rows: of a protocol, only so many of the best rows are shown in full.
        more: further figures, made from what records do not hold.
        tables: further tables of the first row, likewise.

    Returns:
        The page.

    Raises:
        RecordError: no such run, or one that did not finish, or predictions that are missing or altered.
        HardwareError: the folder cannot be written.
    """
    if reference in store.protocols() or reference in PROTOCOLS:
        content, sections = _of_protocol(store, reference, most_rows)
    else:
        content, sections = _of_run(store, reference)
    content["figures"] = [*content["figures"], *more]
    sections[0].tables.extend(tables)
    several = len(sections) > 1
    files = {f"{figure.name}.png": figure.png for figure in content["figures"]}
    for section in sections:
        files |= {
            f"{section.anchor}-{figure.name}.png" if several else f"{figure.name}.png": figure.png
            for figure in section.figures
        }
    page = render(content, sections)
    try:
        for name, png in files.items():
            write_atomically(out / name, png)
        write_atomically(out / PAGE, page.encode())
    except OSError as error:
        problem = f"the report cannot be written to {out}: {error.strerror or error}."
        raise HardwareError(problem, "Check free space and permissions, or give another folder with --out.") from None
    return out / PAGE


def render(content: dict[str, Any], sections: Sequence[Section]) -> str:
    """The page; pure. Images are embedded, so that the one file can be sent to anybody."""
    environment = page_templates("fer_bench.report")
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return environment.get_template("report.html").render(version=__version__, sections=sections, **content)


def _of_run(store: Store, reference: str) -> tuple[dict[str, Any], list[Section]]:
    record = store.get(reference)
    if record.status != "finished":
        problem = f"run {record.run_id} has the status {record.status}: there is nothing to report."
        raise RecordError(problem, record.message)
    protocol = protocol_of(record)
    siblings = next(
        row.records
        for row in finished_rows(store.records(record.protocol))
        if (row.model, row.key) == (record.model, record.row)
    )
    content = _heading(protocol) | {
        "title": f"{name_of_row(record)}, run {record.run_id}",
        "figures": [],
        "summary": [],
        "omitted": 0,
    }
    return content, [_with_corrupted(store, build_section(store, protocol, [record], siblings))]


def _with_corrupted(store: Store, section: Section) -> Section:
    """A section with the figure of its row on corrupted images, where that was measured."""
    runs = [found for record in section.records if (found := corruptions.find_intact(store, record)) is not None]
    if runs:
        over = "" if len(runs) == 1 else f", mean of {len(runs)} runs"
        caption = f"Score on corrupted test images by kind and strength of the corruption{over}; dashed: on clean ones."
        section.figures.append(Shown("corrupted", caption, draw_corrupted(runs, section.title)))
    return section


def _of_protocol(store: Store, name: str, most_rows: int) -> tuple[dict[str, Any], list[Section]]:
    rows = finished_rows(store.records(name))
    if not rows:
        problem = f"protocol {name} has no finished run in {store.results}."
        raise RecordError(problem, "`fer-bench list runs` shows what there is.")
    protocol = PROTOCOLS[name] if name in PROTOCOLS else protocol_of(rows[0].records[0])
    sign = -1.0 if protocol.higher_is_better else 1.0

    def place(row: Row) -> tuple[bool, float, str]:
        value = row.value(protocol.primary)
        return value is None, 0.0 if value is None else sign * value, name_of_row(row.records[0])

    rows.sort(key=place)
    sections = [_with_corrupted(store, build_section(store, protocol, row.records)) for row in rows[:most_rows]]
    figure = _comparison(protocol, rows[:most_rows])
    content = _heading(protocol) | {
        "title": protocol.title or protocol.name,
        "figures": [Shown("rows", f"The best {len(sections)} rows by {_primary(protocol)} on test.", figure)]
        if figure
        else [],
        "summary": [
            (section.anchor, section.title, section.records[0].kind, len(section.records), _shown(protocol, section))
            for section in sections
        ],
        "omitted": len(rows) - len(sections),
    }
    return content, sections


def _heading(protocol: Protocol) -> dict[str, Any]:
    return {
        "protocol": protocol.name,
        "about": protocol.about,
        "caveats": list(protocol.caveats),
        "primary": _primary(protocol),
    }


def _comparison(protocol: Protocol, rows: Sequence[Row]) -> bytes | None:
    name = protocol.primary
    lines = [
        (name_of_row(row.records[0]), value, row.std(name), row.interval(name))
        for row in rows
        if (value := row.value(name)) is not None
    ]
    return figures.comparison(lines, _primary(protocol), per_cent=is_share(name)) if len(lines) > 1 else None


def _primary(protocol: Protocol) -> str:
    return title_of(protocol.primary)


def _shown(protocol: Protocol, section: Section) -> str:
    return next((test for title, _, test in section.scores if title == _primary(protocol)), NONE)
