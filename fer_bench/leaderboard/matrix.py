"""Cross-dataset results: a network trained on one dataset and tested on others. Pure functions of the records, and one
figure.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from fer_bench import metrics
from fer_bench.atomic import write_atomically
from fer_bench.errors import RecordError
from fer_bench.escaping import markdown
from fer_bench.protocols import VIA, find_task
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.intervals import mean_std

KINDS = ("classes", "values")


def _unit(kind: str) -> str:
    """The score of a table, for its heading."""
    metric = metrics.headline(kind)
    return f"{metric.title} in %" if metric.is_share else f"{metric.title} (mean over dimensions)"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        mean: of the score over seeds; None where it is undefined.
        std: ddof 1, None for one seed.
        seeds: how many.
        n: test samples scored.
        protocol: by which it was scored.
    """

    mean: float | None
    std: float | None
    seeds: int
    n: int
    protocol: str


Cells = dict[str, dict[str, Cell]]


def collect(records: Iterable[Record], model: str, kind: str = "classes") -> Cells:
    """Cells by training protocol and tested dataset.

    Args:
        records: of all protocols; trained and evaluated ones of the model count, without test-time augmentation, on the
            known copy.
        model: the network.
        kind: of the tasks, ``classes`` or ``values``.

    Returns:
        ``cells[trained on][tested on]``; of several recipes the one with the most seeds, then the best on its own
        validation. A cross-validation is one row, with what its folds scored elsewhere.
    """
    metric = metrics.headline(kind).name
    own: dict[str, list[Record]] = defaultdict(list)
    across: dict[str, list[Record]] = defaultdict(list)
    experiments: dict[str, str] = {}
    for record in records:
        if (
            record.model != model
            or record.status != "finished"
            or record.spec.get("tta")
            or find_task(record.task).kind != kind
        ):
            continue
        if record.data.get("known_copy") is False or "judged_by" in record.data:
            continue
        if record.kind == "trained":
            own[record.row].append(record)
            experiments |= {str(fold): record.row for fold in record.data.get("folds") or ()}
        elif record.kind == "evaluated":
            across[record.row.rsplit("-on-", 1)[0]].append(record)
    for row in [row for row, members in own.items() if all(member.run_id in experiments for member in members)]:
        across[experiments[own[row][0].run_id]] += across[row]
        del own[row]
    cells: Cells = {}
    for trained_on in sorted({rows[0].protocol for rows in own.values()}):
        rows = [row for row, members in own.items() if members[0].protocol == trained_on]
        best = max(
            rows,
            key=lambda row: (
                len(across[row]) > 0,
                len(own[row]),
                own[row][0].validation_metrics.get(metric) or 0.0,
                row,
            ),
        )
        by_dataset: dict[str, list[Record]] = defaultdict(list)
        for record in (*own[best], *(record for record in across[best] if record.dataset != own[best][0].dataset)):
            by_dataset[record.dataset].append(record)
        cells[trained_on] = {dataset: _cell(members, metric) for dataset, members in sorted(by_dataset.items())}
    return cells


def _cell(members: list[Record], metric: str) -> Cell:
    values = [record.metrics.get(metric) for record in members]
    mean, std = (None, None) if None in values else mean_std([float(value) for value in values if value is not None])
    return Cell(mean, std, len(members), members[0].n_scored, members[0].protocol)


def to_markdown(cells: Cells, model: str, kind: str = "classes") -> str:
    """The table as markdown."""
    datasets = sorted({dataset for row in cells.values() for dataset in row})
    mapped = (
        "Labels are mapped by name; classes without a counterpart are left out, so"
        if kind == "classes"
        else "Values are rescaled linearly, so"
    )
    lines = [
        f"# {markdown(model)}: trained on one dataset, tested on another",
        "",
        f"{_unit(kind)} (mean and standard deviation over seeds), n test samples. {mapped}",
        "cells of different n are not of the same difficulty. Each cell is a record and can be verified.",
        "",
        "| trained on | " + " | ".join(f"tested on {markdown(dataset)}" for dataset in datasets) + " |",
        "| --- |" + " ---: |" * len(datasets),
    ]
    for trained_on, row in cells.items():
        lines.append(
            f"| {markdown(trained_on)} | "
            + " | ".join(_text(row[dataset], kind) if dataset in row else "–" for dataset in datasets)
            + " |"
        )
    return "\n".join(lines) + "\n"


def _text(cell: Cell, kind: str) -> str:
    name = metrics.headline(kind).name
    score = "undefined" if cell.mean is None else metrics.number(cell.mean, name)
    spread = f" ± {metrics.number(cell.std, name)}" if cell.std is not None else ""
    mapped = ", shared classes" if VIA in cell.protocol else ""
    return f"{score}{spread} (n {cell.n}, {cell.seeds} seed{'s' if cell.seeds > 1 else ''}{mapped})"


def draw(cells: Cells, model: str, kind: str = "classes") -> bytes:
    """The table as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metric = metrics.headline(kind)
    unit = metric.in_words + _unit(kind).removeprefix(metric.title)
    datasets = sorted({dataset for row in cells.values() for dataset in row})
    values = np.array(
        [
            [np.nan if d not in row or (mean := row[d].mean) is None else mean for d in datasets]
            for row in cells.values()
        ]
    )
    figure = Figure(figsize=(2.2 + 1.5 * len(datasets), 1.6 + 0.9 * len(cells)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(values, vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(datasets)), datasets)
    axes.set_yticks(range(len(cells)), list(cells))
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    axes.set_title(f"{model}, {unit}", fontsize=10)
    for y, row in enumerate(cells.values()):
        for x, dataset in enumerate(datasets):
            if dataset in row and (mean := row[dataset].mean) is not None:
                text = f"{metric.text(mean, metric.decimals - 1)}\nn = {row[dataset].n}"
                axes.text(x, y, text, ha="center", va="center", color="white" if mean > 0.55 else "black")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def write_matrix(store: Store, model: str) -> Path:
    """Render tables and figures of one model into ``<root>/matrix/``: of classes, and of values where it has such
    runs.

    Returns:
        The markdown file.

    Raises:
        RecordError: it has no run that could be shown.
    """
    records = list(store.records())
    tables = {kind: cells for kind in KINDS if (cells := collect(records, model, kind))}
    if not tables:
        problem = f"model {model!r} has no finished run in {store.results} that could be shown."
        others = sorted({record.model for record in records if record.kind == "trained"})
        raise RecordError(
            problem,
            f"Models with runs: {', '.join(others)}." if others else f"Train one: fer-bench run --model {model}.",
        )
    page = store.root / "matrix" / f"{folder_name(model)}.md"
    text = []
    for kind, cells in tables.items():
        name = f"{page.stem}{'' if kind == 'classes' else '-' + kind}.png"
        text.append(to_markdown(cells, model, kind) + f"\n![the same as a picture]({quote(name)})\n")
        write_atomically(page.with_name(name), draw(cells, model, kind))
    write_atomically(page, "\n".join(text).encode())
    return page
