"""What a stream adds to others: rows of late fusion against rows with a subset of their streams, on the same test
samples; pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fer_bench.leaderboard.significance import ALPHA, PairedTest
from fer_bench.protocols import SELECTED_ON_TEST, Protocol
from fer_bench.scoring.rows import Row


@dataclass(frozen=True)
class Gain:
    """A fusion against a subset of its streams.

    Args:
        fused: the row with more streams.
        part: the row with some of them.
        added: the streams that only the first has.
        difference: of the primary metric, means over seeds, fused minus part.
        p: two-sided p value of the difference; None where it could not be tested.
    """

    fused: Row
    part: Row
    added: tuple[str, ...]
    difference: float
    p: float | None

    def verdict(self, higher_is_better: bool) -> str:
        """Whether the added streams help, in words."""
        if self.p is None:
            return "not tested"
        if self.p >= ALPHA:
            return "not significant"
        return "significantly better" if (self.difference > 0) == higher_is_better else "significantly worse"


def gains(protocol: Protocol, rows: Sequence[Row], test: PairedTest) -> tuple[Gain, ...]:
    """Every fusion against every row with a subset of its streams.

    Rows that were selected on test are left out where the protocol does not ask for it: their lead may be due to the
    selection. Both rows of a pair use the
    same images at the same crop and size.

    Args:
        protocol: names the metric.
        rows: ranked ones, in the order of the board.
        test: the board's.
    """
    left_out = {SELECTED_ON_TEST} - set(protocol.caveats)
    probes = [(row, _streams(row)) for row in rows if row.kind == "probe" and not left_out & set(row.caveats)]
    found = []
    for fused, streams in probes:
        for part, fewer in probes:
            if fewer and set(fewer) < set(streams) and _frame(part) == _frame(fused):
                better, base = fused.value(protocol.primary), part.value(protocol.primary)
                if better is not None and base is not None:
                    added = tuple(stream for stream in streams if stream not in fewer)
                    found.append(Gain(fused, part, added, better - base, test.p(fused, part)))
    return tuple(found)


def _streams(row: Row) -> tuple[str, ...]:
    streams = row.records[0].spec.get("streams")
    return tuple(str(stream) for stream in streams) if isinstance(streams, list | tuple) else ()


def _frame(row: Row) -> tuple[str, str]:
    spec = row.records[0].spec
    return str(spec.get("dataset_options")), str(row.records[0].data.get("checksums"))
