"""What is asked where the data have many copies, several label sets or several files, and what a killed verb leaves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import fer_bench
from fer_bench.errors import BadDataError, FerBenchError, SpecError, UnknownNameError
from fer_bench.labels import FER7, FER8
from fer_bench.leaderboard.verify import verify
from fer_bench.protocols import PROTOCOLS
from fer_bench.results.protocol import named_protocol
from fer_bench.results.store import Store
from fer_bench.scoring.rows import rows_of
from fer_bench.scoring.score import score
from fer_bench.submissions import template as templates
from fer_bench.submissions.caveats import narrow, outside
from fer_bench.submissions.questions import ask
from fer_bench.submissions.submit import Statement, submit
from fer_bench.submissions.tables import table_of
from tests.fakes import write_class_folders
from tests.submissions.files import PROTOCOL, probabilities, write
from tests.submissions.files import faces as faces
from tests.submissions.files import store as store
from tests.submissions.files import table_of as columns_of

NET = Statement("My net")
SIZES = {"n_train": 42, "n_validation": 21, "n_test": 28}
SYNTH = "synthfaces-fer7"


def test_networks_of_another_label_set_answer_with_its_classes(store, tmp_path):
    asked = ask(store, f"{PROTOCOL}-via-fer8")
    assert asked.columns == FER8.names
    assert asked.protocol.task.labels.names == FER7.names
    outputs = probabilities(len(asked.ids), n_classes=8)
    path = write(tmp_path / "p.csv", columns_of(asked.ids.tolist(), outputs, names=FER8.names))
    (done,) = submit(store, [path], f"{PROTOCOL}-via-fer8", NET)
    shared = outputs[:, [FER8.index(name) for name in FER7.names]]
    expected = score(asked.protocol, asked.answered(outputs.astype(np.float32)))
    assert done.record.metrics == expected
    assert done.record.metrics["accuracy"] == pytest.approx((shared.argmax(axis=1) == asked.targets).mean())
    assert not verify(store).differences
    assert named_protocol(f"{PROTOCOL}-via-fer8", Store(tmp_path / "empty")).task.name == "fer7-via-fer8"


def test_a_class_without_a_counterpart_is_a_wrong_answer(store, tmp_path):
    asked = ask(store, f"{PROTOCOL}-via-fer8")
    path = write(tmp_path / "p.csv", {"id": asked.ids.tolist(), "class": ["contempt"] * 14 + ["happy"] * 14})
    (done,) = submit(store, [path], f"{PROTOCOL}-via-fer8", NET)
    assert done.n_missing == done.record.metrics["n_unanswered"] == 14


def test_data_of_ones_own_under_another_label_set(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", str(tmp_path / "data"))
    write_class_folders(tmp_path / "data" / "mine", names=FER8.names, per_class=5)
    asked = ask(Store(tmp_path / "leaderboards"), "folder:mine-fer8-via-fer7")
    assert asked.columns == FER7.names
    assert "contempt" not in asked.protocol.task.labels.names
    assert set(asked.targets) == set(range(7))


@pytest.mark.parametrize("name", ["fer2013-fer7-via-fer9", "fer2013-via-fer7", "fer2031-fer7-via-fer8"])
def test_no_such_label_set(store, name):
    with pytest.raises(UnknownNameError, match="unknown"):
        ask(store, name)


def test_seeds_are_one_row_in_any_order(store, tmp_path):
    asked = ask(store, PROTOCOL)
    ids = asked.ids.tolist()
    paths = [write(tmp_path / f"{i}.csv", columns_of(ids, probabilities(28, i))) for i in range(3)]
    done = submit(store, paths, PROTOCOL, NET)
    assert [one.record.seed for one in done] == [0, 1, 2]
    assert len({one.record.row for one in done}) == 1
    again = submit(store, paths[::-1], PROTOCOL, NET)
    assert [one.record for one in again] == [one.record for one in done]
    assert not any(one.new for one in again)
    assert len(rows_of(store.records())) == 1
    for fewer in (paths[:1], paths[:2]):
        with pytest.raises(SpecError, match="with other seeds beside them"):
            submit(store, fewer, PROTOCOL, NET)
    assert len(list(store.records())) == 3
    with pytest.raises(SpecError, match=r"2\.csv and .*1\.csv hold the same|1\.csv and .*2\.csv hold the same"):
        submit(
            store, [paths[0], paths[1], write(tmp_path / "2.csv", columns_of(ids, probabilities(28, 1)))], PROTOCOL, NET
        )


def test_one_wrong_seed_leaves_nothing(store, tmp_path):
    ids = ask(store, PROTOCOL).ids.tolist()
    good = write(tmp_path / "a.csv", columns_of(ids, probabilities(28)))
    bad = write(tmp_path / "b.csv", columns_of(ids, probabilities(28, 1) * 2))
    with pytest.raises(BadDataError, match=r"b\.csv, line 2"):
        submit(store, [good, bad], PROTOCOL, NET)
    assert not list(store.records())


def test_training_data_are_named_once():
    assert Statement("a", trained_on=("a", "b", "A", "a")).trained_on == ("a", "b")


def test_a_picture_that_cannot_be_read_may_be_any(store, tmp_path):
    ids = ask(store, PROTOCOL).ids.tolist()
    columns = {name: [None, *cells] for name, cells in columns_of(ids, probabilities(28)).items()}
    columns["id"][0] = "faces/broken elsewhere.png"
    (done,) = submit(store, [write(tmp_path / "p.csv", columns)], PROTOCOL, NET)
    assert done.n_missing == 0
    columns["angry"][3] = 7.0
    with pytest.raises(BadDataError, match="line 5: "):
        submit(store, [write(tmp_path / "p.csv", columns)], PROTOCOL, NET)


def test_values_outside_the_scale_are_said():
    values = np.array([[0.0, 1.0], [10.4, 0.0], [np.nan, np.nan], [-10.0, 10.0]], dtype=np.float32)
    assert outside(PROTOCOLS["afew_va-va"], values) == ["1 of 4 predictions outside the scale of -10 to 10"]
    assert not outside(PROTOCOLS["afew_va-va"], values[2:])
    assert not outside(PROTOCOLS[PROTOCOL], values)


def test_values_that_were_not_mapped_to_the_scale_are_said():
    values = np.array([[0.5, -1.0], [0.1, 0.0], [np.nan, np.nan]], dtype=np.float32)
    (said,) = narrow(PROTOCOLS["afew_va-va"], values)
    assert said == "no prediction beyond -1 and 1, on a scale of -10 to 10: perhaps not mapped to it"
    assert not narrow(PROTOCOLS["afew_va-va"], values * 2)
    assert not narrow(PROTOCOLS["affwild2-va"], values)
    assert not narrow(PROTOCOLS[PROTOCOL], values)


def test_a_killed_folder_of_images_is_completed(store, tmp_path, monkeypatch):
    asked, out = ask(store, PROTOCOL, images=True), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(templates, "image_digest", lambda image: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            templates.write_images(asked, out)
    assert list(out.rglob("*.png"))
    assert not (out / templates.TABLE).exists()
    with pytest.raises(FerBenchError, match="holds a part of other images"):
        templates.write_images(ask(store, f"{PROTOCOL}-via-fer8", images=True), out)
    assert templates.write_images(asked, out) == 28
    assert sorted(path.name for path in out.iterdir()) == ["images", templates.TABLE]
    with pytest.raises(FerBenchError, match="exists and is not an empty folder"):
        templates.write_images(asked, out)


def test_records_that_were_read_in_one_way_say_how(tmp_path):
    store = Store(tmp_path / "leaderboards")
    given = ask(store, SYNTH, options=SIZES)
    assert given.notes == ()
    columns = columns_of(given.ids.tolist(), probabilities(28))
    (done,) = submit(store, [table_of(columns)], SYNTH, NET, options=SIZES)
    borrowed = ask(store, SYNTH)
    assert borrowed.ids.tolist() == given.ids.tolist()
    assert borrowed.options == SIZES
    (note,) = borrowed.notes
    assert "n_test=28" in note
    assert note.endswith(f"as in record {done.record.run_id}")
    assert ask(store, SYNTH, options=SIZES | {"n_test": 21}).notes == ()
    # Two ways: which is meant must be said.
    options = SIZES | {"n_test": 35}
    more = ask(store, SYNTH, options=options)
    store.put(
        done.record.model_copy(update={"run_id": "other", "row": "other", "spec": {"dataset_options": options}}),
        {"test": given.answered(probabilities(28).astype(np.float32))},
    )
    with pytest.raises(SpecError, match=r"read in 2 ways: --set dataset_options\.n_test=28; --set .*n_test=35"):
        ask(store, SYNTH)
    assert ask(store, SYNTH, options={"n_test": 35}).ids.tolist() == more.ids.tolist()


def test_from_python(store, tmp_path):
    asked = fer_bench.template(PROTOCOL, store=store)
    assert list(asked.columns) == ["id", *FER7.names]
    assert fer_bench.images(PROTOCOL, tmp_path / "out", store=store) == tmp_path / "out" / "images.csv"
    outputs = probabilities(28)
    columns = columns_of(asked["id"], outputs)
    (first,) = fer_bench.submit(columns, PROTOCOL, "Net", trained_on="AffectNet", store=store)
    path = write(tmp_path / "p.csv", columns)
    frame = pd.DataFrame(columns)
    matrix = {"id": asked["id"], "probabilities": outputs, "classes": FER7.names}
    for same in (path, str(path), frame, matrix):
        assert fer_bench.submit(same, PROTOCOL, "Net", trained_on=["AffectNet"], store=store) == [first]
    frame.loc[3, list(FER7.names)] = None
    both = fer_bench.submit([frame, path], PROTOCOL, "Both", store=store)
    assert sorted(record.metrics.get("n_unanswered", 0) for record in both) == [0, 1]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (3, "a int, not columns by name"),
        ({}, "not columns by name"),
        (pd.DataFrame({"id": [], "class": []}), "no row"),
        ({"id": ["0", "1"], "class": ["happy"]}, "has 2 rows, 'class' has 1"),
        (pd.DataFrame([["0", "happy", "sad"]], columns=["id", "class", "class"]), "'class' is there twice"),
    ],
)
def test_what_is_no_table(columns, says):
    with pytest.raises(BadDataError, match=says):
        table_of(columns)
