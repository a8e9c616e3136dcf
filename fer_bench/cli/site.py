"""The verbs ``site ...``: a site of all boards, as static files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The leaderboards as a site of static files.", no_args_is_help=True)


@app.callback()
def _verbs() -> None:
    """The leaderboards as a site of static files."""


@app.command("build")
def build_verb(
    out: Annotated[Path | None, typer.Option(help="Folder [default: site/ in the runs folder].")] = None,
    docs: Annotated[
        str,
        typer.Option(help="Folder of the documentation, as an address or from the site's root; no link without it."),
    ] = "",
) -> None:
    """Write boards that can be sorted, filtered and downloaded, and a page for every row, dataset and paper."""
    from fer_bench import paths
    from fer_bench.results.store import Store
    from fer_bench.site.build import build_site

    folder = f"{docs.rstrip('/')}/" if docs else ""
    built = build_site(Store(), out or paths.runs_dir() / "site", folder)
    typer.echo(f"site  {built.folder / 'index.html'}")
    typer.echo(f"files {built.files}, {built.size / 1e6:.1f} MB, {built.changed} changed")
