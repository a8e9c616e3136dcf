"""Nothing is scored, resumed or skipped on the strength of an old input."""

import json
from pathlib import Path

import pytest

from fer_bench.errors import MissingDataError
from fer_bench.protocols import protocol_for
from fer_bench.results import inputs as fingerprint
from fer_bench.results.begin import begin_record, run_folder
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec, build

SPEC = RunSpec(dataset="folder:mine")
OLD = {"train": "a", "validation": "b", "test": "c"}
NEW = OLD | {"train": "other"}


def put(store: Store, run_id: str = "", **changes: object) -> Record:
    record = begin_record(SPEC, protocol_for(SPEC.dataset, SPEC.task), run_id or SPEC.run_id())
    return store.put(record.model_copy(update=changes))


def find(store: Store, inputs: dict[str, str]) -> Record | None:
    return fingerprint.find_done(store, SPEC.protocol, SPEC.model, SPEC.run_id(), inputs)


def name(store: Store, inputs: dict[str, str], known_copy: bool | None = None) -> str:
    return fingerprint.run_id_for(store, SPEC.protocol, SPEC.model, SPEC.run_id(), inputs, known_copy)


def test_done_is_a_finished_record_of_the_same_inputs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert find(store, OLD) is None
    assert name(store, OLD) == SPEC.run_id()
    put(store, inputs=OLD)
    assert find(store, OLD) is not None
    for other in (NEW, OLD | {"weights of x": "1"}, OLD | {"folds": "1"}, {"test": "c"}):
        assert find(store, other) is None, other
        assert name(store, other).startswith(SPEC.run_id() + "-x")
    # a third copy has a name of its own, whichever split differs
    assert len({name(store, OLD | {split: "z"}) for split in OLD}) == 3
    put(store, name(store, NEW), inputs=NEW)
    assert find(store, NEW).run_id == name(store, NEW)
    assert find(store, OLD).run_id == SPEC.run_id()
    put(store, inputs=OLD, status="failed")
    assert find(store, OLD) is None
    assert name(store, OLD) == SPEC.run_id()


def test_a_copy_that_the_protocol_does_not_rank_never_gets_the_plain_id(tmp_path: Path) -> None:
    assert name(Store(tmp_path), NEW, known_copy=False) != SPEC.run_id()


def test_older_records_are_compared_by_what_they_state(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, data={"checksums": OLD})
    assert find(store, OLD | {"folds": "1"}) is not None
    assert find(store, NEW) is None
    put(store, data={})
    assert find(store, OLD) is None


def test_a_folder_is_resumed_only_for_its_own_inputs(tmp_path: Path) -> None:
    root, training = tmp_path / "runs", SPEC.training_id()
    folder = fingerprint.training_folder(root, training, OLD)
    assert folder == root / training
    fingerprint.mark(folder, OLD)
    (folder / "last.ckpt").touch()
    assert fingerprint.training_folder(root, training, OLD) == folder
    # which images are tested does not decide what is learnt
    assert fingerprint.training_folder(root, training, OLD | {"test": "z"}) == folder
    assert fingerprint.training_folder(root, training, NEW) != folder
    (folder / fingerprint.FILE).write_text("[" * 100_000)
    assert fingerprint.training_folder(root, training, OLD) != folder
    (folder / fingerprint.FILE).unlink()
    assert fingerprint.training_folder(root, training, OLD) != folder


def test_a_record_finds_its_own_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_RUNS", str(tmp_path))
    store, training = Store(tmp_path / "boards"), SPEC.training_id()
    fingerprint.mark(tmp_path / training, OLD)
    assert run_folder(SPEC, put(store, inputs=OLD)) == tmp_path / training
    assert run_folder(SPEC, put(store, inputs=NEW)) == fingerprint.training_folder(tmp_path, training, NEW)
    # before there was a fingerprint, other copies had folders named like their records
    assert run_folder(SPEC, put(store, f"{SPEC.run_id()}-x123456")) == tmp_path / f"{training}-x123456"


def test_files_in_the_settings_are_what_is_in_them(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pth").write_bytes(b"one")
    here, there = (build({"weights": str(tmp_path / folder / "w.pth")}) for folder in ("here", "there"))
    assert here.run_id() == there.run_id()
    assert str(tmp_path) not in json.dumps(here.identity())
    assert here.execution.place_of(here.weights) == str(tmp_path / "here" / "w.pth")
    (tmp_path / "here" / "w.pth").write_bytes(b"two")
    assert build({"weights": str(tmp_path / "here" / "w.pth")}).run_id() != here.run_id()
    with pytest.raises(MissingDataError, match=r"weights .*missing\.pth: there is no such file"):
        build({"weights": str(tmp_path / "missing.pth")})
    with pytest.raises(MissingDataError, match="not known on this machine"):
        RunSpec(weights=here.weights).execution.place_of(here.weights)
    assert build({"weights": "imagenet"}).weights == "imagenet"


def test_no_row_has_seeds_of_two_copies(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, inputs=OLD)
    other_seed = SPEC.model_copy(update={"seed": 1})
    ids = [
        fingerprint.run_id_for(store, SPEC.protocol, SPEC.model, other_seed.run_id(), inputs, None)
        for inputs in (OLD, NEW)
    ]
    assert ids[0] == other_seed.run_id()
    assert ids[1] == f"{other_seed.run_id()}-x{fingerprint.digest(NEW)}"
    rows = {begin_record(other_seed, protocol_for(SPEC.dataset, SPEC.task), run_id).row for run_id in ids}
    assert len(rows) == 2
    # other settings that begin alike are no seed of these
    assert (
        fingerprint.run_id_for(store, SPEC.protocol, SPEC.model, f"{SPEC.digest()[:9]}-s0", NEW, None)
        == f"{SPEC.digest()[:9]}-s0"
    )


def test_a_test_on_another_dataset_is_replaced_by_the_same_network_trained_once_more(tmp_path: Path) -> None:
    store, plain = Store(tmp_path), f"{SPEC.run_id()}-on-mine"
    put(store, plain, inputs=OLD | {fingerprint.NETWORK: "first"})

    def name_of(inputs: dict[str, str]) -> str:
        return fingerprint.evaluated_id(store, SPEC.protocol, SPEC.model, plain, inputs, None)

    assert name_of(OLD) == plain
    assert name_of(NEW) == f"{plain}-x{fingerprint.digest(NEW)}"
    other_seed = plain.replace("-s0", "-s1")
    assert fingerprint.evaluated_id(store, SPEC.protocol, SPEC.model, other_seed, OLD, None) == other_seed
    assert fingerprint.evaluated_id(store, SPEC.protocol, SPEC.model, other_seed, NEW, None) != other_seed


def test_a_record_in_the_file_of_another_is_not_written_over_for_it(tmp_path: Path) -> None:
    store, other_seed = Store(tmp_path), SPEC.model_copy(update={"seed": 1})
    put(store, inputs=OLD)
    put(store, other_seed.run_id(), inputs=OLD)
    wrong, right = (store.path(SPEC.protocol, SPEC.model, run_id) for run_id in (SPEC.run_id(), other_seed.run_id()))
    wrong.write_text(right.read_text())
    assert find(store, OLD) is None
    assert name(store, OLD) == SPEC.run_id()


def test_who_is_on_the_images_is_part_of_a_result_and_not_of_a_training() -> None:
    facts = {"checksums": OLD, "order": {"train": "1", "test": "2"}}
    a, b = (fingerprint.data_inputs({**facts, "people_by_sample": people}) for people in ("x", "y"))
    assert a != b
    assert fingerprint.of_training(a) == fingerprint.of_training(b)
    dealt_otherwise = fingerprint.data_inputs({**facts, "order": {"train": "3", "test": "2"}})
    assert fingerprint.of_training(dealt_otherwise) != fingerprint.of_training(a)
