"""Verbs that study data rather than train on it: ``study`` and ``download``."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from fer_bench.labels import LabelSet
    from fer_bench.results.store import Store
    from fer_bench.studies.reannotation import NetworkOutputs
    from fer_bench.studies.reannotation.claims import Claim

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
        list[str] | None,
        typer.Option(
            help="A run, or a table as `predict --csv` writes it, whose predictions count as one more rater; one value"
            " (valence or arousal) is enough; repeatable."
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="What was known before: a CSV of classes and their number of images in the whole dataset, or of images"
            " with the earlier annotator's label, valence, arousal; AffectNet's lists are both; repeatable."
        ),
    ] = None,
    scale: Annotated[
        Literal["sam9", "unit", "findingemo"] | None,
        typer.Option(
            help="Of valence and arousal: 1 to 9, -1 to 1, or -3 to 3 and 0 to 6 [default: as the answers say]."
        ),
    ] = None,
    label_set: Annotated[
        str | None, typer.Option(help="Classes of the answers: fer8, emo24, ... or a list of names with commas.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the study's images: some whose label was not shared are shown.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page and its figures.")] = None,
) -> None:
    """Compare people with labels, with each other and with networks: figures and a page."""
    from fer_bench.errors import MissingDataError
    from fer_bench.studies.reannotation import study_reannotation
    from fer_bench.studies.reannotation.references import read_references

    if images is not None and not images.is_dir():
        problem = f"--images {images}: no such folder."
        raise MissingDataError(problem, "Give the folder that the study's images are in.")
    page = study_reannotation(
        answers,
        out or _folder("reannotation"),
        predictions=_networks(predictions or []) or None,
        label_set=_label_set(label_set) if label_set else None,
        scale=scale,
        references=read_references(reference, likely=scale) if reference else None,
        claims=_claims("reannotation"),
        images=images,
    )
    typer.echo(f"page {page}")


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
    data_dir: Annotated[str | None, typer.Option(help="Data root; the images go into its folder findingemo.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Only the images of this manifest.csv, first from where it has them.")
    ] = None,
    wayback: Annotated[
        bool, typer.Option("--wayback", help="Ask the Wayback Machine for links that lead to no image any more.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many images, of how many hosts, in how many hours; ask nobody.")
    ] = False,
    retry_gone: Annotated[bool, typer.Option("--retry-gone", help="Retry images that were gone.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Follow links and redirects into this machine's own network.")
    ] = False,
) -> None:
    """Download a dataset's images from their list of URLs; resumes where it was stopped. Exit code 1: none came."""
    from fer_bench import paths
    from fer_bench.datasets.download.images import download_findingemo, wanted_images
    from fer_bench.datasets.download.limits import DownloadLimits
    from fer_bench.datasets.download.plan import plan_download
    from fer_bench.datasets.download.wayback import WAYBACK
    from fer_bench.datasets.findingemo.annotations import URLS, published
    from fer_bench.datasets.findingemo.manifest import read_manifest
    from fer_bench.registry import unknown_name

    if dataset != "findingemo":
        raise unknown_name("downloadable dataset", dataset, ["findingemo"])
    limits = DownloadLimits(allow_private=allow_private)
    listed = urls or (published(URLS) if manifest else _published(URLS))
    root = paths.data_root(data_dir) / "findingemo"
    archive = WAYBACK if wayback else None
    if dry_run:
        wanted = wanted_images(listed, read_manifest(manifest) if manifest else {})
        for line in plan_download(wanted, root, limits, retry_gone, archive).lines():
            typer.echo(line)
        return
    report = download_findingemo(listed, root, limits, retry_gone, archive=archive, manifest=manifest)
    for outcome, count in report.counts.items():
        typer.echo(f"{outcome:16s} {count}")
    if manifest:
        typer.echo(f"{'other content':16s} {report.differ}")
    typer.echo(f"what is missing: {report.gone_csv}")
    if report.manifest:
        typer.echo(f"what is there: {report.manifest}; --manifest and the dataset's option manifest repeat it")
    if not report.there or (report.asked and not report.came and report.counts["failed"] == report.asked):
        typer.echo("no image came", err=True)
        raise typer.Exit(1)


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


def _label_set(name: str) -> LabelSet:
    from fer_bench.errors import BadDataError
    from fer_bench.labels import LABEL_SETS, LabelSet, plain

    if "," not in name:
        return LABEL_SETS[name]
    names = tuple(part for text in name.split(",") if (part := plain(text)))
    if len(set(names)) < max(len(names), 2):
        problem = f"--label-set {name}: needs two or more classes, each once."
        raise BadDataError(problem, "Such as --label-set yes,no,maybe.")
    return LabelSet("own", names)


def _claims(study_name: str) -> list[Claim]:
    from fer_bench import paths
    from fer_bench.leaderboard.reported import read_reported
    from fer_bench.studies.reannotation.claims import Claim

    return [
        Claim(f.measure, f.text, f.value, f.location, f.notes, paper.source.short)
        for paper in read_reported(paths.leaderboards_dir() / "reported")
        for f in paper.findings
        if f.study == study_name
    ]


def _networks(references: list[str]) -> dict[str, NetworkOutputs]:
    from fer_bench.errors import MissingDataError
    from fer_bench.results.store import Store
    from fer_bench.studies.reannotation.outputs import read_outputs

    store = Store()
    networks: dict[str, NetworkOutputs] = {}
    for reference in references:
        path = Path(reference)
        if path.suffix.lower() == ".csv" and not path.is_file():
            problem = f"--predictions {path}: no such file."
            raise MissingDataError(problem, "`fer-bench predict FOLDER --run RUN --csv FILE` writes such a table.")
        tabular = path.suffix.lower() == ".csv" and path.is_file()
        short, long, outputs = (path.stem, str(path), read_outputs(path)) if tabular else _of_run(store, reference)
        name = short if short not in networks else long
        numbered = (f"{name} ({i})" for i in itertools.count(2))
        while name in networks:
            name = next(numbered)
        networks[name] = outputs
    return networks


def _of_run(store: Store, reference: str) -> tuple[str, str, NetworkOutputs]:
    """A run's name, a longer one where another has that, and its predictions."""
    from fer_bench.results.protocol import protocol_of
    from fer_bench.studies.reannotation import NetworkOutputs

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
    names = labels.names if labels else protocol.task.dimensions
    long = f"{name}, {record.recipe or record.row}, seed {record.seed}"
    return name, long, NetworkOutputs(predictions.ids, outputs, names)
