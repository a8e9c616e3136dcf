"""The model card of a run as the Hugging Face hub reads it: metadata with an evaluation block, and a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fer_bench import metrics
from fer_bench.deploy.hub.reference import Place
from fer_bench.deploy.hub.terms import Terms
from fer_bench.deploy.model_card import Card
from fer_bench.escaping import markdown, one_line
from fer_bench.leaderboard.formatting import markdown_table
from fer_bench.packages import require
from fer_bench.protocols import info_at_hand
from fer_bench.report.rows import facts, finished_rows, name_of_row, scores
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row, metric
from fer_bench.site import repeat

LIBRARY = "fer_bench"
SOURCE = "https://github.com/fer-bench/fer_bench"
_ANY_PLACE = Place("ORG/NAME")
# What the hub calls a metric, and with which arguments, where it has another name than here.
_ON_THE_HUB: dict[str, tuple[str, dict[str, Any] | None]] = {
    "macro_f1": ("f1", {"average": "macro"}),
    "weighted_f1": ("f1", {"average": "weighted"}),
}
_TASKS = {"classes": "image-classification", "labels": "image-classification", "values": "image-regression"}


def model_card(
    store: Store, record: Record, card: Card, terms: Terms, *, place: Place | None = None, licence: str = ""
) -> str:
    """Write the card.

    Args:
        store: with the other seeds of the run's row.
        record: of the run.
        card: how its network is fed.
        terms: of what it was trained on.
        place: where it is, or will be.
        licence: of the weights, an identifier of the hub (``mit``, ``cc-by-nc-4.0``); empty: Apache-2.0 where all that
            it was trained on is free, else the terms of the data.

    Returns:
        YAML between two lines of dashes, then Markdown.

    Raises:
        MissingPackageError: huggingface_hub is missing.
    """
    require(("huggingface_hub",))
    from jinja2 import Environment, PackageLoader, StrictUndefined

    protocol, info = protocol_of(record), info_at_hand(record.dataset)
    row = _row(store, record)
    templates = Environment(
        loader=PackageLoader("fer_bench.deploy.hub"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    templates.filters["md"] = markdown
    place = place or _ANY_PLACE
    data = card_data(record, terms, place=place, licence=licence)
    text = templates.get_template("README.md.j2").render(
        name=name_of_row(record),
        record=record,
        protocol=protocol,
        dataset=info.title or record.dataset,
        info=info,
        card=card,
        terms=terms,
        licence="the terms of the data" if data.license_name else data.license,
        place=place,
        source=SOURCE,
        scores=_table(["Metric", "Validation", "Test"], scores(protocol.task.kind, [record])),
        seeds=_table(["Metric", "Validation", "Test"], scores(protocol.task.kind, row.records)) if row else "",
        n_seeds=len(row.records) if row else 1,
        facts=list(facts([record], metrics.headline(protocol.task.kind))),
        settings=_table(["Setting", "Value"], repeat.settings(record)),
        caveats=[*Row(record.row, (record,)).caveats, *record.notes],
    )
    return f"---\n{data.to_yaml()}\n---\n{text}"


def card_data(record: Record, terms: Terms, *, place: Place, licence: str = "") -> Any:
    """The metadata, a ``huggingface_hub.ModelCardData``; arguments as of :func:`model_card`."""
    from huggingface_hub import ModelCardData

    kind = protocol_of(record).task.kind
    given = licence or ("apache-2.0" if terms.free else "other")
    own = {"license_name": "terms-of-the-data", "license_link": terms.homepage or None} if given == "other" else {}
    return ModelCardData(
        license=given,
        **own,
        library_name=LIBRARY,
        pipeline_tag=_TASKS[kind] if kind != "values" else None,
        tags=["facial-expression-recognition", "affective-computing", one_line(record.dataset)],
        metrics=sorted({_ON_THE_HUB.get(name, (name, None))[0] for name, _ in _numbers(record)}),
        model_name=place.name if place is not _ANY_PLACE else name_of_row(record),
        eval_results=list(_results(record)) or None,
    )


def _results(record: Record) -> Iterator[Any]:
    """The evaluation block: every score on test."""
    from huggingface_hub import EvalResult

    protocol, info = protocol_of(record), info_at_hand(record.dataset)
    test = (record.data.get("checksums") or {}).get("test")
    for name, value in _numbers(record):
        called, arguments = _ON_THE_HUB.get(name, (name, None))
        yield EvalResult(
            task_type=_TASKS[protocol.task.kind],
            task_name=one_line(protocol.task.title or protocol.task.name),
            dataset_type=one_line(record.dataset),
            dataset_name=one_line(info.title or record.dataset),
            dataset_config=record.protocol,
            dataset_split="test",
            dataset_args={"checksum": test, "samples": record.n_scored} if test else {"samples": record.n_scored},
            metric_type=called,
            metric_name=metrics.title_of(name),
            metric_value=value,
            metric_args=arguments,
            source_name=f"fer_bench, run {record.run_id}",
            source_url=SOURCE,
        )


def _numbers(record: Record) -> Iterator[tuple[str, float]]:
    for entry in metrics.shown_of(protocol_of(record).task.kind, [record.code]):
        if (value := metric(record.metrics, entry.name)) is not None:
            yield entry.name, value


def _row(store: Store, record: Record) -> Row | None:
    """The run's row, where it has several seeds."""
    alike = (
        other for other in store.records(record.protocol) if (other.model, other.row) == (record.model, record.row)
    )
    rows = finished_rows(alike)
    return rows[0] if rows and len(rows[0].records) > 1 else None


def _table(header: Sequence[str], lines: Any) -> str:
    return markdown_table(list(header), [[markdown(cell) for cell in line] for line in lines], [False] * len(header))
