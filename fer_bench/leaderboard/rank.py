"""The order of rows and their shared ranks; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fer_bench.leaderboard.fusion_gains import Gain, gains
from fer_bench.leaderboard.questions import one_per_question
from fer_bench.leaderboard.rows import Unranked, sort_records
from fer_bench.leaderboard.significance import ALPHA, Load, PairedTest, choose_test
from fer_bench.leaderboard.split_comparison import Sibling
from fer_bench.protocols import Protocol
from fer_bench.results.copies import by_copy
from fer_bench.results.corruptions import Corrupted
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row


@dataclass(frozen=True)
class Placed:
    """A ranked row.

    Args:
        row: the row.
        rank: place of the first row from which it does not differ significantly; None for people, who are no
            competitors.
        value: primary metric, mean over seeds.
        p_above: p value of the difference from the row directly above; None for the first, or where no test was
            possible.
    """

    row: Row
    rank: int | None
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
        test: how rows were tested against each other; empty if they were not.
        siblings: other protocols of the same dataset and task.
        gains: of late fusion over a subset of its streams.
        copy: digest of the copy of the data; empty where the protocol declares it, or there is one only.
        others: the same of other copies, where the protocol declares none.
        folded: ensembles that are not in the table, see :mod:`fer_bench.leaderboard.questions`.
        corrupted: by run id, scores on corrupted images, where they were measured.
    """

    protocol: Protocol
    placed: tuple[Placed, ...]
    unranked: tuple[Unranked, ...]
    n_test: int | None
    n_duplicates: int | None
    test: str
    siblings: tuple[Sibling, ...] = ()
    gains: tuple[Gain, ...] = ()
    copy: str = ""
    others: tuple[Board, ...] = ()
    folded: tuple[Row, ...] = ()
    corrupted: Mapping[str, Corrupted] = field(default_factory=dict)

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
    test: PairedTest | None = None,
    present: str = "",
) -> Board:
    """Rank the records of a protocol; where it declares no copy of the data, those of each copy by themselves.

    Rows are ordered by the mean over seeds of the primary metric, equal ones by name. Going down, a row opens a new
    rank, numbered by its position, if it differs significantly (p < 0.05) from the row that opened the current one;
    otherwise it shares that rank. Where no test is possible, only equal values share one.

    Args:
        protocol: the protocol.
        records: of this protocol, in any order; the board does not depend on it.
        load: gives a record's predictions of a split; needed to test primary metrics other than accuracy.
        test: the paired test; None chooses by the primary metric.
        present: digest of the copy that comes first; empty: that of the newest record.
    """
    copies = by_copy(protocol, records, present)
    boards = [
        replace(_rank_copy(protocol, copy.records, load, test), copy=copy.digest if len(copies) > 1 else "")
        for copy in copies
    ]
    return replace(boards[0], others=tuple(boards[1:]))


def _rank_copy(protocol: Protocol, records: Iterable[Record], load: Load | None, test: PairedTest | None) -> Board:
    given = list(records)
    found = sort_records(protocol, given)
    rows, folded = one_per_question(protocol, found.rows, given)
    test = test or choose_test(protocol, load)
    sign = -1.0 if protocol.higher_is_better else 1.0
    valued = [(value, row) for row in rows if (value := row.value(protocol.primary)) is not None]
    valued.sort(key=lambda pair: (sign * pair[0], pair[1].model, pair[1].recipe, pair[1].key))
    placed: list[Placed] = []
    opener: Row | None = None
    opened_at, current, place = 0.0, 0, 0
    for i, (value, row) in enumerate(valued):
        p_above = test.p(valued[i - 1][1], row) if i else None
        if row.kind == "human":
            placed.append(Placed(row, None, value, p_above))
            continue
        place += 1
        if opener is None or _differ(
            p_above if opener is valued[i - 1][1] else test.p(opener, row), value != opened_at
        ):
            opener, opened_at, current = row, value, place
        placed.append(Placed(row, current, value, p_above))
    added = gains(protocol, [entry.row for entry in placed], test)
    return Board(
        protocol,
        tuple(placed),
        found.unranked,
        found.n_test,
        found.n_duplicates,
        test.about,
        gains=added,
        folded=folded,
    )


def _differ(p: float | None, values_differ: bool) -> bool:
    """Whether a row differs significantly from the one that opened the rank; by its bare value where nothing could be
    tested.
    """
    return values_differ if p is None else p < ALPHA
