"""What the verification of one file found: of a record, of all records of a grid, or of scores on corrupted images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from fer_bench.leaderboard.differences import Difference
from fer_bench.results.kept import Stamp


class Order(NamedTuple):
    """Which test samples a record is of.

    Args:
        place: the record.
        run_id: its id.
        copy: its protocol, the names of its files, and the checksum of its test split.
        digest: of ids and targets, in order.
    """

    place: str
    run_id: str
    copy: str
    digest: str


@dataclass
class Checked:
    """What was found.

    Args:
        n_verified: records that were recomputed.
        n_without: records of runs that failed or became NaN.
        n_lacking: records that lack newer metrics.
        unknown: metrics of newer versions, by name in how many records.
        needed: metrics of plugins that are not here.
        unknown_fields: that this version does not know.
        orders: of each record that names its copy of the data.
        differences: in order.
        files: all that was read or looked for, with its stamp from before.
    """

    n_verified: int = 0
    n_without: int = 0
    n_lacking: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    needed: Counter[str] = field(default_factory=Counter)
    unknown_fields: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    files: dict[str, Stamp] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON; of one without differences."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "differences"}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Checked:
        """From :meth:`to_json`."""
        counted = {name: Counter(content[name]) for name in ("unknown", "needed")}
        return cls(**{**content, **counted, "orders": [Order(*order) for order in content["orders"]]})


def out_of_order(found: Iterable[Checked]) -> Iterator[Difference]:
    """Records whose test samples are not in the order of those before them of the same copy of the data."""
    first: dict[str, Order] = {}
    for order in (order for checked in found for order in checked.orders):
        known = first.setdefault(order.copy, order)
        if known.digest != order.digest:
            yield Difference(
                Path(order.place),
                "predictions.test.ids",
                "other samples, another order or other targets",
                f"as in {known.run_id}, on the same copy of the data",
            )
