"""Which rows differ significantly: paired tests on the same test samples, fast enough for boards of thousands of rows;
pure.

Resampling is seeded and uses a random stream that NumPy froze, so that rendering a board again gives identical bytes.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt

from fer_bench import metrics
from fer_bench.errors import RecordError
from fer_bench.leaderboard.rows import Row
from fer_bench.predictions import Predictions
from fer_bench.protocols import Protocol
from fer_bench.results.copies import same_order
from fer_bench.results.record import Record, unpack_outcomes
from fer_bench.scoring.classification import confusion_statistic, predicted_classes
from fer_bench.scoring.moments import mean_replicates
from fer_bench.scoring.regression import Range, answer_missing

ALPHA = 0.05
N_RESAMPLES = 1000
SEED = 0
# Beyond this many samples on which two rows differ, and well away from any usual level, the normal approximation of the
# bootstrap is indistinguishable from it; a board's many clear cases then cost nothing.
_ENOUGH = 100
_UNCLEAR = (0.005, 0.2)
_TIE = 1e-12
_BLOCK = 100

Load = Callable[[Record, str], Predictions]
Float = npt.NDArray[np.float64]
Replicate = Callable[[Predictions, npt.NDArray[np.uint8]], Float]


class PairedTest(Interface):
    """A way to test two rows against each other.

    Args:
        about: how it tests, as described on boards; empty if it cannot test.
    """

    about: str

    def p(self, a: Row, b: Row) -> float | None:
        """Two-sided p value of the difference of two rows; None where it cannot be computed."""


class Untested:
    """For primary metrics without a test."""

    about = ""

    def p(self, a: Row, b: Row) -> float | None:
        """None."""
        return None


class ByOutcomes:
    """Tests of accuracy from the records alone: which samples each run classified correctly."""

    about = (
        "McNemar's test where both rows have one seed, else a paired bootstrap over the test samples of each sample's"
        f" correctness averaged over seeds ({N_RESAMPLES:,} resamples, or its normal approximation where that decides"
        " clearly)"
    )

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], npt.NDArray[np.uint16]] = {}

    def p(self, a: Row, b: Row) -> float | None:
        """See :class:`PairedTest`."""
        if not all(record.outcomes for row in (a, b) for record in row.records):
            return None
        return table_p(joint_table(self._of(a), len(a.records), self._of(b), len(b.records)))

    def _of(self, row: Row) -> npt.NDArray[np.uint16]:
        """How many of a row's seeds classified each sample correctly, shape (N,)."""
        found = self._counts.get((row.model, row.key))
        if found is None:
            found = right_counts(row.records, lambda record: (record.outcomes, record.n_scored))
            self._counts[row.model, row.key] = found
        return found


class ByReplicates:
    """Tests of any statistic of the predictions: all rows are scored on the same resamples of the test samples (or of
    whole groups).

    Args:
        replicate: the statistic on each resample, shape (B,), of predictions and resample weights (B, N).
        load: gives a record's predictions of a split.
    """

    about = (
        "a paired bootstrap over the test samples, or over whole groups of them where samples belong together"
        f" ({N_RESAMPLES:,} resamples)"
    )

    def __init__(self, replicate: Replicate, load: Load) -> None:
        self.replicate, self.load = replicate, load
        self._replicates: dict[tuple[str, str], Float] = {}
        self._reference: Predictions | None = None
        self._first: Record | None = None
        self._weights: npt.NDArray[np.uint8] | None = None

    def p(self, a: Row, b: Row) -> float | None:
        """See :class:`PairedTest`."""
        return replicates_p(self.replicates(a) - self.replicates(b))

    def replicates(self, row: Row) -> Float:
        """A row's statistic on each resample, averaged over seeds, shape (B,).

        Raises:
            RecordError: its predictions are missing or altered, or are of other samples than those of the rows before.
        """
        key = (row.model, row.key)
        if key not in self._replicates:
            self._replicates[key] = np.mean([self._of(record) for record in row.records], axis=0)
        return self._replicates[key]

    def _of(self, record: Record) -> Float:
        predictions = self.load(record, "test")
        if self._reference is None or self._weights is None:
            self._reference, self._weights, self._first = (
                predictions,
                resample_weights(len(predictions), predictions.groups),
                record,
            )
        same = self._first is not None and same_order(record, self._first, "test")
        return self.replicate(
            align(predictions, self._reference, f"record {record.protocol}/{record.model}/{record.run_id}", same=same),
            self._weights,
        )


def confusion_replicates(statistic: str, n_classes: int) -> Replicate:
    """Replicates of a metric that a confusion matrix holds, for :class:`ByReplicates`."""

    def replicate(predictions: Predictions, weights: npt.NDArray[np.uint8]) -> Float:
        width = n_classes + 1
        predicted = predicted_classes(predictions.outputs)
        cells = predictions.targets.astype(np.int64) * width + np.where(predicted < 0, n_classes, predicted)
        one_hot = np.zeros((len(cells), n_classes * width), dtype=np.float32)
        one_hot[np.arange(len(cells)), cells] = 1
        blocks = (
            weights[start : start + _BLOCK].astype(np.float32) @ one_hot for start in range(0, len(weights), _BLOCK)
        )
        return np.concatenate([confusion_statistic(block.reshape(-1, n_classes, width), statistic) for block in blocks])

    return replicate


def value_replicates(statistic: str, scale: Range) -> Replicate:
    """Replicates of one of :func:`fer_bench.scoring.moments.of_sums`, averaged over dimensions, for
    :class:`ByReplicates`.

    Args:
        statistic: its name.
        scale: (low, high) of the dataset; missing answers count as its middle, as in the score.
    """

    def replicate(predictions: Predictions, weights: npt.NDArray[np.uint8]) -> Float:
        return mean_replicates(predictions.targets, answer_missing(predictions.outputs, scale), weights, statistic)

    return replicate


def choose_test(protocol: Protocol, load: Load | None) -> PairedTest:
    """The test that the table of metrics names for a protocol's primary metric."""
    metric = metrics.METRICS.get(protocol.primary)
    if metric is None or metric not in metrics.of_kind(protocol.task.kind):
        return Untested()
    if metric.test == "outcomes":
        return ByOutcomes()
    if metric.test != "resampling" or load is None:
        return Untested()
    if protocol.task.labels is not None:
        return ByReplicates(confusion_replicates(metric.name, len(protocol.task.labels)), load)
    return ByReplicates(value_replicates(metric.name, protocol.scale), load)


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
    p = replicates_p(resampled_gain(table))
    return 1.0 if p is None else p


def mcnemar_p(only_a: int, only_b: int) -> float:
    """As :func:`fer_bench.scoring.intervals.mcnemar`, from the two discordant counts and without SciPy's costly scalar
    calls.
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
    """Difference in accuracy on each bootstrap resample, shape (B,).

    To draw samples with replacement is to draw the number of samples of each distinct gain from a multinomial: exact,
    and independent of N in cost.
    """
    gains, counts, unit = gain_counts(table)
    n = int(counts.sum())
    drawn = np.random.RandomState(seed).multinomial(n, counts / n, size=N_RESAMPLES)
    return np.asarray(drawn @ gains / (n * unit), dtype=np.float64)


def replicates_p(drawn: Float) -> float | None:
    """Two-sided p value 2 (k + 1) / (B + 1), at most 1, where k counts the resampled differences on the rarer side of
    zero; None if half are undefined.
    """
    known = drawn[~np.isnan(drawn)]
    if 2 * known.size < drawn.size or not known.size:
        return None
    rarer = min(int((known <= _TIE).sum()), int((known >= -_TIE).sum()))
    return min(1.0, 2 * (rarer + 1) / (known.size + 1))


def resample_weights(n: int, groups: npt.NDArray[np.str_] | None) -> npt.NDArray[np.uint8]:
    """How often each of N samples is in each resample, shape (B, N); with groups, whole groups are drawn."""
    generator = np.random.RandomState(SEED)
    names, member = (np.arange(n), np.arange(n)) if groups is None else np.unique(groups, return_inverse=True)
    drawn = [
        np.bincount(generator.randint(len(names), size=len(names)), minlength=len(names)).astype(np.uint8)
        for _ in range(N_RESAMPLES)
    ]
    return np.stack(drawn)[:, member]
