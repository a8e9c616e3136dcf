"""Verbs that use a trained network: ``evaluate``, ``cross-dataset``, ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.flags import CONTEXT, FIELDS, TRACKING, Grouped, tracking_of, typed, with_fields
from fer_bench.counting import counted
from fer_bench.spec import Execution

if TYPE_CHECKING:
    from fer_bench.metrics import Metric
    from fer_bench.results.record import Record


_OUTSIDE = "A model of another program"


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("evaluate", cls=Grouped, context_settings=CONTEXT)(evaluate_verb)
    app.command("cross-dataset")(cross_dataset_verb)
    app.command("matrix", hidden=True)(cross_dataset_verb)  # Its first name; scripts may use it.
    app.command("predict")(predict_verb)


@with_fields(Execution, TRACKING, only=FIELDS)
def evaluate_verb(
    run: Annotated[str | None, typer.Argument(help="A run id; or give --model.")] = None,
    on: Annotated[str | None, typer.Option("--on", "--dataset", help="The dataset to test on.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Instead of another dataset: a label file that judges the run's stored predictions. With --model: the"
            " names of its outputs, in their order, separated by commas."
        ),
    ] = None,
    train: Annotated[
        bool,
        typer.Option(
            "--train", help="Instead of either: on its own training images, without augmentation; kept in its record."
        ),
    ] = False,
    corruptions: Annotated[
        bool,
        typer.Option("--corruptions", help="Instead: on blurred, noisy, compressed, rotated and occluded test images."),
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Instead: its stored predictions by class, frequency, pose, sharpness, ..."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(dir_okay=False, help="With --corruptions or --by: write the scores there.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(dir_okay=False, help="With --corruptions or --by: write the figure there.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="The dataset's task [default: the one that fits].")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Dataset root directory.")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="dataset_options of the dataset to test on.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Instead of a run: a model of another program, onnx:FILE, hf:ORG/NAME, hf:FOLDER or"
            " python:MODULE:FUNCTION.",
            rich_help_panel=_OUTSIDE,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Its name, as the board shows it [default: its own].", rich_help_panel=_OUTSIDE)
    ] = "",
    image_size: Annotated[
        int | None, typer.Option(help="Side of its images, where it takes any.", rich_help_panel=_OUTSIDE)
    ] = None,
    normalization: Annotated[
        str,
        typer.Option(
            help="How an ONNX file of real numbers has its pixels: raw (0 to 255), unit (0 to 1), symmetric (-1 to 1)"
            " or imagenet.",
            rich_help_panel=_OUTSIDE,
        ),
    ] = "",
    trained_on: Annotated[
        list[str] | None,
        typer.Option(help="Data that it was trained on; repeatable or separated by commas.", rich_help_panel=_OUTSIDE),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Address of a paper, a repository or a page.", rich_help_panel=_OUTSIDE)
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Test again what is on record already.", rich_help_panel=_OUTSIDE)
    ] = False,
    **tracking: Any,
) -> None:
    """Test a trained network, or a model of another program, on a dataset, labels mapped by name; or judge a run by
    other labels, on its training images, corrupted, or by group.
    """
    from fer_bench.apps.runs import which_ferplus
    from fer_bench.apps.tracking import publish_records
    from fer_bench.assignments import dataset_options
    from fer_bench.cli.submit import listed, say_submitted
    from fer_bench.deploy.outside.evaluate import evaluate_outside
    from fer_bench.deploy.outside.model import Feeding, is_outside
    from fer_bench.errors import SpecError
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results.store import Store
    from fer_bench.spec import build

    if model is not None or run is None or is_outside(run):
        chosen = _outside(run, model, on, (train, corruptions, by is not None, csv is not None, png is not None))
        store, feeding = Store(), Feeding(_names(labels), image_size, normalization, accelerator)
        done = evaluate_outside(
            store,
            chosen,
            which_ferplus(data_dir) if on == "ferplus" else str(on),
            feeding,
            task=task,
            name=name,
            address=reference,
            trained_on=listed(trained_on),
            data_dir=data_dir,
            options=dataset_options(sets),
            force=force,
        )
        render_all(store)
        publish_records([done.record], store, tracking_of(typed(Execution, tracking)))
        say_submitted(store, [done])
        return
    if name or image_size is not None or normalization or trained_on or reference or force:
        problem = "--name, --image-size, --normalization, --trained-on, --reference and --force belong to --model."
        raise SpecError(problem, "A run says these itself; leave them out.")
    if (on is not None) + (labels is not None) + train + corruptions + (by is not None) != 1:
        problem = "evaluate needs one of --on, --labels, --train, --corruptions and --by."
        raise SpecError(problem, "For example --on ferplus, --labels consensus.csv, or --by class.")
    if on is None and (task is not None or sets):
        problem = f"{'--task' if task is not None else '--set'} belongs to --on: a run is of its own task and data."
        raise SpecError(problem, "Leave it out, or name the dataset to test on with --on.")
    if (csv is not None or png is not None) and not corruptions and by is None:
        problem = "--csv and --png belong to --corruptions and --by."
        raise SpecError(problem, "Leave them out.")
    tracked = tracking_of(typed(Execution, tracking))
    if tracked.wandb != "off" and (train or corruptions or by is not None):
        problem = "--wandb belongs to --on and --labels, which make a record."
        raise SpecError(problem, "Leave it out, or use --csv and --png.")
    execution = build({"execution": {"data_dir": data_dir, "accelerator": accelerator}}, "the command line").execution
    store = Store()
    if corruptions or by is not None:
        from fer_bench.cli.robustness import evaluate_by, evaluate_corrupted

        if by is None:
            evaluate_corrupted(store, run, execution, csv, png)
        else:
            evaluate_by(store, run, by, execution, csv, png)
        return
    if train:
        from fer_bench.training.train_accuracy import score_on_train

        record = score_on_train(store, run, execution)
        found = record.training["on_train"]
        metric = _headline(record)
        value, test = found[metric.name], record.metrics.get(metric.name)
        if value is None or test is None:
            typer.echo(
                f"{record.run_id}: {metric.in_words} is undefined on"
                f" {'the training samples' if value is None else 'test'}"
            )
            return
        distance = f"{metric.text(value - test)} points" if metric.is_share else f"{value - test:.4f}"
        typer.echo(
            f"{record.run_id}: {metric.in_words} {value:.4f} on {found['n']} training samples, {test:.4f} on test: a"
            f" difference of {distance}"
        )
        return
    if labels is not None:
        from fer_bench.studies.relabelled import score_relabelled

        record = score_relabelled(store, run, Path(labels))
    else:
        from fer_bench.training.evaluate import evaluate

        record = evaluate(
            store, run, which_ferplus(data_dir) if on == "ferplus" else str(on), task, execution, dataset_options(sets)
        )
    render_all(store)
    publish_records([record], store, tracked)
    typer.echo(f"{record.run_id}: {record.protocol}: {_score(record)} on {record.n_scored} test samples")
    if on is not None and record.kind != "evaluated":
        typer.echo(f"  {on} is what the run was trained on: this is its own record, and nothing was tested again")
    for note in record.notes:
        typer.echo(f"  {note}")


def _outside(run: str | None, model: str | None, on: str | None, other: tuple[bool, ...]) -> str:
    """The model from outside that is meant, and nothing beside it."""
    from fer_bench.deploy.outside.model import FORMS
    from fer_bench.errors import SpecError

    if run is not None and model is not None:
        problem = f"both a run, {run!r}, and --model {model!r} are given."
        raise SpecError(problem, "Give one of them.")
    if run is None and model is None:
        problem = "evaluate needs a run id, or --model."
        raise SpecError(problem, f"For example a run id with --on ferplus, or --model {FORMS} with --dataset fer2013.")
    if on is None or any(other):
        problem = "a model of another program is tested on a dataset."
        raise SpecError(problem, "Name it with --dataset; the record can then be judged with --by or --labels.")
    return str(model or run)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _headline(record: Record) -> Metric:
    from fer_bench.metrics import headline
    from fer_bench.protocols import find_task

    return headline(find_task(record.task).kind)


def _score(record: Record) -> str:
    metric = _headline(record)
    value = record.metrics.get(metric.name)
    return f"{metric.in_words} {value:.4f}" if isinstance(value, float | int) else f"{metric.in_words} undefined"


def cross_dataset_verb(
    model: Annotated[str, typer.Option(help="The network.")] = "five_layer_cnn",
    datasets: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Only these datasets, in this order: fer2013,ferplus,expw.")
    ] = None,
) -> None:
    """Render the scores of one network for all pairs of training and test dataset, as a table and a figure.

    Each cell says how many samples were scored and which classes were not; `suite cross_dataset` makes 4 x 4 of them.
    """
    from fer_bench.leaderboard.matrix import write_matrix
    from fer_bench.models.catalog import find_model
    from fer_bench.results.store import Store

    store = Store()
    if not any(record.model == model for record in store.records()):
        find_model(model)
    names = [name.strip() for name in (datasets or "").split(",") if name.strip()]
    typer.echo(f"page {write_matrix(store, model, names)}")


def predict_verb(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    run: Annotated[str, typer.Option(help="A run id, hf:ORG/NAME, or a file of `fer-bench export`.")],
    csv: Annotated[Path | None, typer.Option(dir_okay=False, help="Write a table instead of printing it.")] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Predict images with a trained network. A temporal model takes the images of each folder as the frames of a clip,
    in the order of their names.
    """
    from fer_bench.deploy.exported import require_packages
    from fer_bench.errors import BadDataError
    from fer_bench.escaping import one_line
    from fer_bench.results.store import Store

    require_packages(run)
    from fer_bench.deploy.predict import predict_files, write_table

    rows = predict_files(Store(), run, images, accelerator)
    if csv is None:
        for row in rows:
            typer.echo(row.line())
    else:
        write_table(rows, csv)
        typer.echo(f"{counted(len(rows), 'image')}, {sum(row.error != '' for row in rows)} unreadable: {csv}")
    if all(row.error for row in rows):
        first = f"{one_line(rows[0].path)}: {rows[0].error}"
        problem = f"none of {counted(len(rows), 'image')} could be read; the first is {first}."
        raise BadDataError(problem, "Check that these are whole image files.")
