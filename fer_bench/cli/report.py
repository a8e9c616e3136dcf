"""The verb ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_bench.report.rows import Shown
    from fer_bench.results.store import Store


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("report")(report_verb)


def report_verb(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|PROTOCOL", help="A run id (or its beginning), the path of a record, or a protocol."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder [default: reports/ in the runs folder].")] = None,
    rows: Annotated[int, typer.Option(min=1, help="For a protocol, show this many of the best rows.")] = 10,
    reconstructions: Annotated[
        int,
        typer.Option(
            min=0, help="For a run of the autoencoder, show this many test images next to their reconstructions."
        ),
    ] = 10,
    data_dir: Annotated[str | None, typer.Option(help="Root directory of their dataset.")] = None,
) -> None:
    """Plot learning curves, confusion matrices, reliability and scores by class, and write them into one HTML page."""
    from fer_bench import paths
    from fer_bench.report.page import report
    from fer_bench.results.store import Store

    folder = out or paths.runs_dir() / "reports" / Path(what).stem
    store = Store()
    page = report(store, what, folder, rows, _reconstructions(store, what, reconstructions, data_dir))
    typer.echo(f"report {page}")
    typer.echo(f"images {len(list(folder.glob('*.png')))} PNG files in {folder}")


def _reconstructions(store: Store, what: str, n: int, data_dir: str | None) -> list[Shown]:
    """The figure of a run whose network has a decoder; without its checkpoint or its data a line says so, and the rest
    is still reported.
    """
    from fer_bench.errors import FerBenchError
    from fer_bench.protocols import PROTOCOLS

    if not n or what in PROTOCOLS or what in store.protocols():
        return []
    record = store.get(what)
    if record.kind != "trained" or record.status != "finished" or record.spec.get("method", "plain") == "plain":
        return []
    from fer_bench.report import figures
    from fer_bench.report.rows import Shown
    from fer_bench.training.reconstructions import reconstruct

    try:
        shown = reconstruct(record, n, data_dir)
    except FerBenchError as error:
        typer.echo(f"no reconstructions: {error}", err=True)
        return []
    mean_error = float(((shown.reconstructed - shown.originals) ** 2).mean())
    caption = (
        f"Test images and their reconstructions, with the mean squared error of each; on average {mean_error:.4f}."
    )
    return [
        Shown("reconstructions", caption, figures.reconstructions(shown.originals, shown.reconstructed, shown.names))
    ]
