"""Small studies in the real layout: drawn faces in class folders, a study file beside them."""

from __future__ import annotations

import io
import math
import random
from functools import cache
from pathlib import Path

import typer
import yaml
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from fer_bench.errors import FerBenchError

MOODS = {"happy": 1.0, "neutral": 0.0, "sad": -0.8, "surprise": 0.2}


def run_verb(app: typer.Typer, *words: object) -> str:
    """What a verb says; its error, where it ends in one of ours."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, FerBenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def draw_face(path: Path, mood: float, seed: int = 0, size: int = 96) -> None:
    """A face drawn from circles and a curve; ``mood`` from -1 (frown) to 1 (smile)."""
    path.write_bytes(face_png(mood, seed, size))


@cache
def face_png(mood: float, seed: int, size: int) -> bytes:
    """Drawn once: nearly every study has the same faces."""
    rng = random.Random(seed)
    scale = 4
    side = size * scale
    image = Image.new("RGB", (side, side), tuple(rng.randint(90, 190) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    skin = rng.choice([(241, 203, 170), (198, 146, 108), (141, 96, 66), (255, 222, 196)])
    hair = rng.choice([(40, 30, 25), (90, 60, 35), (150, 110, 60), (60, 60, 65)])
    unit = side / 100
    draw.ellipse([22 * unit, 78 * unit, 78 * unit, 140 * unit], fill=(70, 84, 104))
    draw.ellipse([20 * unit, 6 * unit, 80 * unit, 74 * unit], fill=hair)
    draw.ellipse([24 * unit, 14 * unit, 76 * unit, 88 * unit], fill=skin)
    for x in (39, 61):
        draw.ellipse([(x - 5) * unit, 40 * unit, (x + 5) * unit, 48 * unit], fill="white")
        draw.ellipse([(x - 2.5) * unit, 41 * unit, (x + 2.5) * unit, 47 * unit], fill=(45, 35, 30))
        draw.line(
            [
                (x - 6) * unit,
                (35 - 2 * mood * (1 if x > 50 else -1)) * unit,
                (x + 6) * unit,
                (35 + 2 * mood * (1 if x > 50 else -1)) * unit,
            ],
            fill=hair,
            width=int(2 * unit),
        )
    draw.line(
        [50 * unit, 48 * unit, 48 * unit, 58 * unit, 52 * unit, 59 * unit],
        fill=tuple(int(c * 0.8) for c in skin),
        width=int(1.5 * unit),
    )
    mouth = [(50 + 13 * t) * unit for t in (i / 20 - 1 for i in range(41))]
    points = [(x, (70 + 6 * mood * math.cos((x / unit - 50) / 13 * math.pi / 2)) * unit) for x in mouth]
    draw.line(points, fill=(150, 50, 55), width=int(2.4 * unit), joint="curve")
    content = io.BytesIO()
    image.resize((size, size), Image.Resampling.LANCZOS).save(content, "png")
    return content.getvalue()


def write_study(folder: Path, per_class: int = 3, size: int = 48, **changes: object) -> Path:
    """Write images and a study file; ``changes`` replace or add top-level keys, ``None`` removes one."""
    for index, (label, mood) in enumerate(MOODS.items()):
        (folder / "images" / label).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            draw_face(folder / "images" / label / f"{number:03d}.png", mood, seed=100 * index + number, size=size)
    (folder / "images" / "extra").mkdir(exist_ok=True)
    draw_face(folder / "images" / "extra" / "practice.png", 0.5, seed=901, size=size)
    draw_face(folder / "images" / "extra" / "laughing.png", 1.0, seed=902, size=size)
    content = {
        "name": "faces",
        "version": "1",
        "title": "How do these faces feel?",
        "seed": 7,
        "images": {"folder": "images"},
        "form": {"categories": ["neutral", "happy", "sad", "disgust", "surprise", "contempt", "fear", "anger"]},
        "repeats": 2,
        "repeat_gap": 3,
        "practice": [{"image": "extra/practice.png", "note": "Try the form: there is no right or wrong."}],
        "catch": [{"image": "extra/laughing.png", "expect": {"category": ["happy"], "valence": [6, 9]}}],
        "consent": "Taking part is voluntary.\n\n- You may stop at any time.\n- Your answers are kept under a number.",
        "instructions": "You will see one picture at a time.\n\nGo by your first impression.",
    }
    content.update(changes)
    path = folder / "study.yaml"
    path.write_text(
        yaml.safe_dump({key: value for key, value in content.items() if value is not None}, sort_keys=False),
        encoding="utf-8",
    )
    return path
