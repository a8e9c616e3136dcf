"""Which of two rows overfits more: their distances between training and test images, where ``fer-bench evaluate --train`` has measured them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_bench.leaderboard.rows import Row
from fer_bench.leaderboard.significance import ALPHA, SEED, joint_table, replicates_p, resampled_gain
from fer_bench.results.record import Record, unpack_outcomes


@dataclass(frozen=True)
class GapComparison:
    """Accuracy on training images less accuracy on test, of row a and row b.

    Args:
        gap_a: mean over seeds, as a share.
        gap_b: the same of b.
        low: lower end of the 95 % bootstrap interval of gap_a - gap_b, over training and over test images.
        high: upper end.
        p: two-sided.
    """

    gap_a: float
    gap_b: float
    low: float
    high: float
    p: float

    def text(self) -> str:
        """The finding in one sentence."""
        gaps = f"{100 * self.gap_a:.2f} and {100 * self.gap_b:.2f} points between training and test images"
        difference = f"difference {100 * (self.gap_a - self.gap_b):.2f}, 95 % interval {100 * self.low:.2f} to {100 * self.high:.2f}, p = {self.p:.3g}"
        verdict = (
            ("The first" if self.gap_a > self.gap_b else "The second") + " overfits more" if self.p < ALPHA else "Which of them overfits more cannot be told"
        )
        return f"{verdict}: {gaps} ({difference}, paired bootstrap)."


def compare_gaps(a: Row, b: Row) -> GapComparison | None:
    """Compare how far two rows overfit.

    Args:
        a: a row whose task has classes.
        b: another one of the same test samples.

    Returns:
        The comparison; None where a run of either was not measured on its training images, or the two were trained on different ones.
    """
    records = (*a.records, *b.records)
    trained_on = {(record.data.get("checksums") or {}).get("train") for record in records}
    if not all("on_train" in record.training for record in records) or len(trained_on) > 1 or len({r.training["on_train"]["n"] for r in records}) > 1:
        return None
    tables = [joint_table(_right(a, split), len(a.records), _right(b, split), len(b.records)) for split in ("train", "test")]
    # The two sets of images are drawn independently of each other.
    drawn = resampled_gain(tables[0]) - resampled_gain(tables[1], SEED + 1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return GapComparison(_gap(a), _gap(b), low, high, replicates_p(drawn) or 1.0)


def _right(row: Row, split: str) -> npt.NDArray[np.uint16]:
    """How many of the row's runs answered each sample rightly."""
    return np.asarray(np.sum([_outcomes(record, split) for record in row.records], axis=0), dtype=np.uint16)


def _outcomes(record: Record, split: str) -> npt.NDArray[np.bool_]:
    if split == "test":
        return unpack_outcomes(record.outcomes, record.n_scored)
    return unpack_outcomes(record.training["on_train"]["outcomes"], record.training["on_train"]["n"])


def _gap(row: Row) -> float:
    return float(np.mean([record.training["on_train"]["accuracy"] - _outcomes(record, "test").mean() for record in row.records]))
