"""The verb that packs a dataset's images: ``pack``."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_bench.assignments import dataset_options


def add_verbs(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("pack")(pack_verb)


def pack_verb(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    image_size: Annotated[
        int | None, typer.Option(min=8, max=1024, help="Side of the images, as of `run` [default: the dataset's own].")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task whose images are packed [default: the dataset's own].")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Dataset root directory.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="dataset_options of the dataset, such as decode=reduced."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Threads that decode; 0: one per core.")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Only read a packed copy again, and say what is damaged.")
    ] = False,
) -> None:
    """Make a packed copy of a dataset's images, decoded, at the size of a network's input: the fastest source for many
    epochs. Interrupted, it goes on where it stopped; `run` takes it by itself where it fits, with the same results.
    """
    from fer_bench.apps.packing import checked, packing

    options = dataset_options(sets)
    lines = (checked if check else packing)(dataset, task, image_size, data_dir, options, jobs=jobs)
    for line in lines:
        typer.echo(line)
