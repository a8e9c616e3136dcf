"""``fer-bench list runs``: names and scores, filtered, and a page at a time, so that a store of any size answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from fer_bench.errors import SpecError

if TYPE_CHECKING:
    from fer_bench.results.record import Record
    from fer_bench.results.store import Store

_KINDS = ("trained", "ensemble", "probe", "human", "evaluated", "external")
_STATUSES = ("finished", "nan", "failed")


@dataclass(frozen=True)
class Wanted:
    """Which runs are listed.

    Args:
        contains: part of ``protocol/model/run_id``.
        protocol: of one protocol; empty: of all.
        model: of one network; empty: of all.
        kind: trained, ensemble, ...; empty: all.
        status: finished, nan or failed; empty: all.
        best: the best score first, of one protocol.
        page: counted from 1.
        per_page: how many; 0: all.
    """

    contains: str = ""
    protocol: str = ""
    model: str = ""
    kind: str = ""
    status: str = ""
    best: bool = False
    page: int = 1
    per_page: int = 50

    def check(self) -> None:
        """Refuse what no run can be.

        Raises:
            UnknownNameError: there is no such kind or status.
            SpecError: scores of several protocols cannot be ordered.
        """
        from fer_bench.registry import unknown_name

        for what, value, known in (("kind", self.kind, _KINDS), ("status", self.status, _STATUSES)):
            if value and value not in known:
                raise unknown_name(what, value, known)
        if self.best and not self.protocol:
            problem = "--best orders the runs of one protocol: scores of several cannot be compared."
            raise SpecError(problem, "Add --protocol; `fer-bench list protocols` names them.")


def page_of(store: Store, wanted: Wanted) -> tuple[list[tuple[str, str]], bool]:
    """Runs of a page, by ``protocol/model/run_id`` with score and name, and whether there are more.

    Records are read only as far as the page needs.
    """
    wanted.check()
    found = _matching(store, wanted)
    if wanted.best:
        found = iter(sorted(found, key=_by_score))
    if not wanted.per_page:
        records = list(found)
    else:
        start = (wanted.page - 1) * wanted.per_page
        records = list(islice(found, start, start + wanted.per_page + 1))
    shown = records[: wanted.per_page or None]
    return _described(shown), len(records) > len(shown)


def _matching(store: Store, wanted: Wanted) -> Iterator[Record]:
    from fer_bench.results.grids import load_grid
    from fer_bench.results.places import checked, folder_name
    from fer_bench.results.record import Record

    protocol = checked(wanted.protocol) if wanted.protocol else None
    folder = folder_name(wanted.model) if wanted.model else ""
    for path in store.files(protocol):
        name = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}"
        if (not folder or path.parent.name == folder) and _may_contain(name, wanted):
            yield from (record for record in [Record.load(path)] if _fits(record, wanted))
    for path in store.grids(protocol):
        if not folder or path.parent.name == folder:
            yield from (record for record in load_grid(path) if _fits(record, wanted))


def _may_contain(name: str, wanted: Wanted) -> bool:
    # A model's own name may differ from its folder's: timm:x is in timm_x.
    return wanted.contains.replace(":", "_") in name.replace(":", "_")


def _fits(record: Record, wanted: Wanted) -> bool:
    return (
        wanted.contains in _reference(record)
        and wanted.kind in ("", record.kind)
        and wanted.status in ("", record.status)
        and wanted.model in ("", record.model)
    )


def _reference(record: Record) -> str:
    return f"{record.protocol}/{record.model}/{record.run_id}"


def _primary(record: Record) -> tuple[str, float | None, bool]:
    """Name and value of the score that ranks a record, and whether higher is better."""
    from fer_bench.errors import FerBenchError
    from fer_bench.results.protocol import protocol_of
    from fer_bench.scoring.rows import metric

    try:
        protocol = protocol_of(record)
    except FerBenchError:
        return "", None, True
    return protocol.primary, metric(record.metrics, protocol.primary), protocol.higher_is_better


def _by_score(record: Record) -> tuple[bool, float, str]:
    _, value, higher = _primary(record)
    return value is None, 0.0 if value is None else -value if higher else value, record.run_id


def _described(records: Sequence[Record]) -> list[tuple[str, str]]:
    from fer_bench.metrics import in_units, in_words
    from fer_bench.results.naming import Named, unique_names

    names = unique_names({(r.model, r.row): Named(r.model, r.recipe, r.spec, r.row) for r in records})
    lines = []
    for record in records:
        name, value, _ = _primary(record)
        score = record.status if value is None else f"{in_words(name)} {in_units(value, name)}"
        seed = "" if record.seed is None else f", seed {record.seed}"
        lines.append((_reference(record), f"{score:<24s} {names[record.model, record.row]}{seed}"))
    return lines
