"""Verbs over stored results: ``leaderboard``, ``verify``, ``compare``. None of them needs PyTorch."""

from __future__ import annotations

from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("leaderboard")(leaderboard_verb)
    app.command("verify")(verify_verb)
    app.command("compare")(compare_verb)


def leaderboard_verb(check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a board is out of date.")] = False) -> None:
    """Render every leaderboard from the records."""
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.store import Store

    store = Store()
    changed = render_all(store, check=check)
    if check and changed:
        for path in changed:
            typer.echo(f"out of date: {path}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(changed)} boards changed in {store.root}." if changed else f"all boards in {store.root} are up to date.")


def verify_verb(protocols: Annotated[list[str] | None, typer.Argument(help="Only these protocols.")] = None) -> None:
    """Recompute every score from its predictions; exit 1 on a difference."""
    from fer_bench.leaderboard.verify import verify
    from fer_bench.results.store import Store

    report = verify(Store(), protocols)
    report.require_any()
    for difference in report.differences:
        typer.echo(str(difference), err=True)
    typer.echo(report.summary())
    if report.differences:
        raise typer.Exit(1)


def compare_verb(
    a: Annotated[str, typer.Argument(help="A run id, a row, or the path of a record.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Say whether two rows differ, with an interval and a p-value."""
    from fer_bench.leaderboard.compare import compare
    from fer_bench.results.store import Store

    found = compare(Store(), a, b)
    typer.echo(found.text())
    if found.gaps is not None:
        typer.echo(found.gaps.text())
