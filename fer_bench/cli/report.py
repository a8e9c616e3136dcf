"""The verb ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("report")(report_verb)


def report_verb(
    what: Annotated[str, typer.Argument(metavar="RUN|PROTOCOL", help="A run id (or its beginning), the path of a record, or a protocol.")],
    out: Annotated[Path | None, typer.Option(help="Folder; without it reports/ among the runs.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Of a protocol, show so many of the best rows.")] = 10,
) -> None:
    """Draw learning curves, confusion matrices, reliability and scores by class, and write them into one HTML page."""
    from fer_bench import paths
    from fer_bench.report.page import report
    from fer_bench.results.store import Store

    folder = out or paths.runs_dir() / "reports" / Path(what).stem
    page = report(Store(), what, folder, rows)
    typer.echo(f"report {page}")
    typer.echo(f"images {len(list(folder.glob('*.png')))} PNG files in {folder}")
