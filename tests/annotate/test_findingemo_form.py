"""FindingEmo's form, from the study file to its annotation format and the study of that."""

from __future__ import annotations

import csv
import re
import sqlite3
from pathlib import Path

import pytest

from fer_bench.annotate.answers import Answer, parse_answer, questions
from fer_bench.annotate.database import prepare
from fer_bench.annotate.export import read_answers
from fer_bench.annotate.findingemo import write_findingemo
from fer_bench.annotate.forms import FINDINGEMO, Form
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import StudyFile, load_study, write_example
from fer_bench.datasets.findingemo.annotations import read_annotations
from fer_bench.errors import SpecError
from fer_bench.studies.findingemo import study_findingemo
from fer_bench.yaml_lines import read_yaml
from tests.datasets import findingemo_lines

from .fakes import draw_face, write_study

FORM = Form.model_validate("findingemo")
KEPT = {
    "decision": ["keep"],
    "wheel": ["joy"],
    "valence": ["-3"],
    "arousal": ["0"],
    "ambiguity": ["6"],
    "deciding_factors": ["context", "body language"],
    "age_groups": ["young adults"],
    "tags": ["text"],
}


def test_the_form_asks_what_findingemo_asked() -> None:
    asked = {question.name: question for question in questions(FORM)}
    assert list(asked) == [
        "decision",
        "wheel",
        "valence",
        "arousal",
        "ambiguity",
        "deciding_factors",
        "age_groups",
        "tags",
    ]
    assert asked["valence"].values == ("-3", "-2", "-1", "0", "1", "2", "3")
    assert asked["arousal"].values == asked["ambiguity"].values == tuple("0123456")
    assert [name for name, question in asked.items() if not question.required] == ["tags"]
    # Every name that the published file uses is one of the form's, and the other way round.
    with (Path(findingemo_lines.__file__).parent / "annotations_single.ann").open(newline="") as file:
        published = list(csv.DictReader(file))
    assert {"Context", "BodyLanguage"} <= {name for row in published for name in row["dec_factors"].split(",")}
    assert {"context", "conflict context vs. person"} <= set(asked["deciding_factors"].values)


def test_answers_on_its_scales_and_tags_of_both_decisions() -> None:
    answer, wrong = parse_answer(FORM, KEPT)
    assert not wrong
    assert (answer.valence, answer.arousal, answer.ambiguity, answer.tags) == (-3, 0, 6, ("text",))
    rejected, wrong = parse_answer(FORM, {**KEPT, "decision": ["reject"]})
    assert not wrong
    assert rejected == Answer(decision="reject", tags=("text",))
    for name, value in (("valence", "4"), ("valence", "-4"), ("arousal", "-1"), ("arousal", "7"), ("tags", "old")):
        assert list(parse_answer(FORM, {**KEPT, name: [value]})[1]) == [name]
    assert parse_answer(FORM, {name: value for name, value in KEPT.items() if name != "tags"})[1] == {}


def test_the_example_and_errors_of_a_study_file(tmp_path: Path) -> None:
    example = StudyFile.model_validate(read_yaml(write_example(tmp_path / "a.yaml", "findingemo")).content)
    assert example.form == FORM
    path = write_study(tmp_path, form="findingmo", catch=None)
    with pytest.raises(SpecError, match=r"study\.yaml, line \d+: form: must be the keys of a form, or 'findingemo'"):
        load_study(path)
    expect = {"wheel": ["joy"], "valence": [6, 9]}
    path = write_study(tmp_path, form="findingemo", catch=[{"image": "extra/laughing.png", "expect": expect}])
    with pytest.raises(SpecError, match=r"catch\.0\.expect\.valence is \[6, 9\], but the form's scale is -3 to 3"):
        load_study(path)


def test_a_study_that_does_not_use_them_keeps_its_digest() -> None:
    """New fields at their neutral values are not in it."""
    assert {"scale", "tags"}.isdisjoint(Form().settings())
    assert {"scale", "tags"} <= FORM.settings().keys()


def answered(folder: Path, answers: dict[str, list[Answer | None]], **changes: object) -> AnswerStore:
    """A served study in which raters answered their images in the order of the names; None: skipped."""
    for name in ("Run_1/Happy adults festival/a.jpg", "Run_1/Happy adults festival/b:c.jpg", "Run_2/x/a.jpg"):
        file = folder / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        draw_face(file, 0.5)
    settings = {"form": "findingemo", "catch": None, "practice": None, "repeats": 0, **changes}
    path = write_study(folder, per_class=0, **settings)
    for extra in (folder / "images/extra").iterdir():
        extra.unlink()
    store = AnswerStore(load_study(path), folder / "answers.sqlite3")
    for (name, token), given in zip(store.add_raters(list(answers)), answers.values(), strict=True):
        rater = store.rater(token)
        assert rater is not None, name
        store.agree(rater).result()
        slots = [slot for i in range(3) if (slot := store.slot(rater.rater_id, i)) is not None]
        slots.sort(key=lambda slot: store.images[slot.item_id].name)
        for slot, answer in zip(slots, given, strict=True):
            store.save(slot, answer or Answer(), "answered" if answer else "skipped", 0, 1000).result()
    return store


JOY = Answer("keep", wheel="joy", valence=2, arousal=3, ambiguity=1, deciding_factors=("context", "staging"))
RAGE = Answer(
    "keep", wheel="rage", valence=-3, arousal=6, ambiguity=0, age_groups=("young adults", "adults"), tags=("text",)
)
NONE = Answer("keep", wheel="none", valence=0, arousal=0, ambiguity=5)
REJECT = Answer("reject", tags=("bad quality photo", "not applicable"))


def test_several_raters_from_the_form_to_the_study(tmp_path: Path) -> None:
    store = answered(tmp_path, {"u1": [JOY, RAGE, REJECT], "u2": [RAGE, RAGE, None], "u3": [JOY, NONE, REJECT]})
    table = read_answers(store.path)
    store.close()
    assert set(table["scale"]) == {"findingemo"}
    assert set(table["tags"]) == {"", "text", "bad quality photo;not applicable"}
    path = tmp_path / "answers.ann"
    assert write_findingemo(table, path) == 8
    with path.open(newline="") as file:
        rows = {(row["user"], row["image_path"]): row for row in csv.DictReader(file)}
    joy = rows["u1", "/Run_1/Happy adults festival/a.jpg"]
    assert (joy["reject"], joy["tags"], joy["age"]) == ("Keep", "Undefined", "Undefined")
    assert (joy["valence"], joy["arousal"], joy["emotion"], joy["ambiguity"]) == ("2", "3", "Joy", "1")
    assert joy["dec_factors"] == "Context,Staging"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", joy["datetime"])
    rage = rows["u2", "/Run_1/Happy adults festival/b:c.jpg"]
    assert (rage["age"], rage["tags"]) == ("Young Adults,Adults", "Text")
    assert rows["u3", "/Run_1/Happy adults festival/b:c.jpg"]["emotion"] == "Undefined"
    assert rows["u1", "/Run_2/x/a.jpg"]["reject"] == "Reject"
    assert rows["u1", "/Run_2/x/a.jpg"]["tags"] == "BadQualityPhoto,NA"
    read = read_annotations(path)
    assert [(a.user, a.rejected) for a in read if a.image == "Run_2/x/a.jpg"] == [("u1", True), ("u3", True)]
    text = study_findingemo(path, tmp_path / "study").read_text(encoding="utf-8")
    assert (
        "8 annotations of 3 images by 3 annotators. 6 keep their image, 2 reject it. 3 of the images have several"
        in (text)
    )
    assert "| joy, anger | 1 |" in text
    assert (tmp_path / "study/distances.png").is_file()


@pytest.mark.parametrize(
    ("form", "answer", "says"),
    [
        ({**FINDINGEMO, "scale": "sam9"}, Answer("keep", wheel="joy", valence=9, arousal=9), "on the scale sam9"),
        ({**FINDINGEMO, "wheel": False}, Answer("keep", valence=1, arousal=1), "does not ask for wheel"),
        ({"arousal": False, "scale": "findingemo"}, Answer(category="happy", valence=1), "does not ask for wheel"),
    ],
)
def test_a_study_that_is_not_of_that_format(tmp_path: Path, form: dict[str, object], answer: Answer, says: str) -> None:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in form.items()}
    store = answered(tmp_path, {"u1": [answer] * 3}, form=plain)
    table = read_answers(store.path)
    store.close()
    with pytest.raises(SpecError, match=says):
        write_findingemo(table, tmp_path / "a.ann")
    assert not (tmp_path / "a.ann").exists()


def test_a_database_of_the_first_schema_is_read_and_upgraded(tmp_path: Path) -> None:
    """As version 1 wrote it: no tags, no scales, and ratings checked to be from 1 to 9."""
    store = AnswerStore(load_study(write_study(tmp_path)), tmp_path / "new.sqlite3")
    ((_, token),) = store.add_raters(["u1"])
    rater = store.rater(token)
    assert rater is not None
    store.agree(rater).result()
    slot = store.slot(rater.rater_id, 0)
    assert slot is not None
    store.save(slot, Answer(category="happy", valence=9, arousal=1), "answered", 0, 5).result()
    store.close()
    old = tmp_path / "old.sqlite3"
    with sqlite3.connect(tmp_path / "new.sqlite3") as new, sqlite3.connect(old) as db:
        text = "\n".join(new.iterdump()).replace("BETWEEN -3 AND 9", "BETWEEN 1 AND 9")
        db.executescript(text.replace("arousal BETWEEN 0 AND 9", "arousal BETWEEN 1 AND 9"))
        db.executescript(
            "ALTER TABLE answers DROP COLUMN tags; ALTER TABLE versions DROP COLUMN scale;"
            "UPDATE meta SET value = '1' WHERE key = 'schema';"
        )
    before = read_answers(old)
    assert (before.loc[0, "valence"], before.loc[0, "scale"], before.loc[0, "tags"]) == (9, "sam9", "")
    assert prepare(old) is False
    assert prepare(old) is False
    assert read_answers(old).equals(before)
    path = write_study(tmp_path, form="findingemo", catch=None, version="2")
    store = AnswerStore(load_study(path), old)
    rater = store.rater(token)
    assert rater is not None
    second = store.slot(rater.rater_id, 1)
    assert second is not None
    store.save(second, RAGE, "answered", 0, 5).result()
    assert store.slot(rater.rater_id, 1).answer == RAGE  # type: ignore[union-attr]
    store.close()
    after = read_answers(old)
    assert list(after["scale"]) == ["sam9", "findingemo"]
    assert list(after["valence"]) == [9, -3]
