"""compare(): two rows, or two runs, on the same test samples: the difference, its interval and p value, and a summary
sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.errors import RecordError
from fer_bench.leaderboard.formatting import title
from fer_bench.leaderboard.generalization_gap import GapComparison, compare_gaps
from fer_bench.leaderboard.rows import is_candidate, row_names
from fer_bench.leaderboard.significance import (
    ALPHA,
    ByOutcomes,
    ByReplicates,
    align,
    choose_test,
    deviations_of,
    gain_counts,
    grouped_gain,
    grouped_p,
    joint_table,
    resampled_gain,
    table_p,
)
from fer_bench.leaderboard.uncertainty import Uncertainty, run_ids
from fer_bench.metrics import in_units
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.copies import same_order
from fer_bench.results.protocol import protocol_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.resampling import Units, percentiles
from fer_bench.scoring.rows import Row, by_seed, rows_of
from fer_bench.scoring.score import correct
from fer_bench.scoring.undefined import Float


@dataclass(frozen=True)
class Comparison:
    """Row a against row b on the same test samples.

    Args:
        a: name of the first.
        b: name of the second.
        metric: the primary metric.
        value_a: mean over seeds.
        value_b: mean over seeds.
        difference: value_a - value_b.
        low: lower end of its 95 % interval.
        high: upper end.
        p: two-sided.
        test: what was tested, and how.
        n: test samples.
        higher_is_better: direction of the metric.
        gaps: how much each of them overfits, where it was measured.
        caveats: of the first and of the second, as beside the rows of a board.
    """

    a: str
    b: str
    metric: str
    value_a: float
    value_b: float
    difference: float
    low: float
    high: float
    p: float
    test: str
    n: int
    higher_is_better: bool
    gaps: GapComparison | None = None
    caveats: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def significant(self) -> bool:
        """Whether the two differ significantly (p < 0.05)."""
        return self.p < ALPHA

    def text(self) -> str:
        """The result in one sentence, and what a reader must know of either row."""
        marked = {name: caveats for name, caveats in zip((self.a, self.b), self.caveats, strict=True) if caveats}
        return "\n".join([self._sentence(), *(caveats_line(*pair) for pair in marked.items())])

    def _sentence(self) -> str:
        values = f"{title(self.metric)} {in_units(self.value_a, self.metric)} and {in_units(self.value_b, self.metric)}"
        interval = f"{in_units(self.low, self.metric)} to {in_units(self.high, self.metric)}"
        numbers = (
            f"difference {in_units(self.difference, self.metric)}, 95 % interval {interval}, p = {self.p:.3g},"
            f" {self.test}, n = {self.n:,}"
        )
        if self.significant:
            better, worse = (self.a, self.b) if (self.difference > 0) == self.higher_is_better else (self.b, self.a)
            return f"{better} is better than {worse}: {values} ({numbers})."
        return f"{self.a} and {self.b} are not significantly different: {values} ({numbers})."


def caveats_line(name: str, caveats: Sequence[str]) -> str:
    """What a reader must know of a row, for a terminal."""
    return f"{name}: {'; '.join(caveats)}."


def compare(store: Store, a: str, b: str, *, given_networks: bool = False) -> Comparison:
    """Compare two rows, or two runs, by their stored predictions.

    The test is of the recipes: over other test samples and over training again, whose noise comes from the rows with
    several seeds on the same board (see :mod:`fer_bench.scoring.training_noise`).

    Args:
        store: records and predictions.
        a: a row's digest, a run id, or the beginning of either.
        b: the other.
        given_networks: test the trained networks themselves, over test samples alone: McNemar's test, or a bootstrap;
            of whole groups where samples belong together.

    Raises:
        RecordError: no such row; or label sets, metrics, checksums, test ids or targets differ; the error names which.
    """
    rows = find_row(store, a), find_row(store, b)
    protocols = tuple(protocol_of(row.records[0]) for row in rows)
    names = _names(rows, (a, b))
    _require_same("label set", names, [protocol.task.name for protocol in protocols])
    _require_same("primary metric", names, [protocol.primary for protocol in protocols])
    _require_same("checksum of the test split", names, [_checksum(row) for row in rows])
    protocol = protocols[0]
    values = [_value(row, protocol.primary, name) for row, name in zip(rows, names, strict=True)]
    chosen = choose_test(protocol, store.predictions)
    splits = _aligned(store, rows) if isinstance(chosen, ByOutcomes) else []
    of_recipes = None if given_networks else _of_recipes(store, rows, protocol, splits)
    if of_recipes is not None:
        p, interval, test = of_recipes
        n = rows[0].records[0].n_scored
    else:
        p, drawn, test, n = _by_outcomes(splits) if splits else _by_replicates(store, rows, protocol)
        drawn_interval = percentiles(drawn)
        assert drawn_interval is not None
        interval = drawn_interval
        test += "" if given_networks else ", because no row of their board has several seeds"
    return Comparison(
        a=names[0],
        b=names[1],
        metric=protocol.primary,
        value_a=values[0],
        value_b=values[1],
        difference=values[0] - values[1],
        low=interval[0],
        high=interval[1],
        p=p,
        test=test,
        n=n,
        higher_is_better=protocol.higher_is_better,
        gaps=compare_gaps(*rows) if protocol.task.kind == "classes" else None,
        caveats=(rows[0].caveats, rows[1].caveats),
    )


def find_row(store: Store, reference: str) -> Row:
    """A run, or the finished runs of a row.

    Raises:
        RecordError: no finished run or row of that name, or several.
    """
    if any(path.stem == reference for path in store.files()):
        records = [store.get(reference)]
    else:
        records = [record for record in store.records() if record.row.startswith(reference)]
        exact = [record for record in records if record.row == reference]
        records = exact or records or [store.get(reference)]
    found = {(record.protocol, record.model, record.row) for record in records}
    if len(found) > 1:
        problem = f"{len(found)} rows begin with {reference!r}: {', '.join('/'.join(row) for row in sorted(found))}."
        raise RecordError(problem, "Give more of the digest, or a run id.")
    finished = sorted((record for record in records if record.status == "finished"), key=by_seed)
    if not finished:
        problem = f"{reference}: none of its runs has finished."
        raise RecordError(problem, "Only finished runs can be compared.")
    return rows_of(finished)[0]


def _of_recipes(
    store: Store, rows: Sequence[Row], protocol: Protocol, splits: Sequence[Sequence[Predictions]]
) -> tuple[float, tuple[float, float], str] | None:
    """P value, interval and description of the test that takes training into account; None where nothing says how much
    training varies.
    """
    known = {
        run_ids(row): deviations_of(np.stack([correct(predictions) for predictions in split]), _units(splits))
        for row, split in zip(rows, splits, strict=False)
    }
    uncertainty = Uncertainty(protocol, [*_beside(store, rows), *rows], store.predictions, known)
    if all(uncertainty.noise(row.kind) is None for row in rows):
        return None
    p, interval = uncertainty.p(*rows), uncertainty.interval(*rows)
    if p is None or interval is None:
        raise _untested(protocol)
    return p, interval, f"tested {uncertainty.about(rows)}"


def _beside(store: Store, rows: Sequence[Row]) -> list[Row]:
    """Rows of the same boards that were scored on the same samples: they say how much training varies. Of runs that
    are compared by themselves, the whole row is among them.
    """
    first = rows[0].records[0]
    versions = {row.records[0].protocol: row.records[0].protocol_version for row in rows}
    samples = _checksum(rows[0]), first.n_scored
    compared = {run_ids(row) for row in rows}
    found = rows_of(
        record
        for protocol, version in versions.items()
        for record in store.records(protocol)
        if is_candidate(record, version)
    )
    return [
        row for row in found if run_ids(row) not in compared and (_checksum(row), row.records[0].n_scored) == samples
    ]


def _untested(protocol: Protocol) -> RecordError:
    problem = f"{protocol.name}: no test is known for {protocol.primary}, or it is undefined on most resamples."
    return RecordError(problem)


def _by_outcomes(splits: Sequence[Sequence[Predictions]]) -> tuple[float, Float, str, int]:
    right = [np.sum([correct(predictions) for predictions in split], axis=0).astype(np.uint16) for split in splits]
    units = _units(splits)
    if units.member is not None:
        drawn = grouped_gain(right[0] / len(splits[0]) - right[1] / len(splits[1]), units)
        p = grouped_p(drawn, units.n)
        test = f"paired bootstrap over {units.n:,} groups of samples of the networks as they are"
        return 1.0 if p is None else p, drawn, test, len(right[0])
    table = joint_table(right[0], len(splits[0]), right[1], len(splits[1]))
    test = "McNemar's test" if table.shape == (2, 2) else "paired bootstrap"
    test += " of the networks as they are"
    # Random draws depend on the order of the rows: the better one comes first, so that either order gives one answer.
    gains, counts, _ = gain_counts(table)
    sign, ordered = (-1, table.T) if int(gains @ counts) < 0 else (1, table)
    return table_p(ordered), sign * resampled_gain(ordered), test, int(table.sum())


def _units(splits: Sequence[Sequence[Predictions]]) -> Units:
    """What is drawn: samples, or the groups that the first row's predictions know; all are in their order."""
    first = splits[0][0]
    return Units.of(len(first), first.groups)


def _by_replicates(store: Store, rows: Sequence[Row], protocol: Protocol) -> tuple[float, Float, str, int]:
    test = choose_test(protocol, store.predictions)
    p = test.p(rows[0], rows[1])
    if not isinstance(test, ByReplicates) or p is None:
        raise _untested(protocol)
    drawn = test.replicates(rows[0]) - test.replicates(rows[1])
    return p, drawn, "paired bootstrap of the networks as they are", rows[0].records[0].n_scored


def _aligned(store: Store, rows: Sequence[Row]) -> list[list[Predictions]]:
    first = rows[0].records[0]
    reference = store.predictions(first)

    def aligned(record: Record) -> Predictions:
        same = same_order(record, first, "test")
        return align(
            store.predictions(record), reference, f"{record.protocol}/{record.model}/{record.run_id}", same=same
        )

    return [[aligned(record) for record in row.records] for row in rows]


def _names(rows: Sequence[Row], references: Sequence[str]) -> list[str]:
    """The rows' names; where these are the same, as of two runs of one row, what they were asked for by."""
    if rows[0].key == rows[1].key and rows[0].model == rows[1].model:
        return list(references)
    found = row_names(rows)
    names = [found[row.model, row.key] for row in rows]
    return names if names[0] != names[1] else list(references)


def _value(row: Row, name: str, who: str) -> float:
    value = row.value(name)
    if value is None:
        problem = f"{who}: {name} is undefined."
        raise RecordError(problem, "There is nothing to compare.")
    return value


def _checksum(row: Row) -> str:
    found = {str((record.data.get("checksums") or {}).get("test", "not stated")) for record in row.records}
    return " and ".join(sorted(found))


def _require_same(what: str, names: Sequence[str], values: Sequence[str]) -> None:
    if values[0] != values[1]:
        problem = f"{names[0]} and {names[1]} cannot be compared: the {what} differs ({values[0]} and {values[1]})."
        raise RecordError(problem, "Compare runs that were tested on the same samples and labels.")
