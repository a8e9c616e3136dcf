"""The verb that packs a dataset's images: ``pack``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fer_bench.cli.flags import CONTEXT, Grouped, typed, with_fields
from fer_bench.errors import SpecError
from fer_bench.spec import Execution, RunSpec

Opt = typer.Option
_DATA = "Data, as of run"


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("pack", cls=Grouped, context_settings=CONTEXT)(pack_verb)


@with_fields(RunSpec, _DATA, only=("dataset_options", "task", "image_size"))
@with_fields(Execution, _DATA, only=("data_dir",))
def pack_verb(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    jobs: Annotated[int, Opt(min=0, help="Threads that decode; 0: one per core.")] = 0,
    check: Annotated[
        bool, Opt("--check", help="Only read the packed copies again, and say what of them is damaged.")
    ] = False,
    **flags: Any,
) -> None:
    """Make a packed copy of a dataset's images, decoded, at the size of a network's input: the fastest source for many
    epochs. Interrupted, it resumes where it stopped; `run` takes it by itself where it fits, with the same results.
    """
    from fer_bench.apps.packing import checked, packing, specified

    if check and jobs:
        problem = "--jobs is for making a copy, and changes nothing of --check."
        raise SpecError(problem, "Leave it out.")
    execution = typed(Execution, {"data_dir": flags.pop("data_dir")})
    spec = specified(dataset, typed(RunSpec, flags), execution)
    for line in checked(spec) if check else packing(spec, jobs):
        typer.echo(line)
