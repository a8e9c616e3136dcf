"""``fer-bench annotate``: studies in which people annotate images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_bench.counting import counted
from fer_bench.errors import FerBenchError, MissingPackageError

if TYPE_CHECKING:
    from fer_bench.annotate.links import Link
    from fer_bench.annotate.store import AnswerStore

app = typer.Typer(help="Have people annotate images: categories, valence, arousal.", no_args_is_help=True)

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file.")]
DatabaseOption = Annotated[Path | None, typer.Option("--db", help="The database [default: next to the study file].")]


def _open(study_file: Path, database: Path | None) -> AnswerStore:
    from fer_bench.annotate.database import default_database
    from fer_bench.annotate.store import AnswerStore
    from fer_bench.annotate.study import load_study

    return AnswerStore(load_study(study_file), database or default_database(study_file))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The study file to write.")] = Path("study.yaml"),
    form: Annotated[
        Literal["faces", "findingemo"],
        typer.Option(help="faces: a word, valence and arousal; findingemo: that dataset's own form for photographs."),
    ] = "faces",
) -> None:
    """Write an example study file with every key."""
    from fer_bench.annotate.study import write_example

    typer.echo(f"wrote {write_example(path, form)}")


@app.command()
def images(
    dataset: Annotated[str, typer.Argument(help="fer2013, synthfaces, ...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write: <class>/<sample id>.png.")],
    task: Annotated[str | None, typer.Option(help="Whose labels name the folders.")] = None,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="train, validation or test.")] = "test",
    per_class: Annotated[int, typer.Option(min=0, help="Images per class, sampled at random; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    data_dir: Annotated[str | None, typer.Option(help="Dataset root directory.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="dataset_options of the dataset, such as its classes."),
    ] = None,
) -> None:
    """Write a dataset's images for a study; labels are matched to samples by file name."""
    from fer_bench.apps.annotation_images import write_images
    from fer_bench.assignments import dataset_options

    options = dataset_options(sets)
    n = write_images(
        dataset, out, task=task, split=split, per_class=per_class, seed=seed, data_dir=data_dir, options=options
    )
    typer.echo(f"wrote {counted(n, 'image')} below {out}")


@app.command()
def links(
    study: StudyArgument,
    base_url: Annotated[
        str, typer.Option(help="Address under which raters reach the server.")
    ] = "http://127.0.0.1:8000",
    raters: Annotated[
        int, typer.Option(min=0, max=10_000, help="Create this many raters with consecutive numbers.")
    ] = 0,
    name: Annotated[list[str] | None, typer.Option(help="Create a rater of this name; may be repeated.")] = None,
    renew: Annotated[
        list[str] | None, typer.Option(help="Make a new link for this rater; the old one stops working.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Make a new link to the admin page.")] = False,
    screener: Annotated[bool, typer.Option("--screener", help="Make a new link for pre-screening.")] = False,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the links to this CSV instead of the terminal.")
    ] = None,
    database: DatabaseOption = None,
) -> None:
    """Create personal links. They are shown once: the database keeps only hashes."""
    from fer_bench.annotate.links import rater_links, renewed_link, staff_link, write_links

    store = _open(study, database)
    try:
        made: list[Link] = []
        names = [*(name or []), *store.free_names(raters)]
        if names:
            made += rater_links(store, base_url, names)
        made += [renewed_link(store, base_url, rater) for rater in renew or []]
        if admin:
            made.append(staff_link(store, base_url, "admin"))
        if screener:
            made.append(staff_link(store, base_url, "screener"))
    finally:
        store.close()
    if not made:
        problem = "no link was asked for."
        raise FerBenchError(problem, "Use --raters, --name, --renew, --admin or --screener.")
    if out is not None:
        typer.echo(f"wrote {counted(len(made), 'link')} to {write_links(made, out)}; keep that file private")
        return
    for link in made:
        typer.echo(f"{link.name}\t{link.url}")


@app.command()
def serve(
    study: StudyArgument,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    database: DatabaseOption = None,
) -> None:
    """Serve the study to raters until interrupted."""
    from fer_bench.annotate.database import default_database
    from fer_bench.annotate.study import load_study

    try:
        from fer_bench.annotate.server import serve as run
    except ModuleNotFoundError as error:
        problem = f"{error.name} is needed to serve a study."
        raise MissingPackageError(problem, 'Run: pip install "fer_bench[annotate]".') from None
    loaded = load_study(study)
    file = loaded.file
    typer.echo(
        f"{file.title} ({file.name}, version {file.version}): {counted(len(loaded.main), 'image')},"
        f" {counted(len(loaded.catch), 'catch image')}"
    )
    typer.echo(f"listening on http://{host}:{port}; raters need their personal links (`fer-bench annotate links`)")
    if host not in {"127.0.0.1", "localhost", "::1"}:
        typer.echo(
            "other machines can connect: put a proxy that speaks HTTPS in front, since links and answers are private",
            err=True,
        )
    run(loaded, database or default_database(study), host, port)


@app.command()
def export(
    study: StudyArgument,
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="File to write, .csv, .parquet or .ann.")],
    layout: Annotated[
        Literal["long", "findingemo"] | None,
        typer.Option(
            "--format",
            help="long: every answer; findingemo: what FindingEmo's annotation files hold, for `study findingemo`"
            " [default: findingemo for .ann, else long].",
        ),
    ] = None,
    database: DatabaseOption = None,
) -> None:
    """Write all answers: one row per rater, image and presentation. The server may be running."""
    from fer_bench.annotate.database import default_database
    from fer_bench.annotate.export import read_answers, write_table
    from fer_bench.annotate.findingemo import write_findingemo

    table = read_answers(database or default_database(study))
    if (layout or ("findingemo" if out.suffix.lower() == ".ann" else "long")) == "findingemo":
        typer.echo(f"wrote {counted(write_findingemo(table, out), 'annotation')} to {out}")
    else:
        typer.echo(f"wrote {counted(len(table), 'answer')} to {write_table(table, out)}")


@app.command()
def prescreen(
    study: StudyArgument,
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="CSV to write: path,label.")],
    database: DatabaseOption = None,
) -> None:
    """Write the images chosen in pre-screening, for images.table of the annotation study."""
    from fer_bench.annotate.chosen import write_chosen

    store = _open(study, database)
    try:
        counts = write_chosen(store, out)
    finally:
        store.close()
    typer.echo(f"wrote {out}: " + ", ".join(f"{label} {count}" for label, count in counts.items()))
