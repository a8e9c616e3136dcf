"""Scores, intervals, links and tables as Markdown: what is in a cell; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from fer_bench.escaping import markdown
from fer_bench.metrics import METRICS, NONE, get, is_share, number
from fer_bench.protocols import own_dimensions
from fer_bench.results.corruptions import Corrupted, mean_drop
from fer_bench.results.grids import record_file
from fer_bench.results.places import folder_name
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row

URL = re.compile(r"https?://[!-;=?-~]+")
"""An address that may be written between angle brackets as it is."""
NBSP = "\u00a0"
"""Between the parts of a number that a narrow column must not break."""

_LONGEST_REASON = 160
_LONGEST_NAME = 40
_TAIL = 15
# What a name says at length, or what other columns and the record say; the first are always shortened, the others one
# after the other until the name fits.
_SHORTER = tuple(
    (re.compile(said), shorter)
    for said, shorter in (
        (r" \+ TTA (\d+) ten_crop", r", \1 crops"),
        (r" \+ TTA (\d+) \w+", r", \1 views"),
        (r"^ensemble \((.*)\)$", r"\1"),
        (r", chosen on validation", ""),
        (r", also best on test", ""),
    )
)
_SHORTER_IF_LONG = tuple(
    (re.compile(said), shorter)
    for said, shorter in (
        (r"mean of probabilities, ", ""),
        (r" by validation\b", ""),
        (r"\bstrong augmentation\b", "strong aug."),
        (r"\bscratch, ", ""),
        (r"^timm:", ""),
        (r": weights imagenet\b", ", ImageNet"),
        (r": weights none\b", ", scratch"),
        (r"\bgrowing images\b", "growing"),
        (r"\bone cycle, ", ""),
    )
)


def title(name: str) -> str:
    """Title of a metric; for one dimension, with the name of the dimension."""
    dimension, _, metric_name = name.rpartition("/")
    found = get(metric_name)
    if metric_name in METRICS:
        plain = METRICS[metric_name].title
    else:
        plain = markdown(found.title if found else metric_name if dimension else name)
    return f"{dimension.capitalize()} {plain}" if dimension in ("mean", *own_dimensions()) else plain


def link(text: str, target: str) -> str:
    """A link to a file next to the board."""
    return f"[{markdown(text)}]({quote(target)})"


def mean_std(row: Row, name: str) -> str:
    """A row's mean over seeds, with the standard deviation where there are several."""
    std = row.std(name)
    return number(row.value(name), name) + ("" if std is None else f" ± {number(std, name)}")


def short(value: float | None, name: str) -> str:
    """A score as a board's table has it: shares in per cent with one decimal."""
    return f"{100 * value:.1f}" if value is not None and is_share(name) else number(value, name)


def short_score(row: Row, name: str, *, seeds: bool = True) -> str:
    """A row's mean over seeds, and its standard deviation where there are several and it is asked for."""
    std = row.std(name) if seeds else None
    return short(row.value(name), name) + ("" if std is None else f"{NBSP}±{NBSP}{short(std, name)}")


def short_interval(row: Row, name: str) -> str:
    """A row's 95 % interval, in brackets."""
    pair = row.interval(name)
    return NONE if pair is None else f"[{short(pair[0], name)},{NBSP}{short(pair[1], name)}]"


def clean_value(row: Row, primary: str) -> str:
    """A row's score without duplicates."""
    return short(row.value(f"clean/{primary}"), primary)


def shortened_name(name: str) -> str:
    """A name of at most 40 characters: its beginning and its end, where rows of one network differ."""
    for said, shorter in _SHORTER:
        name = said.sub(shorter, name)
    for said, shorter in _SHORTER_IF_LONG:
        if len(name) > _LONGEST_NAME:
            name = said.sub(shorter, name)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - _TAIL - 1].rstrip()}…{name[-_TAIL:].lstrip()}"


def fold_mean(row: Row, name: str) -> str:
    """A row's mean over folds of a score (``ccc``, ``valence/ccc``), with its standard deviation over folds; of several
    seeds, the means of both.
    """
    folds = [record.metrics.get("folds") or {} for record in row.records]
    mean, std = (_mean([(fold.get(key) or {}).get(name) for fold in folds]) for key in ("averaged", "std"))
    return number(mean, name) + ("" if std is None else f" ± {number(std, name)}")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if isinstance(value, int | float)]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def corrupted(row: Row, primary: str, measured: Mapping[str, Corrupted]) -> str:
    """A row's mean score on corrupted images and its relative drop; of several seeds, the mean of those that were
    measured.
    """
    found = {record.run_id: measured[record.run_id] for record in row.records if record.run_id in measured}
    both = mean_drop(found)
    if both is None:
        return NONE
    mean, drop = both
    some = "" if len(found) == len(row.records) else f", {len(found)} of {len(row.records)} seeds"
    return f"{number(mean, primary)} ({NONE if drop is None else f'{-100 * drop:+.1f} %'}{some})"


def parameters(row: Row) -> str:
    """Parameters in millions."""
    total = row.records[0].parameters.get("total")
    return NONE if total is None else f"{total / 1e6:.2f}"


def epochs(row: Row) -> str:
    """Epochs of a row's runs."""
    counts = sorted(
        {
            count
            for record in row.records
            if isinstance(count := record.training.get("epochs", record.spec.get("epochs")), int)
        }
    )
    if not counts:
        return NONE
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def p_value(value: float | None) -> str:
    """A p value."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def record_folder(record: Record) -> str:
    """Path of the folder of a record, relative to the board."""
    return str(PurePosixPath("results", record.protocol, folder_name(record.model)))


def record_link(record: Record) -> str:
    """Path of a record, relative to the board."""
    return str(PurePosixPath("results", record.protocol, folder_name(record.model), record_file(record)))


def shorten(text: str) -> str:
    """A text shortened to fit into a cell."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> str:
    """A table; ``right`` says which columns are aligned to the right."""
    rule = ["---:" if side else "---" for side in right]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))
