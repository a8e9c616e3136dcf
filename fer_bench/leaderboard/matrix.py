"""Cross-dataset results: a network trained on one dataset and tested on others. Pure functions of the records, and one
figure.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from fer_bench import metrics
from fer_bench.atomic import write_atomically
from fer_bench.errors import RecordError
from fer_bench.escaping import markdown
from fer_bench.protocols import PROTOCOLS, VIA, find_task
from fer_bench.registry import unknown_name
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
        excluded: classes of the tested dataset that the network does not know; their samples are not scored.
        unused: classes of the network that the tested dataset does not have.
        caveats: as beside a row.
    """

    mean: float | None
    std: float | None
    seeds: int
    n: int
    protocol: str
    excluded: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


Cells = dict[str, dict[str, Cell]]


def collect(records: Iterable[Record], model: str, kind: str = "classes", datasets: Sequence[str] = ()) -> Cells:
    """Cells by training protocol and tested dataset.

    Args:
        records: of all protocols; trained and evaluated ones of the model count, without test-time augmentation, on the
            known copy.
        model: the network.
        kind: of the tasks, ``classes`` or ``values``.
        datasets: that matter; none: all.

    Returns:
        ``cells[trained on][tested on]``; of several recipes the one that was tested on the most datasets, then the one
        with the most seeds, then the best on its own validation. A cross-validation is one row, with what its folds
        scored elsewhere. What was judged by several protocols of a dataset, or on several copies of it, is in no cell
        together.
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
                len({record.dataset for record in across[row] if not datasets or record.dataset in datasets}),
                len(own[row]),
                own[row][0].validation_metrics.get(metric) or 0.0,
                row,
            ),
        )
        by_dataset: dict[str, list[Record]] = defaultdict(list)
        for record in (*own[best], *(record for record in across[best] if record.dataset != own[best][0].dataset)):
            by_dataset[record.dataset].append(record)
        cells[trained_on] = {
            dataset: _cell(_comparable(members), metric) for dataset, members in sorted(by_dataset.items())
        }
    return cells


def _comparable(members: list[Record]) -> list[Record]:
    """Those that were judged alike: by one version of one protocol, on one copy of the data. Of several such groups the
    one with the most samples, then the one with the most seeds.
    """
    alike: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in members:
        copy = record.row.rpartition("-on-")[2] if record.kind == "evaluated" else ""
        alike[record.protocol, record.protocol_version, copy].append(record)
    return max(alike.items(), key=lambda item: (item[1][0].n_scored, len(item[1]), item[0]))[1]


def _cell(members: list[Record], metric: str) -> Cell:
    values = [record.metrics.get(metric) for record in members]
    mean, std = (None, None) if None in values else mean_std([float(value) for value in values if value is not None])
    first = members[0]
    caveats = tuple(dict.fromkeys(caveat for record in members for caveat in record.caveats))
    return Cell(mean, std, len(members), first.n_scored, first.protocol, *_left_out(first.task), caveats)


def _left_out(task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes that only the tested dataset has, and those that only the network has."""
    target, via, source = task.partition(VIA)
    tested, network = (find_task(name).labels if via else None for name in (target, source or target))
    if tested is None or network is None:
        return (), ()
    return (
        tuple(name for name in tested.names if network.find(name) is None),
        tuple(name for name in network.names if tested.find(name) is None),
    )


def chosen(cells: Cells, datasets: Sequence[str]) -> Cells:
    """Some of the cells.

    Args:
        cells: of :func:`collect`.
        datasets: that were trained on, and that are tested on, in this order.

    Raises:
        UnknownNameError: a dataset of which there is no cell.
    """
    for dataset in datasets:
        if dataset not in _known(cells):
            raise unknown_name("dataset", dataset, _known(cells))
    return {
        trained: {dataset: row[dataset] for dataset in datasets if dataset in row}
        for wanted in datasets
        for trained, row in cells.items()
        if _trained_on(trained) == wanted
    }


def _known(cells: Cells) -> set[str]:
    """All datasets that were trained on or tested on."""
    return {*map(_trained_on, cells), *(dataset for row in cells.values() for dataset in row)}


def _trained_on(protocol: str) -> str:
    """The dataset of a protocol, by its name."""
    return PROTOCOLS[protocol].dataset if protocol in PROTOCOLS else protocol.rpartition("-")[0]


def to_markdown(cells: Cells, model: str, kind: str = "classes") -> str:
    """The table as markdown."""
    datasets = _columns(cells)
    mapped = (
        "Labels are mapped by name; samples of a class that the network does not know are not scored (*without*), so"
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
    open_cells = [
        f"{trained_on} on {dataset}" for trained_on, row in cells.items() for dataset in datasets if dataset not in row
    ]
    if open_cells:
        lines += ["", f"Not measured: {', '.join(map(markdown, open_cells))}."]
    return "\n".join(lines) + "\n"


def _columns(cells: Cells) -> list[str]:
    """The tested datasets: in the order of the rows that were chosen, else by name."""
    found = list(dict.fromkeys(dataset for row in cells.values() for dataset in row))
    orders = {tuple(dataset for dataset in found if dataset in row) == tuple(row) for row in cells.values()}
    return found if orders == {True} else sorted(found)


def _text(cell: Cell, kind: str) -> str:
    name = metrics.headline(kind).name
    score = "undefined" if cell.mean is None else metrics.number(cell.mean, name)
    spread = f" ± {metrics.number(cell.std, name)}" if cell.std is not None else ""
    mapped = f", without {', '.join(cell.excluded)}" if cell.excluded else ""
    mapped += f"; {', '.join(cell.unused)} never the answer" if cell.unused else ""
    mapped += "".join(f"; {markdown(caveat)}" for caveat in cell.caveats)
    return f"{score}{spread} (n {cell.n:,}, {cell.seeds} seed{'s' if cell.seeds > 1 else ''}{mapped})"


def draw(cells: Cells, model: str, kind: str = "classes") -> bytes:
    """The table as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metric = metrics.headline(kind)
    unit = metric.in_words + _unit(kind).removeprefix(metric.title)
    datasets = _columns(cells)
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
                without = f"\nwithout {', '.join(row[dataset].excluded)}" if row[dataset].excluded else ""
                text = f"{metric.text(mean, metric.decimals - 1)}\nn = {row[dataset].n:,}{without}"
                axes.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if mean > 0.55 else "black")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def write_matrix(store: Store, model: str, datasets: Sequence[str] = ()) -> Path:
    """Render tables and figures of one model into ``<root>/matrix/``: of classes, and of values where it has such
    runs.

    Args:
        store: the records.
        model: the network.
        datasets: which are shown, in this order; none: all. The files are then named after them, too.

    Returns:
        The markdown file.

    Raises:
        RecordError: it has no run that could be shown.
        UnknownNameError: a dataset of which there is no cell.
    """
    records = list(store.records())
    tables = {kind: cells for kind in KINDS if (cells := collect(records, model, kind, datasets))}
    if not tables:
        problem = f"model {model!r} has no finished run in {store.results} that could be shown."
        others = sorted({record.model for record in records if record.kind == "trained"})
        raise RecordError(
            problem,
            f"Models with runs: {', '.join(others)}." if others else f"Train one: fer-bench run --model {model}.",
        )
    if datasets:
        known = [kind for kind in tables if _known(tables[kind]) & set(datasets)] or list(tables)[:1]
        tables = {kind: chosen(tables[kind], datasets) for kind in known}
    named = "-".join([folder_name(model), *map(folder_name, datasets)])
    page = store.root / "matrix" / f"{named}.md"
    text = []
    for kind, cells in tables.items():
        name = f"{page.stem}{'' if kind == 'classes' else '-' + kind}.png"
        text.append(to_markdown(cells, model, kind) + f"\n![the same as a picture]({quote(name)})\n")
        write_atomically(page.with_name(name), draw(cells, model, kind))
    write_atomically(page, "\n".join(text).encode())
    return page
