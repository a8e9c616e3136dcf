"""Small AFEW-VA and SEMAINE copies in their owners' layouts."""

from __future__ import annotations

import json

import cv2
import numpy as np

WIDTH, HEIGHT = 96, 80


def face(valence, arousal, seed, scale=1.0):
    """A frame whose face is brighter for valence and wider for arousal, and its 68 landmarks; values in -1..1."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 40, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
    x, y = 30 + generator.integers(0, 8), 20 + generator.integers(0, 6)
    wide, tall = round((26 + 8 * arousal) * scale), round(30 * scale)
    image[y : y + tall, x : x + wide] = (int(128 + 100 * valence), 90, 60)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    landmarks = np.stack([x + wide / 2 + wide / 2 * np.cos(angles), y + tall / 2 + tall / 2 * np.sin(angles)], axis=1)
    return image, landmarks


def write_afew_va(root, clips=20, frames=4, nested=True, actors=10):
    """Clips 001.. with integer labels; two parts deep where nested."""
    generator = np.random.default_rng(0)
    for c in range(1, clips + 1):
        name = f"{c:03d}"
        folder = root / (f"AFEW-VA_{c % 3:02d}" if nested else ".") / name
        folder.mkdir(parents=True)
        base = generator.integers(-8, 9, size=2)
        entries = {}
        for f in range(frames):
            valence, arousal = (int(v) for v in np.clip(base + generator.integers(-1, 2, size=2), -10, 10))
            image, landmarks = face(valence / 10, arousal / 10, 1000 * c + f)
            cv2.imwrite(str(folder / f"{f:05d}.png"), image[:, :, ::-1])
            entries[f"{f:05d}"] = {"valence": valence, "arousal": arousal, "landmarks": landmarks.round(2).tolist()}
        (folder / f"{name}.json").write_text(
            json.dumps({"video_id": name, "actor": f"actor {c % actors}", "frames": entries})
        )
    return root


def write_semaine(root, sessions=6, seconds=4, raters=2, subjects=3, picture=None):
    """Sessions with a video of the user at 50 frames/s, an XML file and FeelTrace traces of unequal length; with a
    picture, RGB, every frame is that.
    """
    height, width = (HEIGHT, WIDTH) if picture is None else picture.shape[:2]
    for s in range(1, sessions + 1):
        folder = root / "Sessions" / str(s)
        folder.mkdir(parents=True)
        n = seconds * 50
        time = np.arange(n) * 0.02
        valence, arousal = 0.5 * np.sin(time + s), 0.4 * np.cos(time * 1.3 + s)
        video = folder / f"2008.12.0{s}_User HeadAndShoulders_C1.avi"
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 50, (width, height))
        for i in range(n):
            shown = face(valence[i], arousal[i], s)[0] if picture is None else picture
            writer.write(np.ascontiguousarray(shown[:, :, ::-1]))
        writer.release()
        notes = []
        for rater in range(1, raters + 1):
            for letter, values in (("V", valence), ("A", arousal)):
                name = f"R{rater}S{s}TUCD{letter}.txt"
                trace = values[: n - 7 * rater] + 0.1 * rater
                (folder / name).write_text("".join(f"{t:.2f} {v:.4f}\n" for t, v in zip(time, trace, strict=False)))
                notes.append(f'<annotation type="FeelTrace" filename="{name}"/>')
        (folder / "session.xml").write_text(
            f'<session sessionId="{s}"><subject id="{s % subjects}" role="User"/><subject id="90" role="Operator"/>'
            f'<track type="AV" filename="{video.name}">{"".join(notes)}</track></session>'
        )
    return root


def write_avec(root, sessions=3, n=60, media=None):
    """The AVEC variant: one CSV per session; the video beside it, or in ``media/<session>``, as it is handed out."""
    for s in range(1, sessions + 1):
        folder = root / "TrainingInput" / str(s)
        folder.mkdir(parents=True)
        place = root / media / str(s) if media else folder
        place.mkdir(parents=True, exist_ok=True)
        time = np.arange(n) * 0.02
        valence, arousal = 0.5 * np.sin(time + s), 0.4 * np.cos(time + s)
        writer = cv2.VideoWriter(str(place / "user.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 50, (WIDTH, HEIGHT))
        for i in range(n):
            writer.write(np.ascontiguousarray(face(valence[i], arousal[i], s)[0][:, :, ::-1]))
        writer.release()
        rows = "".join(f"{t:.2f},{v:.4f},{a:.4f}\n" for t, v, a in zip(time, valence, arousal, strict=True))
        (folder / "TU_VA.csv").write_text("Times,Valence,Arousal\n" + rows)
    return root
