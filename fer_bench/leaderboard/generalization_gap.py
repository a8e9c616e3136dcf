"""Which of two rows overfits more: their gaps between training and test images, where ``fer-bench evaluate
--train`` has measured them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench.leaderboard.significance import ALPHA, SEED, joint_table, resampled_gain, right_counts
from fer_bench.results.record import Record
from fer_bench.scoring.resampling import percentiles, two_sided_p
from fer_bench.scoring.rows import Row


@dataclass(frozen=True)
class GapComparison:
    """Accuracy on training images minus accuracy on test images, of row a and row b, whose networks are taken as given.

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
        """The result in one sentence."""
        gaps = f"{100 * self.gap_a:.2f} and {100 * self.gap_b:.2f} points between training and test images"
        difference = (
            f"difference {100 * (self.gap_a - self.gap_b):.2f}, 95 % interval {100 * self.low:.2f} to"
            f" {100 * self.high:.2f}, p = {self.p:.3g}"
        )
        verdict = (
            ("The first" if self.gap_a > self.gap_b else "The second") + " overfits more"
            if self.p < ALPHA
            else "Neither overfits significantly more"
        )
        return f"{verdict}: {gaps} ({difference}, paired bootstrap of the networks as they are)."


def compare_gaps(a: Row, b: Row) -> GapComparison | None:
    """Compare how much two rows overfit.

    Args:
        a: a row whose task has classes.
        b: another one of the same test samples.

    Returns:
        The comparison; None where a run of either was not measured on its training images, or the two were trained on
        different ones.
    """
    records = (*a.records, *b.records)
    trained_on = {(record.data.get("checksums") or {}).get("train") for record in records}
    if (
        not all("on_train" in record.training for record in records)
        or len(trained_on) > 1
        or len({r.training["on_train"]["n"] for r in records}) > 1
    ):
        return None
    train, test = ([right_counts(row.records, stored) for row in (a, b)] for stored in (_on_train, _on_test))
    seeds = len(a.records), len(b.records)
    # The two sets of images are drawn independently of each other.
    draws = [
        resampled_gain(joint_table(right[0], seeds[0], right[1], seeds[1]), seed)
        for right, seed in ((train, SEED), (test, SEED + 1))
    ]
    drawn = draws[0] - draws[1]
    interval = percentiles(drawn)
    assert interval is not None
    gap_a, gap_b = (
        float(on_train.mean() - on_test.mean()) / n for on_train, on_test, n in zip(train, test, seeds, strict=True)
    )
    return GapComparison(gap_a, gap_b, *interval, two_sided_p(drawn) or 1.0)


def _on_train(record: Record) -> tuple[str, int]:
    return record.training["on_train"]["outcomes"], record.training["on_train"]["n"]


def _on_test(record: Record) -> tuple[str, int]:
    return record.outcomes, record.n_scored
