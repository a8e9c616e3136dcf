"""The verb that repeats a row: ``reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.cli.flags import CONTEXT, FIELDS, Grouped, typed, with_fields
from fer_bench.cli.train import EXECUTION, PLACES
from fer_bench.spec import Execution, build


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("reproduce", cls=Grouped, context_settings=CONTEXT)(reproduce_verb)


@with_fields(Execution, EXECUTION, leave=(*PLACES, *FIELDS))
def reproduce_verb(
    run: Annotated[str, typer.Argument(help="A run id, or the path of a record.")],
    file: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="A file that the settings name by its digest: weights, labels; repeatable."),
    ] = None,
    **execution: Any,
) -> None:
    """Train a row again from its record, and say whether the new score is within the spread of its trainings.

    The record stays as it is; what came of it is written next to it, and its board marks the row. An ensemble is
    recomputed from its members. Exit 1 if the score is outside.
    """
    from fer_bench.apps.reproduce import reproduce
    from fer_bench.leaderboard.render import render_all
    from fer_bench.metrics import in_units
    from fer_bench.results.store import Store

    store = Store()
    where = build({"execution": typed(Execution, execution)}, "the command line").execution
    found, path = reproduce(store, run, where, file or (), say=typer.echo)
    render_all(store)
    for difference in found.differences:
        typer.echo(f"differs     {difference}")
    if found.recorded is not None and found.score is not None:
        scores = f"{in_units(found.recorded, found.metric)} recorded, {in_units(found.score, found.metric)} now"
        typer.echo(f"{found.metric:11s} {scores}")
    if found.low is not None and found.high is not None:
        ends = f"{in_units(found.low, found.metric)} to {in_units(found.high, found.metric)}"
        typer.echo(f"expected    {ends} with 95 % confidence, from {found.spread}")
    typer.echo(f"verdict     {found.verdict}")
    typer.echo(f"written     {path}")
    if found.within is False:
        raise typer.Exit(1)
