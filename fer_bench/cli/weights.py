"""The verb that makes weights ready for publication: ``weights``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Opt = typer.Option


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("weights")(weights_verb)


def weights_verb(
    runs: Annotated[list[str], typer.Argument(help="Run ids.")],
    out: Annotated[Path, Opt(metavar="FOLDER", help="Where the files are written.")],
    address: Annotated[
        str,
        Opt(metavar="URL", help="Where they will be, without their names: https://.../releases/download/weights-1"),
    ],
) -> None:
    """Write the networks of runs as files to be published, and their addresses and digests into
    leaderboards/weights.yaml: where a checkpoint is not on a machine, it is downloaded from there.
    """
    from fer_bench.models.published import announce, manifest_path, write_weights
    from fer_bench.models.trained import checkpoint_of, spec_of
    from fer_bench.results.store import Store

    store = Store()
    for run in runs:
        record = store.get(run)
        path = write_weights(record, checkpoint_of(record, spec_of(record)), out)
        kept = announce(record, path, f"{address.rstrip('/')}/{path.name}")
        typer.echo(f"{record.run_id}: {path}, {kept.bytes / 1e6:.1f} MB, sha256 {kept.sha256[:12]}")
    typer.echo(f"addresses   {manifest_path()}")
