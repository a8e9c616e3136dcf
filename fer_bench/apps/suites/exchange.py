"""What goes into the folder of a task, and what comes back: records that it needs, and those that it has made."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from fer_bench.apps.suites.task import Outcome
from fer_bench.atomic import write_atomically
from fer_bench.errors import FerBenchError, HardwareError
from fer_bench.protocols import protocol_named
from fer_bench.results.borrowing import borrow
from fer_bench.results.copies import checksums_of, note_present
from fer_bench.results.grids import StackedPredictions, load_grid
from fer_bench.results.inputs import data_inputs, evaluated_id, find_done, run_id_for
from fer_bench.results.lineage import lineage
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.sweeps.engines.seam import LOG, OUTBOX, RESULT

_GIVEN = "given.json"
_OTHER_DATA = re.compile(r"-i[0-9a-f]{6}$")


def give(folder: Path, store: Store, records: Iterable[Record], grids: Iterable[Path] = ()) -> None:
    """Make the folder of a task anew, with the records that it needs.

    Args:
        folder: of the task; its log stays.
        store: holds the records.
        records: with the folds and the members that they name, and the networks that they come from.
        grids: files of grids, which decide what a new one beside them is called.
    """
    shutil.rmtree(folder / OUTBOX, ignore_errors=True)
    (folder / RESULT).unlink(missing_ok=True)
    outbox = Store(folder / OUTBOX)
    for record in lineage(list(records), store):
        borrow(outbox, store, record)
    for path in grids:
        there = outbox.results / path.relative_to(store.results)
        files = {entry.file for record in load_grid(path) for entry in record.predictions.values()}
        for name in (*sorted(files), path.name):
            write_atomically(there.with_name(name), path.with_name(name).read_bytes())
    given = {str(path.relative_to(outbox.root)): _state(path) for path in _files(outbox)}
    write_atomically(folder / _GIVEN, json.dumps(given).encode())


def take(folder: Path, store: Store, *, force: bool = False) -> list[Record]:
    """Write the records that a task has made into the store, and forget its outbox; a record that is there on the same
    inputs already is left as it is.

    Args:
        folder: of the task.
        store: gets them.
        force: replace what is there.

    Returns:
        The records as they are in the store now.

    Raises:
        RecordError: the outbox is damaged.
    """
    outbox = Store(folder / OUTBOX)
    given = json.loads((folder / _GIVEN).read_text()) if (folder / _GIVEN).is_file() else {}
    made = [path for path in _files(outbox) if given.get(str(path.relative_to(outbox.root))) != _state(path)]
    singles = [Record.load(path) for path in made if path in set(outbox.files())]
    # A test says of which network it is, whose id the store may change.
    singles.sort(key=lambda record: (record.kind == "evaluated", record.run_id))
    done: list[Record] = []
    called: dict[str, str] = {}
    for record in singles:
        put = _put(outbox, record, store, called, force)
        called[record.run_id] = put.run_id
        done.append(put)
    for path in made:
        if path in set(outbox.grids()):
            done += _put_grid(outbox, path, store)
    for protocol in {(record.protocol, record.dataset, record.task) for record in done}:
        own = [record for record in done if record.protocol == protocol[0]]
        note_present(store, protocol_named(*protocol), checksums_of(own[-1]))
    shutil.rmtree(folder / OUTBOX, ignore_errors=True)
    return done


def gather(folder: Path, store: Store) -> int:
    """Take what tasks of an earlier driver have finished since it ended; returns how many.

    Args:
        folder: of the suite.
        store: gets the records.
    """
    n = 0
    for task in sorted(path.parent for path in folder.glob("*/result.json")):
        outcome = Outcome.read(task)
        if outcome is not None and outcome.how == "stopped":
            # A scheduler may be about to carry it out again, with what it was given.
            continue
        if outcome is not None and outcome.how in ("done", "nan"):
            try:
                n += bool(take(task, store))
            except HardwareError:
                raise
            except FerBenchError:
                # It is done once more.
                pass
        discard(task)
    return n


def discard(folder: Path) -> None:
    """Forget what a task has left, but for its log."""
    shutil.rmtree(folder / OUTBOX, ignore_errors=True)
    (folder / RESULT).unlink(missing_ok=True)


def log_of(folder: Path) -> Path:
    """Where the output of a task is."""
    return folder / LOG


def _put(outbox: Store, record: Record, store: Store, called: dict[str, str], force: bool) -> Record:
    known = record.data.get("known_copy")
    predictions = {split: outbox.predictions(record, split) for split in record.predictions}
    if record.kind == "evaluated":
        of = next((name for name in called if record.run_id.startswith(f"{name}-on-")), "")
        new = called.get(of, of)
        plain = _OTHER_DATA.sub("", record.run_id).replace(of, new, 1)
        notes = [note.replace(of, new) if of else note for note in record.notes]
        record = record.model_copy(update={"notes": notes})
        inputs = data_inputs(record.data)

        def name() -> str:
            return evaluated_id(store, record.protocol, record.model, plain, inputs, known)

    else:
        plain = _OTHER_DATA.sub("", record.run_id)
        statuses = ("finished", "nan")
        done = find_done(store, record.protocol, record.model, plain, record.inputs, statuses)
        if done is not None and not force:
            return done

        def name() -> str:
            return run_id_for(store, record.protocol, record.model, plain, record.inputs, known)

    return store.put(record.model_copy(update={"predictions": {}}), predictions, called=name)


def _put_grid(outbox: Store, path: Path, store: Store) -> list[Record]:
    records = load_grid(path)
    stacked = {}
    for split, entry in records[0].predictions.items():
        stacked[split] = StackedPredictions.load(path.with_name(entry.file), entry.sha256, entry.n)
    bare = [record.model_copy(update={"predictions": {}}) for record in records]
    return store.put_grid(path.name.removesuffix(".grid.json"), bare, stacked)


def _files(store: Store) -> list[Path]:
    return [*store.files(), *store.grids()]


def _state(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
