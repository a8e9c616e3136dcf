"""Valence and arousal of a scene as values, on FindingEmo's scales."""

from __future__ import annotations

from fer_bench.protocols.protocol import Protocol
from fer_bench.protocols.tasks import TASKS

# Valence is -3 (negative) to 3, arousal 0 to 6; both together are on one scale, arousal minus 3.
SCALES = {"valence": (-3.0, 3.0), "arousal": (0.0, 6.0), "va": (-3.0, 3.0)}
_SCORED = {
    "valence": "Valence from -3 to 3.",
    "arousal": "Arousal from 0 to 6.",
    "va": "Valence from -3 to 3; arousal, 0 to 6, is counted from its middle: it is lower by 3 here.",
}


def scene_values(dataset: str, about: str, n_test: int | None = None) -> tuple[Protocol, ...]:
    """The protocols of valence, of arousal, and of both.

    Args:
        dataset: name of the dataset.
        about: what a reader must know of it.
        n_test: samples that must be scored; None where it depends on the user's copy.
    """
    return tuple(
        Protocol(dataset, TASKS[task], n_test=n_test, about=f"{about} {_SCORED[task]}", scale=scale)
        for task, scale in SCALES.items()
    )
