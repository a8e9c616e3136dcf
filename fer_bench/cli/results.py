"""Verbs over stored results: ``leaderboard``, ``verify``, ``rescore``, ``compare``. None of them needs PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fer_bench.counting import counted


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("leaderboard")(leaderboard_verb)
    app.command("verify")(verify_verb)
    app.command("rescore")(rescore_verb)
    app.command("compare")(compare_verb)


def leaderboard_verb(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a board is out of date.")] = False,
    protocol: Annotated[str | None, typer.Option(help="One board, as a file instead of a page.")] = None,
    kind: Annotated[
        str | None, typer.Option("--format", help="Of the file: csv, json, parquet, latex, bibtex, html or md.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Of the file, separated by commas; all if not given.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only so many rows.")] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="The file; without it, the terminal.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also render boards whose records have not changed; --check always does.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="At work at the same time [default: one for each core].")
    ] = None,
) -> None:
    """Render every leaderboard from the records; with --format and --protocol, write one as a file."""
    from fer_bench.errors import SpecError
    from fer_bench.leaderboard.processes import cores
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.store import Store

    store = Store()
    as_file = kind is not None or protocol is not None
    if check and as_file:
        problem = "--check compares pages; --format and --protocol are of a file."
        raise SpecError(problem, "Leave out --check, or both of the others.")
    if not as_file and not (columns is None and top is None and out is None):
        problem = "--columns, --top and --out are of a board that is written as a file."
        raise SpecError(problem, "Add --protocol NAME and --format.")
    if as_file:
        _as_file(store, protocol, kind or "csv", columns, top, out)
        return
    changed = render_all(store, check=check, everything=everything, processes=processes or cores())
    if check and changed:
        for path in changed:
            typer.echo(f"out of date: {path}", err=True)
        raise typer.Exit(1)
    typer.echo(
        f"{counted(len(changed), 'board')} changed in {store.root}."
        if changed
        else f"all boards in {store.root} are up to date."
    )


def _as_file(
    store: Any, protocol: str | None, kind: str, columns: str | None, top: int | None, out: Path | None
) -> None:
    from fer_bench.atomic import write_atomically
    from fer_bench.errors import SpecError
    from fer_bench.leaderboard.export import FORMATS, export
    from fer_bench.registry import unknown_name
    from fer_bench.results.protocol import named_protocol

    if kind not in FORMATS:
        raise unknown_name("format", kind, FORMATS)
    if protocol is None:
        problem = "--format needs the board that is to be written."
        raise SpecError(problem, "Add --protocol NAME; `fer-bench list protocols` names them.")
    if kind == "parquet" and out is None and sys.stdout.isatty():
        problem = "a Parquet file is no text for a terminal."
        raise SpecError(problem, "Add --out FILE.")
    named = [] if columns is None else [name.strip() for name in columns.split(",")]
    content = export(store, protocol, kind, columns=named, top=top)
    chosen = named_protocol(protocol, store).name
    if chosen not in store.protocols():
        typer.echo(f"{chosen} has no record in {store.results}: the board is empty.", err=True)
    if out is not None:
        write_atomically(out, content)
        typer.echo(f"wrote {out}")
    else:
        typer.echo(content, nl=False)


def verify_verb(
    protocols: Annotated[list[str] | None, typer.Argument(help="Only these protocols.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what has not changed since it was verified on this machine.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="At work at the same time [default: one for each core].")
    ] = None,
) -> None:
    """Recompute every score from its predictions; exit 1 on a difference. Files that have not changed since are passed
    over the next time.
    """
    from fer_bench.leaderboard.processes import cores
    from fer_bench.leaderboard.verify import verify
    from fer_bench.results.kept import Kept
    from fer_bench.results.store import Store

    store = Store()
    report = verify(
        store, protocols, kept=Kept.of(store.results), everything=everything, processes=processes or cores()
    )
    report.require_any()
    for difference in report.differences:
        typer.echo(str(difference), err=True)
    typer.echo(report.summary())
    if report.differences:
        raise typer.Exit(1)


def rescore_verb(
    reference: Annotated[str | None, typer.Argument(help="Only this run.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only the records of this protocol.")] = None,
) -> None:
    """Add metrics that are newer than records to them, from their predictions; nothing that is stored changes. Exit 1
    if a record does not verify.
    """
    from fer_bench.errors import SpecError
    from fer_bench.leaderboard.rescore import rescore
    from fer_bench.results.store import Store

    if reference is not None and protocol is not None:
        problem = "rescore takes a run or a protocol, not both."
        raise SpecError(problem, "Leave one of them out.")
    done = rescore(Store(), reference, protocol)
    for why in done.refused:
        typer.echo(why, err=True)
    typer.echo(done.summary())
    if done.refused:
        raise typer.Exit(1)


def compare_verb(
    a: Annotated[str, typer.Argument(help="A run id, a row, or the path of a record.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    more: Annotated[list[str] | None, typer.Argument(help="More of them: each is compared with each other.")] = None,
    given_networks: Annotated[
        bool, typer.Option("--given-networks", help="Test the trained networks as they are, over test samples alone.")
    ] = False,
) -> None:
    """Test whether two rows differ, with an interval and a p-value: over test samples and over training again. Of more
    rows, a matrix of differences.
    """
    from fer_bench.leaderboard.compare import compare
    from fer_bench.results.store import Store

    if more:
        from fer_bench.leaderboard.comparison_matrix import compare_all

        typer.echo(compare_all(Store(), [a, b, *more], given_networks=given_networks).text())
        return
    found = compare(Store(), a, b, given_networks=given_networks)
    typer.echo(found.text())
    if found.gaps is not None:
        typer.echo(found.gaps.text())
