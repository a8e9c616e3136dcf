"""Predictions of any program, in any order, spelling and format, give the score of the definition; what is wrong is one
line that names its place, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_bench.errors import FerBenchError, MissingDataError, SpecError
from fer_bench.labels import FER7
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import PROTOCOLS
from fer_bench.results.store import Store
from fer_bench.scoring.score import score
from fer_bench.submissions.ids import image_digest
from fer_bench.submissions.questions import ask
from fer_bench.submissions.submit import Statement
from fer_bench.submissions.submit import submit as submit_files
from tests.datasets.fakes_va import write_afew_va
from tests.fakes import write_class_folders
from tests.submissions.files import PROTOCOL, SPELLINGS, faces_at, probabilities, table_of, write

FORMATS = (".csv", ".tsv", ".parquet", ".npz")
NET = Statement("My net")


def submit(store, path, *arguments, **more):
    return submit_files(store, [path], *arguments, **more)[0]


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """A small FER2013, read once; the store of its test."""
    folder = tmp_path_factory.mktemp("faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(folder / "cache"))
        patch.setenv("FER_BENCH_DATA", str(faces_at(folder)))
        yield ask(Store(folder / "leaderboards"), PROTOCOL)


@pytest.fixture
def given_questions(questions, monkeypatch):
    """Every submission is asked these, without reading them again."""
    monkeypatch.setattr("fer_bench.submissions.submit.ask", lambda *_: questions)
    return questions


def records_in(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file() and path.suffix in (".json", ".npz", ".md")]


def names_by(questions, way):
    ids = questions.ids.tolist()
    if way == "id":
        return "id", ids
    if way == "number":
        return "sample", [int(name) for name in ids]
    if way == "float":
        return "sample", [float(name) for name in ids]
    if way == "file":
        return "filename", [f"out/images/{name}.png" for name in ids]
    if way == "windows":
        return "path", [f"C:\\out\\{name}.PNG" for name in ids]
    return "sha256", [image_digest(np.asarray(questions.images[i])) for i in range(len(ids))]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_spelling_and_format_gives_the_score_of_the_definition(questions, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("one")
    n = len(questions.ids)
    outputs = probabilities(n, data.draw(st.integers(0, 10**6)))
    classes_only = data.draw(st.booleans())
    if classes_only:
        outputs = np.eye(7)[outputs.argmax(axis=1)]
    key, names = names_by(questions, data.draw(st.sampled_from(["id", "number", "float", "file", "windows", "digest"])))
    columns = {key: names}
    if classes_only:
        columns["class"] = [data.draw(st.sampled_from(SPELLINGS[FER7.names[i]])) for i in outputs.argmax(axis=1)]
    else:
        for i in data.draw(st.permutations(range(7))):
            columns[data.draw(st.sampled_from(SPELLINGS[FER7.names[i]]))] = outputs[:, i].tolist()
    order = data.draw(st.permutations(range(n)))
    answered = sorted(order[: data.draw(st.integers(1, n))], key=order.index)
    columns = {name: [cells[i] for i in answered] for name, cells in columns.items()}
    path = write(folder / f"p{data.draw(st.sampled_from(FORMATS))}", columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_bench.submissions.submit.ask", lambda *_: questions)
        store = Store(folder / "leaderboards")
        done = submit(store, path, PROTOCOL, NET)
    expected = outputs.astype(np.float32)
    expected[[i for i in range(n) if i not in answered]] = np.nan
    wanted = score(
        PROTOCOLS[PROTOCOL], Predictions(questions.ids, questions.targets, expected, questions.flags, questions.groups)
    )
    assert done.record.metrics == wanted
    assert done.n_missing == n - len(answered)
    assert done.record.metrics["n"] == done.record.n_scored == n
    assert not verify(store).differences


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["angry"].__setitem__(2, 0.9), "line 4: the row of probabilities sums to"),
        (lambda c: c["angry"].__setitem__(0, -0.1), "line 2: the row of probabilities holds -0.1, less than 0"),
        (lambda c: c["angry"].__setitem__(0, "nan"), "line 2: angry is nan, not a number"),
        (lambda c: c["angry"].__setitem__(0, "inf"), "line 2: angry is inf, not a number"),
        (lambda c: c["angry"].__setitem__(0, None), "line 2: angry is empty"),
        (lambda c: c["angry"].__setitem__(1, "high"), "line 3: angry is high, not a number"),
        (lambda c: c["id"].__setitem__(3, "99999"), "line 5: no test sample is called '99999'"),
        (lambda c: c["id"].__setitem__(3, "00000"), "line 5: no test sample is called '00000'"),
        (lambda c: c["id"].__setitem__(3, c["id"][1]), "line 5: .* answers already"),
        (lambda c: c["id"].__setitem__(3, ""), "line 5: the row names no image"),
        (lambda c: c.update(contempt=[0.0] * len(c["id"])), "'contempt' is no class of fer2013-fer7"),
        (lambda c: c.pop("sad"), "no column for sad; fer2013-fer7 has 7 classes"),
        (lambda c: c.update({"0": c.pop("angry")}), "'0' is no class"),
        (lambda c: c.update(joy=c["happy"]), "'happy' and 'joy' both mean happy"),
        (lambda c: c.update({"Angry": c["angry"]}), "the column 'angry' is there twice"),
        (lambda c: c.pop("id"), "no column says which image a row is about"),
        (lambda c: [c[name].clear() for name in c], "columns and no row"),
        (lambda c: [c[name].__setitem__(slice(None), [None] * 28) for name in FER7.names], "none of its .* answers"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(given_questions, tmp_path, change, says):
    columns = table_of(given_questions.ids.tolist(), probabilities(28))
    change(columns)
    path = write(tmp_path / "p.csv", columns)
    with pytest.raises(FerBenchError, match=says) as error:
        submit(Store(tmp_path / "leaderboards"), path, PROTOCOL, NET)
    assert "\n" not in str(error.value)
    assert error.value.hint
    assert error.value.exit_code == 2
    assert not records_in(tmp_path / "leaderboards")


@pytest.mark.parametrize("ending", [".parquet", ".npz"])
def test_nan_in_other_formats(given_questions, tmp_path, ending):
    outputs = probabilities(28)
    outputs[5] = np.nan
    path = write(tmp_path / f"p{ending}", table_of(given_questions.ids.tolist(), outputs))
    with pytest.raises(FerBenchError, match="row 6: angry is nan, not a number"):
        submit(Store(tmp_path / "leaderboards"), path, PROTOCOL, NET)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.csv", b"", "the file is empty"),
        ("p.csv", b" \n\n", "the file is empty"),
        ("p.csv", b"id angry disgust\n1 0.5 0.5\n", "no column says which image .*columns are id angry disgust"),
        ("p.csv", b"id,class\n1,happy,0.3\n", "line 2: 3 cells where the first line has 2"),
        ("p.csv", b'id,class\n1,"hap\n', "line 2: not readable as CSV"),
        ("p.csv", b"id,class\n1,h\xe4ppy\n", "not text in UTF-8"),
        ("p.csv", b"PK\x03\x04\0\0", "holds zero bytes"),
        ("p.csv", b"id,class\n00028,3\n", "'3' is no class of fer2013-fer7"),
        ("p.npz", b"PK\x03\x04", "not readable as NPZ"),
        ("p.parquet", b"PAR1", "not readable as Parquet"),
        ("p.xlsx", b"x", "no kind of file that is known"),
        ("p.pkl", b"x", "no kind of file that is known"),
    ],
)
def test_files_that_are_no_tables(given_questions, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FerBenchError, match=says) as error:
        submit(Store(tmp_path / "leaderboards"), tmp_path / name, PROTOCOL, NET)
    assert "\n" not in str(error.value)
    assert not records_in(tmp_path / "leaderboards")


def test_dialects_of_spreadsheets(given_questions, tmp_path):
    outputs = np.round(probabilities(28), 3)
    rows = [
        ";".join([name, *(str(value).replace(".", ",") for value in row)])
        for name, row in zip(given_questions.ids, outputs.tolist(), strict=True)
    ]
    text = "sep=;\r\n" + "\r\n".join([";".join(["id", *FER7.names]), *rows]) + "\r\n"
    store = Store(tmp_path / "leaderboards")
    plain = write(tmp_path / "plain.csv", table_of(given_questions.ids.tolist(), outputs))
    first = submit(store, plain, PROTOCOL, NET)
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(text.encode(encoding))
        again = submit(store, path, PROTOCOL, NET)
        assert (again.new, again.record) == (False, first.record)


def test_a_matrix_needs_the_names_of_its_columns(given_questions, tmp_path):
    ids, outputs = given_questions.ids, probabilities(28)
    store = Store(tmp_path / "leaderboards")
    np.savez(tmp_path / "bare.npz", ids=ids, outputs=outputs)
    with pytest.raises(FerBenchError, match="needs an array 'classes'"):
        submit(store, tmp_path / "bare.npz", PROTOCOL, NET)
    order = [3, 1, 0, 2, 6, 5, 4]
    np.savez(tmp_path / "a.npz", ids=ids, probabilities=outputs[:, order], classes=np.array(FER7.names)[order])
    plain = write(tmp_path / "plain.csv", table_of(ids.tolist(), outputs))
    first = submit(store, tmp_path / "a.npz", PROTOCOL, NET)
    assert submit(store, plain, PROTOCOL, NET).record == first.record
    np.savez(tmp_path / "o.npz", ids=ids.astype(object), outputs=outputs)
    with pytest.raises(FerBenchError, match="not readable as NPZ"):
        submit(store, tmp_path / "o.npz", PROTOCOL, NET)


def test_the_row_says_what_must_be_known_of_it(given_questions, tmp_path):
    store = Store(tmp_path / "leaderboards")
    columns = table_of(given_questions.ids.tolist(), probabilities(28))
    path = write(tmp_path / "p.csv", {name: cells[:20] for name, cells in columns.items()})
    stated = Statement("Net | (ours)", "https://example.org/a(b)|c", ("AffectNet", "own"), 1_500_000)
    done = submit(store, path, PROTOCOL, stated)
    assert done.record.kind == "external"
    assert done.record.caveats == [
        "not repeatable from here",
        "trained on AffectNet, own",
        "test faces possibly seen",
    ]
    render_all(store)
    line = next(line for line in (store.root / f"{PROTOCOL}.md").read_text().splitlines() if "Net" in line)
    assert r"Net \| (ours) [*external*](https://example.org/a%28b%29%7Cc) |" in line
    assert not verify(store).differences
    assert any("8 of 28 samples are not answered and count as wrong" in note for note in done.record.notes)
    own = submit(store, path, PROTOCOL, Statement("own", trained_on=("FER2013",)))
    assert "test faces possibly seen" not in own.record.caveats
    untrained = submit(store, path, PROTOCOL, Statement("rule", trained_on=("Nothing",)))
    assert untrained.record.caveats == ["not repeatable from here", "trained on Nothing"]
    silent = submit(store, path, PROTOCOL, Statement("silent"))
    assert silent.record.caveats[1:] == ["training data not stated", "test faces possibly seen"]


def test_the_same_file_is_the_same_record_and_another_is_another(given_questions, tmp_path):
    store = Store(tmp_path / "leaderboards")
    columns = table_of(given_questions.ids.tolist(), probabilities(28))
    path = write(tmp_path / "p.csv", columns)
    first = submit(store, path, PROTOCOL, NET)
    files = {path: path.read_bytes() for path in records_in(store.root)}
    assert not submit(store, path, PROTOCOL, NET).new
    assert {path: path.read_bytes() for path in records_in(store.root)} == files
    with pytest.raises(SpecError, match="on record as"):
        submit(store, path, PROTOCOL, Statement("My net", "https://example.org"))
    stated = submit(store, path, PROTOCOL, Statement("My net", "https://example.org"), force=True)
    assert (stated.record.run_id, stated.record.training["reference"]) == (first.record.run_id, "https://example.org")
    columns["angry"][0], columns["sad"][0] = columns["sad"][0], columns["angry"][0]
    other = submit(store, write(path, columns), PROTOCOL, NET)
    assert other.record.run_id != first.record.run_id
    assert len(list(store.records(PROTOCOL))) == 2


def test_an_altered_record_does_not_verify(given_questions, tmp_path):
    store = Store(tmp_path / "leaderboards")
    path = write(tmp_path / "p.csv", table_of(given_questions.ids.tolist(), probabilities(28)))
    record = submit(store, path, PROTOCOL, NET).record
    file = store.path(PROTOCOL, record.model, record.run_id)
    content = json.loads(file.read_text())
    content["metrics"]["accuracy"] = 0.9
    file.write_text(json.dumps(content))
    assert [d.key for d in verify(store).differences if d.key == "metrics.accuracy"]


def test_targets_from_a_record_where_the_dataset_is_not_here(given_questions, tmp_path, monkeypatch):
    store = Store(tmp_path / "leaderboards")
    path = write(tmp_path / "p.csv", table_of(given_questions.ids.tolist(), probabilities(28)))
    first = submit(store, path, PROTOCOL, NET)
    monkeypatch.undo()
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr(
        "fer_bench.submissions.questions.sort_records",
        lambda protocol, records: type("S", (), {"rows": [type("R", (), {"records": list(records)})]}),
    )
    found = ask(store, PROTOCOL)
    assert found.source == f"the record My net/{first.record.run_id} of the same copy"
    assert found.ids.tolist() == given_questions.ids.tolist()
    assert (found.targets == given_questions.targets).all()
    with pytest.raises(MissingDataError, match=r"found no fer2013\.csv"):
        ask(store, PROTOCOL, images=True)
    with pytest.raises(MissingDataError, match=r"found no fer2013\.csv"):
        ask(Store(tmp_path / "empty"), PROTOCOL)


def test_a_perfect_score_says_so(given_questions, tmp_path):
    from fer_bench.submissions import caveats

    store = Store(tmp_path / "leaderboards")
    path = write(
        tmp_path / "p.csv",
        {"id": given_questions.ids.tolist(), "class": [FER7.names[i] for i in given_questions.targets]},
    )
    record = submit(store, path, PROTOCOL, NET).record
    assert record.metrics["accuracy"] == 1.0
    assert not any("perfect" in caveat for caveat in record.caveats)
    more = record.model_copy(update={"n_scored": 3589})
    assert "perfect score on 3,589 samples" in caveats.with_perfect(more, PROTOCOLS[PROTOCOL])


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 81, "\x1b[1m", "??"])
def test_names_that_no_board_can_show(name):
    with pytest.raises(SpecError, match="--name"):
        Statement(name)
    with pytest.raises(SpecError, match="--trained-on"):
        Statement("a", trained_on=(name,))


def test_values_over_all_folds(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "data"))
    write_afew_va(tmp_path / "data" / "afew_va")
    store = Store(tmp_path / "leaderboards")
    asked = ask(store, "afew_va-va")
    n = len(asked.ids)
    outputs = np.random.default_rng(0).uniform(-10, 10, size=(n, 2))
    columns = {"arousal": outputs[1:, 1].tolist(), "Valence": outputs[1:, 0].tolist(), "id": asked.ids.tolist()[1:]}
    done = submit(store, write(tmp_path / "v.csv", columns), "afew_va-va", NET)
    expected = outputs.astype(np.float32)
    expected[0] = np.nan
    assert done.record.metrics == score(asked.protocol, asked.answered(expected))
    assert done.record.metrics["n_unanswered"] == 1
    render_all(store)
    assert "1 unanswered, counted as the middle of the scale" in (store.root / "afew_va-va.md").read_text()
    assert not verify(store).differences
    for change, says in (
        (lambda c: c["Valence"].__setitem__(0, 300.0), "line 2: a value is far outside the scale"),
        (lambda c: c.pop("arousal"), "no column 'arousal'"),
        (lambda c: c.update(dominance=c["arousal"]), "'dominance' is not asked for"),
        (lambda c: c["Valence"].__setitem__(1, "nan"), "line 3: Valence is nan"),
        # What `predict --csv` writes of a network of another dataset.
        (lambda c: c.update(scale=["from -1 to 1"] * (n - 1)), "on the scale from -1 to 1, .* from -10 to 10"),
    ):
        wrong = {name: list(cells) for name, cells in columns.items()}
        change(wrong)
        with pytest.raises(FerBenchError, match=says):
            submit(store, write(tmp_path / "w.csv", wrong), "afew_va-va", NET)
    assert len(list(store.records())) == 1
    same = {**columns, "scale": ["from -10 to 10"] * (n - 1)}
    again = submit(store, write(tmp_path / "s.csv", same), "afew_va-va", Statement("other net"))
    assert again.record.metrics == done.record.metrics


def test_what_predict_writes_is_read(given_questions, tmp_path):
    from fer_bench.deploy.predict import PredictionRow, write_table

    outputs = probabilities(28).astype(np.float32)
    nothing = np.full(7, np.nan, dtype=np.float32)
    rows = [
        PredictionRow(
            Path("faces") / f"{name}.png", FER7.names, outputs[i] if i else nothing, "" if i else "not an image"
        )
        for i, name in enumerate(given_questions.ids.tolist())
    ]
    write_table(rows, tmp_path / "p.csv")
    done = submit(Store(tmp_path / "leaderboards"), tmp_path / "p.csv", PROTOCOL, NET)
    assert done.n_missing == 1
    rounded = np.round(outputs, 6)
    rounded[0] = np.nan
    expected = score(given_questions.protocol, given_questions.answered(rounded))
    assert done.record.metrics["accuracy"] == expected["accuracy"]
    assert done.record.metrics["nll"] == pytest.approx(expected["nll"], abs=1e-6)


def test_a_class_beside_probabilities_must_agree_with_them(given_questions, tmp_path):
    outputs = probabilities(28)
    most = [FER7.names[i] for i in outputs.argmax(axis=1)]
    store = Store(tmp_path / "leaderboards")
    columns = table_of(given_questions.ids.tolist(), outputs)
    alone = submit(store, write(tmp_path / "p.csv", columns), PROTOCOL, NET).record
    assert alone.training["answers"] == "probabilities"
    for column in ("class", "Prediction"):
        some = ["", SPELLINGS[most[1]][1], *most[2:]]
        both = submit(store, write(tmp_path / "b.csv", {**columns, column: some}), PROTOCOL, NET)
        assert (both.new, both.record) == (False, alone)
        other = ["happy" if name != "happy" else "sad" for name in most]
        with pytest.raises(FerBenchError, match=rf"line 2: {column.lower()} is .*most probable class is .*more"):
            submit(store, write(tmp_path / "o.csv", {**columns, column: other}), PROTOCOL, NET)
        with pytest.raises(FerBenchError, match=rf"line 5: {column.lower()} is 3, which is no class") as error:
            submit(store, write(tmp_path / "n.csv", {**columns, column: [*most[:3], "3", *most[4:]]}), PROTOCOL, NET)
        assert "probabilities count" in error.value.hint
    assert len(list(store.records())) == 1


def test_predicted_values_say_their_scale(tmp_path):
    from fer_bench.deploy.predict import PredictionRow, write_table

    row = PredictionRow(Path("a.png"), ("valence",), np.array([7.5], dtype=np.float32), "", "values", (-10.0, 10.0))
    write_table([row], tmp_path / "v.csv")
    lines = (tmp_path / "v.csv").read_text().splitlines()
    lines = (tmp_path / "v.csv").read_text().splitlines()
    assert lines == ["image,prediction,valence,scale,error", "a.png,,7.500000,from -10 to 10,"]


def test_folders_with_classes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "data"))
    write_class_folders(tmp_path / "data" / "my-mine", names=("bored", "awake"), per_class=20)
    store, options = Store(tmp_path / "leaderboards"), {"classes": ["awake", "bored"]}
    asked = ask(store, "folder:my-mine", options=options)
    assert asked.protocol.task.labels.names == ("awake", "bored")
    # By the last part of an id, which is a path.
    names = [name.rpartition("/")[2] for name in asked.ids.tolist()]
    columns = table_of(names, probabilities(len(names), n_classes=2), key="file", names=("bored", "awake"))
    if len(set(names)) < len(names):
        columns["file"] = asked.ids.tolist()
    path = write(tmp_path / "p.csv", columns)
    done = submit(store, path, "folder:my-mine", NET, options=options)
    assert done.record.dataset == "folder:my-mine"
    assert not submit(store, path, asked.protocol.name, NET, options=options).new
    render_all(store)
    assert not verify(store).differences
