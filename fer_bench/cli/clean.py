"""``fer-bench clean``: free the disk of what can be made again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.counting import counted
from fer_bench.errors import HardwareError, SpecError

if TYPE_CHECKING:
    from fer_bench.apps.disk import Entry


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("clean")(clean_verb)


def clean_verb(
    runs: Annotated[
        bool,
        typer.Option(
            "--runs",
            help="Checkpoints and logs of trainings, reports, and what Weights & Biases keeps. Runs without a record"
            " start from the first epoch.",
        ),
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Decoded copies of datasets, crops, and digests of files.")
    ] = False,
    features: Annotated[bool, typer.Option("--features", help="Features of frozen backbones.")] = False,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="Temporary files of processes that were killed.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="All of these.")] = False,
    older_than: Annotated[
        str, typer.Option(help="Only what was last written to at least this long ago: 12h, 30d, 2w.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List it with its size; remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove files that can be recreated; never a record, and nothing that a process is using. Exits with 1 if the
    answer is no.
    """
    from fer_bench.apps import clean
    from fer_bench.apps.disk import KINDS, size_text

    named = {"runs": runs, "cache": cache, "features": features, "leftovers": leftovers}
    flags = [flag for flag in KINDS if everything or named[flag]]
    if not flags:
        problem = "nothing is named that should be removed."
        raise SpecError(
            problem, "Give --runs, --cache, --features, --leftovers or --all; with --dry-run it only shows sizes."
        )
    found = clean.find(flags, clean.seconds_of(older_than) if older_than else 0)
    for line in _listed(found.chosen):
        typer.echo(line)
    _say_kept(found.in_use)
    if not found.chosen:
        typer.echo("there is nothing to remove.")
        return
    total = (
        f"{counted(len(found.chosen), 'entry', 'entries')}, {size_text(sum(entry.n_bytes for entry in found.chosen))}"
    )
    if dry_run:
        typer.echo(f"would remove {total}.")
        return
    if not yes and not _agreed(total, any(entry.kind == "trainings" for entry in found.chosen)):
        typer.echo("nothing was removed.")
        raise typer.Exit(1)
    done = clean.remove(found.chosen)
    _say_kept(done.kept)
    typer.echo(f"removed {counted(done.n, 'entry', 'entries')}, {size_text(done.n_bytes)}.")
    if done.failed:
        path, why = done.failed[0]
        problem = f"{len(done.failed)} could not be removed; the first: {path}: {why}."
        raise HardwareError(problem, "Correct the permissions and run the same command again.")


def _agreed(total: str, trainings: bool) -> bool:
    if not sys.stdin.isatty():
        problem = f"clean asks before it removes {total}, and nobody can answer here."
        raise SpecError(problem, "Give --yes, or --dry-run to see what it would remove.")
    warning = (
        " Without checkpoints, predict, live, export, evaluate and --tta need the training to be repeated; records"
        " stay."
        if trainings
        else ""
    )
    try:
        return typer.confirm(f"Remove {total}?{warning}")
    except typer.Abort:
        return False


def _listed(chosen: Iterable[Entry]) -> Iterable[str]:
    from fer_bench.apps.disk import size_text

    now = time.time()
    for entry in chosen:
        yield (
            f"{entry.kind:14s} {size_text(entry.n_bytes):>10s} {max(0.0, now - entry.changed) / 86400:6.1f} days "
            f" {entry.paths[0]}"
        )


def _say_kept(kept: Iterable[Entry]) -> None:
    for entry in kept:
        typer.echo(f"in use, kept: {entry.paths[0]}", err=True)
