"""What is asked about an image: the form of a study, its scales, and the form of FindingEmo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

from fer_bench.labels import EMO24

SAM_POINTS = 9
AMBIGUITY_MAX = 6
NO_EMOTION = "none"
WHEEL = (*EMO24.names, NO_EMOTION)
AFFECTNET8 = ("neutral", "happy", "sad", "disgust", "surprise", "contempt", "fear", "anger")
FINDINGEMO_REASONS = (
    "bad quality photo",
    "copyright",
    "watermark",
    "no interaction",
    "no people",
    "text",
    "not applicable",
)
# Ends of valence and arousal: self-assessment manikins, and FindingEmo's sliders (section 2.1).
SCALES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "sam9": {"valence": (1, SAM_POINTS), "arousal": (1, SAM_POINTS)},
    "findingemo": {"valence": (-3, 3), "arousal": (0, 6)},
}
# Source: Mertens et al., FindingEmo (2024), sections 2.1 and 2.3.2. "Context" is in the instructions and in the
# published file, where it is the third most frequent factor, and missing in the list of section 2.1.
FINDINGEMO: Mapping[str, object] = {
    "decision": True,
    "reject_reasons": (),
    "categories": (),
    "wheel": True,
    "scale": "findingemo",
    "ambiguity": True,
    "deciding_factors": (
        "facial expression",
        "body language",
        "staging",
        "context",
        "conflict context vs. person",
        "neutral",
    ),
    "age_groups": ("children", "youth", "young adults", "adults", "seniors"),
    "tags": FINDINGEMO_REASONS,
}
# Fields that came later, with what they were before: a study without them keeps its digest.
_LATER: Mapping[str, object] = {"scale": "sam9", "tags": []}


def one_line(value: str) -> str:
    """A text of one line, fit for a list; raises ValueError."""
    if not value.strip() or value != value.strip() or not value.isprintable() or ";" in value:
        message = "must be one line of text without ';' and without blanks at its ends"
        raise ValueError(message)
    return value


def all_different(values: tuple[str, ...]) -> tuple[str, ...]:
    """Texts of which no two differ in case alone; raises ValueError."""
    if len({v.casefold() for v in values}) != len(values):
        message = "an entry is listed twice"
        raise ValueError(message)
    return values


Name = Annotated[str, Field(max_length=60), AfterValidator(one_line)]
Names = Annotated[tuple[Name, ...], Field(max_length=40), AfterValidator(all_different)]


class Strict(BaseModel):
    """Settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Form(Strict):
    """What is asked about an image; the questions appear in the order of :func:`fer_bench.annotate.answers.questions`.

    ``findingemo`` in place of the keys is the form of FindingEmo.
    """

    decision: StrictBool = False
    reject_reasons: Names = FINDINGEMO_REASONS
    categories: Names = AFFECTNET8
    wheel: StrictBool = False
    valence: StrictBool = True
    arousal: StrictBool = True
    scale: Literal["sam9", "findingemo"] = "sam9"
    ambiguity: StrictBool = False
    deciding_factors: Names = ()
    age_groups: Names = ()
    tags: Names = ()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            if given != "findingemo":
                message = "must be the keys of a form, or 'findingemo' for the form of that dataset"
                raise ValueError(message)
            return dict(FINDINGEMO)
        return given

    @model_validator(mode="after")
    def _asks_something(self) -> Form:
        if not (self.categories or self.wheel or self.valence or self.arousal or self.ambiguity or self.decision):
            message = "asks nothing: switch on at least one of categories, wheel, valence, arousal, ambiguity, decision"
            raise ValueError(message)
        if len(self.categories) == 1:
            message = "categories needs at least two entries, or none at all"
            raise ValueError(message)
        return self

    def ends(self, dimension: str) -> tuple[int, int]:
        """Lowest and highest answer for "valence" or "arousal"."""
        return SCALES[self.scale][dimension]

    def settings(self) -> dict[str, object]:
        """Plain types for a digest."""
        plain = self.model_dump(mode="json")
        return {key: value for key, value in plain.items() if key not in _LATER or value != _LATER[key]}
