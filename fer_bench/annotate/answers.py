"""What a valid answer is: the server's check of a submitted form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_bench.annotate.forms import AMBIGUITY_MAX, NO_EMOTION, WHEEL, Form
from fer_bench.labels import EMO8, EMO24, EMO24_TO_EMO8

MAX_RESPONSE_MS = 86_400_000
# Fields of an answer that hold several values.
LISTS = ("reject_reasons", "deciding_factors", "age_groups", "tags")


@dataclass(frozen=True)
class Answer:
    """One rater's answer to one image; None or () where the form does not ask, or the image was rejected.

    Args:
        decision: ``keep`` or ``reject``.
        reject_reasons: tags of a rejected image.
        category: one of the study's categories.
        wheel: one of Plutchik's 24 emotions, or ``none``.
        valence: on the form's scale: 1 (negative) to 9 (positive), or -3 to 3.
        arousal: likewise: 1 (calm) to 9 (excited), or 0 (not intense) to 6.
        ambiguity: 0 (clear) to 6 (unclear).
        deciding_factors: what the choice of emotion was based on.
        age_groups: groups present in the image.
        tags: what else is to be said of it, also of a rejected one.
    """

    decision: str | None = None
    reject_reasons: tuple[str, ...] = ()
    category: str | None = None
    wheel: str | None = None
    valence: int | None = None
    arousal: int | None = None
    ambiguity: int | None = None
    deciding_factors: tuple[str, ...] = ()
    age_groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One question of the form.

    Args:
        name: field name, as in :class:`Answer`.
        values: the permitted values, as sent by the browser.
        many: several values may be ticked.
        required: an answer must be there; questions other than the decision only if the image is kept.
    """

    name: str
    values: tuple[str, ...]
    many: bool = False
    required: bool = True


def questions(form: Form) -> tuple[Question, ...]:
    """The questions of a study, in the order of the page."""

    def points(dimension: str) -> tuple[str, ...]:
        low, high = form.ends(dimension)
        return tuple(str(point) for point in range(low, high + 1))

    everything = [
        (form.decision, Question("decision", ("keep", "reject"))),
        (
            form.decision and bool(form.reject_reasons),
            Question("reject_reasons", form.reject_reasons, many=True, required=False),
        ),
        (bool(form.categories), Question("category", form.categories)),
        (form.wheel, Question("wheel", WHEEL)),
        (form.valence, Question("valence", points("valence"))),
        (form.arousal, Question("arousal", points("arousal"))),
        (form.ambiguity, Question("ambiguity", tuple(str(point) for point in range(AMBIGUITY_MAX + 1)))),
        (bool(form.deciding_factors), Question("deciding_factors", form.deciding_factors, many=True)),
        (bool(form.age_groups), Question("age_groups", form.age_groups, many=True)),
        (bool(form.tags), Question("tags", form.tags, many=True, required=False)),
    ]
    return tuple(question for asked, question in everything if asked)


def parse_answer(form: Form, fields: Mapping[str, Sequence[str]]) -> tuple[Answer, dict[str, str]]:
    """Check a submitted form.

    Args:
        form: what the study asks.
        fields: values per field name, bookkeeping fields (csrf, revision, ...) taken out.

    Returns:
        The answer, and what is wrong per question; the answer counts only if nothing is wrong.
    """
    asked = questions(form)
    wrong = dict.fromkeys(set(fields) - {question.name for question in asked}, "The study does not ask this.")
    rejected = list(fields.get("decision", [])) == ["reject"]
    given: dict[str, str | int | tuple[str, ...]] = {}
    for question in asked:
        values = [value for value in fields.get(question.name, []) if value]
        if any(value not in question.values for value in values) or len(set(values)) != len(values):
            wrong[question.name] = "This is not one of the possible answers."
        elif len(values) > 1 and not question.many:
            wrong[question.name] = "Please choose only one."
        # what was filled in before an image was rejected says nothing about it; reasons for rejecting a kept image
        # neither; tags are of both
        elif question.name not in ("decision", "tags") and rejected != (question.name == "reject_reasons"):
            continue
        elif not values and question.required:
            wrong[question.name] = "Please choose at least one." if question.many else "Please choose one."
        elif values:
            given[question.name] = _value(question, values)
    return Answer(**given), wrong  # type: ignore[arg-type]


def _value(question: Question, values: list[str]) -> str | int | tuple[str, ...]:
    if question.many:
        return tuple(value for value in question.values if value in values)
    return int(values[0]) if question.name in {"valence", "arousal", "ambiguity"} else values[0]


def parse_response_ms(text: str) -> int | None:
    """The response time the browser measured, in ms; None where it is absent or impossible."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_RESPONSE_MS))):
        return None
    return int(text) if int(text) <= MAX_RESPONSE_MS else None


def leaf(emotion: str | None) -> str | None:
    """The leaf of Plutchik's wheel (Emo8) an emotion is on; ``none`` stays ``none``."""
    if emotion is None or emotion == NO_EMOTION:
        return emotion
    return EMO8.names[EMO24_TO_EMO8[EMO24.index(emotion)]]
