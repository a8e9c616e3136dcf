"""What a row comes from: no network behind it has seen what it is tested on, and their caveats are its own."""

import pytest

from fer_bench.errors import SpecError
from fer_bench.results.lineage import inherited_caveats, lineage, require_unseen
from fer_bench.results.record import Record
from fer_bench.results.store import Store

FOLD = {"folds": 5, "fold_by": "photo"}


def record(run_id, dataset="fer2013", options=None, inputs=None, data=None, caveats=(), **spec):
    return Record.model_validate(
        {
            "run_id": run_id,
            "row": run_id,
            "protocol": f"{dataset}-fer7",
            "task": "fer7",
            "dataset": dataset,
            "model": "net",
            "inputs": inputs or {"test": "a", "train": "b"},
            "data": data or {},
            "caveats": list(caveats),
            "spec": {"dataset_options": options or {}, **spec},
        }
    )


def put(store, *records):
    for one in records:
        store.put(one, {})
    return store


def ids(networks):
    return [one.run_id for one in networks]


def test_it_goes_back_to_the_first(tmp_path):
    first = record("first-s0", "expw", {**FOLD, "fold": 2})
    other = record("other-s0", "expw", {**FOLD, "fold": 0})
    folds = record("all-s0", "expw", FOLD, data={"folds": ["other-s0", "x-s0", "first-s0"]})
    grown = record("grown-s0", "expw", {**FOLD, "fold": 2}, weights="run:all-s0")
    teacher = record("teacher-s0", weights="imagenet")
    student = record("student-s0", method_options={"teachers": ["teacher-s0", "votes:ferplus"]})
    alone = record("alone-s0", method_options={"teachers": "teacher-s0"}, weights="run:gone-s0")
    head = record("head-s0", streams=["features:run:student-s0", "faces:run:grown-s0", "features:resnet18"], weights={})
    store = put(Store(tmp_path), first, other, folds, grown, teacher, student, alone)
    assert ids(lineage([head], store)) == ["head-s0", "student-s0", "grown-s0", "teacher-s0", "first-s0"]
    # What is no longer on record is passed over, and a network that is met twice is named once.
    assert ids(lineage([alone, student], store)) == ["alone-s0", "student-s0", "teacher-s0"]


@pytest.mark.parametrize(
    ("network", "dataset", "options", "inputs"),
    [
        (record("a-s0", "expw", {**FOLD, "fold": 0}), "expw", {**FOLD, "fold": 1}, {"test": "other", "train": "b"}),
        (record("a-s0", "expw", {**FOLD, "fold": 0}), "expw", FOLD, None),
        # Folds are dealt from all images, those of the official test among them.
        (record("a-s0", "fer2013", {**FOLD, "fold": 0}), "ferplus", {}, {"test": "c"}),
        (record("a-s0", "ferplus"), "fer2013", {**FOLD, "fold": 3}, {"test": "c"}),
        (record("a-s0", "ferplus_generated"), "ferplus", FOLD, None),
        (record("a-s0", "fer2013+expw", {"expw": {**FOLD, "fold": 0}}), "expw", {**FOLD, "fold": 1}, {"test": "c"}),
        (record("a-s0", "fer2013+expw", {"expw": {**FOLD, "fold": 0}}), "expw+ferplus", {"expw": FOLD}, {"test": "c"}),
        # Folders and tables called alike may be split in any way, and be called after a known dataset.
        (record("a-s0", "folder:ck", inputs={"test": "a"}), "table:ck", {}, {"test": "c"}),
        (record("a-s0", "folder:FER-2013", inputs={"test": "a"}), "fer2013", {}, {"test": "c"}),
        (record("a-s0", "folder:fer2013", inputs={"test": "a"}), "expw+ferplus", {"expw": FOLD}, {"test": "c"}),
        (record("a-s0", "fer2013", data={"known_copy": True}), "table:fer_2013", {}, {"test": "c"}),
        # A source that was read from another copy.
        (
            record("a-s0", "fer2013+raf_db", data={"union": {"raf_db": {"checksums": {"test": "a"}}}}),
            "raf_db",
            {},
            {"test": "c"},
        ),
        # A copy with splits of its own.
        (record("a-s0", "fer2013", data={"known_copy": False}), "ferplus", {}, {"test": "c"}),
    ],
)
def test_what_may_have_seen_the_test_is_refused(network, dataset, options, inputs):
    with pytest.raises(SpecError, match=f"run a-s0 was trained on .*{network.dataset.split('+')[0]}"):
        require_unseen([network], dataset, options, inputs)


@pytest.mark.parametrize(
    ("network", "dataset", "options", "inputs"),
    [
        (record("a-s0"), "fer2013", {}, {"test": "a", "train": "b"}),
        # Other code than the dataset's, and who is on the images that a task keeps, say nothing of splits.
        (record("a-s0", inputs={"test": "a", "code of model": "1", "people": "2"}), "fer2013", {}, {"test": "a"}),
        (record("a-s0"), "ferplus", {}, {"test": "c"}),
        (record("a-s0", "ferplus", data={"known_copy": True}), "fer2013", {}, {"test": "c"}),
        (record("a-s0", "raf_db"), "expw", FOLD, None),
        (record("a-s0", "fer2013+expw", {"expw": {**FOLD, "fold": 1}}), "expw", {**FOLD, "fold": 1}, {"test": "c"}),
        (record("a-s0", "nowhere.at.all:Faces"), "expw", FOLD, None),
        (record("a-s0", "folder:ck", inputs={"test": "a"}), "table:ck", {}, {"test": "a"}),
        (record("a-s0", "folder:ck"), "folder:mine", {}, {"test": "c"}),
        (
            record("a-s0", "fer2013+raf_db", data={"union": {"raf_db": {"checksums": {"test": "a"}}}}),
            "raf_db",
            {},
            {"test": "a"},
        ),
    ],
)
def test_what_cannot_have_seen_it_is_not(network, dataset, options, inputs):
    require_unseen([network], dataset, options, inputs)


def test_the_fold_that_a_network_may_be_tested_on_is_named():
    with pytest.raises(SpecError) as refused:
        require_unseen([record("a-s0", "expw", {**FOLD, "fold": 2})], "expw", FOLD, None)
    assert "dataset_options.fold=2" in refused.value.hint


@pytest.mark.parametrize(
    ("networks", "dataset", "trained", "caveats"),
    [
        ([record("a-s0", caveats=["extra labels"])], "fer2013", True, ["extra labels"]),
        ([record("a-s0", "ferplus")], "fer2013", True, ["extra labels"]),
        ([record("a-s0", "ferplus", caveats=["leaky"])], "fer2013", False, ["leaky"]),
        ([record("a-s0", labels="0123456789ab")], "fer2013", False, ["extra labels"]),
        ([record("a-s0", "expw+ferplus"), record("b-s0", "ferplus")], "fer2013", True, ["extra labels"]),
        ([record("a-s0", "expw+fer2013", caveats=["leaky"])], "fer2013", True, ["leaky"]),
        ([record("a-s0", "fer2013+ferplus")], "fer2013", True, ["extra labels"]),
        ([record("a-s0", "folder:fer2013", caveats=["leaky"])], "fer2013", True, ["leaky"]),
        # Of other images nothing is taken over.
        ([record("a-s0", "raf_db", caveats=["leaky"], labels="0123456789ab")], "fer2013", True, []),
    ],
)
def test_caveats_of_networks_that_learnt_from_the_same_images(networks, dataset, trained, caveats, tmp_path):
    assert inherited_caveats(networks, dataset, Store(tmp_path), trained=trained) == caveats


def test_networks_of_which_nothing_is_known_are_counted(tmp_path):
    alone = record("alone-s0", "raf_db", weights="run:gone-s0")
    student = record("student-s0", method_options={"teachers": ["alone-s0", "votes:ferplus"]}, weights="imagenet")
    store = put(Store(tmp_path), alone, student)
    assert inherited_caveats(lineage([student], store), "expw", store) == ["comes from a run that is not on record"]
    put(store, record("gone-s0"))
    assert inherited_caveats(lineage([student], store), "expw", store) == []
