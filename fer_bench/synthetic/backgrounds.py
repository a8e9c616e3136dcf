"""Backgrounds of synthetic scenes: rooms and landscapes, tinted by a mood."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.synthetic.strokes import Colour, mix, shaded

Image = npt.NDArray[np.uint8]


class Mood(NamedTuple):
    """What tints a place: ``warmth`` (cold and dull below 0) and ``energy`` (dark and busy above 0), both around 0."""

    warmth: float
    energy: float


def _pick(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    return palette[int(rng.integers(len(palette)))]


def _fade(canvas: Image, top: int, bottom: int, first: Colour, second: Colour) -> None:
    """Vertical gradient between two rows."""
    ends = np.array([[first], [second]], np.uint8)
    if bottom > top:
        canvas[top:bottom] = cv2.resize(ends, (canvas.shape[1], bottom - top), interpolation=cv2.INTER_LINEAR)


def _outdoors(canvas: Image, mood: Mood, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    horizon = int(h * rng.uniform(0.4, 0.65))
    sky = mix((128, 138, 150), (120, 180, 235), float(np.clip(0.5 + 0.5 * mood.warmth, 0, 1)))
    if rng.random() < 0.2 + 0.1 * mood.energy:
        sky = _pick(rng, ((52, 56, 92), (226, 150, 104), (96, 84, 120)))
    _fade(canvas, 0, horizon, sky, mix(sky, (250, 240, 225), 0.55))
    if rng.random() < 0.5 + 0.2 * mood.warmth:
        cv2.circle(
            canvas,
            (int(w * rng.random()), int(h * rng.uniform(0.05, 0.25))),
            int(h * 0.06),
            (255, 244, 205),
            -1,
            cv2.LINE_AA,
        )
    far = _pick(rng, ((96, 122, 110), (120, 124, 138), (140, 128, 108)))
    x = np.linspace(0, w, 24)
    ridge = horizon - h * 0.06 * (
        1.2
        + np.sin(x / w * rng.uniform(4, 14) + rng.uniform(0, 6))
        + 0.4 * rng.standard_normal(24) * (rng.random() < 0.5)
    )
    hills = np.concatenate([np.stack([x, ridge], axis=1), [[w, horizon + 2], [0, horizon + 2]]])
    cv2.fillPoly(canvas, [hills.astype(np.int32)], far, cv2.LINE_AA)
    ground = _pick(rng, ((104, 142, 76), (156, 146, 112), (112, 112, 118), (208, 190, 142), (226, 230, 236)))
    _fade(canvas, horizon, h, mix(ground, (255, 255, 240), 0.2), shaded(ground, 0.72))
    if rng.random() < 0.4:
        for left in np.sort(rng.uniform(-0.1, 1.0, int(rng.integers(2, 6)))):
            _house(canvas, int(left * w), horizon, rng)
    for left in rng.random(int(rng.integers(0, 6))):
        _tree(canvas, int(left * w), horizon + int(rng.uniform(0, 0.1) * h), rng)


def _house(canvas: Image, left: int, ground: int, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    width, height = int(w * rng.uniform(0.1, 0.22)), int(h * rng.uniform(0.18, 0.42))
    wall = _pick(rng, ((170, 150, 132), (140, 142, 152), (186, 122, 96), (206, 198, 180)))
    cv2.rectangle(canvas, (left, ground - height), (left + width, ground), wall, -1)
    step = max(width // 4, 6)
    lit = mix((70, 84, 104), (250, 226, 150), float(rng.random() < 0.4))
    for x in range(left + step // 2, left + width - step // 2, step):
        for y in range(ground - height + step // 2, ground - step, step):
            cv2.rectangle(canvas, (x, y), (x + step // 2, y + step // 2), lit, -1)


def _tree(canvas: Image, x: int, ground: int, rng: np.random.Generator) -> None:
    h = canvas.shape[0]
    size = int(h * rng.uniform(0.07, 0.15))
    cv2.line(canvas, (x, ground), (x, ground - 2 * size), (92, 66, 46), max(size // 5, 1), cv2.LINE_AA)
    leaves = _pick(rng, ((66, 112, 58), (96, 134, 64), (172, 120, 50), (58, 92, 72)))
    for dx, dy, r in ((-0.5, 2.0, 0.75), (0.5, 2.0, 0.75), (0.0, 2.6, 0.85)):
        cv2.circle(
            canvas,
            (int(x + dx * size), int(ground - dy * size)),
            int(r * size),
            shaded(leaves, 0.9 + 0.1 * dy),
            -1,
            cv2.LINE_AA,
        )


def _indoors(canvas: Image, mood: Mood, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    walls: tuple[Colour, ...] = ((208, 200, 186), (168, 182, 192), (196, 172, 150), (150, 160, 142), (178, 164, 182))
    wall = mix(_pick(rng, walls), (232, 196, 140), float(np.clip(0.25 * mood.warmth, 0, 0.4)))
    wall = shaded(wall, float(np.clip(1.0 - 0.12 * mood.energy + 0.08 * mood.warmth, 0.6, 1.15)))
    floor = int(h * rng.uniform(0.66, 0.82))
    _fade(canvas, 0, floor, shaded(wall, 1.05), shaded(wall, 0.86))
    _fade(canvas, floor, h, (134, 104, 78), (96, 72, 54))
    cv2.line(canvas, (0, floor), (w, floor), (236, 230, 220), max(h // 80, 1))
    if rng.random() < 0.6:
        x, y, a, b = (
            int(w * rng.uniform(0, 0.75)),
            int(h * rng.uniform(0.04, 0.2)),
            int(w * rng.uniform(0.15, 0.28)),
            int(h * rng.uniform(0.25, 0.42)),
        )
        sky: Colour = (40, 48, 84) if rng.random() < 0.25 + 0.1 * mood.energy else (178, 214, 240)
        cv2.rectangle(canvas, (x, y), (x + a, y + b), sky, -1)
        for p, q in (((x, y + b // 2), (x + a, y + b // 2)), ((x + a // 2, y), (x + a // 2, y + b))):
            cv2.line(canvas, p, q, (240, 238, 232), max(h // 100, 1))
        cv2.rectangle(canvas, (x, y), (x + a, y + b), (240, 238, 232), max(h // 60, 1))
    for _ in range(int(rng.integers(0, 4))):
        _hanging(canvas, rng)
    if rng.random() < 0.4 + 0.15 * mood.warmth:
        for i, x in enumerate(np.linspace(0.03, 0.97, 9)):
            colour = ((226, 92, 84), (240, 190, 70), (86, 160, 196), (120, 180, 100))[i % 4]
            cv2.fillPoly(
                canvas,
                [np.array([[(x - 0.03) * w, 0.03 * h], [(x + 0.03) * w, 0.03 * h], [x * w, 0.1 * h]], np.int32)],
                colour,
                cv2.LINE_AA,
            )


def _hanging(canvas: Image, rng: np.random.Generator) -> None:
    """A picture on the wall or a shelf."""
    h, w = canvas.shape[:2]
    x, y = int(w * rng.uniform(0.0, 0.85)), int(h * rng.uniform(0.05, 0.35))
    a, b = int(w * rng.uniform(0.07, 0.16)), int(h * rng.uniform(0.08, 0.2))
    if rng.random() < 0.5:
        r, g, c = rng.integers(60, 230, 3).tolist()
        cv2.rectangle(canvas, (x, y), (x + a, y + b), (r, g, c), -1)
        cv2.rectangle(canvas, (x, y), (x + a, y + b), (92, 70, 50), max(h // 80, 1))
        return
    cv2.rectangle(canvas, (x, y + b), (x + 2 * a, y + b + h // 50), (120, 88, 60), -1)
    for i in range(int(rng.integers(2, 8))):
        r, g, c = rng.integers(50, 220, 3).tolist()
        left = x + i * a // 4
        cv2.rectangle(canvas, (left, y + b - int(b * rng.uniform(0.5, 0.95))), (left + a // 5, y + b), (r, g, c), -1)


def draw_place(width: int, height: int, mood: Mood, rng: np.random.Generator) -> Image:
    """A room or a landscape.

    Args:
        width: in pixels.
        height: in pixels.
        mood: tints colours and decides on objects, both weakly.
        rng: source of everything else.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    canvas = np.zeros((height, width, 3), np.uint8)
    (_indoors if rng.random() < 0.5 else _outdoors)(canvas, mood, rng)
    return canvas
