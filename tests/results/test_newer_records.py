"""Records of the future: what they have more is kept and passed over with one notice; a newer schema is refused, and
never written over."""

import json
from pathlib import Path

import numpy as np
import pytest

import fer_bench
from fer_bench.errors import NewerRecordError, RecordError, UnknownFieldsWarning
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.grids import StackedPredictions, load_grid
from fer_bench.results.inputs import find_done, run_id_for
from fer_bench.results.leftovers import sweep_folder
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.scoring.known import known_part, unknown_names
from fer_bench.scoring.score import score
from tests.forks import COMMAND, run_alone
from tests.leaderboard.fake_records import put, record, run

ROOT = Path(__file__).parents[2]
FUTURE = {"reviewed": {"by": ["a", "b"], "on": 2031}, "seal": "5f", "_hidden": None}


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "leaderboards")
    put(made, run(0.70, row="aaa"), run(0.72, row="bbb"), run(0.74, row="ccc"))
    return made


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def path_of(store, run_id):
    return store.path("toy-fer7", "net", run_id)


def from_the_future(store, *run_ids):
    for run_id in run_ids:
        edit(path_of(store, run_id), lambda content: content.update(FUTURE))
    return Store(store.root)


def test_unknown_fields_are_verified_and_rendered_with_one_notice(store):
    store = from_the_future(store, "aaa-s0", "bbb-s0")
    done = []
    with pytest.warns(UnknownFieldsWarning) as given:
        done += [verify(store), render_all(store), list(store.records()), store.get("aaa-s0")]
    assert (done[0].ok, done[0].n_verified) == (True, 3)
    (only,) = given
    assert (
        str(only.message)
        == f"{store.results}: records hold fields that fer_bench {fer_bench.__version__} does not know (_hidden,"
        " reviewed, seal); they are kept and not shown."
    )
    assert "net" in (store.root / "toy-fer7.md").read_text()


def test_many_and_hostile_names_are_one_printable_line(store):
    edit(path_of(store, "aaa-s0"), lambda content: content.update({f"f{i}\n\x1b[31m{'x' * 500}": 1 for i in range(50)}))
    with pytest.warns(UnknownFieldsWarning) as given:
        list(store.records())
    (only,) = given
    assert str(only.message).isprintable()
    assert len(str(only.message)) < 600
    assert "and 45 more" in str(only.message)


@pytest.mark.filterwarnings("ignore::fer_bench.errors.UnknownFieldsWarning")
def test_written_anew_a_record_keeps_them(store):
    store = from_the_future(store, "aaa-s0")
    store.amend(store.get("aaa-s0").model_copy(update={"notes": ["looked at again"]}))
    content = json.loads(path_of(store, "aaa-s0").read_text())
    assert FUTURE.items() <= content.items()
    assert content["notes"] == ["looked at again"]
    assert store.get("aaa-s0").unknown_fields == ("_hidden", "reviewed", "seal")


@pytest.mark.filterwarnings("ignore::fer_bench.errors.UnknownFieldsWarning")
def test_a_grid_keeps_them(store):
    _, splits = run(0.7)
    stacked = StackedPredictions(splits["test"], splits["test"].outputs[None].astype(np.float16).repeat(2, axis=0))
    heads = [record(row=row, test=None) for row in ("one", "two")]
    store.put_grid("g", heads, {"test": stacked})
    path = store.grid_path("toy-fer7", "net", "g")
    edit(path, lambda content: (content["shared"].update(seal="all"), content["records"][1].update(reviewed=1)))
    assert [one.unknown_fields for one in load_grid(path)] == [("seal",), ("reviewed", "seal")]
    store.put_grid("g", load_grid(path), {"test": stacked})
    assert [one.model_extra for one in load_grid(path)] == [{"seal": "all"}, {"seal": "all", "reviewed": 1}]
    edit(path, lambda content: content.update(index=[]))
    with pytest.raises(RecordError, match="damaged grid: unknown member 'index'"):
        load_grid(path)


def test_what_this_version_writes_has_no_unknown_fields():
    with pytest.raises(ValueError, match="unknown field 'colour'"):
        Record(run_id="r", row="r", protocol="p", task="fer7", dataset="d", model="m", colour="red")


def test_how_a_predictions_file_is_read_is_not_passed_over(store):
    edit(path_of(store, "aaa-s0"), lambda content: content["predictions"]["test"].update(offset=100))
    with pytest.raises(RecordError, match=r"aaa-s0\.json: damaged record: predictions\.test\.offset"):
        list(store.records())


def newer(content, wrote="0.9.0"):
    """Schema 2, in which even what must be there is called otherwise."""
    content.update(
        schema_version=2, code={"version": wrote}, outputs=content.pop("predictions"), ident=content.pop("run_id")
    )


@pytest.mark.parametrize("wrote", ["0.9.0", "not\na version", None, fer_bench.__version__])
def test_a_newer_schema_is_refused_in_one_line_that_says_who_reads_it(store, wrote):
    path = edit(path_of(store, "aaa-s0"), lambda content: newer(content, wrote))
    who = (
        "fer_bench 0.9.0, which wrote it, or newer"
        if wrote == "0.9.0"
        else "the version of fer_bench that wrote it, or newer"
    )
    line = (
        f"{path}: the record is of schema 2, and fer_bench {fer_bench.__version__} reads schema 1 only: read it with"
        f" {who}."
    )
    for read in (lambda: list(store.records()), lambda: store.get("aaa-s0"), lambda: render_all(store)):
        with pytest.raises(NewerRecordError) as caught:
            read()
        assert caught.value.problem == line
    report = verify(store)
    assert [(found.file, found.recomputed) for found in report.differences] == [(path, line)]
    assert report.n_verified == 2


def test_a_newer_schema_is_never_written_over_and_its_predictions_stay(store):
    path = edit(path_of(store, "aaa-s0"), newer)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(NewerRecordError):
        find_done(store, "toy-fer7", "net", "aaa-s0", {"test": "c" * 8})
    with pytest.raises(NewerRecordError):
        run_id_for(store, "toy-fer7", "net", "aaa-s0", {"test": "c" * 8}, None)
    sweep_folder(path.parent)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    put(store, run(0.5, row="ddd"))
    assert all(file.read_bytes() == content for file, content in before.items())


def test_a_newer_grid(store):
    _, splits = run(0.7)
    stacked = StackedPredictions(splits["test"], splits["test"].outputs[None].astype(np.float16))
    store.put_grid("g", [record(row="one", code={"version": "0.9.0"})], {"test": stacked})
    path = edit(
        store.grid_path("toy-fer7", "net", "g"),
        lambda content: content.update(schema_version=2, rows=content.pop("records")),
    )
    with pytest.raises(
        NewerRecordError, match=r"g\.grid\.json: the record is of schema 2.*fer_bench 0\.9\.0, which wrote it"
    ):
        store.find_intact_grid("toy-fer7", "net", "g")
    sweep_folder(path.parent)
    assert (path.parent / "g.grid.test.npz").is_file()


@pytest.mark.parametrize("version", [0, -1, "2", None, 1.5])
def test_no_version_at_all_is_damage(store, version):
    edit(path_of(store, "aaa-s0"), lambda content: content.update(schema_version=version))
    with pytest.raises(RecordError, match="damaged record: schema_version") as caught:
        store.get("aaa-s0")
    assert not isinstance(caught.value, NewerRecordError)


def test_a_metric_of_the_future_is_counted_and_the_rest_verified(store):
    def more(content):
        content["code"] = {"version": "0.9.0"}
        content["metrics"].update(entropy=0.6, intervals={**content["metrics"]["intervals"], "entropy": [0.5, 0.7]})
        content["metrics"]["per_class"]["surprisal"] = [0.1] * 7
        content["metrics"]["reasons"]["per_class.surprisal.3"] = "no sample has this class"

    edit(path_of(store, "aaa-s0"), more)
    edit(
        path_of(store, "bbb-s0"),
        lambda content: (
            content["validation_metrics"].update(entropy=0.6),
            content.update(code={"version": "1.0.0rc1"}),
        ),
    )
    report = verify(store)
    assert report.ok
    assert report.unknown_metrics == {"entropy": 2, "surprisal": 1}
    assert report.summary().endswith(
        f"Not recomputed, because fer_bench {fer_bench.__version__} does not know them: entropy in 2, surprisal in 1."
    )
    edit(path_of(store, "aaa-s0"), lambda content: content["metrics"].update(accuracy=0.99, clean={"n": 3}))
    assert {found.key for found in verify(store).differences} == {"metrics.accuracy", "metrics.clean"}


@pytest.mark.parametrize("version", [fer_bench.__version__, "0.0.9", None, "x", "9"])
def test_a_metric_that_no_newer_version_vouches_for_is_a_difference(store, version):
    edit(
        path_of(store, "aaa-s0"),
        lambda content: (content["metrics"].update(entropy=0.6), content.update(code={"version": version})),
    )
    report = verify(store)
    assert [found.key for found in report.differences] == ["metrics.entropy"]
    assert report.unknown_metrics == {}


@pytest.mark.parametrize("task", ["fer7", "emo24", "va", "valence"])
def test_every_metric_of_this_version_is_known(task):
    protocol = Protocol("toy", TASKS[task])
    if protocol.task.kind == "classes":
        metrics = run(0.7, protocol=protocol, duplicates=30)[0].metrics
    else:
        values = np.random.default_rng(0).uniform(-1, 1, (40, protocol.task.n_outputs))
        flags = {"duplicate": np.arange(40) < 4, "fold_0": np.arange(40) < 20, "fold_1": np.arange(40) >= 20}
        groups = np.array([f"g{i % 5}" for i in range(40)])
        made = fer_bench.predictions.Predictions(
            np.array([f"s{i}" for i in range(40)]), values, np.zeros_like(values, dtype=np.float32), flags, groups
        )
        metrics = score(protocol, made)
    assert list(unknown_names(metrics)) == []
    assert known_part(metrics) == metrics


def test_on_the_command_line_the_notice_is_one_line(store, tmp_path, monkeypatch):
    from_the_future(store, "aaa-s0", "bbb-s0", "ccc-s0")
    edit(
        path_of(store, "ccc-s0"),
        lambda content: (content["metrics"].update(entropy=0.6), content.update(code={"version": "0.9.0"})),
    )
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(store.root))

    def call(*verb):
        return run_alone(COMMAND, *verb, folder=tmp_path)

    for verb in (("verify",), ("leaderboard",), ("compare", "aaa-s0", "bbb-s0")):
        done = call(*verb)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith(f"fer-bench: notice: {store.results}: records hold fields that fer_bench")
    assert "entropy in 1" in call("verify").stdout
    edit(path_of(store, "aaa-s0"), newer)
    done = call("leaderboard")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("fer-bench: ")
    assert "read it with fer_bench 0.9.0" in done.stderr
