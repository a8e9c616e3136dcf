"""Verbs for predictions of other programs: ``submit``, ``template``, ``images``. None of them needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.counting import counted

if TYPE_CHECKING:
    from fer_bench.results.store import Store
    from fer_bench.submissions.questions import Questions
    from fer_bench.submissions.submit import Submitted

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
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Ids and probabilities, classes or values: .csv, .parquet or .npz; several files are several seeds."
        ),
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
    from fer_bench.results.store import Store
    from fer_bench.submissions.questions import named
    from fer_bench.submissions.submit import Statement, submit

    statement = Statement(name, reference, listed(trained_on), parameters)
    store = Store()
    chosen, _, _ = named(store, protocol, data_dir, dataset_options(sets))
    store.borrow(chosen.name)
    done = submit(
        store, tuple(files), protocol, statement, data_dir=data_dir, options=dataset_options(sets), force=force
    )
    render_all(store)
    say_submitted(store, done)


def say_submitted(store: Store, done: Sequence[Submitted]) -> None:
    """What became of answers, in lines."""
    from fer_bench.metrics import in_units, in_words
    from fer_bench.results.protocol import protocol_of
    from fer_bench.scoring.rows import mean

    first = done[0].record
    primary = protocol_of(first).primary
    for one in done:
        record, value = one.record, in_units(one.record.metrics.get(primary), primary)
        typer.echo(
            f"{record.run_id}: {record.protocol} {record.model}: {in_words(primary)} {value} on"
            f" {record.n_scored} test samples{'' if one.new else ' (on record already)'}"
        )
        if one.n_missing:
            as_what = "wrong" if record.outcomes else "the middle of the scale"
            typer.echo(
                f"missing     {one.n_missing} of {record.n_scored} samples are not answered, and count as {as_what}"
            )
    if len(done) > 1:
        value = in_units(mean([one.record.metrics for one in done], primary), primary)
        typer.echo(f"mean        {value} over {len(done)} seeds")
    _say_reading(done[0].questions, "targets")
    typer.echo(f"caveats     {'; '.join(dict.fromkeys(c for one in done for c in one.record.caveats))}")
    for one in done:
        typer.echo(f"record      {store.path(one.record.protocol, one.record.model, one.record.run_id)}")
    typer.echo(f"leaderboard {store.root / (first.protocol + '.md')}")


def _say_reading(questions: Questions, what: str) -> None:
    typer.echo(f"{what:<11} {questions.source}")
    for note in questions.notes:
        typer.echo(f"note        {note}")


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
    from fer_bench.submissions.template import write_template

    questions = ask(Store(), protocol, data_dir, dataset_options(sets))
    path = output or Path(f"{questions.protocol.name}.csv")
    n = write_template(questions, path)
    typer.echo(f"{path}: {counted(n, 'image')} to answer, by {', '.join(questions.columns)}")
    _say_reading(questions, "ids from")


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

    questions = ask(Store(), protocol, data_dir, dataset_options(sets), images=True)
    n = write_images(questions, output)
    typer.echo(f"{output}: {counted(n, 'image')}, and their ids in {output / TABLE}")
    _say_reading(questions, "images from")


def listed(values: list[str] | None) -> tuple[str, ...]:
    """The parts of a repeatable option whose values may be separated by commas."""
    return tuple(part.strip() for entry in values or [] for part in entry.split(",") if part.strip())
