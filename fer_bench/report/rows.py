"""From records to what a page says of each row: its figures, its scores, where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fer_bench import metrics
from fer_bench.ensembles.curve import draw_curve
from fer_bench.metrics import NONE, Metric, in_units
from fer_bench.protocols import Protocol
from fer_bench.report import figures, value_figures
from fer_bench.report.labels import average_precisions, category_table
from fer_bench.report.values import dimension_table, fold_rows, predicted_against_true
from fer_bench.results.naming import Named
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.rows import Row, by_seed, mean, mean_interval, rows_of, std

# Heading, header, rows.
Table = tuple[str, list[str], list[list[str]]]


@dataclass(frozen=True)
class Shown:
    """A figure on the page."""

    name: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """One row on the page.

    Args:
        anchor: of the row, unique on the page; begins the names of its figures where there are several rows.
        title: its name.
        records: of its runs, by seed.
        scores: name, then ``validation`` and ``test`` as text.
        facts: name and text.
        tables: heading, header, rows.
        figures: in order.
    """

    anchor: str
    title: str
    records: tuple[Record, ...]
    scores: list[tuple[str, str, str]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Shown] = field(default_factory=list)


def finished_rows(records: Iterable[Record]) -> list[Row]:
    """Finished records by row, each by seed."""
    return rows_of(sorted((record for record in records if record.status == "finished"), key=by_seed))


def name_of_row(record: Record) -> str:
    """Model, recipe and views."""
    return Named(record.model, record.recipe, record.spec).plain


def build_section(
    store: Store, protocol: Protocol, records: Sequence[Record], siblings: Sequence[Record] = ()
) -> Section:
    """Draw and write what there is to say of a row.

    Args:
        store: holds the predictions.
        protocol: theirs.
        records: runs whose scores are shown; finished.
        siblings: all seeds of the row, for the learning curves; empty: the records.

    Raises:
        RecordError: predictions are missing or altered.
    """
    first = records[0]
    section = Section(
        f"{first.row}" if len(records) > 1 or not siblings else first.run_id, name_of_row(first), tuple(records)
    )
    labels = protocol.task.labels
    section.scores.extend(scores(protocol.task.kind, records))
    section.facts.extend(facts(records, metrics.headline(protocol.task.kind)))
    section.tables.extend(tables(first))
    section.figures.extend(_curves(store, protocol, siblings or records))
    section.figures.extend(_members(protocol, first))
    if protocol.task.kind == "labels":
        section.tables.append(category_table(records, protocol.task.dimensions))
        section.figures.append(_of_categories(records, protocol.task.dimensions))
    elif labels is None:
        section.tables.append(dimension_table(records, protocol.task.dimensions))
        section.figures.extend(_figures_of_values(store, protocol, records))
    else:
        section.figures.extend(_figures(store, protocol, records, labels.names))
    return section


def scores(kind: str, records: Sequence[Record]) -> Iterable[tuple[str, str, str]]:
    """Every metric of a kind of task that runs have: its title, and its value on validation and on test."""
    for metric in metrics.shown_of(kind, [record.code for record in records]):
        if any(metric.name in record.metrics for record in records):
            yield metric.title, _score(records, metric.name, "validation"), _score(records, metric.name, "test")


def _of_categories(records: Sequence[Record], names: Sequence[str]) -> Shown:
    title = "test" if len(records) == 1 else f"test, mean of {len(records)} runs"
    caption = (
        "Average precision of each category on test with its 95 % interval, and the share of samples that have it."
    )
    return Shown("per_category", caption, average_precisions(records, names, title))


def _curves(store: Store, protocol: Protocol, siblings: Sequence[Record]) -> Iterable[Shown]:
    siblings, each, many = with_curves(store, siblings)
    runs = [record.training.get("curves") or {} for record in siblings]
    best = [record.training.get("best_epoch") for record in siblings]
    shown = dict.fromkeys(("loss", metrics.HEADLINE[protocol.task.kind], protocol.primary))
    curves = figures.learning_curves([run for run in runs if run], best, tuple(shown), each)
    if curves:
        yield Shown(
            "learning_curves", f"Learning curves, {many}; dotted: the epoch that was kept, best on validation.", curves
        )


def with_curves(store: Store, siblings: Sequence[Record]) -> tuple[Sequence[Record], str, str]:
    """The runs that were trained, what they are, and how many in words: of cross-validations those of their folds."""
    folds = [
        found
        for record in siblings
        for run_id in record.data.get("folds") or ()
        if (found := store.find(record.protocol, record.model, str(run_id))) is not None
    ]
    if folds:
        return folds, "folds", f"mean of {len(folds)} folds ± standard deviation"
    return (
        siblings,
        "seeds",
        "one seed" if len(siblings) == 1 else f"mean of {len(siblings)} seeds ± standard deviation",
    )


def _members(protocol: Protocol, record: Record) -> Iterable[Shown]:
    """How much another member helps an ensemble."""
    if "curve" not in record.training:
        return
    folds = record.training.get("folds")
    # What is scored over all folds together is no point of a mean over folds.
    scores = (
        {}
        if folds
        else {
            "validation": record.validation_metrics.get(protocol.primary),
            "test": record.metrics.get(protocol.primary),
        }
    )
    curve = draw_curve(record.training["curve"], record.spec["rule"], record.spec["n_members"], scores)
    over = ", means over folds" if folds else ""
    yield Shown("members", f"Number of members against score, by every rule{over}.", curve)


def _figures_of_values(store: Store, protocol: Protocol, records: Sequence[Record]) -> Iterable[Shown]:
    over = "" if len(records) == 1 else f", {len(records)} runs together"
    names, scale = protocol.task.dimensions, protocol.scale
    for split in ("validation", "test"):
        loaded = [store.predictions(record, split) for record in records if split in record.predictions]
        if not loaded:
            continue
        targets, outputs = np.concatenate([p.targets for p in loaded]), np.concatenate([p.outputs for p in loaded])
        title = f"{split}{over}"
        caption = f"Predicted against true values on {title}; the darker, the more samples."
        yield Shown(f"values_{split}", caption, predicted_against_true(targets, outputs, names, scale, title))
        pair = value_figures.answered(targets, outputs)
        if split == "validation" or not len(pair[0]):
            continue
        title += "" if len(pair[0]) == len(targets) else f", without the {len(targets) - len(pair[0]):,} not answered"
        what = "Where labels and predictions are" if len(names) != 2 else "Labels and predictions on the circumplex"
        yield Shown("circumplex", f"{what}, {title}.", value_figures.circumplex(*pair, names, scale, title))
        caption = f"Error by the region of the label, {title}" + (
            "; arrows lead from the mean label to the mean prediction, numbers count samples."
            if len(names) == 2
            else "."
        )
        yield Shown("error_by_region", caption, value_figures.error_by_region(*pair, names, scale, title))
        caption = f"Predicted minus true value against the true one, {title}; below 0 the prediction is too low."
        yield Shown("residuals", caption, value_figures.residuals(*pair, names, scale, title))
        first = loaded[0]
        if first.groups is not None:
            traces = value_figures.clip_traces(
                first.targets.astype(np.float64),
                first.outputs.astype(np.float64),
                first.ids,
                first.groups,
                names,
                scale,
                f"{split}, clips from the smallest to the largest error",
            )
            if traces:
                run = "" if len(records) == 1 else f", run {records[0].run_id}"
                yield Shown("clips", f"Clips frame by frame{run}: labels and predictions.", traces)


def _figures(store: Store, protocol: Protocol, records: Sequence[Record], names: Sequence[str]) -> Iterable[Shown]:
    over = "" if len(records) == 1 else f", summed over {len(records)} runs"
    for split in ("validation", "test"):
        matrices = [
            _metrics(record, split)["confusion"] for record in records if "confusion" in _metrics(record, split)
        ]
        if not matrices:
            continue
        total = np.sum([np.asarray(matrix) for matrix in matrices], axis=0)
        caption = f"Confusion matrix on {split}{over}: counts, and per cent of each true class."
        yield Shown(f"confusion_{split}", caption, figures.confusion(total, names, f"{split}{over}"))
    matrices = [record.metrics["confusion"] for record in records if "confusion" in record.metrics]
    if matrices:
        title = "test" if len(matrices) == 1 else f"test, mean of {len(matrices)} runs"
        yield Shown(
            "per_class",
            "F1, precision and recall of each class on test, with the number of its samples.",
            figures.per_class_f1(matrices, names, title),
        )
    if records[0].kind != "human":
        for split in ("validation", "test"):
            loaded = [store.predictions(record, split) for record in records if split in record.predictions]
            if loaded:
                targets, outputs = (
                    np.concatenate([p.targets for p in loaded]),
                    np.concatenate([p.outputs for p in loaded]),
                )
                title = split if len(loaded) == 1 else f"{split}, {len(loaded)} runs together"
                caption = (
                    f"Reliability on {title}: accuracy against confidence in 15 bins, and the share of samples in each."
                )
                yield Shown(f"reliability_{split}", caption, figures.reliability_diagram(targets, outputs, title))


def _metrics(record: Record, split: str) -> dict[str, Any]:
    return record.metrics if split == "test" else record.validation_metrics


def _score(records: Sequence[Record], name: str, split: str) -> str:
    each = [_metrics(record, split) for record in records]
    value, deviation, interval = mean(each, name), std(each, name), mean_interval(each, name)
    if value is None:
        return NONE
    text = in_units(value, name) + ("" if deviation is None else f" ± {in_units(deviation, name)}")
    return text if interval is None else f"{text} [{', '.join(in_units(end, name) for end in interval)}]"


def facts(records: Sequence[Record], main: Metric) -> Iterable[tuple[str, str]]:
    """What is known of runs beside their scores: name and text."""
    first = records[0]
    yield "kind", first.kind
    yield "runs", ", ".join(record.run_id for record in records)
    yield (
        "samples",
        f"{first.n_scored} scored on test"
        + (f", {first.metrics['n_unanswered']} without an answer" if first.metrics.get("n_unanswered") else ""),
    )
    clean = first.metrics.get("clean")
    if clean:
        value = mean([record.metrics for record in records], f"clean/{main.name}")
        yield "without duplicates", f"{main.in_words} {in_units(value, main.name)} on {clean['n']}"
    yield from fold_rows(first)
    if first.parameters.get("total"):
        yield "parameters", f"{first.parameters['total'] / 1e6:.2f} M"
    for key, title in (
        ("epochs", "epochs"),
        ("best_epoch", "best epoch"),
        ("images_per_second", "images per second in training"),
    ):
        values = [record.training[key] for record in records if record.training.get(key) is not None]
        if values:
            yield title, ", ".join(map(str, dict.fromkeys(values)))
    seen = [record for record in records if "on_train" in record.training]
    if seen:
        both = [(record.training["on_train"].get(main.name), record.metrics.get(main.name)) for record in seen]
        defined = [(train, test) for train, test in both if train is not None and test is not None]
        if defined:
            train, test = (float(np.mean(values)) for values in zip(*defined, strict=True))
            above = main.text(train - test) + (" points" if main.is_share else "")
            yield (
                "training images",
                f"{main.in_words} {in_units(train, main.name)} without augmentation, {above} above test",
            )
    if first.data.get("checksums"):
        copies: dict[bool | None, str] = {
            True: "the copy that the protocol ranks",
            False: "another copy than the protocol ranks",
        }
        known = copies.get(first.data.get("known_copy"), "")
        yield (
            "data",
            " ".join([f"test {first.data['checksums'].get('test', '–')}", f"({known})" if known else ""]).strip(),
        )
    hardware = [
        str(first.hardware[key]) for key in ("gpu", "processor", "accelerator", "precision") if first.hardware.get(key)
    ]
    if hardware:
        yield "machine", ", ".join(hardware)
    if first.code:
        commit = str(first.code.get("commit") or "")[:10]
        changed = " with local changes" if first.code.get("modified") else ""
        yield "code", f"fer_bench {first.code.get('version', '')} {commit}{changed}".strip()
    if first.notes:
        yield "notes", "; ".join(first.notes)


def tables(record: Record) -> Iterable[Table]:
    """The members of an ensemble; how people agree."""
    members = record.training.get("members")
    if record.kind == "ensemble" and members:
        score = next(name for name in metrics.HEADLINE.values() if f"validation_{name}" in members[0])
        rows = [
            [
                f"{entry['model']}/{entry['run_id']}",
                f"{entry['weight']:.4g}",
                *(in_units(entry[f"{split}_{score}"], score) for split in ("validation", "test")),
            ]
            for entry in members
        ]
        over = ", means over folds" if record.training.get("folds") else ""
        yield f"Members{over}", ["member", "weight", f"{metrics.in_words(score)} on validation", "on test"], rows
    found = record.training.get("agreement")
    if record.kind == "human" and found:
        names = {
            "leave_one_out": "one vote against the majority of the others",
            "leave_one_out_emotions": "the same among votes for an emotion",
        }
        keys = {**names, "krippendorff_alpha": "Krippendorff's alpha", "fleiss_kappa": "Fleiss' kappa"}
        header = ["", *(f"{images.replace('_', ' ')} ({values['n']})" for images, values in found.items())]
        yield (
            "Agreement of people",
            header,
            [
                [text, *(in_units(values[key], "accuracy" if key in names else "") for values in found.values())]
                for key, text in keys.items()
            ],
        )
