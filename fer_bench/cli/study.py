"""Verbs that study data rather than train on it: ``study`` and ``download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

study = typer.Typer(help="Studies of datasets and of the people who annotate them.", no_args_is_help=True)


def add_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.add_typer(study, name="study")
    app.command("download")(download_verb)


@study.command("findingemo")
def findingemo_verb(
    annotations: Annotated[
        Path | None,
        typer.Argument(help="annotations_single.ann, or a file of that format; without it, that of findingemo-light."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page and its figures.")] = None,
) -> None:
    """Statistics of FindingEmo's annotations: tables, figures and a page."""
    from fer_bench.datasets.findingemo.annotations import ANNOTATIONS
    from fer_bench.studies.findingemo import study_findingemo

    typer.echo(f"page {study_findingemo(annotations or _published(ANNOTATIONS), out or _folder('findingemo'))}")


@study.command("reannotation")
def reannotation_verb(
    answers: Annotated[
        Path,
        typer.Argument(help="Answers in long format (CSV or Parquet), or FER+'s fer2013new.csv next to fer2013.csv."),
    ],
    predictions: Annotated[
        list[str] | None, typer.Option(help="A run whose predictions count as one more rater; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page and its figures.")] = None,
) -> None:
    """Compare people with labels, with each other and with networks: figures and a page."""
    from fer_bench.studies.reannotation import study_reannotation

    networks = _networks(predictions or [])
    typer.echo(f"page {study_reannotation(answers, out or _folder('reannotation'), predictions=networks or None)}")


@study.command("simulated")
def simulated_verb(
    out: Annotated[Path | None, typer.Option(help="Folder of the page and its figures.")] = None,
) -> None:
    """Simulate raters with known biases, and see whether the analysis recovers them."""
    from fer_bench.studies.reannotation.recovery import study_simulated

    typer.echo(f"page {study_simulated(out or _folder('simulated'))}")


def download_verb(
    dataset: Annotated[str, typer.Argument(help="findingemo")],
    urls: Annotated[
        Path | None,
        typer.Option(help="dataset_urls_exploded.json; without it, that of the installed package findingemo-light."),
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder for the images [default: <data root>/findingemo].")
    ] = None,
    retry_gone: Annotated[bool, typer.Option("--retry-gone", help="Retry images that were gone.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Follow links and redirects into this machine's own network.")
    ] = False,
) -> None:
    """Download a dataset's images from their list of URLs; resumes where it was stopped."""
    from fer_bench import paths
    from fer_bench.datasets.download.images import DownloadLimits, download_findingemo
    from fer_bench.datasets.findingemo.annotations import URLS
    from fer_bench.registry import unknown_name

    if dataset != "findingemo":
        raise unknown_name("downloadable dataset", dataset, ["findingemo"])
    limits = DownloadLimits(allow_private=allow_private)
    report = download_findingemo(
        urls or _published(URLS), paths.data_root(data_dir) / "findingemo", limits, retry_gone=retry_gone
    )
    for outcome, count in sorted(report.counts.items()):
        typer.echo(f"{outcome:16s} {count}")
    typer.echo(f"what is gone: {report.gone_csv}")


def _published(name: str) -> Path:
    from fer_bench.datasets.findingemo.annotations import published
    from fer_bench.errors import MissingDataError
    from fer_bench.protocols.findingemo import FINDINGEMO

    if found := published(name):
        return found
    problem = f"no {name} was named, and the package findingemo-light, which has it, is not installed."
    raise MissingDataError(problem, FINDINGEMO.how_to_get)


def _folder(name: str) -> Path:
    from fer_bench import paths

    return paths.leaderboards_dir() / "studies" / name


def _networks(references: list[str]) -> dict[str, Any]:
    from fer_bench.results.protocol import protocol_of
    from fer_bench.results.store import Store

    store = Store()
    networks: dict[str, Any] = {}
    for reference in references:
        record = store.get(reference)
        protocol = protocol_of(record)
        labels = protocol.task.labels
        predictions = store.predictions(record)
        outputs = predictions.outputs
        if labels is None:
            # People's ratings are read on the scale -1 to 1.
            low, high = protocol.scale
            outputs = 2 * (outputs - low) / (high - low) - 1
        name = f"{record.model} on {record.dataset}"
        if name in networks:
            name = f"{name}, {record.recipe or record.row}, seed {record.seed}"
        networks[name] = (predictions.ids, outputs, labels.names if labels else protocol.task.dimensions)
    return networks
