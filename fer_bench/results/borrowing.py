"""Scratch mode: records of the project are copied, with their predictions, before they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_bench import paths
from fer_bench.atomic import write_atomically
from fer_bench.results.record import Record

if TYPE_CHECKING:
    from fer_bench.results.store import Store


def lender_of(store: Store) -> Store | None:
    """In scratch mode, the project's store, of which a store borrows; None otherwise."""
    if not paths.in_scratch() or store.root != paths.leaderboards_dir():
        return None
    with paths.scratch(on=False):
        return type(store)()


def borrow(store: Store, lender: Store, record: Record) -> Record:
    """Copy a record that is not there, with its folds or members; the records of a grid stay where they are."""
    path = store.path(record.protocol, record.model, record.run_id)
    if any(entry.head is not None for entry in record.predictions.values()) or path.is_file():
        return record
    path.parent.mkdir(parents=True, exist_ok=True)
    for entry in record.predictions.values():
        write_atomically(path.parent / entry.file, (lender.folder(record) / entry.file).read_bytes())
    write_atomically(path, record.to_json().encode())
    parts = [(record.model, str(fold)) for fold in record.data.get("folds") or ()]
    parts += [(str(member["model"]), str(member["run_id"])) for member in record.training.get("members") or ()]
    for model, run_id in parts:
        if (part := lender.find_intact(record.protocol, model, run_id)) is not None:
            borrow(store, lender, part)
    return record
