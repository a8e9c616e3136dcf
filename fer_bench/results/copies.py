"""Which copy of a dataset a record is of, and which copy's table comes first on a board.

A protocol that declares its copy ranks that one. Where none is declared, every copy has its own table, so that no
stray run changes another copy's ranks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fer_bench.atomic import write_atomically
from fer_bench.errors import RecordError
from fer_bench.protocols import Protocol
from fer_bench.results.record import Record
from fer_bench.results.store import Store

Checksums = dict[str, str]
_PRESENT = "present_copy.txt"


@dataclass(frozen=True)
class Copy:
    """The records of one copy.

    Args:
        digest: short name of the copy; empty where nothing is known of it, or the protocol declares it.
        records: in the order given.
    """

    digest: str
    records: tuple[Record, ...]


def checksums_of(record: Record) -> Checksums:
    """What a record says of its copy; of a single fold, the whole that it was cut from."""
    if whole := (record.data.get("fold") or {}).get("copy"):
        return {"test": str(whole)}
    # Rows are tested against each other sample by sample: in another order they are of no table of this one.
    order = (record.data.get("order") or {}).get("test")
    return dict(record.data.get("checksums") or {}) | ({"order of test": str(order)} if order else {})


def same_order(a: Record, b: Record, split: str) -> bool:
    """Whether two records are known to be of the same samples in the same order, whatever their files were called."""
    orders = [(record.data.get("order") or {}).get(split) for record in (a, b)]
    return orders[0] is not None and orders[0] == orders[1]


def copy_digest(checksums: Mapping[str, str]) -> str:
    """Eight hexadecimal digits that identify a copy; empty for none."""
    return hashlib.sha256(json.dumps(dict(checksums), sort_keys=True).encode()).hexdigest()[:8] if checksums else ""


def by_copy(protocol: Protocol, records: Iterable[Record], present: str = "") -> list[Copy]:
    """Records by copy, that of the first table first.

    Args:
        protocol: with its declared copy, if there is one: then all records are together, and ranking leaves out those
            of other copies.
        records: of this protocol, in any order.
        present: digest of the copy that is on the machine now, where the newest record is not of it.

    Returns:
        At least one copy. Records that do not name one are with the first.
    """
    everything = list(records)
    if protocol.checksums:
        return [Copy("", tuple(everything))]
    stated = [checksums_of(record) for record in everything]
    copies = _whole_copies(stated)
    if not copies:
        return [Copy("", tuple(everything))]
    newest = dict.fromkeys(copies, "")
    for record, known in zip(everything, stated, strict=True):
        if known and (digest := copy_digest(known)) in newest:
            newest[digest] = max(newest[digest], record.created)
    order = sorted(copies, key=lambda digest: (newest[digest], digest), reverse=True)
    order.sort(key=lambda digest: digest != present)
    members: dict[str, list[Record]] = {digest: [] for digest in order}
    for record, known in zip(everything, stated, strict=True):
        members[next(digest for digest in order if _agree(known, copies[digest]))].append(record)
    return [Copy(digest, tuple(found)) for digest, found in members.items() if found]


def _whole_copies(stated: Sequence[Checksums]) -> dict[str, Checksums]:
    """The distinct copies by digest; what names only some splits of another one is part of that."""
    distinct = {copy_digest(known): known for known in stated if known}
    return {
        digest: known
        for digest, known in distinct.items()
        if not any(
            len(other) > len(known) and _agree(known, other) and known.keys() <= other.keys()
            for other in distinct.values()
        )
    }


def _agree(known: Mapping[str, str], copy: Mapping[str, str]) -> bool:
    return all(copy.get(split, value) == value for split, value in known.items()) and (
        not known or bool(known.keys() & copy.keys())
    )


def note_present(store: Store, protocol: Protocol, checksums: Mapping[str, str]) -> None:
    """Remember that a command has just met a copy whose records are not the newest, so that its table comes first.

    Args:
        store: of the records.
        protocol: which declares no copy; nothing is remembered for one that does.
        checksums: of the copy.
    """
    if protocol.checksums or not checksums:
        return
    path = store.results / protocol.name / _PRESENT
    try:
        newest = by_copy(protocol, list(store.records(protocol.name)))[0].digest
        if copy_digest(checksums) == newest:
            path.unlink(missing_ok=True)
        elif read_present(store, protocol.name) != copy_digest(checksums):
            write_atomically(path, f"{copy_digest(checksums)}\n".encode())
    except (OSError, RecordError):
        # Only the order of tables hangs on it.
        return


def read_present(store: Store, protocol: str) -> str:
    """Digest of the copy whose table comes first; empty where that is the newest record's."""
    try:
        return (store.results / protocol / _PRESENT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
