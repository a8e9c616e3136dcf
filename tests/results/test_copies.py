"""Which copy comes first is decided by what is there, never by the order of checksums."""

import itertools
from pathlib import Path

from fer_bench.protocols import protocol_for
from fer_bench.results.begin import begin_record
from fer_bench.results.copies import by_copy, checksums_of, copy_digest, note_present, read_present
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

SPEC = RunSpec(dataset="folder:mine")
PROTOCOL = protocol_for(SPEC.dataset, SPEC.task)
COPIES = [{"train": letter, "validation": "v", "test": letter} for letter in "abc"]


def record(checksums: dict[str, str], created: str, run_id: str = "r", **data: object) -> Record:
    return begin_record(SPEC, PROTOCOL, run_id).model_copy(
        update={"data": {"checksums": checksums, **data}, "created": created}
    )


def test_the_newest_copy_comes_first_whatever_its_checksum() -> None:
    for order in itertools.permutations(COPIES):
        records = [record(copy, f"2026-01-0{day}", f"r{day}") for day, copy in enumerate(order, start=1)]
        # many older records do not outweigh a newer one
        records += [record(order[0], "2026-01-01", f"more{i}") for i in range(5)]
        found = by_copy(PROTOCOL, records)
        assert [copy.digest for copy in found] == [copy_digest(copy) for copy in reversed(order)]
        assert [len(copy.records) for copy in found] == [1, 1, 6]
        assert by_copy(PROTOCOL, records, copy_digest(order[0]))[0].digest == copy_digest(order[0])


def test_records_that_name_part_of_a_copy_are_with_it() -> None:
    whole, ensemble, silent = record(COPIES[0], "1"), record({"test": "a"}, "2", "e"), record({}, "3", "s")
    fold = record({"test": "of the fold"}, "4", "f", fold={"copy": "a", "fold": 0, "folds": 5})
    (found,) = by_copy(PROTOCOL, [whole, ensemble, silent, fold])
    assert len(found.records) == 4
    assert checksums_of(fold) == {"test": "a"}


def test_a_declared_copy_is_the_board() -> None:
    declared = protocol_for("fer2013", "fer7")
    assert [copy.digest for copy in by_copy(declared, [record(COPIES[0], "1"), record(COPIES[1], "2")])] == [""]


def test_the_copy_that_was_met_last_is_remembered_only_where_the_newest_record_is_of_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day, copy in enumerate(COPIES[:2], start=1):
        store.put(record(copy, f"2026-01-0{day}", f"r{day}"))
    note_present(store, PROTOCOL, COPIES[1])
    assert read_present(store, PROTOCOL.name) == ""
    note_present(store, PROTOCOL, COPIES[0])
    assert read_present(store, PROTOCOL.name) == copy_digest(COPIES[0])
    note_present(store, PROTOCOL, COPIES[1])
    assert read_present(store, PROTOCOL.name) == ""
