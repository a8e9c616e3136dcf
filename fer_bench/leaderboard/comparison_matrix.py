"""Several rows, each compared with each other: a matrix of differences, with p values that hold for all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from fer_bench.leaderboard.compare import Comparison, caveats_line, compare
from fer_bench.leaderboard.significance import ALPHA
from fer_bench.metrics import in_units, in_words, number
from fer_bench.results.store import Store


@dataclass(frozen=True)
class ComparisonMatrix:
    """Rows against each other.

    Args:
        names: of the K rows, the best first.
        values: of the metric that ranks them.
        metric: its name.
        pairs: of each pair of positions, the first before the second, its comparison.
        p: of each pair the p value, adjusted by Holm's step-down method (Holm 1979) for all pairs.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    metric: str
    pairs: Mapping[tuple[int, int], Comparison]
    p: Mapping[tuple[int, int], float]

    def text(self) -> str:
        """A table: below each row's number its difference from that row, with * where it is significant."""
        each = range(len(self.names))
        cells = [["", in_words(self.metric), *(str(i + 1) for i in each[:-1])]]
        for i in each:
            own = [f"{i + 1}  {self.names[i]}", in_units(self.values[i], self.metric)]
            cells.append([*own, *(self._cell(j, i) for j in range(min(i, len(self.names) - 1)))])
        widths = [max(len(row[k]) for row in cells if k < len(row)) for k in range(len(cells[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=False))
            ).rstrip()
            for row in cells
        ]
        first = next(iter(self.pairs.values()))
        caveats = {pair.a: pair.caveats[0] for pair in self.pairs.values()}
        caveats |= {pair.b: pair.caveats[1] for pair in self.pairs.values()}
        return "\n".join(
            [
                *lines,
                f"A row less the one above it; * p < {ALPHA}, Holm's method over {len(self.pairs)} pairs, n ="
                f" {first.n:,}, {first.test}.",
                *(caveats_line(name, caveats[name]) for name in self.names if caveats[name]),
            ]
        )

    def _cell(self, a: int, b: int) -> str:
        pair = self.pairs[a, b]
        star = "*" if self.p[a, b] < ALPHA else " "
        return f"{number(-pair.difference, self.metric)}{star}"


def compare_all(store: Store, references: Sequence[str], *, given_networks: bool = False) -> ComparisonMatrix:
    """Compare each of several rows with each other.

    Args:
        store: records and predictions.
        references: at least two rows or runs, as of :func:`~fer_bench.leaderboard.compare.compare`.
        given_networks: as there.

    Raises:
        RecordError: two of them cannot be compared; it names them and says why.
    """
    compared = {
        (a, b): compare(store, references[a], references[b], given_networks=given_networks)
        for a, b in combinations(range(len(references)), 2)
    }
    first = next(iter(compared.values()))
    values = {0: first.value_a} | {b: pair.value_b for (a, b), pair in compared.items() if a == 0}
    names = {0: first.a} | {b: pair.b for (a, b), pair in compared.items() if a == 0}
    sign = -1.0 if first.higher_is_better else 1.0
    order = sorted(values, key=lambda i: (sign * values[i], i))
    pairs = {}
    for i, j in combinations(range(len(order)), 2):
        a, b = order[i], order[j]
        pairs[i, j] = compared[a, b] if a < b else _turned(compared[b, a])
    adjusted = holm([pair.p for pair in pairs.values()])
    return ComparisonMatrix(
        tuple(names[i] for i in order),
        tuple(values[i] for i in order),
        first.metric,
        pairs,
        dict(zip(pairs, adjusted, strict=True)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values of several tests, in the order given (Holm 1979)."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def _turned(pair: Comparison) -> Comparison:
    """The same comparison, seen from the other row."""
    return Comparison(
        a=pair.b,
        b=pair.a,
        metric=pair.metric,
        value_a=pair.value_b,
        value_b=pair.value_a,
        difference=-pair.difference,
        low=-pair.high,
        high=-pair.low,
        p=pair.p,
        test=pair.test,
        n=pair.n,
        higher_is_better=pair.higher_is_better,
        caveats=(pair.caveats[1], pair.caveats[0]),
    )
