"""The order of rows, and the ranges of their ranks; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from fer_bench.leaderboard.costs import RowCost
from fer_bench.leaderboard.fusion_gains import Gain, gains
from fer_bench.leaderboard.questions import one_per_question
from fer_bench.leaderboard.rows import Unranked, row_names, sort_records
from fer_bench.leaderboard.significance import Load
from fer_bench.leaderboard.split_comparison import Sibling
from fer_bench.leaderboard.uncertainty import Uncertainty
from fer_bench.protocols import Protocol
from fer_bench.results.copies import by_copy
from fer_bench.results.corruptions import Corrupted
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row
from fer_bench.scoring.training_noise import TrainingNoise


@dataclass(frozen=True)
class Placed:
    """A ranked row.

    Args:
        row: the row.
        rank: the first rank that it may have; None for people, who are no competitors.
        last: the last; where rows could not be tested, the same.
        value: primary metric, mean over seeds.
        p_above: p value of the difference from the row directly above; None for the first, or where no test was
            possible.
    """

    row: Row
    rank: int | None
    last: int | None
    value: float
    p_above: float | None


@dataclass(frozen=True)
class Board:
    """The content of a leaderboard.

    Args:
        protocol: what is ranked.
        placed: best first.
        unranked: records that are not ranked.
        n_test: samples per record; None without any.
        n_duplicates: test samples with a near-duplicate in another split; None where not known.
        test: over what rows were tested against each other; empty if they were not.
        noise: of training, of networks that were trained here; None where no row has several seeds.
        siblings: other protocols of the same dataset and task.
        gains: of late fusion over a subset of its streams.
        copy: digest of the copy of the data; empty where the protocol declares it, or there is one only.
        others: the same of other copies, where the protocol declares none.
        folded: ensembles that are not in the table, see :mod:`fer_bench.leaderboard.questions`.
        corrupted: by run id, scores on corrupted images, where they were measured.
        reproduced: by run id, what came of training it again, in words.
        costs: of one face, by run id of a row's first run, where all of its networks were measured.
    """

    protocol: Protocol
    placed: tuple[Placed, ...]
    unranked: tuple[Unranked, ...]
    n_test: int | None
    n_duplicates: int | None
    test: str
    noise: TrainingNoise | None = None
    siblings: tuple[Sibling, ...] = ()
    gains: tuple[Gain, ...] = ()
    copy: str = ""
    others: tuple[Board, ...] = ()
    folded: tuple[Row, ...] = ()
    corrupted: Mapping[str, Corrupted] = field(default_factory=dict)
    reproduced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    costs: Mapping[str, RowCost] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        """Names of the placed rows by (model, key), each once."""
        return row_names([placed.row for placed in self.placed])

    @property
    def best(self) -> Placed | None:
        """The first competitor."""
        return next((placed for placed in self.placed if placed.rank is not None), None)

    @property
    def n_records(self) -> int:
        """Records in ranked rows."""
        return sum(len(placed.row.records) for placed in self.placed)


def rank(
    protocol: Protocol,
    records: Iterable[Record],
    load: Load | None = None,
    present: str = "",
) -> Board:
    """Rank the records of a protocol; where it declares no copy of the data, those of each copy by themselves.

    Rows are ordered by the mean over seeds of the primary metric, equal ones by name. A row's rank is a range: with
    95 % confidence for the whole board together, over test samples and over training again, see
    :func:`fer_bench.scoring.training_noise.rank_ranges`. Where no test is possible, it is the row's place, which equal
    values share.

    Args:
        protocol: the protocol.
        records: of this protocol, in any order; the board does not depend on it.
        load: gives a record's predictions of a split; needed to test primary metrics other than accuracy.
        present: digest of the copy that comes first; empty: that of the newest record.
    """
    copies = by_copy(protocol, records, present)
    boards = [
        replace(_rank_copy(protocol, copy.records, load), copy=copy.digest if len(copies) > 1 else "")
        for copy in copies
    ]
    return replace(boards[0], others=tuple(boards[1:]))


def _rank_copy(protocol: Protocol, records: Iterable[Record], load: Load | None) -> Board:
    given = list(records)
    found = sort_records(protocol, given)
    rows, folded = one_per_question(protocol, found.rows, given)
    sign = -1.0 if protocol.higher_is_better else 1.0
    valued = [(value, row) for row in rows if (value := row.value(protocol.primary)) is not None]
    valued.sort(key=lambda pair: (sign * pair[0], pair[1].model, pair[1].recipe, pair[1].key))
    uncertainty = Uncertainty(protocol, found.rows, load)
    competitors = [row for _, row in valued if row.kind != "human"]
    tested = uncertainty.ranges(competitors)
    ranges = tested or _places([value for value, row in valued if row.kind != "human"])
    of_row = {(row.model, row.key): pair for row, pair in zip(competitors, ranges, strict=True)}
    placed = []
    for i, (value, row) in enumerate(valued):
        first, last = of_row.get((row.model, row.key), (None, None))
        placed.append(Placed(row, first, last, value, uncertainty.p(valued[i - 1][1], row) if i else None))
    return Board(
        protocol,
        tuple(placed),
        found.unranked,
        found.n_test,
        found.n_duplicates,
        uncertainty.about(competitors) if tested or not competitors else "",
        noise=uncertainty.noise("trained"),
        gains=gains(protocol, [entry.row for entry in placed], uncertainty),
        folded=folded,
    )


def _places(values: Sequence[float]) -> list[tuple[int, int]]:
    """Places by value alone, which equal values share."""
    first = {value: values.index(value) + 1 for value in values}
    return [(first[value], first[value]) for value in values]
