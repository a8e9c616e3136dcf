"""Valence and arousal drawn: Russell's circumplex with the trail of the last seconds, and a gauge where there is one
dimension only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.deploy.model_card import Card
from fer_bench.live.text_rendering import Colour, draw_text
from fer_bench.live.tracks import TRAIL_SECONDS, Track

INK, FAINT, RULE, FIELD = (240, 240, 240), (165, 160, 155), (92, 86, 82), (46, 42, 40)
Coloured = Sequence[tuple[Track, Colour]]


def unit_values(values: npt.NDArray[np.float32], scale: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Values of a dataset on -1 to 1; what is beyond is moved to the border.

    Args:
        values: of any shape, in the dataset's units.
        scale: lowest and highest value of the dataset.

    Returns:
        float32 of the same shape.
    """
    low, high = scale
    return np.asarray(np.clip((values - (low + high) / 2) / ((high - low) / 2), -1, 1), dtype=np.float32)


def draw_circumplex(area: npt.NDArray[np.uint8], faces: Coloured, card: Card, unit: float) -> None:
    """Draw the plane of valence (to the right) and arousal (upwards), a point and a trail per face, and below it their
    values.

    Args:
        area: BGR, uint8 (H, W, 3), written to.
        faces: tracks and their colours.
        card: names and scale of the outputs.
        unit: pixels per pixel of the design.
    """
    size = round(12 * unit)
    side = min(area.shape[1], round(238 * unit), area.shape[0] - round(70 * unit))
    left, margin = (area.shape[1] - side) // 2, round(17 * unit)
    field = np.full((side, side, 3), area[0, 0], dtype=np.uint8)
    centre, radius = side // 2, side // 2 - margin
    thin = max(round(unit), 1)
    cv2.circle(field, (centre, centre), radius, FIELD, -1, cv2.LINE_AA)
    cv2.circle(field, (centre, centre), radius, RULE, thin, cv2.LINE_AA)
    cv2.line(field, (centre - radius, centre), (centre + radius, centre), RULE, thin)
    cv2.line(field, (centre, centre - radius), (centre, centre + radius), RULE, thin)
    at = [card.names.index("valence"), card.names.index("arousal")]
    for track, colour in faces:
        _trail(field, track, colour, card, at, (centre, radius), unit)
    area[:side, left : left + side] = field
    draw_text(area, "arousal", (left + centre, 0), size, FAINT, anchor="centre")
    draw_text(area, "valence", (left + centre + radius - thin, centre + round(3 * unit)), size, FAINT, anchor="right")
    _table(area[side + round(6 * unit) :], faces, card, unit)


def _trail(
    field: npt.NDArray[np.uint8],
    track: Track,
    colour: Colour,
    card: Card,
    at: list[int],
    circle: tuple[int, int],
    unit: float,
) -> None:
    centre, radius = circle
    points = []
    for time, outputs in track.trail:
        valence, arousal = unit_values(outputs[at], card.scale).tolist()
        points.append((time, (round(centre + valence * radius), round(centre - arousal * radius))))
    ground = np.array(FIELD, dtype=np.float32)
    for (_, begin), (time, end) in itertools.pairwise(points):
        fresh = max(0.15, 1 - (track.time - time) / TRAIL_SECONDS)
        shade = tuple(int(v) for v in ground + fresh * (np.array(colour, dtype=np.float32) - ground))
        cv2.line(field, begin, end, shade, max(round(2 * unit), 1), cv2.LINE_AA)
    if points:
        cv2.circle(field, points[-1][1], round(6 * unit), colour, -1, cv2.LINE_AA)
        cv2.circle(field, points[-1][1], round(6 * unit), INK, max(round(unit), 1), cv2.LINE_AA)


def _table(area: npt.NDArray[np.uint8], faces: Coloured, card: Card, unit: float) -> None:
    """One line per face: its values in the dataset's units."""
    size, line = round(13 * unit), round(20 * unit)
    if not faces:
        draw_text(area, "no face", (0, round(4 * unit)), round(15 * unit), FAINT)
        return
    columns = [area.shape[1] - round(75 * unit) * (len(card.names) - 1 - i) for i in range(len(card.names))]
    for x, name in zip(columns, card.names, strict=True):
        draw_text(area, name, (x, 0), round(12 * unit), FAINT, anchor="right")
    for row, (track, colour) in enumerate(faces, start=1):
        y = row * line
        if y + line > area.shape[0]:
            break
        draw_text(area, f"face {track.number}", (0, y), size, colour, bold=True)
        for x, value in zip(columns, track.outputs, strict=True):
            draw_text(area, f"{value:+.2f}", (x, y), size, INK, anchor="right")


def draw_gauges(area: npt.NDArray[np.uint8], faces: Coloured, card: Card, unit: float) -> None:
    """Draw one horizontal scale per dimension, with a mark per face; arguments as of :func:`draw_circumplex`."""
    size = round(13 * unit)
    y = round(6 * unit)
    for i, name in enumerate(card.names):
        draw_text(area, name, (0, y), size, FAINT)
        y += round(34 * unit)
        area[y : y + max(round(2 * unit), 1), :] = RULE
        area[y - round(5 * unit) : y + round(6 * unit), area.shape[1] // 2] = RULE
        for track, colour in faces:
            x = round(
                (float(unit_values(track.outputs[[i]], card.scale)[0]) + 1) / 2 * (area.shape[1] - round(8 * unit))
            )
            area[y - round(9 * unit) : y + round(10 * unit), x : x + round(8 * unit)] = colour
        for text, anchor, x in ((f"{card.scale[0]:g}", "left", 0), (f"{card.scale[1]:g}", "right", area.shape[1])):
            draw_text(area, text, (x, y + round(12 * unit)), round(12 * unit), FAINT, anchor=anchor)  # type: ignore[arg-type]
        y += round(40 * unit)
    _table(area[y:], faces, card, unit)
