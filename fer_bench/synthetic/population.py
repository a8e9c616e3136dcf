"""The population of ``synthfaces``: who shows what in which picture, and every label of it.

Each number of a sample comes from generators seeded by (seed, split, kind, position), so that any sample can be
generated alone, and neither the order of generation nor the size of another split changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.labels import FER7, FER8, class_map
from fer_bench.protocols.synthetic import SynthConfig
from fer_bench.synthetic.face_model import BACKGROUNDS, OCCLUDERS, FaceParams, Identity
from fer_bench.synthetic.identities import (
    EMO8_OF,
    EXPRESSIONS,
    VALENCE_AROUSAL,
    action_of,
    draw_identity,
    draw_prototypes,
    seen_as,
)
from fer_bench.synthetic.renderer import draw_face
from fer_bench.synthetic.strokes import Array, Colour
from fer_bench.synthetic.video import as_in_video, filmed

VERSION = 1
"""Raised whenever the same configuration gives other pictures or labels."""

SPLITS: tuple[str, ...] = ("train", "validation", "test")
FRAMES_PER_CLIP = 5
CLIPS_PER_IDENTITY = 2

_FER7_OF = class_map(FER8, FER7)
# Twenty clips in a row show each emotion this often, in FER+'s order; the first eight of them show each one once.
_CLIPS_OF_TWENTY = (2, 4, 3, 3, 3, 2, 2, 1)
# What each emotion is mixed with, and taken for, most easily (FER+'s order).
_NEIGHBOURS = ((3, 1, 4), (2, 7, 5), (6, 1, 4), (6, 5, 4), (5, 3, 6), (4, 3, 7), (2, 3, 4), (5, 1, 4))


@dataclass(frozen=True)
class Sample:
    """One picture with all its labels; the fields are those of :class:`SynthFaces`."""

    image: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]
    split: str
    fer7: int
    fer8: int
    emo8: int
    emo24: int
    arousal3: int
    valence3: int
    valence: float
    arousal: float
    identity: int
    clip: int
    frame: int
    intensity: float
    votes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class SynthFaces:
    """All pictures and labels of a population, N samples, train first, then validation, then test.

    Args:
        images: uint8 (N, size, size), grey.
        split: str (N,), one of :data:`SPLITS`.
        fer7: int64 (N,), class ids of FER7; -1 for contempt, which FER7 lacks.
        fer8: int64 (N,), class ids of FER8.
        emo8: int64 (N,), class ids of Emo8.
        emo24: int64 (N,), class ids of Emo24: the spoke's leaf follows the intensity.
        arousal3: int64 (N,), class ids of Arousal3.
        valence3: int64 (N,), class ids of Valence3.
        valence: float32 (N,), -1 to 1.
        arousal: float32 (N,), -1 to 1.
        landmarks: float32 (N, 68, 2), x and y in pixels, iBUG's order.
        identity: int64 (N,), the person; no person is in two splits.
        clip: int64 (N,), the clip the picture is a frame of.
        frame: int64 (N,), number of the frame in its clip.
        intensity: float32 (N,), how strongly the emotion is shown, 0 to 1.
        votes: int64 (N, 10), ten simulated taggers' votes for the classes of Fer8, unknown and not a face; rows
            sum to ten.
    """

    images: npt.NDArray[np.uint8]
    split: npt.NDArray[np.str_]
    fer7: npt.NDArray[np.int64]
    fer8: npt.NDArray[np.int64]
    emo8: npt.NDArray[np.int64]
    emo24: npt.NDArray[np.int64]
    arousal3: npt.NDArray[np.int64]
    valence3: npt.NDArray[np.int64]
    valence: npt.NDArray[np.float32]
    arousal: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    identity: npt.NDArray[np.int64]
    clip: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    intensity: npt.NDArray[np.float32]
    votes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class _Clip:
    identity: Identity
    prototypes: Array
    strengths: Array  # (frames, 10)
    emotion: npt.NDArray[np.int64]  # (frames,), FER8
    tint: tuple[int, float]
    look: FaceParams
    drift: Array


_IDENTITY, _CLIP, _ORDER, _SAMPLE, _VIDEO, _FILM = range(6)


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((VERSION, seed, *key)))


@lru_cache(maxsize=64)
def _identity(seed: int, split: int, number: int) -> Identity:
    return draw_identity(_rng(seed, split, _IDENTITY, number))


@lru_cache(maxsize=64)
def _order(seed: int, split: int, block: int) -> tuple[int, ...]:
    rng = _rng(seed, split, _ORDER, block)
    rest = np.repeat(np.arange(8), np.array(_CLIPS_OF_TWENTY) - 1)
    return tuple(np.concatenate([rng.permutation(8), rng.permutation(rest)]).tolist())


def _envelope(rng: np.random.Generator, frames: int) -> Array:
    """Strength of the expression in each frame: from rest to the apex and back, not always from the start or to the
    end; longer clips take longer.
    """
    slow = frames / FRAMES_PER_CLIP
    at = np.arange(frames)
    onset, offset = rng.uniform(0.8, 1.6, 2) * slow
    start, end = rng.uniform(0.0, 0.9) * slow, frames - rng.uniform(-0.3, 0.9) * slow
    t = np.clip(np.minimum((at + start) / onset, (end - at) / offset), 0, 1)
    return t * t * (3 - 2 * t)


def _course(rng: np.random.Generator, emotion: int, difficulty: float, frames: int) -> tuple[Array, tuple[int, float]]:
    """Strengths of all expressions in each frame, shape (frames, 10), and the tint of the rest: (expression,
    strength).
    """
    slow = frames / FRAMES_PER_CLIP
    strengths = np.zeros((frames, len(EXPRESSIONS)))
    envelope = _envelope(rng, frames)
    peak = rng.uniform(1 - 0.65 * difficulty, 1.0)
    other = int(rng.choice(_NEIGHBOURS[emotion]))
    changes, mixed, share = rng.random() < 0.24 * difficulty + 0.05, rng.random() < difficulty, rng.uniform(0.0, 0.4)
    if emotion:
        strengths[:, emotion] = envelope * peak
        if changes:  # from one emotion into another instead of from and to rest
            ramp = np.clip((np.arange(frames) - rng.uniform(0.8, 3.2) * slow) / (2 * slow), 0, 1)
            strengths[:, emotion], strengths[:, other] = peak * (1 - ramp), peak * ramp
        elif mixed:
            strengths[:, other] = strengths[:, emotion] * share
            strengths[:, emotion] *= 1 - 0.5 * share
    else:
        strengths[:, other] = 0.2 * difficulty * envelope * share
    kind, strength = 8 + int(rng.random() < 0.5), rng.uniform(0.15, 1.0)
    rest = np.clip(1 - 1.6 * strengths[:, 1:8].sum(axis=1), 0, 1)
    strengths[:, kind] = strength * rest
    return strengths, (kind, float(strength))


def _colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    base, second = rng.uniform(40, 215) + rng.uniform(-45, 45, 3), rng.uniform(-60, 60) + rng.uniform(-25, 25, 3)
    base = np.clip(base, 0, 255)
    r, g, b = base.astype(int).tolist()
    r2, g2, b2 = np.clip(base + second, 0, 255).astype(int).tolist()
    return (r, g, b), (r2, g2, b2)


def draw_look(rng: np.random.Generator, identity: Identity, difficulty: float) -> FaceParams:
    """Pose, light, camera and background of one picture, at random.

    Args:
        rng: source of randomness.
        identity: who is pictured.
        difficulty: 0 to 1.

    Returns:
        A face at rest.
    """
    d = difficulty
    z = np.clip(rng.standard_normal(8), -2, 2)
    occluded = rng.random() < 0.1 * d
    occluder = str(rng.choice(OCCLUDERS[1:], p=(0.3, 0.15, 0.3, 0.1, 0.15)))
    return FaceParams(
        identity=identity,
        roll=(2 + 7 * d) * z[0],
        yaw=(3 + 11 * d) * z[1],
        pitch=(1.5 + 5 * d) * z[2],
        scale=1.0 + 0.1 * d * z[3],
        shift=(0.04 * d * z[4], 0.04 * d * z[5]),
        light_angle=float(rng.uniform(-180, 0)) if rng.random() < 0.85 else float(rng.uniform(0, 180)),
        light_strength=float(rng.uniform(0.05, 0.3 + 0.8 * d)),
        brightness=1.0 + 0.2 * d * z[6],
        contrast=float(np.clip(1.0 + 0.24 * d * z[7], 0.55, 1.3)),
        background=BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))],
        background_colours=_colours(rng),
        occluder=occluder if occluded else "none",
        occluder_at=(float(rng.uniform(-0.45, 0.45)), float(rng.uniform(0.1, 0.7))),
        noise=float(rng.uniform(0, 4 + 8 * d)),
        blur=float(max(rng.uniform(-0.02, 0.03 * d), 0.0)),
    )


@lru_cache(maxsize=8)
def _clip(seed: int, difficulty: float, split: int, number: int, frames: int) -> _Clip:
    identity = _identity(seed, split, number // CLIPS_PER_IDENTITY)
    rng = _rng(seed, split, _CLIP, number)
    emotion = _order(seed, split, number // 20)[number % 20]
    strengths, tint = _course(rng, emotion, difficulty, frames)
    felt = strengths[:, :8].copy()
    felt[:, 0] = 0.26  # weaker than this is no expression
    look = replace(draw_look(rng, identity, difficulty), asymmetry=float(np.clip(0.12 * rng.standard_normal(), -1, 1)))
    side = float(rng.choice((-1.0, 1.0)))
    if emotion == 7:
        look = replace(look, asymmetry=side)
    gaze = rng.normal(0, 0.35, 2)
    return _Clip(
        identity,
        draw_prototypes(rng),
        strengths,
        felt.argmax(axis=1),
        tint,
        replace(look, gaze=(gaze[0], gaze[1])),
        rng.normal(0, 1, (3,)),
    )


def leaf(strength: float) -> int:
    """Position of the intensity in a spoke of Emo24: 0 strong, 1 medium, 2 weak."""
    return 0 if strength > 0.8 else 1 if strength > 0.5 else 2


def _third(value: float, low: float, high: float) -> int:
    return 0 if value < low else 1 if value < high else 2


def draw_sample(config: SynthConfig, index: int) -> Sample:
    """One sample of a population, the same as in :func:`generate`.

    Args:
        config: the population.
        index: position among all samples: train first, then validation, then test.

    Returns:
        The sample.

    Raises:
        IndexError: there is no such sample.
    """
    split, position = config.place_of(index)
    number, frame = divmod(position, config.frames)
    clip = _clip(config.seed, config.difficulty, split, number, config.frames)
    rng = _rng(config.seed, split, _SAMPLE, position)
    strengths = clip.strengths[frame]
    shown = np.clip(strengths * (1 + 0.06 * rng.standard_normal()), 0, 1)
    jitter, time = rng.standard_normal(6), frame / config.frames
    look = clip.look
    params = replace(
        look,
        action=action_of(shown, clip.prototypes, clip.identity),
        roll=look.roll + 3 * clip.drift[0] * time + 0.6 * jitter[0],
        yaw=look.yaw + 5 * clip.drift[1] * time + jitter[1],
        pitch=look.pitch + 3 * clip.drift[2] * time + 0.6 * jitter[2],
        shift=(look.shift[0] + 0.006 * jitter[3], look.shift[1] + 0.006 * jitter[4]),
        scale=look.scale * (1 + 0.01 * jitter[5]),
    )
    if config.video:
        params = as_in_video(params, config.video, _rng(config.seed, split, _VIDEO, position))
    picture, points = draw_face(params, config.size, rng)
    if config.video:
        picture = filmed(picture, config.video, _rng(config.seed, split, _FILM, position))
    fer8 = int(clip.emotion[frame])
    kind, tint = clip.tint
    expression, felt = (fer8, float(strengths[fer8])) if fer8 else (kind, tint * 0.99)
    emo8 = int(EMO8_OF[expression])
    feeling = np.clip(strengths @ VALENCE_AROUSAL + rng.normal(0, 0.04, 2), -1, 1)
    hidden = 0.35 if look.occluder in ("hand", "mask") else 0.15 if look.occluder != "none" else 0.0
    offsets = np.cumsum([0, *(-(-n // config.frames) for n in config.counts)])
    people = np.cumsum([0, *(-(-n // (config.frames * CLIPS_PER_IDENTITY)) for n in config.counts)])
    return Sample(
        image=cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
        landmarks=points,
        split=SPLITS[split],
        fer7=int(_FER7_OF[fer8]),
        fer8=fer8,
        emo8=emo8,
        emo24=3 * emo8 + leaf(felt),
        arousal3=_third(float(feeling[1]), 0.0, 0.4),
        valence3=_third(float(feeling[0]), -0.2, 0.2),
        valence=float(feeling[0]),
        arousal=float(feeling[1]),
        identity=int(people[split]) + number // CLIPS_PER_IDENTITY,
        clip=int(offsets[split]) + number,
        frame=frame,
        intensity=min(felt, 1.0),
        votes=rng.multinomial(10, seen_as(strengths, hidden)),
    )


def generate(config: SynthConfig) -> SynthFaces:
    """Generate a whole population.

    Args:
        config: the population.

    Returns:
        All samples; see :class:`SynthFaces`.
    """
    samples = [draw_sample(config, index) for index in range(sum(config.counts))]
    size = config.size

    def ids(name: str) -> npt.NDArray[np.int64]:
        return np.array([getattr(s, name) for s in samples], dtype=np.int64)

    def floats(name: str) -> npt.NDArray[np.float32]:
        return np.array([getattr(s, name) for s in samples], dtype=np.float32)

    return SynthFaces(
        images=np.array([s.image for s in samples], dtype=np.uint8).reshape(-1, size, size),
        split=np.array([s.split for s in samples], dtype=np.str_),
        fer7=ids("fer7"),
        fer8=ids("fer8"),
        emo8=ids("emo8"),
        emo24=ids("emo24"),
        arousal3=ids("arousal3"),
        valence3=ids("valence3"),
        valence=floats("valence"),
        arousal=floats("arousal"),
        landmarks=np.array([s.landmarks for s in samples], dtype=np.float32).reshape(-1, 68, 2),
        identity=ids("identity"),
        clip=ids("clip"),
        frame=ids("frame"),
        intensity=floats("intensity"),
        votes=np.array([s.votes for s in samples], dtype=np.int64).reshape(-1, 10),
    )
