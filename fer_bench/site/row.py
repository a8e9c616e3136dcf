"""A row's page: what its template is given, and the data that its plots and comparisons read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.escaping import one_line
from fer_bench.leaderboard.formatting import URL, short_interval, short_score
from fer_bench.leaderboard.per_class import STATISTICS, per_class
from fer_bench.leaderboard.rank import Placed
from fer_bench.leaderboard.ranking import KINDS, kind_of
from fer_bench.leaderboard.uncertainty import Uncertainty
from fer_bench.metrics import HEADLINE, NONE, headline, in_words, is_share, number, unit_sign
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.report.labels import category_table
from fer_bench.report.rows import facts, scores, tables, with_curves
from fer_bench.report.values import dimension_table
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row
from fer_bench.scoring.training_noise import Noises
from fer_bench.site import addresses, repeat
from fer_bench.site.samples import aligned, hardest, reliability_data, value_points
from fer_bench.site.table import name_of, rank_text, rounded

_CURVE_POINTS = 200


@dataclass(frozen=True)
class Subject:
    """A row and what is known around it.

    Args:
        store: the records.
        protocol: the row's.
        uncertainty: of its board.
        name: of the row, unique on its board.
        row: itself.
        placed: its place; None for an ensemble that the board folds away.
        copy: digest of the copy of the data; empty where there is one only.
        beside: the same, where it is not the first copy of the board.
        again: what came of training it again, in words.
    """

    store: Store
    protocol: Protocol
    uncertainty: Uncertainty
    name: str
    row: Row
    placed: Placed | None
    copy: str = ""
    beside: str = ""
    again: Sequence[str] = ()


def row_page(subject: Subject) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the template of a row's page gets, and the data beside the page.

    Raises:
        RecordError: predictions are missing or altered.
    """
    protocol, row, records = subject.protocol, subject.row, subject.row.records
    first, primary = records[0], subject.protocol.primary
    runs = aligned(subject.store, records)
    reference = first.training.get("reference")
    context = {
        "name": subject.name,
        "row": row,
        "protocol": protocol,
        "metric": name_of(primary),
        "unit": unit_sign(primary),
        "value": short_score(row, primary),
        "interval": short_interval(row, primary),
        "rank": rank_text(subject.placed) if subject.placed is not None else "not ranked",
        "kind": KINDS[kind_of(row)].title,
        "copy": subject.copy,
        "reference": reference if isinstance(reference, str) and URL.fullmatch(reference) else "",
        "scores": list(scores(protocol.task.kind, records)),
        "facts": list(facts(records, headline(protocol.task.kind))),
        "tables": [*tables(first), *_by_part(protocol, records)],
        "command": repeat.command(first),
        "variant": repeat.from_settings(first),
        "again": subject.again,
        "settings": repeat.settings(first),
        "classes": _classes(protocol, row),
        "confusion": _confusion(protocol, records),
        "hardest": hardest(protocol, runs),
        "hard_by": _HARD_BY["classes" if protocol.task.labels is not None else protocol.task.kind],
        "downloads": [_downloads(record) for record in records],
    }
    return context, _data(subject, runs)


_HARD_BY = {"classes": "given to the truth", "labels": "mean error", "values": "distance"}


def _by_part(protocol: Protocol, records: Sequence[Record]) -> list[Any]:
    names = protocol.task.dimensions
    if protocol.task.kind == "labels":
        return [category_table(records, names)]
    return [] if protocol.task.labels is not None else [dimension_table(records, names)]


def _classes(protocol: Protocol, row: Row) -> list[list[str]]:
    """Recall, precision, F1 and samples of each class."""
    labels = protocol.task.labels
    if labels is None:
        return []
    support = (row.records[0].metrics.get("per_class") or {}).get("support") or []
    lines = []
    for c, (name, found) in enumerate(zip(labels.names, per_class(row, len(labels)), strict=True)):
        cells = [number(found[statistic], "accuracy") for statistic in STATISTICS]
        lines.append([name, *cells, f"{support[c]:,}" if c < len(support) else NONE])
    return lines


def _confusion(protocol: Protocol, records: Sequence[Record]) -> dict[str, Any] | None:
    """Counts of true and answered classes, summed over runs, with the share of each true class."""
    labels = protocol.task.labels
    matrices = [record.metrics["confusion"] for record in records if record.metrics.get("confusion")]
    if labels is None or not matrices:
        return None
    total = np.sum([np.asarray(matrix) for matrix in matrices], axis=0)
    names = [*labels.names, "no answer"] if total[:, len(labels) :].any() else list(labels.names)
    lines = []
    for name, counts in zip(labels.names, total, strict=True):
        of_all = max(int(counts.sum()), 1)
        lines.append((name, [(int(n), round(100 * int(n) / of_all)) for n in counts[: len(names)]]))
    return {"names": names, "lines": lines, "runs": len(matrices)}


def _downloads(record: Record) -> dict[str, Any]:
    return {
        "run": record.run_id,
        "seed": record.seed,
        "created": record.created[:10],
        "record": addresses.record(record),
        "predictions": {split: addresses.predictions(record, split) for split in sorted(record.predictions)},
    }


def _data(subject: Subject, runs: Sequence[Predictions]) -> dict[str, Any]:
    protocol, row = subject.protocol, subject.row
    primary, first = protocol.primary, subject.row.records[0]
    data: dict[str, Any] = {
        "name": one_line(subject.name),
        "metric": in_words(primary),
        "unit": unit_sign(primary).strip(),
        "percent": is_share(primary),
        "higherIsBetter": protocol.higher_is_better,
        "value": row.value(primary),
        "seeds": len(row.records),
        "kind": row.kind,
        "copy": subject.copy,
        "test": _test(subject),
        "curves": _curves(subject),
    }
    if protocol.task.labels is not None and runs and row.kind != "human":
        data["reliability"] = reliability_data(runs)
    if protocol.task.kind == "values" and runs:
        data["points"] = value_points(protocol, runs)
    if isinstance(first.training.get("curve"), dict):
        data["members"] = _members(first)
    return data


def _test(subject: Subject) -> dict[str, Any] | None:
    """What a paired test needs of the row: see docs/scores.md for the formula."""
    row, uncertainty = subject.row, subject.uncertainty
    deviations = uncertainty.deviations(row) if uncertainty.tests else None
    if deviations is None:
        return None
    noise = uncertainty.noise(row.kind)
    known = Noises.of([noise], [1])
    found: dict[str, Any] = {
        "units": uncertainty.n_units(row),
        "noise": None
        if noise is None
        else {"trained": float(known.trained[0]), "flips": float(known.flips[0]), "df": noise.df, "rows": noise.n_rows},
    }
    if all(record.outcomes for record in row.records) and subject.protocol.primary == HEADLINE["classes"]:
        found |= {"outcomes": [record.outcomes for record in row.records], "n": row.records[0].n_scored}
        # Of samples that stand for themselves the page computes deviations from the outcomes.
        if len(deviations) == row.records[0].n_scored:
            return found
    return found | {"deviations": base64.b64encode(deviations.astype("<f4").tobytes()).decode("ascii")}


def _curves(subject: Subject) -> dict[str, Any] | None:
    """Loss and scores by epoch of each run, thinned."""
    siblings, each, _ = with_curves(subject.store, subject.row.records)
    names = dict.fromkeys(("loss", HEADLINE[subject.protocol.task.kind], subject.protocol.primary))
    runs = []
    for record in siblings:
        stored = record.training.get("curves") or {}
        shown = {
            f"{split}/{name}": _thinned(stored[f"{split}/{name}"])
            for name in names
            for split in ("train", "validation")
            if stored.get(f"{split}/{name}")
        }
        if shown:
            runs.append({"best": record.training.get("best_epoch"), "curves": shown})
    if not runs:
        return None
    return {"each": each, "metrics": {name: in_words(name) for name in names}, "runs": runs}


def _thinned(values: Sequence[Any]) -> dict[str, list[float | None]]:
    step = -(-len(values) // _CURVE_POINTS)
    kept = [
        (epoch, rounded(value) if isinstance(value, int | float) else None)
        for epoch, value in enumerate(values, start=1)
        if (epoch - 1) % step == 0 or epoch == len(values)
    ]
    return {"x": [epoch for epoch, _ in kept], "y": [value for _, value in kept]}


def _members(record: Record) -> dict[str, Any]:
    curve: Mapping[str, Any] = record.training["curve"]
    return {
        "metric": in_words(str(curve.get("metric", ""))),
        "percent": is_share(str(curve.get("metric", ""))),
        "n": record.spec.get("n_members"),
        "rule": record.spec.get("rule"),
        "splits": {
            split: {one_line(rule): [rounded(value) for value in values] for rule, values in curve[split].items()}
            for split in ("validation", "test")
            if isinstance(curve.get(split), dict)
        },
    }
