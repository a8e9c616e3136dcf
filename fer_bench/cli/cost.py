"""The verb that measures networks: ``cost``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.flags import SETTINGS
from fer_bench.counting import counted
from fer_bench.errors import FerBenchError, RecordError, SpecError
from fer_bench.registry import unmatched

if TYPE_CHECKING:
    from fer_bench.apps.cost import Measured

Opt = typer.Option


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("cost")(cost_verb)


def cost_verb(
    what: Annotated[
        str | None, typer.Argument(help="A run id, or a network as `fer-bench run --model` names it.")
    ] = None,
    every: Annotated[bool, Opt("--all", help="Every network of the boards that was not measured.")] = False,
    protocol: Annotated[str | None, Opt(help="With --all: only of this board.")] = None,
    dataset: Annotated[str | None, Opt(help="Of a network: whose images it takes, and whose classes it tells.")] = None,
    image_size: Annotated[int | None, Opt(help="Of a network: side of its input, in pixels.")] = None,
    threads: Annotated[
        int | None, Opt(min=1, help="Threads of the processor [default: as many as PyTorch takes].")
    ] = None,
    accelerator: Annotated[str, Opt(help="What is timed: auto, cpu, cuda or mps.")] = "cpu",
    timed: Annotated[bool, Opt("--timed/--counted", help="--counted: only what depends on no machine.")] = True,
    again: Annotated[bool, Opt("--again", help="Measure what was measured once more.")] = False,
    sets: SETTINGS = None,
) -> None:
    """Measure what one face costs a network: parameters, multiply-adds, latency, faces a second, memory; of a run also
    the time and an estimate of the energy of its training. It is kept in leaderboards/costs, and boards show it.
    """
    import torch

    from fer_bench.apps.cost import cost_of_all
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.store import Store
    from fer_bench.spec import build
    from fer_bench.training import hardware

    if (what is None) != every or (protocol is not None and not every):
        problem = "cost takes one run or network; or --all, and with it --protocol."
        raise SpecError(problem, "For example fer-bench cost resnet18 --image-size 48.")
    if every and (of_one := [n for n, v in (("dataset", dataset), ("image-size", image_size), ("set", sets)) if v]):
        problem = f"--{of_one[0]} is for one network; --all takes those of the boards, whose records say it."
        raise SpecError(problem, "Leave one of them out.")
    if threads is not None:
        torch.set_num_threads(threads)
    store = Store()
    device = hardware.resolve(build({"execution": {"accelerator": accelerator}}, "the command line"))
    if what is None:
        names = store.protocols()
        if protocol is not None and protocol not in names:
            raise unmatched("--protocol", protocol, str(store.root), "board", names)
        names = names if protocol is None else [protocol]
        n = cost_of_all(store, names, device, timed=timed, again=again, say=typer.echo)
        typer.echo(f"{counted(n, 'network')} in {store.root / 'costs'}")
    else:
        given = {"dataset": dataset, "image_size": image_size}
        _say(_one(store, what, device, {k: v for k, v in given.items() if v is not None}, sets, timed, again))
    if any(store.files()):
        render_all(store)


def _one(
    store: Any, what: str, device: Any, given: dict[str, Any], sets: list[str] | None, timed: bool, again: bool
) -> Measured:
    from fer_bench.apps.cost import cost_of_model, cost_of_run
    from fer_bench.assignments import parse_assignments
    from fer_bench.cli.flags import agreed
    from fer_bench.layering import layered
    from fer_bench.models.catalog import find_model
    from fer_bench.spec import RunSpec

    settings = agreed(given, parse_assignments(sets or [], RunSpec))
    try:
        found: Measured = cost_of_run(store, what, device, timed=timed, again=again)
    except RecordError as error:
        try:
            find_model(what)
        except FerBenchError:
            raise error from None
        return cost_of_model(store, layered({**settings, "model": what}), device, timed=timed, again=again)
    if settings:
        problem = f"{what} is a run, whose record says all of it."
        raise SpecError(problem, f"Leave --{next(iter(settings)).replace('_', '-')} out.")
    return found


def _say(found: Measured) -> None:
    from fer_bench.durations import in_words
    from fer_bench.leaderboard.costs import ASSUMED

    cost, network = found.cost, found.cost.network
    typer.echo(f"network     {network['model']}, input {network['channels']} x {network['side']} x {network['side']}")
    typer.echo(f"parameters  {cost.parameters / 1e6:.2f} M")
    views = f"; {found.views} views: {found.views * cost.macs / 1e6:,.1f} M" if found.views > 1 else ""
    typer.echo(f"work        {cost.macs / 1e6:,.1f} M multiply-adds for one face{views}")
    for one in cost.timings:
        threads = "" if one.threads is None else f", {counted(one.threads, 'thread')}"
        memory = "" if one.memory is None else f", {one.memory:,.0f} MB at the peak"
        typer.echo(
            f"{one.device:11s} {one.latency:.2f} ms for one face, {one.throughput:,.0f} faces/s in batches of"
            f" {one.batch}{memory} ({one.name}{threads}, {one.software})"
        )
    if found.energy is not None:
        kwh = "" if found.energy.kwh is None else f", about {found.energy.kwh:.3g} kWh at {found.energy.watts:g} W"
        typer.echo(f"training    {in_words(found.energy.seconds)}{kwh}")
        if kwh:
            typer.echo(f"            ({ASSUMED})")
