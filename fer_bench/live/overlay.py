"""The picture that ``live`` shows: the frame with its boxes, and next to it, covering nothing, what the network says of
each face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fer_bench.deploy.model_card import Card
from fer_bench.live.circumplex import draw_circumplex, draw_gauges
from fer_bench.live.text_rendering import Colour, draw_text, text_size
from fer_bench.live.tracks import Track

LEAST_HEIGHT = 480
PANEL = 270  # at a height of 480
BACKGROUND, INK, FAINT, RULE = (34, 30, 28), (240, 240, 240), (165, 160, 155), (78, 72, 68)
# Okabe and Ito's colours, which the colour-blind can distinguish, in BGR.
PALETTE: tuple[Colour, ...] = (
    (233, 180, 86),
    (0, 159, 230),
    (115, 158, 0),
    (167, 121, 204),
    (66, 228, 240),
    (0, 94, 213),
)
MOST_ROWS = 8


@dataclass(frozen=True)
class Pace:
    """How fast it goes.

    Args:
        rate: frames per second that were looked at, lately.
        latency: from capture to drawing in seconds, lately.
        dropped: frames that were not looked at.
    """

    rate: float
    latency: float
    dropped: int


def colour_of(track: Track) -> Colour:
    """A face's colour, the same for as long as it is followed."""
    return PALETTE[(track.number - 1) % len(PALETTE)]


def compose(image: npt.NDArray[np.uint8], tracks: list[Track], card: Card, pace: Pace) -> npt.NDArray[np.uint8]:
    """Draw one frame.

    Args:
        image: BGR, uint8 (H, W, 3); left as it is.
        tracks: the faces in it.
        card: of the network.
        pace: shown at the foot.

    Returns:
        BGR, uint8: the frame, enlarged to at least 480 rows, with a panel to its right; even sides, as video codecs
            want them.
    """
    zoom = max(1.0, LEAST_HEIGHT / image.shape[0])
    height, width = (round(side * zoom) // 2 * 2 for side in image.shape[:2])
    unit = height / LEAST_HEIGHT
    canvas = np.empty((height, width + round(PANEL * unit) // 2 * 2, 3), dtype=np.uint8)
    canvas[:, :width] = (
        image
        if image.shape[:2] == (height, width)
        else cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    )
    canvas[:, width:] = BACKGROUND
    _boxes(np.asarray(canvas[:, :width]), tracks, card, zoom, unit)
    _panel(canvas[:, width:], tracks, card, pace, unit)
    return canvas


def _boxes(view: npt.NDArray[np.uint8], tracks: list[Track], card: Card, zoom: float, unit: float) -> None:
    size, pad = round(15 * unit), round(4 * unit)
    if not tracks:
        _tag(
            view,
            "no face",
            (view.shape[1] // 2 - text_size("no face", size, bold=True)[0] // 2 - pad, round(12 * unit)),
            size,
            pad,
            FAINT,
        )
    # OpenCV draws on whole arrays only.
    drawing = np.ascontiguousarray(view)
    for track in tracks:
        left, top, right, bottom = (round(side * zoom) for side in track.box)
        cv2.rectangle(drawing, (left, top), (right, bottom), colour_of(track), max(round(2 * unit), 1), cv2.LINE_AA)
    view[:] = drawing
    for track in tracks:
        left, top, _, bottom = (round(side * zoom) for side in track.box)
        height = text_size("x", size, bold=True)[1] + pad
        x = min(max(left - 1, 0), max(view.shape[1] - 1, 0))
        y = top - height if top >= height else min(bottom, view.shape[0] - height)
        _tag(view, f"{track.number}  {_headline(track, card)}", (x, y), size, pad, colour_of(track))


def _headline(track: Track, card: Card) -> str:
    if card.probabilities:
        best = int(track.outputs.argmax())
        return f"{card.names[best]} {track.outputs[best]:.0%}"
    digits = 2 if card.scale[1] - card.scale[0] <= 4 else 1
    return "  ".join(
        f"{name[0].upper()} {value:+.{digits}f}" for name, value in zip(card.names, track.outputs, strict=True)
    )


def _tag(view: npt.NDArray[np.uint8], text: str, at: tuple[int, int], size: int, pad: int, colour: Colour) -> None:
    width, height = text_size(text, size, bold=True)
    x = max(min(at[0], view.shape[1] - width - 2 * pad), 0)
    y = max(at[1], 0)
    view[y : y + height + pad, x : x + width + 2 * pad] = colour
    draw_text(view, text, (x + pad, y + pad // 2), size, BACKGROUND, bold=True)


def _panel(panel: npt.NDArray[np.uint8], tracks: list[Track], card: Card, pace: Pace, unit: float) -> None:
    edge, width, height = round(16 * unit), panel.shape[1], panel.shape[0]
    small, normal = round(12 * unit), round(15 * unit)
    draw_text(panel, card.model, (edge, round(12 * unit)), normal, INK, bold=True)
    draw_text(panel, f"{card.dataset}  {card.run_id}", (edge, round(33 * unit)), small, FAINT)
    top, foot = round(60 * unit), height - round(50 * unit)
    for y in (top - round(5 * unit), foot):
        panel[y : y + max(round(unit), 1), edge : width - edge] = RULE
    draw_text(panel, f"{pace.rate:.0f} frames/s", (edge, foot + round(8 * unit)), normal, INK)
    draw_text(
        panel, f"{pace.latency * 1000:.0f} ms", (width - edge, foot + round(8 * unit)), normal, INK, anchor="right"
    )
    lost = f"{pace.dropped} frame{'' if pace.dropped == 1 else 's'} dropped" if pace.dropped else "no frame dropped"
    draw_text(panel, lost, (edge, foot + round(28 * unit)), small, FAINT)
    draw_text(panel, "latency", (width - edge, foot + round(28 * unit)), small, FAINT, anchor="right")
    inner = panel[top + round(4 * unit) : foot - round(4 * unit), edge : width - edge]
    if card.probabilities:
        _bars(inner, tracks, card, unit)
    elif {"valence", "arousal"} <= set(card.names):
        draw_circumplex(inner, [(track, colour_of(track)) for track in tracks], card, unit)
    else:
        draw_gauges(inner, [(track, colour_of(track)) for track in tracks], card, unit)


def _bars(area: npt.NDArray[np.uint8], tracks: list[Track], card: Card, unit: float) -> None:
    """A block of bars per face, as many as fit."""
    if not tracks:
        draw_text(area, "no face", (0, round(6 * unit)), round(15 * unit), FAINT)
        return
    line, size = round(19 * unit), round(13 * unit)
    shown = min(len(card.names), MOST_ROWS)
    block = round(26 * unit) + shown * line
    fit = max(area.shape[0] // block, 1)
    label = max(text_size(name, size)[0] for name in card.names) + round(8 * unit)
    figures = text_size("100%", size)[0] + round(6 * unit)
    for row, track in enumerate(tracks[:fit]):
        y = row * block
        more = f"   (and {len(tracks) - fit} more)" if row == fit - 1 and len(tracks) > fit else ""
        draw_text(area, f"face {track.number}{more}", (0, y + round(3 * unit)), size, colour_of(track), bold=True)
        y += round(22 * unit)
        order = range(len(card.names)) if shown == len(card.names) else np.argsort(-track.outputs)[:shown]
        for i in order:
            value, best = float(track.outputs[i]), int(i) == int(track.outputs.argmax())
            room = area.shape[1] - label - figures
            draw_text(area, card.names[i], (0, y), size, INK if best else FAINT, bold=best)
            thickness, at = round(9 * unit), y + round(4 * unit)
            area[at : at + thickness, label : label + room] = RULE
            area[at : at + thickness, label : label + round(room * min(max(value, 0.0), 1.0))] = colour_of(track)
            draw_text(
                area, f"{value:.0%}", (area.shape[1], y), size, INK if best else FAINT, anchor="right", bold=False
            )
            y += line
