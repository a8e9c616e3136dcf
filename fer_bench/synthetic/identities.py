"""Who the synthetic people are and what they show: random people, the prototypes of expressions, and how others see
them.

Action units of the prototypes follow the Facial Action Coding System as summarised by Ekman, Friesen & Hager (2002);
valence and arousal follow the circumplex (Russell 1980).
"""

from __future__ import annotations

import numpy as np

from fer_bench.labels import EMO8, FER8
from fer_bench.synthetic.face_model import ACTION_UNITS, BEARDS, GLASSES, HAIR_STYLES, Identity
from fer_bench.synthetic.strokes import Array, Colour

# Attention and trust colour a face that shows none of FER+'s emotions: they make Plutchik's other two spokes visible.
EXPRESSIONS: tuple[str, ...] = (*FER8.names, "trust", "anticipation")

_VARIANTS: dict[str, tuple[dict[int, float], ...]] = {
    "neutral": ({},),
    "happiness": (
        {6: 0.7, 12: 0.9},
        {6: 0.8, 12: 1.0, 25: 0.8, 26: 0.15},
        {6: 1.0, 12: 1.0, 25: 1.0, 26: 0.6, 43: 0.25},
    ),
    "surprise": ({1: 1.0, 2: 1.0, 5: 0.9, 25: 0.8, 26: 0.8}, {1: 0.9, 2: 1.0, 5: 0.7, 25: 0.6, 26: 0.35}),
    "sadness": (
        {1: 0.9, 4: 0.45, 15: 0.9, 17: 0.5, 43: 0.25},
        {1: 0.7, 4: 0.4, 15: 1.0, 17: 0.8, 43: 0.45},
        {1: 0.8, 4: 0.6, 6: 0.4, 15: 0.8, 20: 0.35, 25: 0.5, 26: 0.1},
    ),
    "anger": (
        {4: 1.0, 7: 0.6, 23: 0.8, 17: 0.4},
        {4: 1.0, 5: 0.5, 7: 0.3, 10: 0.55, 25: 0.7, 26: 0.35, 20: 0.3},
        {4: 0.9, 5: 0.6, 23: 0.6, 15: 0.2},
    ),
    "disgust": ({9: 1.0, 10: 0.8, 4: 0.4, 7: 0.5, 17: 0.4}, {9: 0.8, 10: 1.0, 25: 0.5, 6: 0.3, 15: 0.4, 7: 0.4}),
    "fear": (
        {1: 1.0, 2: 0.6, 4: 0.6, 5: 0.9, 20: 0.9, 25: 0.7, 26: 0.3},
        {1: 0.9, 2: 0.4, 4: 0.7, 5: 0.8, 20: 0.8, 25: 0.25},
    ),
    "contempt": ({12: 0.6, 14: 0.9, 7: 0.2}, {12: 0.45, 14: 1.0, 2: 0.3, 10: 0.2}),
    "trust": ({12: 0.3, 6: 0.25},),
    "anticipation": ({1: 0.2, 2: 0.35, 5: 0.4},),
}
VALENCE_AROUSAL = np.array(
    [
        (0.0, -0.05),
        (0.85, 0.4),
        (0.15, 0.85),
        (-0.75, -0.4),
        (-0.65, 0.75),
        (-0.75, 0.35),
        (-0.55, 0.85),
        (-0.45, 0.2),
        (0.3, -0.2),
        (0.12, 0.35),
    ]
)
"""Valence and arousal of each of :data:`EXPRESSIONS` at full strength, shape (10, 2)."""

_SPOKES = ("anticipation", "joy", "surprise", "sadness", "anger", "disgust", "fear", "disgust", "trust", "anticipation")
EMO8_OF = np.array([EMO8.index(name) for name in _SPOKES])
"""The spoke of Plutchik's wheel of each of :data:`EXPRESSIONS`, shape (10,); contempt counts as disgust."""

# What a tagger takes an expression of FER+ for: rows shown, columns seen, in FER+'s order.
_SEEN = np.array(
    [
        [0.88, 0.02, 0.01, 0.05, 0.02, 0.01, 0.00, 0.01],
        [0.04, 0.93, 0.01, 0.00, 0.00, 0.00, 0.00, 0.02],
        [0.03, 0.04, 0.83, 0.00, 0.00, 0.00, 0.10, 0.00],
        [0.10, 0.00, 0.01, 0.78, 0.03, 0.04, 0.03, 0.01],
        [0.07, 0.00, 0.01, 0.03, 0.80, 0.06, 0.02, 0.01],
        [0.03, 0.00, 0.01, 0.04, 0.14, 0.75, 0.01, 0.02],
        [0.02, 0.01, 0.16, 0.05, 0.02, 0.02, 0.72, 0.00],
        [0.18, 0.08, 0.00, 0.03, 0.05, 0.04, 0.00, 0.62],
    ]
)
_SKINS = np.array(
    [
        (250, 222, 204),
        (240, 203, 176),
        (226, 180, 146),
        (200, 150, 112),
        (168, 116, 82),
        (132, 86, 60),
        (100, 66, 48),
        (78, 52, 42),
    ]
)
_HAIRS = np.array(
    [
        (26, 22, 24),
        (48, 32, 26),
        (84, 54, 36),
        (124, 86, 54),
        (198, 160, 100),
        (150, 70, 36),
        (140, 138, 138),
        (214, 212, 208),
    ]
)
_IRISES = np.array([(60, 38, 24), (88, 60, 36), (76, 92, 60), (70, 104, 130), (96, 110, 118)])


def _colour(values: Array) -> Colour:
    r, g, b = np.clip(values, 0, 255).astype(int).tolist()
    return (r, g, b)


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random person."""
    z = np.clip(rng.standard_normal(24), -2.2, 2.2)
    u = rng.random(20)
    age = float(u[0] ** 1.6)
    tone = u[1] * (len(_SKINS) - 1)
    skin = _SKINS[int(tone)] * (1 - tone % 1) + _SKINS[min(int(tone) + 1, len(_SKINS) - 1)] * (tone % 1) + 4 * z[:3]
    hair_kind = min(int(u[2] * 6), 5) if tone < 3.2 else min(int(u[2] * 2.6), 2)
    if age > 0.6 and u[3] < 1.4 * (age - 0.45):
        hair_kind = 6 + int(u[4] < 0.4)
    hair = _HAIRS[hair_kind] * (1 + 0.1 * z[3])
    masculine = u[5] < 0.5
    style = str(rng.choice(HAIR_STYLES, p=_STYLE_ODDS[int(masculine)]))
    beard = str(rng.choice(BEARDS, p=(0.5, 0.2, 0.08, 0.08, 0.14))) if masculine and age > 0.12 else "none"
    glasses = str(rng.choice(GLASSES[1:])) if u[6] < 0.18 else "none"
    lipstick = 0.7 if not masculine and u[7] < 0.3 else 0.0
    lips = (0.62 * skin + 0.38 * np.array((180, 50, 60))) * (1 - lipstick) + lipstick * np.array((176, 34, 52))
    rest = np.zeros(len(ACTION_UNITS))
    for unit, spread in (
        (1, 0.1),
        (2, 0.11),
        (4, 0.11),
        (5, 0.1),
        (6, 0.07),
        (7, 0.1),
        (12, 0.08),
        (15, 0.08),
        (17, 0.05),
        (23, 0.1),
    ):
        rest[ACTION_UNITS.index(unit)] = spread * abs(rng.standard_normal())
    return Identity(
        face_width=0.74 + 0.045 * z[4] + (0.015 if masculine else -0.015),
        jaw=0.85 + 0.035 * z[5] + (0.03 if masculine else -0.03),
        chin=0.32 + 0.035 * z[6] + (0.04 if masculine else -0.03),
        chin_y=1.0 + 0.035 * z[7],
        eye_distance=0.34 + 0.016 * z[8],
        eye_width=0.15 + 0.011 * z[9],
        eye_open=0.074 + 0.009 * z[10] + (0.0 if masculine else 0.006),
        eye_tilt=0.008 + 0.014 * z[11],
        brow_gap=0.205 + 0.016 * z[12] + (-0.01 if masculine else 0.01),
        brow_arch=0.04 + 0.015 * z[13],
        brow_tilt=0.0 + 0.022 * z[14],
        brow_thickness=0.052 + 0.01 * z[15] + (0.012 if masculine else -0.012),
        nose_y=0.29 + 0.028 * z[16],
        nose_width=0.145 + 0.02 * z[17],
        mouth_y=0.58 + 0.022 * z[18],
        mouth_width=0.27 + 0.022 * z[19],
        lip_upper=0.05 + 0.009 * z[20],
        lip_lower=0.068 + 0.01 * z[21],
        ear_size=0.2 + 0.025 * z[22],
        age=age,
        skin=_colour(skin),
        hair=_colour(hair),
        brow=_colour(0.75 * hair + 0.25 * np.array((40, 28, 24)) if hair_kind < 6 else 0.6 * hair),
        iris=_colour(_IRISES[int(u[8] * (2 if tone > 3 else 5))]),
        lips=_colour(lips),
        clothes=_colour(40 + 190 * u[9:12]),
        hair_style=style,
        hair_volume=float(u[12]),
        hairline=-0.66 - 0.06 * z[23] - 0.1 * (age > 0.7),
        beard=beard,
        glasses=glasses,
        rest=tuple(np.clip(rest, 0, 0.3).tolist()),
        expressivity=float(0.82 + 0.36 * u[13]),
    )


_STYLE_ODDS = (
    (0.0, 0.01, 0.1, 0.12, 0.15, 0.32, 0.1, 0.1, 0.04, 0.06),
    (0.1, 0.16, 0.34, 0.14, 0.06, 0.05, 0.08, 0.01, 0.06, 0.0),
)


def draw_prototypes(rng: np.random.Generator) -> Array:
    """One way of showing each of :data:`EXPRESSIONS` at full strength: action units, shape (10, 17)."""
    table = np.zeros((len(EXPRESSIONS), len(ACTION_UNITS)))
    for row, name in enumerate(EXPRESSIONS):
        variants = _VARIANTS[name]
        for unit, strength in variants[int(rng.integers(len(variants)))].items():
            table[row, ACTION_UNITS.index(unit)] = strength
    return table * np.clip(rng.normal(1.0, 0.13, table.shape), 0.4, 1.4)


def action_of(strengths: Array, prototypes: Array, identity: Identity) -> tuple[float, ...]:
    """What the face does when several expressions are shown at once.

    Args:
        strengths: strength of each of :data:`EXPRESSIONS`, shape (10,).
        prototypes: shape (10, 17).
        identity: the person, for its face at rest and its expressivity.

    Returns:
        The action units, 17 values in 0 to 1.
    """
    moved = identity.expressivity * (strengths @ prototypes)
    rest = np.asarray(identity.rest) * (1 - 0.5 * min(float(strengths[1:].sum()), 1.0))
    return tuple(np.clip(moved + rest, 0, 1).tolist())


def seen_as(strengths: Array, hidden: float, sharpness: float = 1.7) -> Array:
    """How likely a tagger is to choose each of FER+'s ten columns.

    Args:
        strengths: strength of each of :data:`EXPRESSIONS`, shape (10,).
        hidden: part of the face that cannot be seen, 0 to 1.
        sharpness: above 1, the stronger of two expressions wins more often than its share.

    Returns:
        Probabilities, shape (10,): the eight emotions in FER+'s order, unknown, not a face.
    """
    shown = strengths[:8].copy()
    shown[0] = max(0.62 - 1.25 * float(shown[1:].sum()), 0.02)
    share = (shown / shown.sum()) ** sharpness
    seen = (share / share.sum()) @ _SEEN
    doubt = 1.0 - float(seen.max())
    unknown, no_face = 0.008 + 0.05 * doubt + 0.15 * hidden, 0.002 + 0.03 * hidden
    return np.concatenate([seen * (1 - unknown - no_face), [unknown, no_face]])
