"""Grids of heads, carried out and shown; for the verbs that train some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

from fer_bench.cli.flags import FIELDS, tracking_of
from fer_bench.counting import counted
from fer_bench.errors import FerBenchError
from fer_bench.metrics import decimals
from fer_bench.probes.head import heads_of
from fer_bench.probes.settings import ProbeSettings
from fer_bench.sweeps.progress import Progress, grid_step


def described(grid: ProbeSettings) -> str:
    """A grid of heads in one line."""
    return f"{grid.protocol}  {grid.model}  {counted(len(heads_of(grid)), 'head')}  {grid.recipe}".rstrip()


def run_grids(
    grids: list[ProbeSettings],
    place: Mapping[str, Any],
    force: bool,
    failed: Callable[[FerBenchError, str], None] | None = None,
    progress: Progress | None = None,
) -> int:
    """Train the heads of grids, and say what they score.

    Args:
        grids: one after the other.
        place: fields of :class:`Execution` that were given: where the data are, what computes, how it is tracked.
        force: repeat a grid whose records exist.
        failed: is told of a grid that fails, and of its name, and then the next begins; None: its error is raised.
        progress: of the suite that they are a part of; None: they are counted by themselves.

    Returns:
        How many have been done.
    """
    if not grids:
        return 0
    from fer_bench.apps.heads import place_of
    from fer_bench.apps.tracking import publish_records
    from fer_bench.leaderboard.render import render_all
    from fer_bench.probes.grid import run_grid
    from fer_bench.probes.grid_choice import table
    from fer_bench.results.provenance import now
    from fer_bench.results.store import Store
    from fer_bench.training.hardware import keep_freed_memory

    keep_freed_memory()
    tracking = tracking_of({key: place[key] for key in FIELDS if key in place})
    store, device, n_done = Store(), place_of(place.get("accelerator")), 0
    steps = progress or Progress([grid_step(grid) for grid in grids])
    for grid in grids:
        typer.echo(steps.begin(grid_step(grid), f"{grid.protocol} {grid.model}"))
        try:
            began = now()
            records = run_grid(grid, store, place=device, data_dir=place.get("data_dir"), force=force)
        except FerBenchError as error:
            if failed is None:
                raise
            failed(error, described(grid))
            continue
        steps.done()
        n_done += 1
        primary = grid.judge.primary
        for line in table(records, primary):
            over = f" ± {decimals(line.std)} over {line.n} seeds" if line.n > 1 else ""
            scores = f"validation {decimals(line.validation)}, test {decimals(line.test)}{over}"
            typer.echo(f"  {f'{line.knob} {line.value:g}':13s} {line.loss:25s} {primary}: {scores}")
        chosen = sorted({(record.recipe, record.row) for record in records if record.ranked})
        typer.echo("\n".join(f"  {recipe}: row {row}" for recipe, row in chosen))
        typer.echo(f"leaderboard {store.root / (grid.protocol + '.md')}")
        # Of a grid only the heads that were chosen, and none that was there before.
        publish_records([one for one in records if one.ranked and one.created >= began], store, tracking)
    render_all(store)
    return n_done
