"""The verb ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_bench.report.rows import Shown, Table
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
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="For a run, its scores by group too, as `evaluate --by`. Repeatable."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Root directory of their dataset.")] = None,
) -> None:
    """Plot learning curves, confusion matrices, reliability and scores by class, and write them into one HTML page."""
    from fer_bench import paths
    from fer_bench.report.page import report
    from fer_bench.results.store import Store

    folder = out or paths.runs_dir() / "reports" / Path(what).stem
    store = Store()
    figures, tables = _by_group(store, what, by or [], data_dir)
    more = [*_reconstructions(store, what, reconstructions, data_dir), *figures]
    page = report(store, what, folder, rows, more, tables)
    typer.echo(f"report {page}")
    typer.echo(f"images {len(list(folder.glob('*.png')))} PNG files in {folder}")


def _by_group(store: Store, what: str, names: list[str], data_dir: str | None) -> tuple[list[Shown], list[Table]]:
    """Figures and tables of a run's scores by group."""
    from fer_bench.errors import SpecError
    from fer_bench.protocols import PROTOCOLS

    if names and (what in PROTOCOLS or what in store.protocols()):
        problem = f"--by {names[0]}: {what} is a protocol, and groups are of a run's test samples."
        raise SpecError(problem, "Name a run; `fer-bench list runs` shows them.")
    from fer_bench.cli.robustness import figure_by_group, table_by_group
    from fer_bench.report.rows import Shown, Table
    from fer_bench.spec import Execution
    from fer_bench.studies.by_group import score_by

    figures, tables = list[Shown](), list[Table]()
    for name in dict.fromkeys(names):
        found = score_by(store, what, name, Execution(data_dir=data_dir))
        header, rows = table_by_group(found)
        tables.append((f"By {name}", header, rows))
        caption = f"Test scores by {name} with 95 % intervals: {found.attribute.about}."
        figures.append(Shown(f"by_{len(figures) + 1}", caption, figure_by_group(found)))
    return figures, tables


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
