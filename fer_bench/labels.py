"""Label sets of the field, their order, their synonyms and the maps between them.

Everything else in the suite takes the number, order and names of classes from here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fer_bench.errors import BadDataError
from fer_bench.registry import Registry


def plain(text: str) -> str:
    """A label or a folder's name as it is compared: composed (NFC), in lower case, without blanks around it and with
    single ones inside.
    """
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def letters(text: str) -> str:
    """A name's letters and digits, as :func:`plain` has them: ``Public Test`` and ``public_test`` are one."""
    return re.sub(r"[\W_]+", "", plain(text))


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of classes.

    Args:
        name: short name ("fer7").
        names: class names; the position is the class id in targets and outputs.
        synonyms: other spellings met in datasets, to class name.
        distances: optional symmetric class-to-class distances, shape (C, C).
        merged: of a set that a user has named: what a folder or label counts as, where several make one class or some
            are left out (None); else empty.
    """

    name: str
    names: tuple[str, ...]
    synonyms: dict[str, str] = field(default_factory=dict)
    distances: tuple[tuple[int, ...], ...] | None = None
    merged: dict[str, str | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, label: str) -> int:
        """Class id of a label as datasets spell it (case, blanks and synonyms are forgiven).

        Raises:
            BadDataError: the label is not of this set.
        """
        found = self.find(label)
        if found is None:
            problem = f"label {label!r} is not one of {self.name}: {', '.join(self.names)}."
            raise BadDataError(problem)
        return found

    def find(self, label: str) -> int | None:
        """As :meth:`index`, but None for a label that is not of this set."""
        key = plain(label)
        key = self.synonyms.get(key, key)
        return self.names.index(key) if key in self.names else None


_FER_SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "suprise": "surprise",
    "contemptuous": "contempt",
    "neutrality": "neutral",
}
# FER+ names its columns by nouns, in its own order; the same synonyms serve, the other way round.
_FERPLUS_SYNONYMS = {
    "angry": "anger",
    "happy": "happiness",
    "sad": "sadness",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "joy": "happiness",
    "surprised": "surprise",
    "suprise": "surprise",
    "contemptuous": "contempt",
}


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Other spellings of some names, as far as they are names of expressions: those of ``happy`` are ``happiness`` and
    ``joy``.
    """
    own = set(names)
    groups: dict[str, set[str]] = {}
    for spelling, name in _FER_SYNONYMS.items():
        groups.setdefault(name, {name}).add(spelling)
    found: dict[str, str] = {}
    for group in groups.values():
        used = group & own
        # Two of them side by side, as happiness and joy, are two classes: then no third spelling means either.
        if len(used) == 1:
            found |= dict.fromkeys(group - own, next(iter(used)))
    return found


_WHEEL = ("joy", "trust", "fear", "surprise", "sadness", "disgust", "anger", "anticipation")
_LEAVES = (
    ("ecstasy", "joy", "serenity"),
    ("admiration", "trust", "acceptance"),
    ("terror", "fear", "apprehension"),
    ("amazement", "surprise", "distraction"),
    ("grief", "sadness", "pensiveness"),
    ("loathing", "disgust", "boredom"),
    ("rage", "anger", "annoyance"),
    ("vigilance", "anticipation", "interest"),
)


def wheel_distance(a: int, b: int, spokes: int = 8) -> int:
    """Steps between two spokes of Plutchik's wheel, 0 to ``spokes // 2``."""
    around = abs(a - b) % spokes
    return min(around, spokes - around)


LABEL_SETS: Registry[LabelSet] = Registry("label set")
FER7 = LABEL_SETS.add(
    "fer7", LabelSet("fer7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), _FER_SYNONYMS)
)
FER8 = LABEL_SETS.add(
    "fer8",
    LabelSet(
        "fer8",
        ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
        _FERPLUS_SYNONYMS,
    ),
)
EMO8 = LABEL_SETS.add(
    "emo8",
    LabelSet("emo8", _WHEEL, distances=tuple(tuple(wheel_distance(a, b) for b in range(8)) for a in range(8))),
)
EMO24 = LABEL_SETS.add(
    "emo24",
    LabelSet(
        "emo24",
        tuple(name for leaf in _LEAVES for name in leaf),
        distances=tuple(tuple(wheel_distance(a // 3, b // 3) for b in range(24)) for a in range(24)),
    ),
)
_STEPS3 = tuple(tuple(abs(a - b) for b in range(3)) for a in range(3))
AROUSAL3 = LABEL_SETS.add("arousal3", LabelSet("arousal3", ("low", "medium", "high"), distances=_STEPS3))
VALENCE3 = LABEL_SETS.add("valence3", LabelSet("valence3", ("negative", "neutral", "positive"), distances=_STEPS3))
# CK+'s seven: contempt among them, neutral not.
CK7 = LABEL_SETS.add(
    "ck7", LabelSet("ck7", ("angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"), _FER_SYNONYMS)
)
# Aff-Wild2's eight: "other" is every state besides the seven.
EXPR8 = LABEL_SETS.add(
    "expr8",
    LabelSet("expr8", ("neutral", "angry", "disgust", "fear", "happy", "sad", "surprise", "other"), _FER_SYNONYMS),
)

EMO24_TO_EMO8: tuple[int, ...] = tuple(i // 3 for i in range(24))


def class_map(source: LabelSet, target: LabelSet) -> npt.NDArray[np.int64]:
    """Map class ids of one label set onto another by name.

    Args:
        source: the set whose ids are to be translated.
        target: the set to translate into.

    Returns:
        Shape (len(source),): the target's id of each source class, or -1 where the target has no such class.
    """
    ids = [target.find(name) for name in source.names]
    return np.array([-1 if i is None else i for i in ids], dtype=np.int64)
