from __future__ import annotations

import json

import numpy as np
import pytest

from fer_bench import metrics
from fer_bench.errors import RecordError, UnknownNameError
from fer_bench.leaderboard.rescore import rescore
from fer_bench.leaderboard.verify import verify
from fer_bench.results.grids import StackedPredictions
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import PROTOCOL, put, record, run

NEW = ("cohen_kappa", "mcc")


def older(value):
    """What a record said before it had the new metrics."""
    if isinstance(value, dict):
        return {
            key: older(inner) for key, inner in value.items() if key.replace("/", ".").rsplit(".", 1)[-1] not in NEW
        }
    return value


def age(made):
    """A record of the first revision of the table."""
    return made.model_copy(
        update={
            "metrics": older(made.metrics),
            "validation_metrics": older(made.validation_metrics),
            "metrics_version": 1,
        }
    )


def strip(path):
    """The file of a record as it was written before records stated a revision."""
    content = json.loads(path.read_text())
    del content["metrics_version"]
    path.write_text(json.dumps(content, indent=1))


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    runs = [
        run(0.70, row="aaa", duplicates=30),
        run(0.72, row="aaa", seed=1, duplicates=30),
        run(0.6, "other", "bbb", duplicates=30),
    ]
    put(made, *((age(one), splits) for one, splits in runs), (record(row="ccc", status="nan"), {}))
    for path in made.files():
        strip(path)
    return made


def grid(store):
    """A grid of three heads in one file, of before."""
    runs = [run(accuracy, "probe", "ggg", seed) for seed, accuracy in enumerate((0.5, 0.6, 0.7))]
    first = runs[0][1]
    stacked = {
        name: StackedPredictions(first[name], np.stack([splits[name].outputs for _, splits in runs]).astype(np.float16))
        for name in first
    }
    from fer_bench.scoring.record import scored

    records = [
        age(scored(one, PROTOCOL, {name: stacked[name].of(h) for name in stacked}, created="2026-01-01T00:00:00+00:00"))
        for h, (one, _) in enumerate(runs)
    ]
    store.put_grid("ggg", records, stacked)
    return store.grids()[0]


def contains(new, old):
    """Whether everything old is in the new, as it was."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and contains(new[key], value) for key, value in old.items())
    return new == old


def test_records_may_lack_what_is_newer_and_are_counted(store):
    report = verify(store)
    assert (report.ok, report.n_verified, report.n_lacking) == (True, 3, 3)
    assert report.summary().endswith("no difference. 3 records lack newer metrics; `fer-bench rescore` adds them.")


@pytest.mark.parametrize("key", ["accuracy", "ece"])
def test_what_is_not_newer_may_not_be_missing(store, key):
    path = store.files()[0]
    content = json.loads(path.read_text())
    del content["metrics"][key]
    path.write_text(json.dumps(content))
    assert f"metrics.{key}" in [difference.key for difference in verify(store).differences]


@pytest.mark.parametrize("place", [(), ("intervals",), ("clean",)])
@pytest.mark.parametrize("name", NEW)
def test_a_record_of_this_revision_holds_all(tmp_path, place, name):
    store = Store(tmp_path)
    put(store, run(0.7, duplicates=30))
    path = store.files()[0]
    content = json.loads(path.read_text())
    assert content["metrics_version"] == metrics.revision()
    section = content["metrics"]
    for part in place:
        section = section[part]
    del section[name]
    path.write_text(json.dumps(content))
    assert [difference.key for difference in verify(store).differences] == [".".join(("metrics", *place, name))]


def test_a_wrong_number_of_a_newer_metric_is_a_difference_all_the_same(store):
    path = store.files()[0]
    content = json.loads(path.read_text())
    content["metrics"]["cohen_kappa"] = 0.99
    path.write_text(json.dumps(content))
    assert [difference.key for difference in verify(store).differences] == ["metrics.cohen_kappa"]


def test_rescore_adds_and_alters_nothing(store):
    before = {path: json.loads(path.read_text()) for path in store.files()}
    done = rescore(store)
    assert (done.n_done, done.n_complete, done.added, done.refused) == (3, 1, set(NEW), [])
    assert done.summary() == "cohen_kappa, mcc added to 3 records, 1 lack nothing."
    for path, old in before.items():
        new = json.loads(path.read_text())
        assert contains(new, old)
        if old["status"] == "finished":
            assert list(new["metrics"]) == [*old["metrics"], *NEW]
            assert {*new["metrics"]["intervals"], *new["metrics"]["clean"]} > set(NEW) < set(new["validation_metrics"])
            assert new["metrics_version"] == metrics.revision()
    report = verify(store)
    assert (report.ok, report.n_lacking) == (True, 0)
    after = {path: path.read_bytes() for path in store.files()}
    assert rescore(store).summary() == "nothing added to 0 records, 4 lack nothing."
    assert {path: path.read_bytes() for path in store.files()} == after


def test_one_run_and_one_protocol(store):
    assert rescore(store, "bbb-s0").n_done == 1
    assert [path.stem for path in store.files() if "mcc" in path.read_text()] == ["bbb-s0"]
    assert rescore(store, protocol=PROTOCOL.name).n_done == 2
    with pytest.raises(UnknownNameError, match="unknown protocol with records 'toy-fer8'"):
        rescore(store, protocol="toy-fer8")
    with pytest.raises(RecordError, match="no record matches 'zzz'"):
        rescore(store, "zzz")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda c: c["metrics"].update(accuracy=0.9), "metrics.accuracy"),
        (lambda c: c["validation_metrics"].update(nll=0.9), "validation_metrics.nll"),
        (lambda c: c["metrics"]["intervals"]["macro_f1"].__setitem__(0, 0.0), "metrics.intervals.macro_f1.0"),
        (lambda c: c.update(outcomes=""), "outcomes"),
        (lambda c: c["predictions"]["test"].update(sha256="0" * 64), "predictions.test"),
    ],
)
def test_what_does_not_reproduce_is_refused(store, change, key):
    path = next(path for path in store.files() if path.stem == "aaa-s1")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    done = rescore(store)
    assert done.n_done == 2
    assert len(done.refused) == 1
    assert str(path) in done.refused[0]
    assert key in done.refused[0]
    assert "Nothing was added" in done.refused[0]
    assert path.read_bytes() == before


def test_a_grid_is_rescored_as_one(store):
    path = grid(store)
    before = [older(one.model_dump()) for one in store.records() if one.model == "probe"]
    assert verify(store).n_lacking == 6
    assert rescore(store, "ggg-s1").n_done == 3
    heads = [one for one in store.records() if one.model == "probe"]
    assert all(set(NEW) <= set(one.metrics) and set(NEW) <= set(one.validation_metrics) for one in heads)
    assert [older(one.model_dump()) | {"metrics_version": 1} for one in heads] == before
    assert verify(store).n_lacking == 3
    content = json.loads(path.read_text())
    content["records"][1]["metrics"]["accuracy"] = 0.123
    for own in content["records"]:
        own["metrics"] = older(own["metrics"])
    content["shared"]["metrics_version"] = 1
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    assert "ggg.grid.json" in rescore(store, "ggg-s0").refused[0]
    assert path.read_bytes() == before


def test_a_store_without_records(tmp_path):
    with pytest.raises(RecordError, match="no record was found"):
        rescore(Store(tmp_path))
