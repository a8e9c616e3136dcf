"""Train-on x test-on: how far a network's score carries beyond its own dataset. Pure functions of the records, and one picture."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from fer_bench.atomic import write_atomically
from fer_bench.escaping import markdown
from fer_bench.protocols import VIA
from fer_bench.results.record import Record
from fer_bench.results.store import Store, folder_name
from fer_bench.scoring.intervals import mean_std


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        mean: of the primary score over seeds, 0 to 1.
        std: ddof 1, None for one seed.
        seeds: how many.
        n: test samples scored.
        protocol: by which it was scored.
    """

    mean: float
    std: float | None
    seeds: int
    n: int
    protocol: str


def collect(records: Iterable[Record], model: str) -> dict[str, dict[str, Cell]]:
    """Cells by training protocol and tested dataset.

    Args:
        records: of all protocols; trained and evaluated ones of the model count, without test-time augmentation, on the known copy.
        model: the network.

    Returns:
        ``cells[trained on][tested on]``; of several recipes the one with the most seeds, then the best on its own validation.
    """
    own: dict[str, list[Record]] = defaultdict(list)
    across: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.model != model or record.status != "finished" or record.spec.get("tta"):
            continue
        if record.data.get("known_copy") is False or "judged_by" in record.data:
            continue
        if record.kind == "trained":
            own[record.row].append(record)
        elif record.kind == "evaluated":
            across[record.row.rsplit("-on-", 1)[0]].append(record)
    cells: dict[str, dict[str, Cell]] = {}
    for trained_on in sorted({rows[0].protocol for rows in own.values()}):
        rows = [row for row, members in own.items() if members[0].protocol == trained_on]
        best = max(rows, key=lambda row: (len(across[row]) > 0, len(own[row]), own[row][0].validation_metrics.get("accuracy") or 0.0, row))
        by_dataset: dict[str, list[Record]] = defaultdict(list)
        for record in (*own[best], *across[best]):
            by_dataset[record.dataset].append(record)
        cells[trained_on] = {dataset: _cell(members) for dataset, members in sorted(by_dataset.items())}
    return cells


def _cell(members: list[Record]) -> Cell:
    mean, std = mean_std([float(record.metrics["accuracy"]) for record in members])
    return Cell(mean or 0.0, std, len(members), members[0].n_scored, members[0].protocol)


def to_markdown(cells: dict[str, dict[str, Cell]], model: str) -> str:
    """The table as markdown."""
    datasets = sorted({dataset for row in cells.values() for dataset in row})
    lines = [
        f"# {markdown(model)}: trained on one dataset, tested on another",
        "",
        "Accuracy in % (mean and standard deviation over seeds), n test samples. Labels are mapped by name; classes without a counterpart are left out, so",
        "cells of different n are not of the same difficulty. Each cell is a record and can be verified.",
        "",
        "| trained on | " + " | ".join(f"tested on {markdown(dataset)}" for dataset in datasets) + " |",
        "| --- |" + " ---: |" * len(datasets),
    ]
    for trained_on, row in cells.items():
        lines.append(f"| {markdown(trained_on)} | " + " | ".join(_text(row[dataset]) if dataset in row else "–" for dataset in datasets) + " |")
    return "\n".join(lines) + "\n"


def _text(cell: Cell) -> str:
    spread = f" ± {100 * cell.std:.2f}" if cell.std is not None else ""
    mapped = ", shared classes" if VIA in cell.protocol else ""
    return f"{100 * cell.mean:.2f}{spread} (n {cell.n}, {cell.seeds} seed{'s' if cell.seeds > 1 else ''}{mapped})"


def draw(cells: dict[str, dict[str, Cell]], model: str) -> bytes:
    """The table as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    datasets = sorted({dataset for row in cells.values() for dataset in row})
    values = np.array([[row[d].mean if d in row else np.nan for d in datasets] for row in cells.values()])
    figure = Figure(figsize=(2.2 + 1.5 * len(datasets), 1.6 + 0.9 * len(cells)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(values, vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(datasets)), datasets)
    axes.set_yticks(range(len(cells)), list(cells))
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    axes.set_title(f"{model}, accuracy in %", fontsize=10)
    for y, row in enumerate(cells.values()):
        for x, dataset in enumerate(datasets):
            if dataset in row:
                cell = row[dataset]
                axes.text(x, y, f"{100 * cell.mean:.1f}\nn = {cell.n}", ha="center", va="center", color="white" if cell.mean > 0.55 else "black")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def write_matrix(store: Store, model: str) -> Path:
    """Render table and picture of one model into ``<root>/matrix/``.

    Returns:
        The markdown file.
    """
    cells = collect(store.records(), model)
    page = store.root / "matrix" / f"{folder_name(model)}.md"
    name = f"{page.stem}.png"
    write_atomically(page, (to_markdown(cells, model) + f"\n![the same as a picture]({quote(name)})\n").encode())
    if cells:
        write_atomically(page.with_name(name), draw(cells, model))
    return page
