"""Small data in the layouts in which the real datasets circulate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer_bench.labels import FER7, FER8

USAGES = ("Training", "PublicTest", "PrivateTest")
SPLIT_OF = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
VOTES_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
# FER2013's ids in FER+'s columns.
FER7_TO_FER8 = [FER8.index(name) for name in FER7.names]


@dataclass
class Faces:
    """Images (N, 48, 48), labels (N,) and Usage (N,), in the order of the file."""

    images: np.ndarray
    labels: np.ndarray
    usage: np.ndarray

    def __len__(self):
        return len(self.labels)


def smooth_images(n, seed=0, side=48):
    """Unlike each other, with contrast, and smooth enough to survive a JPEG or a small shift."""
    coarse = np.random.default_rng(seed).integers(0, 256, size=(n, 6, 6), dtype=np.uint8)
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in coarse])


def make_faces(per_class=(6, 2, 2), seed=0):
    """Every class in every split; the rows of a split stand together, as in the real file."""
    labels, usage = [], []
    for name, n in zip(USAGES, per_class, strict=True):
        labels += list(np.random.default_rng(seed).permutation(np.repeat(np.arange(7), n)))
        usage += [name] * (7 * n)
    return Faces(smooth_images(len(labels), seed), np.array(labels), np.array(usage))


def pixel_text(image):
    return " ".join(map(str, image.ravel().tolist()))


def write_csv(folder: Path, faces: Faces, name="fer2013.csv"):
    """``fer2013.csv``: emotion, pixels, Usage."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{label},{pixel_text(image)},{usage}"
        for image, label, usage in zip(faces.images, faces.labels, faces.usage, strict=True)
    ]
    path = folder / name
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return path


def write_icml(folder: Path, faces: Faces):
    """``icml_face_data.csv``: another order of columns, and blanks before their names."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{label},{usage},{pixel_text(image)}"
        for image, label, usage in zip(faces.images, faces.labels, faces.usage, strict=True)
    ]
    path = folder / "icml_face_data.csv"
    path.write_text("\n".join(["emotion, Usage, pixels", *rows]) + "\n")
    return path


def write_folders(folder: Path, faces: Faces, two=False, names=FER7.names):
    """Class folders in ``train/ validation/ test/``, or, as ``two``, with PublicTest lost among ``train/`` and from the
    names."""
    for row, (image, label, usage) in enumerate(zip(faces.images, faces.labels, faces.usage, strict=True)):
        split = SPLIT_OF[str(usage)]
        if two and split == "validation":
            split = "train"
        place = folder / split / names[label]
        place.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(place / f"{'im' if two else usage}_{row:05d}.png"), image)
    return folder


def make_votes(faces: Faces, seed=0):
    """Ten taggers, most of whom agree with FER2013's label: (N, 10)."""
    generator = np.random.default_rng(seed)
    votes = np.zeros((len(faces), 10), dtype=np.int64)
    for row, label in enumerate(faces.labels):
        votes[row, FER7_TO_FER8[label]] = 6
        votes[row] += np.bincount(generator.integers(0, 10, size=4), minlength=10)
    return votes


def write_votes(folder: Path, faces: Faces, votes):
    """``fer2013new.csv``: names that are blank in places, occur twice, and are no row numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [VOTES_HEADER]
    for row, (usage, counts) in enumerate(zip(faces.usage, votes, strict=True)):
        image_name = "" if row % 5 == 3 else "fer0000001.png" if row in (0, 1) else f"fer{(row * 7919) % 35887:07d}.png"
        lines.append(f"{usage},{image_name}," + ",".join(map(str, counts)))
    path = folder / "fer2013new.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_class_folders(folder: Path, per_class=4, names=FER7.names, people=0, seed=0, colour=False, side=48):
    """A dataset of one's own without split folders; with ``people``, names begin with ``S<person>_``."""
    images = iter(smooth_images(per_class * len(names), seed, side))
    for name in names:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            image = next(images)
            prefix = f"S{i % people:03d}_" if people else ""
            assert cv2.imwrite(
                str(place / f"{prefix}{i:04d}.png"),
                np.stack([image, image // 2, 255 - image], axis=2) if colour else image,
            )
    return folder
