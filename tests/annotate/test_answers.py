from __future__ import annotations

import pytest

from fer_bench.annotate.answers import Answer, leaf, parse_answer, parse_response_ms, questions
from fer_bench.annotate.forms import Form
from fer_bench.labels import EMO8, EMO24

FINDINGEMO_FACTORS = ("neutral", "body language", "conflict context vs. person", "facial expression", "staging")
FULL = Form(
    decision=True, wheel=True, ambiguity=True, deciding_factors=FINDINGEMO_FACTORS, age_groups=("children", "adults")
)
GOOD = {
    "decision": ["keep"],
    "category": ["happy"],
    "wheel": ["joy"],
    "valence": ["7"],
    "arousal": ["1"],
    "ambiguity": ["0"],
}
GOOD |= {"deciding_factors": ["staging", "body language"], "age_groups": ["adults"]}


def test_a_full_answer() -> None:
    answer, wrong = parse_answer(FULL, GOOD)
    assert not wrong
    # several choices come out in the order of the form, not of the clicks
    assert answer == Answer("keep", (), "happy", "joy", 7, 1, 0, ("body language", "staging"), ("adults",))


def test_a_rejected_image_needs_nothing_else_and_keeps_nothing_else() -> None:
    answer, wrong = parse_answer(FULL, {**GOOD, "decision": ["reject"], "reject_reasons": ["text"]})
    assert not wrong
    assert answer == Answer(decision="reject", reject_reasons=("text",))
    kept, wrong = parse_answer(FULL, {**GOOD, "reject_reasons": ["text"]})
    assert not wrong
    assert kept.reject_reasons == ()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("valence", ["0"]),
        ("valence", ["10"]),
        ("valence", ["-1"]),
        ("valence", ["5.0"]),
        ("valence", ["５"]),
        ("valence", ["nan"]),
        ("valence", [""]),
        ("valence", ["5", "6"]),
        ("valence", ["5", "5"]),
        ("arousal", [" 5"]),
        ("ambiguity", ["7"]),
        ("category", ["joyful"]),
        ("category", ["happy'; DROP TABLE answers;--"]),
        ("wheel", ["happy"]),
        ("decision", ["maybe"]),
        ("decision", []),
        ("deciding_factors", []),
        ("deciding_factors", ["staging", "weather"]),
        ("dominance", ["5"]),
        ("rater_id", ["2"]),
    ],
)
def test_wrong_values_are_told_per_question(field: str, values: list[str]) -> None:
    _, wrong = parse_answer(FULL, {**GOOD, field: values})
    assert list(wrong) == [field]


def test_questions_follow_the_form() -> None:
    assert [question.name for question in questions(Form())] == ["category", "valence", "arousal"]
    assert [question.name for question in questions(FULL)] == [
        "decision",
        "reject_reasons",
        "category",
        "wheel",
        "valence",
        "arousal",
        "ambiguity",
        "deciding_factors",
        "age_groups",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1234", 1234),
        ("86400000", 86_400_000),
        ("86400001", None),
        ("-1", None),
        ("", None),
        ("1e3", None),
        ("٣", None),
    ],
)
def test_response_times(text: str, value: int | None) -> None:
    assert parse_response_ms(text) == value


def test_every_emotion_lies_on_its_leaf() -> None:
    assert [leaf(name) for name in EMO24.names[1::3]] == list(EMO8.names)
    assert leaf("rage") == "anger"
    assert leaf("none") == "none"
    assert leaf(None) is None
