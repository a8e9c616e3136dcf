"""What Weights & Biases is shown of a finished record: confusion matrix or scatter, and the report's figures."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_bench import paths
from fer_bench.errors import LoggerWarning
from fer_bench.protocols import Protocol, protocol_named
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution
from fer_bench.tracking.content import config_of, summary_of, tags_of
from fer_bench.tracking.guard import reason
from fer_bench.tracking.session import FOLDER, Session, check_packages, session_id, tracked

if TYPE_CHECKING:
    from fer_bench.report.rows import Section

# A scatter of more points is no clearer, and slow to look at.
_MOST_POINTS = 5000


def publish(session: Session, store: Store, record: Record) -> None:
    """Give a session what is shown of a record; a figure that cannot be drawn is a notice.

    Args:
        session: an open one.
        store: holds the record's predictions.
        record: a finished one.
    """
    found: dict[str, Any] = {}
    try:
        for name, shown in _shown(store, record):
            found[name] = shown
    # A picture is not worth a result, whatever it fails of; those before it are shown.
    except Exception as error:
        warnings.warn(
            f"not everything of {record.run_id} is shown in Weights & Biases: {reason(error)}",
            LoggerWarning,
            stacklevel=2,
        )
    session.media(found)


def publish_records(records: Iterable[Record], store: Store, execution: Execution) -> None:
    """Show finished records that nothing was trained for in this process, one Weights & Biases run each.

    Args:
        records: of an ensemble, a test elsewhere, the chosen heads of a grid, all folds together; what did not finish
            is left out.
        store: holds their predictions.
        execution: says whether and where.
    """
    if execution.wandb == "off":
        return
    check_packages(execution)
    place = paths.runs_dir() / FOLDER
    for record in records:
        if record.status != "finished":
            continue
        with tracked(
            execution,
            place,
            session_id(record.run_id, record.protocol),
            record.run_id,
            group=record.row,
            kind=record.kind,
            tags=tags_of(record),
            config=config_of(record),
        ) as session:
            session.curves(record.training.get("curves") or {})
            session.summary(summary_of(record))
            publish(session, store, record)


def _shown(store: Store, record: Record) -> Iterator[tuple[str, Any]]:
    import wandb

    from fer_bench.report.rows import build_section

    protocol = protocol_named(record.protocol, record.dataset, record.task)
    section: Section = build_section(store, protocol, [record])
    for figure in section.figures:
        yield f"figures/{figure.name}", wandb.Image(_opened(figure.png), caption=figure.caption)
    if protocol.task.kind == "values":
        yield from _scatters(wandb, store, protocol, record)
    elif protocol.task.labels is not None and "confusion" in record.metrics:
        yield "test/confusion_matrix", _confusion(wandb, record.metrics["confusion"], protocol.task.labels.names)


def _opened(png: bytes) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(png))


def _confusion(wandb: Any, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Any:
    """The chart that Weights & Biases has for it, with its table: true class, predicted class, number. A column
    more than there are classes counts samples without an answer.
    """
    columns = [*names, "no answer"]
    rows = [[names[i], columns[j], int(n)] for i, line in enumerate(matrix) for j, n in enumerate(line)]
    fields = {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"}
    return wandb.plot_table(
        "wandb/confusion_matrix/v1",
        wandb.Table(columns=list(fields), data=rows),
        fields,
        {"title": "Confusion matrix on test"},
    )


def _scatters(wandb: Any, store: Store, protocol: Protocol, record: Record) -> Iterator[tuple[str, Any]]:
    """Predicted against true, one chart for each dimension; every so many samples where there are very many."""
    if "test" not in record.predictions:
        return
    predictions = store.predictions(record)
    at = np.linspace(0, len(predictions) - 1, min(len(predictions), _MOST_POINTS)).astype(int)
    targets = predictions.targets.reshape(len(predictions), -1)[at]
    outputs = predictions.outputs.reshape(len(predictions), -1)[at]
    for column, name in enumerate(protocol.task.dimensions):
        table = wandb.Table(
            columns=["true", "predicted"],
            data=[[float(a), float(b)] for a, b in zip(targets[:, column], outputs[:, column], strict=True)],
        )
        yield f"test/scatter_{name}", wandb.plot.scatter(table, "true", "predicted", f"{name} on test")
