from __future__ import annotations

import json
import shlex

import pytest

from fer_bench import protocols
from fer_bench import spec as specs
from fer_bench.assignments import parse_assignments
from fer_bench.class_sets import Classes, label_set_of, read_classes, suggestion
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.layering import layered, merge
from fer_bench.probes.settings import build_probe, with_dataset_defaults
from fer_bench.protocols import find_task, protocol_for, protocol_named
from fer_bench.results.record import Record, with_classes
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

CK = ["anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"]
RAF = "{1: surprise, 2: fear, 3: disgust, 4: happiness, 5: sadness, 6: anger, 7: neutral}"


def spec_of(text, **flags):
    given = layered({"dataset": "folder:mine", **flags})
    return specs.build(merge(given, parse_assignments([f"dataset_options.classes={text}"])))


def test_classes_make_a_task_whose_name_holds_their_digest_and_whose_order_is_that_of_their_names():
    spec = spec_of("[surprise, Bored, engaged, ' disgust ']")
    assert spec.task.startswith("classes4_")
    assert spec.protocol == f"mine-{spec.task}"
    assert find_task(spec.task).labels.names == ("bored", "disgust", "engaged", "surprise")
    assert protocol_for("folder:mine", spec.task).about == "4 classes: bored, disgust, engaged, surprise."


@pytest.mark.parametrize(
    "text",
    [
        "[surprise, engaged, bored]",
        "{engaged: engaged, surprise: Surprise, bored: bored}",
        '["bored", "engaged", surprise]',
    ],
)
def test_however_classes_are_written_they_are_the_same_run(text):
    assert spec_of(text).run_id() == spec_of("[bored, engaged, surprise]").run_id()


def test_two_class_sets_of_one_folder_are_two_protocols():
    sets = [
        "[a, b, c]",
        "[a, b]",
        "{a: x, b: x, c: y}",
        "{a: x, b: y, c: y}",
        "{a: x, b: y, c: null}",
    ]
    assert len({spec_of(text).protocol for text in sets}) == len(sets)


def test_numbers_are_named_and_folders_of_other_names_are_the_same_task():
    assert spec_of("{1: a, 2: b}").task == spec_of("[a, b]").task
    assert spec_of("[10, 9, 1]").protocol == spec_of("[1, 9, 10]").protocol
    assert find_task(spec_of("[10, 9, 1]").task).labels.names == ("1", "9", "10")


def test_the_classes_of_a_built_in_set_keep_its_task():
    spec = spec_of(RAF)
    assert (spec.task, spec.protocol) == ("fer7", "mine-fer7")
    assert spec_of("[neutral, happiness, surprise, sadness, anger, disgust, fear, contempt]").task == "fer8"
    # CK+ has contempt and no neutral: as many classes as FER7, and another set.
    assert spec_of(str(CK)).task.startswith("classes7_")
    # Three levels of anything are not levels of arousal, unless somebody says so.
    assert spec_of("[low, medium, high]").task.startswith("classes3_")
    assert spec_of("[low, medium, high]", task="arousal3").task == "arousal3"


@pytest.mark.parametrize("task", ["fer8", "emo8", "va", "classes4_000000", "nonsense"])
def test_a_task_of_other_classes_is_refused(task):
    with pytest.raises(SpecError, match="these classes are not those of the task") as error:
        spec_of("[bored, engaged]", task=task)
    assert error.value.hint == "Leave the task out: it follows from the classes."


def test_names_that_yaml_reads_as_something_else_stay_names():
    assert spec_of("{01: no, 1e3: yes, 0x1F: off, ~: 12:30}".replace("~: 12:30", "on: a")).dataset_options[
        "classes"
    ] == {
        "01": "no",
        "0x1f": "off",
        "1e3": "yes",
        "on": "a",
    }
    with pytest.raises(SpecError, match="put quotes around it"):
        RunSpec(dataset="folder:mine", dataset_options={"classes": {"a": True, "b": "c"}})
    assert RunSpec(dataset="folder:mine", dataset_options={"classes": {1: "a", 2.0: "b"}}).dataset_options[
        "classes"
    ] == {"1": "a", "2": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a]", "1 class (a)"),
        ("{1: a, 2: a}", "1 class (a)"),
        ("[]", "0 classes"),
        ("happy", "neither a list of classes nor a mapping"),
        ("3", "neither a list"),
        ("[a, A]", "'a' is named twice"),
        ("{1: a, 1: b}", "'1' is named twice"),
        ("{Happy: a, ' happy': b}", "'happy' is named twice"),
        ("[a, b/c]", "holds '/'"),
        ("[a, 'b\\c']", "holds '\\\\'"),
        ('[a, "b\\nc"]', "control character"),
        ('[a, "b\\u202ec"]', "holds '\\u202e'"),
        ("[a, '*b*']", "holds '*'"),
        ("[a, '[b](c)']", "holds '['"),
        ("[a, '<b>']", "holds '<'"),
        ("[a, 'b|c']", "holds '|'"),
        ("[a, _b_]", "must begin and end"),
        ("[a, www.example.org]", "must begin and end"),
        ("[a, '']", "is empty"),
        (f"[a, {'b' * 61}]", "has 61 characters"),
        ("[a, [b]]", "is not the name of a class"),
        ("[{1: a}, {2: b}]", "is not the name of a class"),
        ("{'': a, b: c}", "is neither the name of a folder"),
    ],
)
def test_bad_classes_are_one_line_that_says_what_is_wrong(text, expected):
    with pytest.raises(SpecError) as error:
        spec_of(text)
    assert expected in error.value.problem
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_datasets_with_classes_of_their_own_take_none():
    with pytest.raises(SpecError, match="dataset 'fer2013' has its own classes"):
        RunSpec(dataset="fer2013", dataset_options={"classes": ["a", "b"]})


def test_folders_are_found_by_other_spellings_of_what_the_option_names():
    classes = Classes(label_set_of(read_classes(CK)), read_classes(CK))
    for folder in ("Anger", "angry", " ANGER ", "anger"):
        assert classes.find(folder) == classes.labels.index("anger")
    assert classes.find("neutral") is None
    numbers = read_classes({1: "a", 2: "b", 10: None})
    classes = Classes(label_set_of(numbers), numbers)
    assert [classes.find(folder) for folder in ("1", "01", "2.0", "10", "3", "a")] == [0, 0, 1, -1, None, None]
    # A letter with an accent, composed and as macOS decomposes it.
    assert Classes(label_set_of(read_classes(["gêné", "ému"]))).find("ge\u0302ne\u0301") is not None


@pytest.mark.parametrize(
    "found",
    [
        ["bored", "Engaged"],
        ["1", "2", "10"],
        ["it's", "no"],
        ["a: b", "c, d", "#e"],
        ["*x*", "y/z", "null"],
        ["é", "  ü "],
        ["<>", "[]"],
    ],
)
def test_the_line_that_an_error_suggests_works(found):
    flag, setting = shlex.split(suggestion(found))
    assert flag == "--set"
    folders = parse_assignments([setting])["dataset_options"]["classes"]
    spec = RunSpec(dataset="folder:mine", dataset_options={"classes": folders})
    classes = Classes(find_task(spec.task).labels, spec.dataset_options["classes"])
    assert {classes.find(name) for name in found} == set(range(len(found)))


def test_a_record_is_understood_where_nobody_has_named_its_classes(tmp_path, monkeypatch):
    spec = spec_of("{1: calm, 2: tense, 3: tense}")
    record = Record(run_id="x-s0", row="x", protocol=spec.protocol, task=spec.task, dataset=spec.dataset, model="m")
    stored, protocol_name = Store(tmp_path).put(record), spec.protocol
    assert stored.data["classes"] == {
        spec.task: {"names": ["calm", "tense"], "merged": {"1": "calm", "2": "tense", "3": "tense"}}
    }
    monkeypatch.setattr(protocols, "_OWN", {})
    with pytest.raises(SpecError, match="needs its classes, which are not given"):
        find_task(spec.task)
    loaded = Record.load(Store(tmp_path).path(protocol_name, "m", "x-s0"))
    protocol = protocol_named(loaded.protocol, loaded.dataset, loaded.task)
    assert protocol.task.labels.names == ("calm", "tense")
    assert protocol.about == "2 classes: calm, tense. Counted: 1 as calm, 2 as tense, 3 as tense."


def test_a_record_across_label_sets_states_the_classes_of_both(monkeypatch):
    one, other = spec_of("[calm, tense, happy]").task, spec_of("[calm, tense, sad]").task
    record = with_classes(
        Record(run_id="x-s0", row="x", protocol="p", task=f"{one}-via-{other}", dataset="folder:mine", model="m")
    )
    assert set(record.data["classes"]) == {one, other}
    monkeypatch.setattr(protocols, "_OWN", {})
    again = Record.model_validate_json(record.to_json())
    assert find_task(again.task).labels.names == ("calm", "tense")


def test_classes_that_are_not_those_of_the_name_are_damage(tmp_path):
    spec = spec_of("[calm, tense]")
    record = with_classes(
        Record(run_id="x-s0", row="x", protocol=spec.protocol, task=spec.task, dataset=spec.dataset, model="m")
    )
    for names in (["tense", "calm"], ["calm"], None, ["calm", "*tense*"]):
        content = json.loads(record.to_json())
        content["data"]["classes"][spec.task]["names"] = names
        (tmp_path / "x.json").write_text(json.dumps(content))
        with pytest.raises(Exception, match="do not match its name"):
            Record.load(tmp_path / "x.json")


def test_names_of_own_tasks_that_nobody_has_stated_are_explained():
    with pytest.raises(SpecError, match="needs its classes, which are not given"):
        find_task("classes5_012345")
    with pytest.raises(UnknownNameError):
        find_task("classes5")


def test_a_grid_of_heads_names_its_classes_likewise():
    probe = build_probe(
        with_dataset_defaults(
            {"dataset": "folder:mine", "dataset_options": {"classes": ["b", "a"]}, "streams": ["features:resnet18"]}
        )
    )
    assert probe.protocol == spec_of("[a, b]").protocol
    assert probe.loss == ("cross_entropy",)
