"""Scales of valence and arousal, and what they are on the scale -1 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_bench.studies.reannotation.study import Float

Scale = Literal["sam9", "unit", "findingemo"]


@dataclass(frozen=True)
class Bounds:
    """A scale.

    Args:
        low: of valence and arousal.
        high: likewise.
        whole: only integers are on it.
        about: for messages.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    whole: bool
    about: str

    def holds(self, values: Float) -> npt.NDArray[np.bool_]:
        """Which ratings, shape (2, M), are on the scale, or are none."""
        low, high = (np.array(end)[:, None] for end in (self.low, self.high))
        inside = (values >= low) & (values <= high) & (~np.bool_(self.whole) | (values == np.round(values)))
        return np.asarray(inside | np.isnan(values))

    def unit(self, values: Float) -> Float:
        """Ratings, shape (2, M), on the scale -1 to 1."""
        low, high = (np.array(end)[:, None] for end in (self.low, self.high))
        return np.asarray(2 * (values - low) / (high - low) - 1)


SCALES: dict[Scale, Bounds] = {
    "unit": Bounds((-1, -1), (1, 1), whole=False, about="-1 to 1"),
    "sam9": Bounds((1, 1), (9, 9), whole=True, about="integers from 1 to 9"),
    "findingemo": Bounds((-3, 0), (3, 6), whole=True, about="integers, valence -3 to 3 and arousal 0 to 6"),
}
NOTES: dict[Scale, str] = {
    "unit": "Ratings are on the scale -1..1 as given.",
    "sam9": "Ratings are on the 9-point SAM scale, mapped from 1..9 to -1..1 as (rating - 5) / 4.",
    "findingemo": "Ratings are on FindingEmo's scales, valence / 3 and arousal / 3 - 1.",
}


def fitting(values: Float) -> list[Scale]:
    """The scales that all ratings, shape (2, M), are on, the likeliest first."""
    return [name for name, scale in SCALES.items() if scale.holds(values).all()]
