"""Which rows differ significantly: paired tests on the same test samples, fast enough for boards of thousands of rows;
pure.

Resampling is seeded and uses a random stream that NumPy froze, so that rendering a board again gives identical bytes.
"""

from __future__ import annotations

import binascii
import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import FerBenchError, RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.copies import same_order
from fer_bench.results.record import Record, unpack_outcomes
from fer_bench.scoring.additive import of_predictions
from fer_bench.scoring.resampling import Units, multinomial_blocks, two_sided_p
from fer_bench.scoring.rows import Row
from fer_bench.scoring.undefined import Float

ALPHA = 0.05
N_RESAMPLES = 1000
SEED = 0
# Beyond this many samples on which two rows differ, and well away from any usual level, the normal approximation of the
# bootstrap is indistinguishable from it; a board's many clear cases then cost nothing.
_ENOUGH = 100
_UNCLEAR = (0.005, 0.2)

Load = Callable[[Record, str], Predictions]


class PairedTest(Interface):
    """A way to test two rows against each other."""

    def p(self, a: Row, b: Row) -> float | None:
        """Two-sided p value of the difference of two rows; None where it cannot be computed."""


class SampleTest(PairedTest, Interface):
    """A test over test samples, and how scores vary over them."""

    def deviations(self, row: Row) -> Float | None:
        """Deviations of each run's score from its mean, shape (S, M), whose products are covariances of the runs'
        scores over test samples; None where they cannot be computed.
        """

    def n_units(self, row: Row) -> int:
        """Test samples of a row, or groups of them, that vary independently of each other."""


class Untested:
    """For primary metrics without a test."""

    def p(self, a: Row, b: Row) -> float | None:
        """None."""
        return None

    def deviations(self, row: Row) -> Float | None:
        """None."""
        return None

    def n_units(self, row: Row) -> int:
        """All samples."""
        return row.records[0].n_scored


class ByOutcomes:
    """Tests of accuracy from the records, which say which samples each run classified correctly: McNemar's test where
    both rows have one seed, else a paired bootstrap over the test samples of each sample's correctness averaged over
    seeds, or its normal approximation where that decides clearly. Where samples belong together, a paired bootstrap
    over whole groups.

    Args:
        load: gives a record's predictions of a split, which know the groups; None: every sample stands for itself.
    """

    def __init__(self, load: Load | None = None) -> None:
        self._load = load
        self._counts: dict[tuple[str, str], npt.NDArray[np.uint16]] = {}
        self._units: Units | None = None

    def p(self, a: Row, b: Row) -> float | None:
        """See :class:`PairedTest`."""
        if not all(record.outcomes for row in (a, b) for record in row.records):
            return None
        units = self.units(a)
        if units.member is not None:
            gain = self._of(a) / len(a.records) - self._of(b) / len(b.records)
            return grouped_p(grouped_gain(gain, units), units.n)
        return table_p(joint_table(self._of(a), len(a.records), self._of(b), len(b.records)))

    def deviations(self, row: Row) -> Float | None:
        """Deviations of each run's correctness from its mean, per sample or group, shape (S, M): their products are
        covariances of the runs' accuracies over test samples. None where the records do not say what was right.
        """
        if not all(record.outcomes for record in row.records):
            return None
        return deviations_of(np.stack([right_counts([record], _stored) for record in row.records]), self.units(row))

    def n_units(self, row: Row) -> int:
        """All samples, or the groups of them."""
        return self.units(row).n

    @property
    def grouped(self) -> bool:
        """Whether whole groups are drawn, as far as was asked."""
        return self._units is not None and self._units.member is not None

    def units(self, row: Row) -> Units:
        """What is drawn: the same of all rows, in whose order their outcomes are. Without predictions at hand nothing
        says that samples belong together.
        """
        if self._units is None:
            record = row.records[0]
            groups = None
            if self._load is not None and "test" in record.predictions:
                with contextlib.suppress(FerBenchError):
                    groups = self._load(record, "test").groups
            known = groups is not None and len(groups) == record.n_scored
            self._units = Units.of(record.n_scored, groups if known else None)
        return self._units

    def _of(self, row: Row) -> npt.NDArray[np.uint16]:
        """How many of a row's seeds classified each sample correctly, shape (N,)."""
        found = self._counts.get((row.model, row.key))
        if found is None:
            found = right_counts(row.records, _stored)
            self._counts[row.model, row.key] = found
        return found


class ByReplicates:
    """Tests of any score that can be resampled: all rows are scored on the same resamples of the test samples (or of
    whole groups).

    Args:
        protocol: by whose primary metric.
        load: gives a record's predictions of a split.
    """

    def __init__(self, protocol: Protocol, load: Load) -> None:
        self.protocol, self.load = protocol, load
        self._scores: dict[tuple[str, str, str], Float] = {}
        self._reference: tuple[Record, Predictions, Units] | None = None
        self._blocks: list[npt.NDArray[np.uint8]] = []

    def p(self, a: Row, b: Row) -> float | None:
        """See :class:`PairedTest`."""
        return grouped_p(self.replicates(a) - self.replicates(b), self.n_units(a))

    def n_units(self, row: Row) -> int:
        """Samples, or groups of them, that are drawn: the same of all rows."""
        return self._reference_for(row.records[0])[2].n

    def replicates(self, row: Row) -> Float:
        """A row's score on each resample, averaged over seeds, shape (B,).

        Raises:
            RecordError: its predictions are missing or altered, or are of other samples than those of the rows before.
        """
        return np.asarray(np.mean([self._of(record) for record in row.records], axis=0))

    def deviations(self, row: Row) -> Float | None:
        """Deviations of each run's score from its mean over resamples, shape (S, B): their products are covariances of
        the runs' scores over test samples. None where most resamples leave a score undefined.
        """
        drawn = np.stack([self._of(record) for record in row.records])
        if np.isnan(drawn).mean() > 0.5:
            return None
        centred = drawn - np.nanmean(drawn, axis=1, keepdims=True)
        return np.asarray(np.nan_to_num(centred) / np.sqrt(drawn.shape[1]))

    def _of(self, record: Record) -> Float:
        """A run's score on each resample, shape (B,); drawn once."""
        key = record.protocol, record.model, record.run_id
        if key not in self._scores:
            first, reference, units = self._reference_for(record)
            predictions = reference if record is first else self.load(record, "test")
            same = same_order(record, first, "test")
            predictions = align(predictions, reference, f"record {'/'.join(key)}", same=same)
            score, answers = of_predictions(self.protocol, predictions)
            self._scores[key] = np.concatenate([score.drawn(answers, units, block) for block in self._blocks])
        return self._scores[key]

    def _reference_for(self, record: Record) -> tuple[Record, Predictions, Units]:
        """The run whose samples are drawn, its predictions, and what is drawn: of the first that is asked for."""
        if self._reference is None:
            predictions = self.load(record, "test")
            units = Units.of(len(predictions), predictions.groups)
            self._reference = record, predictions, units
            self._blocks = [block.astype(np.uint8) for block in units.blocks(N_RESAMPLES, SEED)]
        return self._reference


def _stored(record: Record) -> tuple[str, int]:
    return record.outcomes, record.n_scored


def choose_test(protocol: Protocol, load: Load | None) -> SampleTest:
    """The test that the table of metrics names for a protocol's primary metric."""
    metric = metrics.METRICS.get(protocol.primary)
    if metric is None or metric not in metrics.of_kind(protocol.task.kind):
        return Untested()
    if metric.test == "outcomes":
        return ByOutcomes(load)
    return Untested() if metric.test != "resampling" or load is None else ByReplicates(protocol, load)


def align(predictions: Predictions, reference: Predictions, where: str, *, same: bool = False) -> Predictions:
    """Predictions in the order of others.

    Args:
        predictions: of a record.
        reference: of another.
        where: name of the first, for the error.
        same: the samples are known to be the same in the same order, even if their ids differ.

    Raises:
        RecordError: they are not of the same samples, or their targets differ; the first such id is named.
    """
    if same and len(predictions) == len(reference):
        predictions = replace(predictions, ids=reference.ids)
    if not np.array_equal(predictions.ids, reference.ids):
        different = np.setxor1d(predictions.ids, reference.ids)
        if len(different):
            problem = f"{where}: {len(different)} test ids are not in both, {str(different[0])!r} among them."
            raise RecordError(problem, "Only predictions of the same samples can be compared.")
        predictions = predictions.select(np.argsort(predictions.ids)[np.argsort(np.argsort(reference.ids))])
    if not np.array_equal(predictions.targets, reference.targets):
        row = int(np.argmax((predictions.targets != reference.targets).reshape(len(reference), -1).any(axis=1)))
        problem = f"{where}: the target of test sample {str(reference.ids[row])!r} is different."
        raise RecordError(problem, "Only predictions on the same labels can be compared.")
    return predictions


def right_counts(records: Sequence[Record], stored: Callable[[Record], tuple[str, int]]) -> npt.NDArray[np.uint16]:
    """How many of a row's seeds classified each sample correctly, shape (N,).

    Args:
        records: the row's.
        stored: a record's packed outcomes, and of how many samples they are.

    Raises:
        RecordError: outcomes are damaged; names the record.
    """
    found = np.zeros(stored(records[0])[1], dtype=np.uint16)
    for record in records:
        try:
            found += unpack_outcomes(*stored(record))
        except (RecordError, binascii.Error) as error:
            problem = f"record {record.protocol}/{record.model}/{record.run_id}: outcomes cannot be read ({error})."
            raise RecordError(problem, "Restore it from version control, or repeat the run.") from None
    return found


def deviations_of(right: npt.NDArray[Any], units: Units) -> Float:
    """Deviations of which samples were right, shape (S, N), from each run's mean, summed over each group where samples
    are in groups, such that their products are covariances of the runs' accuracies over test samples.
    """
    numbers = right.astype(np.float64)
    return units.total(((numbers - numbers.mean(axis=1, keepdims=True)) / numbers.shape[1]).T).T


def grouped_gain(gain: Float, units: Units) -> Float:
    """Mean over samples of a gain (N,), on bootstrap resamples of whole groups, shape (B,)."""
    both = units.total(np.stack([gain, np.ones(len(gain))], axis=1))
    blocks = [block.astype(np.float64) @ both for block in units.blocks(N_RESAMPLES, SEED)]
    total = np.concatenate(blocks)
    return np.asarray(total[:, 0] / total[:, 1])


def grouped_p(drawn: Float, n: int) -> float | None:
    """Two-sided p value of resampled differences (B,) of n exchangeable units, clips or people: no test can say more
    than that all signs are equally likely.
    """
    found = two_sided_p(drawn)
    return None if found is None else max(found, 2.0 ** (1 - n))


def joint_table(
    right_a: npt.NDArray[np.uint16], seeds_a: int, right_b: npt.NDArray[np.uint16], seeds_b: int
) -> npt.NDArray[np.int64]:
    """Counts of samples by how many seeds of a, and how many of b, classified them correctly: shape (Sa + 1, Sb + 1).

    Raises:
        RecordError: the rows were scored on different numbers of samples.
    """
    if len(right_a) != len(right_b):
        problem = f"outcomes of {len(right_a)} and of {len(right_b)} samples cannot be paired."
        raise RecordError(problem)
    cells = right_a.astype(np.intp) * (seeds_b + 1) + right_b
    return (
        np.bincount(cells, minlength=(seeds_a + 1) * (seeds_b + 1)).reshape(seeds_a + 1, seeds_b + 1).astype(np.int64)
    )


def table_p(table: npt.NDArray[np.int64]) -> float:
    """Two-sided p value of the difference in accuracy; table as of :func:`joint_table`."""
    if table.shape == (2, 2):
        return mcnemar_p(int(table[1, 0]), int(table[0, 1]))
    gains, counts, _ = gain_counts(table)
    n, differing = int(counts.sum()), int(counts[gains != 0].sum())
    if differing >= _ENOUGH:
        mean = float(gains @ counts) / n
        variance = float((gains**2) @ counts) / n - mean**2
        approximate = math.erfc(abs(mean) / math.sqrt(2 * variance / n)) if variance > 0 else 0.0
        if not _UNCLEAR[0] <= approximate <= _UNCLEAR[1]:
            return approximate
    p = two_sided_p(resampled_gain(table))
    return 1.0 if p is None else p


def mcnemar_p(only_a: int, only_b: int) -> float:
    """McNemar's test of two models on the same samples (McNemar 1947), two-sided.

    Args:
        only_a: samples that only a answered rightly.
        only_b: samples that only b answered rightly.

    Returns:
        With fewer than 25 such samples the exact binomial test; otherwise chi-squared with the continuity correction.
        Without SciPy, whose scalar calls are costly on a board of thousands of rows.
    """
    discordant = only_a + only_b
    if discordant < 25:
        tail = sum(math.comb(discordant, k) for k in range(min(only_a, only_b) + 1))
        return min(1.0, 2 * tail / float(2**discordant))
    return math.erfc(math.sqrt(max(0, abs(only_a - only_b) - 1) ** 2 / discordant / 2))


def gain_counts(table: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Distinct per-sample gains of a over b, in whole units of 1 / unit; how many samples have each; the unit (Sa *
    Sb).
    """
    seeds_a, seeds_b = table.shape[0] - 1, table.shape[1] - 1
    gains = np.subtract.outer(np.arange(seeds_a + 1) * seeds_b, np.arange(seeds_b + 1) * seeds_a)
    values, which = np.unique(gains[table > 0], return_inverse=True)
    counts = np.bincount(which, weights=table[table > 0], minlength=len(values)).astype(np.int64)
    return values.astype(np.int64), counts, seeds_a * seeds_b


def resampled_gain(table: npt.NDArray[np.int64], seed: int = SEED) -> Float:
    """Difference in accuracy on each bootstrap resample, shape (B,)."""
    gains, counts, unit = gain_counts(table)
    drawn = np.concatenate([block @ gains for block in multinomial_blocks(counts, N_RESAMPLES, seed)])
    return np.asarray(drawn / (int(counts.sum()) * unit), dtype=np.float64)
