"""``fer-bench evaluate RUN --corruptions`` and ``--by``: how robust and how fair a row is, as tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fer_bench.cli.tables import aligned
from fer_bench.metrics import NONE, in_words, is_share, number, title_of

if TYPE_CHECKING:
    from fer_bench.results.corruptions import Corrupted
    from fer_bench.results.record import Record
    from fer_bench.results.store import Store
    from fer_bench.scoring.by_group import GroupScore
    from fer_bench.spec import Execution
    from fer_bench.studies.by_group import ByGroup

# Of many groups, so many are listed on a terminal and plotted.
_MOST_GROUPS = 24
_MOST_DRAWN = 60


def evaluate_corrupted(store: Store, run: str, execution: Execution, csv: Path | None, png: Path | None) -> None:
    """Measure a run on corrupted images, or show what was measured before."""
    from fer_bench.leaderboard.render import render_all
    from fer_bench.results import corruptions

    record = store.get(run)
    path = corruptions.path_of(store, record)
    found = corruptions.find(store, record)
    if found is None:
        found, figure = _measure(store, record, execution)
        corruptions.put(store, record, found, figure)
        render_all(store)
    else:
        typer.echo(f"{record.run_id} was measured before; to measure it again, delete {path}")
    for line in lines_of(found):
        typer.echo(line)
    if csv is not None:
        _write_csv(csv, _cells(found))
    if png is not None:
        _write(png, _figure(store, record, found))
    typer.echo(f"scores      {path}")
    if path.with_suffix(".png").is_file():
        typer.echo(f"figure      {path.with_suffix('.png')}")


def _measure(store: Store, record: Record, execution: Execution) -> tuple[Corrupted, bytes]:
    from fer_bench.training.corrupted import measure

    store.require_space()
    found = measure(store, record, execution, lambda line: typer.echo(f"corrupted images: {line}", err=True))
    return found, _figure(store, record, found)


def _figure(store: Store, record: Record, found: Corrupted) -> bytes:
    from fer_bench.report.robustness import draw_corrupted
    from fer_bench.report.rows import name_of_row

    return draw_corrupted([found], name_of_row(record))


def lines_of(found: Corrupted) -> list[str]:
    """What a terminal shows."""
    from fer_bench.results.corruptions import N_STRENGTHS, TITLES, against_clean
    from fer_bench.scoring.corrupted import mean_of, relative_drop

    share = is_share(found.metric)
    rows = []
    for name, scores in found.scores.items():
        mean = mean_of(scores)
        cells = [
            *(number(score, found.metric) for score in scores),
            number(mean, found.metric),
            _pair(found.intervals.get(name), found.metric),
        ]
        rows.append([TITLES.get(name, name), *cells, _percent(relative_drop(found.clean, mean))])
    overall = [
        "all",
        *[""] * N_STRENGTHS,
        number(found.mean, found.metric),
        _pair(found.intervals.get("mean"), found.metric),
        _percent(found.drop),
    ]
    title = in_words(found.metric)
    unit = " in %" if share else ""
    table = aligned(
        [f"{title}{unit}", *map(str, range(1, N_STRENGTHS + 1)), "mean", "95 % interval", "below clean"],
        [*rows, overall],
    )
    drop = "relative drop undefined" if found.drop is None else against_clean(found.drop, found.intervals.get("drop"))
    lines = [
        *table,
        (
            f"{found.run_id}: {title} {number(found.clean, found.metric)} clean,"
            f" {number(found.mean, found.metric)} corrupted: {drop}; {found.n} test samples"
        ),
    ]
    places = [
        f"{count} at {where}" if where == "standard place" else f"{count} from {where}"
        for where, count in found.faces.items()
        if isinstance(count, int)
    ]
    lines += (
        [f"eyes and mouth: {', '.join(places)}".replace("at standard place", "at the standard place of such crops")]
        if places
        else []
    )
    lines += [f"  {found.faces['why']}"] if "why" in found.faces else []
    return lines + [f"left out: {TITLES.get(name, name)}: {why}" for name, why in found.left_out.items()]


def _cells(found: Corrupted) -> list[list[str]]:
    """One row per corruption and strength."""
    from fer_bench.scoring.corrupted import relative_drop

    rows = [["corruption", "strength", found.metric, "relative_drop"], ["none", "0", _plain(found.clean), "0"]]
    for name, scores in found.scores.items():
        rows += [
            [name, str(i), _plain(score), _plain(relative_drop(found.clean, score))]
            for i, score in enumerate(scores, start=1)
        ]
    return rows


def evaluate_by(
    store: Store, run: str, attribute: str, execution: Execution, csv: Path | None, png: Path | None
) -> None:
    """Score a run's stored predictions by group, and show it."""
    from fer_bench.studies.by_group import score_by

    found = score_by(store, run, attribute, execution)
    for line in _lines_by_group(found):
        typer.echo(line)
    if csv is not None:
        _write_csv(csv, _cells_by_group(found))
    if png is not None:
        _write(png, figure_by_group(found))


def _lines_by_group(found: ByGroup) -> list[str]:
    from fer_bench.scoring.by_group import LEAST

    scores, share = found.scores, is_share(found.scores.metric)
    title = title_of(scores.metric)
    listed = scores.groups
    if len(listed) > _MOST_GROUPS:
        # The best and the worst are what a reader of many looks for.
        ordered = sorted(
            (group for group in listed if group.large and group.value is not None), key=lambda group: group.value or 0.0
        )
        half = _MOST_GROUPS // 2
        # Where none is large enough to be best or worst, the largest say at least how small they are.
        largest = sorted(listed, key=lambda group: -group.n)[:_MOST_GROUPS]
        listed = tuple([*ordered[:half], *ordered[max(len(ordered) - half, half) :]] or largest)
    lines = aligned(*table_by_group(found, listed))
    if len(listed) < len(scores.groups):
        lines.append(f"{len(scores.groups) - len(listed)} more groups: --csv FILE writes all of them")
    lines.append(f"{found.record.run_id}: {title} {number(scores.whole, scores.metric)} on all {scores.n} test samples")
    lines.append(f"  {found.attribute.about}")
    if scores.gap is None:
        return [*lines, f"gap: fewer than two groups have {LEAST} samples and a score"]
    gap = scores.gap
    points = f"{100 * gap.difference:.2f} points" if share else f"{gap.difference:.3f}"
    reach = f"95 % interval {_pair(gap.interval, scores.metric)}, bootstrap over {scores.unit}"
    return [*lines, f"gap: {points} between {gap.best} and {gap.worst} ({reach})"]


def table_by_group(found: ByGroup, listed: Sequence[GroupScore] | None = None) -> tuple[list[str], list[list[str]]]:
    """Header and rows, one a group; of all groups, or of those that are listed."""
    from fer_bench.scoring.by_group import LEAST

    share = is_share(found.scores.metric)
    rows = [
        [
            group.name,
            str(group.n),
            number(group.value, found.scores.metric),
            _pair(group.interval, found.scores.metric),
            "" if group.large else f"n < {LEAST}",
        ]
        for group in (found.scores.groups if listed is None else listed)
    ]
    score = f"{title_of(found.scores.metric)}{' in %' if share else ''}"
    return [found.attribute.name, "n", score, "95 % interval", ""], rows


def _cells_by_group(found: ByGroup) -> list[list[str]]:
    rows = [[found.attribute.name, "n", found.scores.metric, "low", "high"]]
    for group in found.scores.groups:
        low, high = group.interval or (None, None)
        rows.append([group.name, str(group.n), _plain(group.value), _plain(low), _plain(high)])
    return rows


def figure_by_group(found: ByGroup) -> bytes:
    """Groups with their intervals, as a PNG."""
    from fer_bench.report.robustness import draw_groups
    from fer_bench.report.rows import name_of_row

    groups = [
        (group.name, group.n, group.value, group.interval, group.large)
        for group in found.scores.groups[:_MOST_DRAWN]
        if group.value is not None
    ]
    metric = found.scores.metric
    title = f"{name_of_row(found.record)}, by {found.attribute.name}"
    return draw_groups(groups, found.scores.whole or 0.0, title_of(metric), title, per_cent=is_share(metric))


def _write_csv(path: Path, rows: list[list[str]]) -> None:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _write(path: Path, content: bytes) -> None:
    from fer_bench.atomic import write_atomically
    from fer_bench.errors import HardwareError

    try:
        write_atomically(path, content)
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror or error}."
        raise HardwareError(problem, "Check free space and permissions, or name another file.") from None


def _plain(value: float | None) -> str:
    return "" if value is None else repr(value)


def _pair(pair: tuple[float, float] | None, metric: str) -> str:
    return NONE if pair is None else f"{number(pair[0], metric)} to {number(pair[1], metric)}"


def _percent(value: float | None) -> str:
    # z: without the sign that a zero may have.
    return NONE if value is None else f"{100 * value:z.1f} %"
