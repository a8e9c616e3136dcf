"""What differences between the rows of a board say of their recipes: over test samples, and over training again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from fer_bench.counting import counted
from fer_bench.leaderboard.significance import ByOutcomes, Load, Untested, choose_test
from fer_bench.metrics import in_units
from fer_bench.protocols import Protocol
from fer_bench.scoring.rows import Row, metric
from fer_bench.scoring.training_noise import (
    Noises,
    TrainingNoise,
    half_width,
    rank_ranges,
    two_sided,
    variance_of_difference,
)
from fer_bench.scoring.undefined import Float

_UNTRAINED = frozenset({"human"})
# Kinds of rows, as they are called where it is said how much they vary.
_CALLED = {
    "trained": "networks",
    "evaluated": "networks trained on other data",
    "probe": "frozen heads",
    "ensemble": "ensembles",
    "external": "predictions from outside",
}
# Settings of a test, not of a training.
_OF_TEST = frozenset({"tta", "tta_kind", "seed", "trials", "execution"})
_FIRST, _SECOND = np.array([0]), np.array([1])


class Uncertainty:
    """Tests of the rows of one board that take test samples and trainings into account.

    Rows with one seed are assumed to vary over seeds as the rows of their kind do that have several; without any of
    their kind, as all that have; without any at all, their networks are taken as given.

    Args:
        protocol: names the metric.
        rows: of one board; those with several seeds say how much training varies.
        load: gives a record's predictions of a split; needed to test primary metrics other than accuracy.
        known: deviations of rows, by the ids of their runs, that need not be asked of their records.
    """

    def __init__(
        self,
        protocol: Protocol,
        rows: Sequence[Row],
        load: Load | None,
        known: Mapping[tuple[str, ...], Float] | None = None,
    ) -> None:
        self.protocol = protocol
        self._test = choose_test(protocol, load)
        self._covered: dict[tuple[str, ...], tuple[Float, Float] | None] = {
            key: _both(deviations) for key, deviations in (known or {}).items()
        }
        self._noise: dict[str, TrainingNoise | None] = {}
        if not self.tests:
            return
        several = _one_per_training([row for row in rows if len(row.records) > 1 and row.kind not in _UNTRAINED])
        parts: dict[str, list[tuple[Float, Float]]] = {row.kind: [] for row in several}
        for row in several:
            if (found := self._of(row)) is not None:
                parts[row.kind].append((self._scores(row), found[1]))
        for kind, members in parts.items():
            self._noise[kind] = TrainingNoise.pooled(members)
        self._noise[""] = TrainingNoise.pooled(pair for members in parts.values() for pair in members)

    @property
    def tests(self) -> bool:
        """Whether there is a test for the primary metric."""
        return not isinstance(self._test, Untested)

    def about(self, rows: Sequence[Row]) -> str:
        """How it tests, as said on boards; empty if it cannot.

        Args:
            rows: that are compared; kinds that are not among them are not spoken of.
        """
        if not self.tests:
            return ""
        kinds: dict[TrainingNoise, list[str]] = {}
        for kind in [kind for kind in _CALLED if any(row.kind == kind for row in rows)] or ["trained"]:
            if (noise := self.noise(kind)) is not None:
                kinds.setdefault(noise, []).append(kind)
        if not kinds:
            return f"over {self._over}; no row has several seeds, so the networks are taken as given"
        start = f"over {self._over} and over training again; over seeds a score varies by"
        lenders = _and([_CALLED[kind] for kind in _CALLED if not self._borrows(kind)])
        if len(kinds) == 1:
            ((noise, members),) = kinds.items()
            single = f"{start} {self._std(noise)}, pooled over {counted(noise.n_rows, 'row')}"
            # Where one kind alone has several seeds, the others' noise is its own.
            if self._borrows(members[0]):
                return f"{single} of {lenders} with several seeds and assumed of all other rows"
            return f"{single} with several seeds and assumed of rows with one seed"
        each = []
        for noise, members in sorted(kinds.items(), key=lambda pair: self._borrows(pair[1][0])):
            std, pooled = self._std(noise), counted(noise.n_rows, "row")
            called = _and([_CALLED[kind] for kind in members])
            own = f"{std} for {called} (pooled over {pooled} with several seeds)"
            borrowed = f"{std} for {called} (none of theirs has several seeds: pooled over all {pooled} that have)"
            each.append(borrowed if self._borrows(members[0]) else own)
        return f"{start} {_and(each)}; rows with one seed are assumed to vary so"

    def _borrows(self, kind: str) -> bool:
        return self._noise.get(kind) is None

    def _std(self, noise: TrainingNoise) -> str:
        return f"± {in_units(noise.std, self.protocol.primary)}"

    @property
    def _over(self) -> str:
        """What other test samples are drawn as, in words."""
        grouped = isinstance(self._test, ByOutcomes) and self._test.grouped
        return "whole groups of test samples (clips, people or photographs)" if grouped else "test samples"

    def noise(self, kind: str) -> TrainingNoise | None:
        """What is known, or assumed, of rows of a kind; None of people, whom nobody trains again."""
        return None if kind in _UNTRAINED else self._noise.get(kind) or self._noise.get("")

    def p(self, a: Row, b: Row) -> float | None:
        """Two-sided p value of the difference of two rows; None where it cannot be computed."""
        if self.noise(a.kind) is None and self.noise(b.kind) is None:
            return self._test.p(a, b)
        found = self.difference(a, b)
        if found is None:
            return None
        difference, variance, df = found
        return float(two_sided(np.array([difference]), np.array([variance]), np.array([df]))[0])

    def interval(self, a: Row, b: Row) -> tuple[float, float] | None:
        """95 % interval of the difference of two rows."""
        found = self.difference(a, b)
        if found is None:
            return None
        difference, variance, df = found
        half = half_width(variance, df)
        return difference - half, difference + half

    def difference(self, a: Row, b: Row) -> tuple[float, float, float] | None:
        """Of two rows: a's score minus b's, the variance of this difference, and its degrees of freedom."""
        parts = self._of(a), self._of(b)
        values = a.value(self.protocol.primary), b.value(self.protocol.primary)
        if parts[0] is None or parts[1] is None or values[0] is None or values[1] is None:
            return None
        difference = values[0] - values[1]
        over_samples = np.array(
            [float(((parts[0][0] - parts[1][0]) ** 2).sum()) + difference**2 / self._test.n_units(a)]
        )
        variance, df = variance_of_difference(over_samples, self._noises((a, b)), _FIRST, _SECOND)
        return difference, float(variance[0]), float(df[0])

    def deviations(self, row: Row) -> Float | None:
        """Deviations of a row's mean score over test samples, whose products are covariances, shape (M,); None where it
        cannot be tested.
        """
        found = self._of(row)
        return None if found is None else found[0]

    def n_units(self, row: Row) -> int:
        """Test samples of a row, or groups of them, that vary independently of each other."""
        return self._test.n_units(row)

    def ranges(self, rows: Sequence[Row]) -> list[tuple[int, int]] | None:
        """Of each row the first and the last rank, with 95 % confidence for all of them together; None where no row can
        be tested. One that cannot, among others that can, may have any rank.
        """
        parts = {i: part for i, row in enumerate(rows) if (part := self._of(row)) is not None}
        if not parts:
            return None
        deviations = np.stack([part[0] for part in parts.values()])
        tested = [rows[i] for i in parts]
        sign = 1.0 if self.protocol.higher_is_better else -1.0
        values = np.array([sign * (row.value(self.protocol.primary) or 0.0) for row in tested])
        found = rank_ranges(
            values, deviations @ deviations.T, self._noises(tested), n_units=self._test.n_units(tested[0])
        )
        ranges = [(1, len(rows))] * len(rows)
        for i, (first, last) in zip(parts, found, strict=True):
            ranges[i] = first, last + len(rows) - len(parts)
        return ranges

    def _noises(self, rows: Sequence[Row]) -> Noises:
        return Noises.of([self.noise(row.kind) for row in rows], [len(row.records) for row in rows])

    def _of(self, row: Row) -> tuple[Float, Float] | None:
        """Deviations of a row's mean score over test samples, whose products are covariances, shape (M,); and the
        covariance of its runs' scores, shape (S, S). None where it cannot be tested.
        """
        key = run_ids(row)
        if key not in self._covered:
            deviations = self._test.deviations(row)
            self._covered[key] = None if deviations is None else _both(deviations)
        return self._covered[key]

    def _scores(self, row: Row) -> Float:
        return np.array([metric(record.metrics, self.protocol.primary) or 0.0 for record in row.records])


def run_ids(row: Row) -> tuple[str, ...]:
    """The ids of a row's runs."""
    return tuple(record.run_id for record in row.records)


def _one_per_training(rows: Sequence[Row]) -> list[Row]:
    """Rows of the same networks, tested with other views, say the same of training twice: one of them counts."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (bool(row.records[0].spec.get("tta")), row.model, row.key)):
        settings = {name: value for name, value in row.records[0].spec.items() if name not in _OF_TEST}
        found.setdefault(json.dumps([row.model, row.kind, settings], sort_keys=True, default=str), row)
    return list(found.values())


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _both(deviations: Float) -> tuple[Float, Float]:
    return deviations.mean(axis=0), deviations @ deviations.T
