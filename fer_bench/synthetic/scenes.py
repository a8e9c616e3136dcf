"""Synthetic colour scenes: people in simple places, whose faces say more about the scene's emotion than its background
does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.protocols.synthetic import SceneConfig
from fer_bench.synthetic.backgrounds import Mood, draw_place
from fer_bench.synthetic.face_model import FaceParams, landmarks
from fer_bench.synthetic.identities import VALENCE_AROUSAL, action_of, draw_identity, draw_prototypes
from fer_bench.synthetic.population import SPLITS, VERSION, draw_look, leaf
from fer_bench.synthetic.renderer import Image, paint_face, project
from fer_bench.synthetic.strokes import mix, shaded

# Expression (of people.EXPRESSIONS) that each spoke of Plutchik's wheel shows on faces, in Emo8's order.
_EXPRESSION_OF = (1, 8, 6, 2, 3, 5, 4, 9)
_SPOKE_ODDS = (0.22, 0.1, 0.09, 0.08, 0.14, 0.08, 0.13, 0.16)
_PEOPLE_ODDS = (0.26, 0.3, 0.2, 0.14, 0.1)
_PLAN, _PERSON, _PLACE = range(100, 103)


@dataclass(frozen=True)
class SceneLabels:
    """What is known of a scene before it is rendered.

    Args:
        split: train, validation or test.
        emo8: class id of Emo8.
        emo24: class id of Emo24.
        valence: -3 to 3.
        arousal: 0 to 6.
        ambiguity: 0 to 6.
        expressions: what each person shows, ids of ``people.EXPRESSIONS`` (the first eight are FER8's), from back to
            front.
        strengths: how strongly, 0 to 1.
        facing: whether the person faces the viewer.
    """

    split: str
    emo8: int
    emo24: int
    valence: int
    arousal: int
    ambiguity: int
    expressions: tuple[int, ...]
    strengths: tuple[float, ...]
    facing: tuple[bool, ...]


@dataclass(frozen=True)
class Scene:
    """A synthetic scene.

    Args:
        image: uint8 (H, W, 3), RGB.
        boxes: float32 (F, 4), left, top, right, bottom of each face that can be seen, in pixels; F may be 0.
        faces: int64 (F,), which person (position in ``labels.expressions``) each box belongs to.
        labels: the scene's labels.
    """

    image: Image
    boxes: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]
    labels: SceneLabels


@dataclass(frozen=True)
class SynthScenes:
    """All labels of a set of scenes, N in number; pictures are rendered on access.

    Args:
        config: what it was made from.
        split: str (N,).
        emo8: int64 (N,).
        emo24: int64 (N,).
        valence: int64 (N,), -3 to 3.
        arousal: int64 (N,), 0 to 6.
        ambiguity: int64 (N,), 0 to 6.
        people: int64 (N,), how many people are in the scene, 1 to 5.
    """

    config: SceneConfig
    split: npt.NDArray[np.str_]
    emo8: npt.NDArray[np.int64]
    emo24: npt.NDArray[np.int64]
    valence: npt.NDArray[np.int64]
    arousal: npt.NDArray[np.int64]
    ambiguity: npt.NDArray[np.int64]
    people: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.split)

    def draw(self, index: int) -> Scene:
        """Render scene ``index``; see :func:`draw_scene`."""
        return draw_scene(index, self.config)


def _rng(config: SceneConfig, index: int, *key: int) -> tuple[np.random.Generator, int]:
    """The generator of a part of a scene, and the number of the scene's split."""
    split, position = config.place_of(index)
    return np.random.default_rng(np.random.SeedSequence((VERSION, config.seed, split, position, *key))), split


def scene_labels(index: int, config: SceneConfig) -> SceneLabels:
    """The labels of one scene.

    Args:
        index: position among all scenes: train first, then validation, then test.
        config: the set of scenes.

    Returns:
        Its labels.

    Raises:
        IndexError: there is no such scene.
    """
    rng, split = _rng(config, index, _PLAN)
    d = config.difficulty
    emo8 = int(rng.choice(8, p=_SPOKE_ODDS))
    strength = float(rng.uniform(0.25, 1.0))
    count = 1 + int(rng.choice(5, p=_PEOPLE_ODDS))
    expressions, strengths = [], []
    for _ in range(count):
        joins = rng.random() < 1 - 0.6 * d
        # A scene's weak emotion is still shown visibly: bystanders, not faint faces, make scenes hard.
        expressions.append(_EXPRESSION_OF[emo8] if joins else int(rng.choice((0, 0, 0, 1, 2, 3, 4, 9))))
        strengths.append(float(np.clip((0.35 + 0.65 * strength) * rng.uniform(0.85, 1.15), 0, 1)))
    facing = rng.random(count) > 0.14
    agree = float(np.mean([e == _EXPRESSION_OF[emo8] for e in expressions]))
    feeling = VALENCE_AROUSAL[_EXPRESSION_OF[emo8]] * (0.3 + 0.7 * strength)
    noise = rng.normal(0, 0.35, 3)
    return SceneLabels(
        split=SPLITS[split],
        emo8=emo8,
        emo24=3 * emo8 + leaf(strength),
        valence=int(np.clip(np.rint(3.4 * feeling[0] + noise[0]), -3, 3)),
        arousal=int(np.clip(np.rint(2.4 + 3.8 * feeling[1] + noise[1]), 0, 6)),
        ambiguity=int(np.clip(np.rint(6 * (1 - agree) * 0.7 + 2.2 * (1 - strength) + noise[2]), 0, 6)),
        expressions=tuple(expressions),
        strengths=tuple(strengths),
        facing=tuple(facing.tolist()),
    )


def _person(index: int, number: int, config: SceneConfig, labels: SceneLabels) -> tuple[FaceParams, float]:
    """Appearance of one person, and the side in pixels (of the final picture) of the square of the face.

    The shift of the parameters is in these squares, from the picture's origin.
    """
    rng, _ = _rng(config, index, _PERSON, number)
    count = len(labels.expressions)
    identity = draw_identity(rng)
    base = config.height * (0.56, 0.5, 0.42, 0.37, 0.34)[count - 1]
    side = base * (0.85 + 0.3 * (number + rng.random()) / count)
    # Neighbouring positions alternate in depth, so that the people in front stand between those behind.
    slots = sorted(range(count), key=lambda i: (i % 2, i))
    x = config.width * ((slots[number] + 0.5) / count + rng.uniform(-0.1, 0.1) / count)
    y = config.height * (0.36 + 0.16 * number / count + rng.uniform(-0.06, 0.06)) + 0.06 * side
    strengths = np.zeros(10)
    expression = labels.expressions[number]
    strengths[expression] = labels.strengths[number]
    look = draw_look(rng, identity, config.difficulty)
    return (
        replace(
            look,
            action=action_of(strengths, draw_prototypes(rng), identity),
            asymmetry=float(rng.choice((-1, 1))) if expression == 7 else 0.0,
            occluder="none",
            scale=1.0,
            shift=(x / side - 0.5, y / side - 0.5),
        ),
        side,
    )


def _box(params: FaceParams, side: float, config: SceneConfig) -> npt.NDArray[np.float32]:
    """Box around brows and jaw, with some forehead, cut off at the picture's edges."""
    points = project(landmarks(params), np.repeat([0.0, 1.0], [17, 51]), 0.0, params, side)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    top -= 0.28 * (bottom - top)
    limit = np.array([config.width, config.height, config.width, config.height])
    return np.clip([left, top, right, bottom], 0, limit).astype(np.float32)


def _hidden(box: npt.NDArray[np.float32], before: list[npt.NDArray[np.float32]]) -> bool:
    """Whether other heads cover more than a third of a box."""
    area = max(float((box[2] - box[0]) * (box[3] - box[1])), 1e-6)
    for other in before:
        w = min(box[2], other[2]) - max(box[0], other[0])
        h = min(box[3], other[3]) - max(box[1], other[1])
        if w > 0 and h > 0 and w * h > area / 3:
            return True
    return False


def _paint_person(canvas: Image, params: FaceParams, side: float, facing: bool) -> None:
    height, width = canvas.shape[:2]
    person = params.identity
    unit = 0.43 * side
    cx, cy = (0.5 + params.shift[0]) * side, (0.53 + params.shift[1]) * side
    torso = np.array(
        [
            [-1.7, 2.2],
            [-1.62, 1.8],
            [-1.4, 1.52],
            [-0.45, 1.2],
            [0.45, 1.2],
            [1.4, 1.52],
            [1.62, 1.8],
            [1.7, 2.2],
            [1.8, 12],
            [-1.8, 12],
        ]
    )
    cv2.fillPoly(canvas, [np.rint(torso * unit + (cx, cy)).astype(np.int32)], person.clothes, cv2.LINE_AA)
    for s in (-1, 1):
        arm = np.rint(np.array([[s * 1.15, 2.3], [s * 1.2, 12]]) * unit + (cx, cy)).astype(np.int32)
        cv2.polylines(canvas, [arm], False, shaded(person.clothes, 0.72), max(int(0.05 * unit), 1), cv2.LINE_AA)
    if not facing:
        _paint_back(canvas, params, unit, cx, cy)
        return
    x0, x1 = max(int(cx - 1.1 * side), 0), min(int(cx + 1.1 * side), width)
    y0, y1 = max(int(cy - 1.1 * side), 0), min(int(cy + 0.9 * side), height)
    if x1 - x0 > 4 and y1 - y0 > 4:
        shifted = replace(params, shift=(params.shift[0] - x0 / side, params.shift[1] - y0 / side))
        paint_face(canvas[y0:y1, x0:x1], shifted, side, body=False, smooth_edges=True)


def _paint_back(canvas: Image, params: FaceParams, unit: float, cx: float, cy: float) -> None:
    """The back of a head: neck, ears, hair."""
    person = params.identity
    hair = (
        person.skin
        if person.hair_style == "bald"
        else person.clothes
        if person.hair_style in ("beanie", "scarf")
        else person.hair
    )
    skin = mix(person.skin, (60, 25, 20), 0.2)

    def oval(x: float, y: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        centre, axes = (
            (round(cx + x * unit), round(cy + y * unit)),
            (max(round(rx * unit), 1), max(round(ry * unit), 1)),
        )
        cv2.ellipse(canvas, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(0, 1.0, 0.44, 0.42, skin)
    for s in (-1, 1):
        oval(s * person.face_width, 0.0, 0.11, person.ear_size, skin)
    oval(0, -0.16, 1.05 * person.face_width + 0.05, 1.04, hair)
    if person.hair_style in ("long", "scarf"):
        oval(0, 0.35, 1.12 * person.face_width + 0.05, 1.1, hair)
    oval(-0.25, -0.7, 0.22, 0.12, shaded(hair, 1.12))


def draw_scene(index: int, config: SceneConfig) -> Scene:
    """Render one scene.

    Args:
        index: position among all scenes: train first, then validation, then test.
        config: the set of scenes.

    Returns:
        The picture, the boxes of the faces that can be seen, and the labels.

    Raises:
        IndexError: there is no such scene.
    """
    labels = scene_labels(index, config)
    rng, _ = _rng(config, index, _PLACE)
    factor = 2
    # The place agrees with the feeling only a little.
    warmth, energy = 0.13 * labels.valence + rng.normal(0, 0.6), 0.1 * (labels.arousal - 3) + rng.normal(0, 0.5)
    canvas = draw_place(config.width * factor, config.height * factor, Mood(float(warmth), float(energy)), rng)
    people = [_person(index, number, config, labels) for number in range(len(labels.expressions))]
    for (params, side), facing in zip(people, labels.facing, strict=True):
        _paint_person(canvas, params, side * factor, facing)
    heads = [_box(params, side, config) for params, side in people]
    seen = []
    for i, box in enumerate(heads):
        inside = (box[2] - box[0] > 8) and (box[3] - box[1] > 8)
        if labels.facing[i] and inside and not _hidden(box, heads[i + 1 :]):
            seen.append(i)
    image = cv2.resize(canvas, (config.width, config.height), interpolation=cv2.INTER_AREA)
    tint = np.array([1 + 0.06 * warmth, 1.0, 1 - 0.06 * warmth]) * (1 + 0.06 * np.clip(warmth + energy, -2, 2))
    grain = rng.standard_normal(image.shape[:2], dtype=np.float32)[:, :, None] * np.float32(
        2 + 6 * config.difficulty * rng.random()
    )
    image = np.clip(image * tint.astype(np.float32) + grain, 0, 255).astype(np.uint8)
    boxes = np.array([heads[i] for i in seen], dtype=np.float32).reshape(-1, 4)
    return Scene(image, boxes, np.array(seen, dtype=np.int64), labels)


def generate_scenes(config: SceneConfig) -> SynthScenes:
    """All labels of a set of scenes; nothing is rendered.

    Args:
        config: the set of scenes.

    Returns:
        The labels, and :meth:`SynthScenes.draw`.
    """
    labels = [scene_labels(index, config) for index in range(sum(config.counts))]

    def ids(name: str) -> npt.NDArray[np.int64]:
        return np.array([getattr(one, name) for one in labels], dtype=np.int64)

    return SynthScenes(
        config=config,
        split=np.array([one.split for one in labels], dtype=np.str_),
        emo8=ids("emo8"),
        emo24=ids("emo24"),
        valence=ids("valence"),
        arousal=ids("arousal"),
        ambiguity=ids("ambiguity"),
        people=np.array([len(one.expressions) for one in labels], dtype=np.int64),
    )
