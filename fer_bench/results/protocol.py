"""Which protocol a record, or a name in a store, means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fer_bench.errors import RecordError, SpecError
from fer_bench.protocols import PROTOCOLS, TASKS, VARIANTS, VIA, Protocol, protocol_for, protocol_named
from fer_bench.registry import unknown_name
from fer_bench.results.record import Record
from fer_bench.results.store import Store


def protocol_of(record: Record) -> Protocol:
    """The protocol under which a record was scored.

    Raises:
        UnknownNameError: its task does not exist.
        RecordError: its protocol is not that of its dataset and task.
    """
    try:
        return protocol_named(record.protocol, record.dataset, record.task)
    except SpecError:
        problem = (
            f"record {record.run_id}: protocol {record.protocol!r} is not that of dataset {record.dataset!r} and task"
            f" {record.task!r}."
        )
        raise RecordError(problem, "Use the version of fer_bench that wrote it.") from None


def find_protocol(name: str, records: Iterable[Record]) -> Protocol | None:
    """The protocol of a name: declared, or of the records that have it, or what the name itself says, a dataset and a
    task, perhaps one of networks of another label set; None where it says neither.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    for record in records:
        return protocol_of(record)
    plain, via, source = name.partition(VIA)
    if via and source in TASKS:
        dataset, _, target = plain.rpartition("-")
        return protocol_for(dataset, f"{target}{VIA}{source}") if dataset and target in TASKS else None
    for fold_by, variant in [*VARIANTS.items(), ("", "")]:
        ending = f"-{variant}" if variant else ""
        dataset, _, task = name.removesuffix(ending).rpartition("-")
        if name.endswith(ending) and dataset and task in TASKS:
            return protocol_for(dataset, task, fold_by)
    return None


def named_protocol(protocol: str | Protocol, store: Store) -> Protocol:
    """A protocol by name: declared, of records in a store, or of a user dataset.

    Raises:
        UnknownNameError: it is none of these, with suggestions.
    """
    if isinstance(protocol, Protocol):
        return protocol
    mistyped = protocol not in store.protocols() and difflib.get_close_matches(protocol, list(PROTOCOLS), cutoff=0.85)
    found = find_protocol(protocol, store.records(protocol))
    if found is None or (mistyped and protocol not in PROTOCOLS and VIA not in protocol):
        kind = "protocol"
        raise unknown_name(kind, protocol, [*PROTOCOLS, *store.protocols()])
    return found
