"""Verbs for predictions of other programs: ``submit``, ``template``, ``images``. None of them needs PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Opt = typer.Option
_PROTOCOL = (
    "Protocol: fer2013-fer7, ...; `fer-bench list protocols`; folder:NAME-TASK and table:FILE-TASK of one's own."
)
_DATA_DIR = "Dataset root directory."
_SET = "dataset_options of the dataset, such as its classes."


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("submit")(submit_verb)
    app.command("template")(template_verb)
    app.command("images")(images_verb)


def submit_verb(
    file: Annotated[
        Path,
        typer.Argument(help="Ids and probabilities, classes or values: .csv, .parquet or .npz."),
    ],
    protocol: Annotated[str, Opt(help=_PROTOCOL)],
    name: Annotated[str, Opt(help="Name of the model, as the board shows it.")],
    reference: Annotated[str, Opt(help="Address of a paper, a repository or a page.")] = "",
    trained_on: Annotated[
        list[str] | None, Opt(help="Data that it was trained on; repeatable or separated by commas.")
    ] = None,
    parameters: Annotated[int | None, Opt(help="How many parameters it has.")] = None,
    data_dir: Annotated[str | None, Opt(help=_DATA_DIR)] = None,
    sets: Annotated[list[str] | None, Opt("--set", metavar="KEY=VALUE", help=_SET)] = None,
    force: Annotated[
        bool, Opt("--force", help="Write anew what is said of predictions that are on record already.")
    ] = False,
) -> None:
    """Score predictions of any program, write their record, and render the leaderboard."""
    from fer_bench.assignments import dataset_options
    from fer_bench.leaderboard.render import render_all
    from fer_bench.metrics import in_units, in_words
    from fer_bench.results.protocol import protocol_of
    from fer_bench.results.store import Store
    from fer_bench.submissions.questions import named
    from fer_bench.submissions.submit import Statement, submit

    statement = Statement(name, reference, _listed(trained_on), parameters)
    store = Store()
    chosen, _, _ = named(store, protocol, data_dir, dataset_options(sets))
    store.borrow(chosen.name)
    done = submit(store, file, protocol, statement, data_dir=data_dir, options=dataset_options(sets), force=force)
    render_all(store)
    record = done.record
    primary = protocol_of(record).primary
    value = in_units(record.metrics.get(primary), primary)
    typer.echo(
        f"{record.run_id}: {record.protocol} {record.model}: {in_words(primary)} {value} on {record.n_scored} test"
        f" samples{'' if done.new else ' (on record already)'}"
    )
    if done.n_missing:
        counted = "wrong" if record.outcomes else "the middle of the scale"
        typer.echo(
            f"missing     {done.n_missing} of {record.n_scored} samples are not answered, and count as {counted}"
        )
    typer.echo(f"targets     {done.source}")
    typer.echo(f"caveats     {'; '.join(record.caveats)}")
    typer.echo(f"record      {store.path(record.protocol, record.model, record.run_id)}")
    typer.echo(f"leaderboard {store.root / (record.protocol + '.md')}")


def template_verb(
    protocol: Annotated[str, typer.Argument(help=_PROTOCOL)],
    output: Annotated[Path | None, typer.Argument(help="The file; left out: PROTOCOL.csv.")] = None,
    data_dir: Annotated[str | None, Opt(help=_DATA_DIR)] = None,
    sets: Annotated[list[str] | None, Opt("--set", metavar="KEY=VALUE", help=_SET)] = None,
) -> None:
    """Write the file that `submit` reads, with the ids of all test images and empty cells for the answers."""
    from fer_bench.assignments import dataset_options
    from fer_bench.results.store import Store
    from fer_bench.submissions.questions import ask
    from fer_bench.submissions.template import columns, write_template

    questions = ask(Store(), protocol, data_dir, dataset_options(sets))
    path = output or Path(f"{questions.protocol.name}.csv")
    n = write_template(questions, path)
    typer.echo(f"{path}: {n} images to answer, by {', '.join(columns(questions.protocol))}")
    typer.echo(f"ids from    {questions.source}")


def images_verb(
    protocol: Annotated[str, typer.Argument(help=_PROTOCOL)],
    output: Annotated[Path, typer.Argument(help="A folder that is empty, or is not there yet.")],
    data_dir: Annotated[str | None, Opt(help=_DATA_DIR)] = None,
    sets: Annotated[list[str] | None, Opt("--set", metavar="KEY=VALUE", help=_SET)] = None,
) -> None:
    """Write the test images as PNG files, with a table of their ids; labels are left out."""
    from fer_bench.assignments import dataset_options
    from fer_bench.results.store import Store
    from fer_bench.submissions.questions import ask
    from fer_bench.submissions.template import TABLE, write_images

    n = write_images(ask(Store(), protocol, data_dir, dataset_options(sets), images=True), output)
    typer.echo(f"{output}: {n} images, and their ids in {output / TABLE}")


def _listed(values: list[str] | None) -> tuple[str, ...]:
    return tuple(part.strip() for entry in values or [] for part in entry.split(",") if part.strip())
