"""AFEW-VA (Kossaifi et al. 2017): 600 film clips, 30,051 frames, valence and arousal from -10 to 10 and 68 landmarks on
every frame.

Folders ``001`` to ``600``, each with ``00000.png`` ... and ``<folder>.json``; the official archives nest them in twelve
parts, so they are looked for at any depth. ``*_cropped`` copies are passed over. There are no official splits: folds go
by actor, or by clip, or, as in the thesis, by frame (leaky); and others split by the clips' numbers.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter_name
from fer_bench.cross_validation import Folding, folding_of
from fer_bench.data import cache as data_cache
from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.images import FileImages, carry, face_box, pixels_of, png_size
from fer_bench.data.samples import SPLITS, Samples
from fer_bench.errors import BadDataError, SpecError
from fer_bench.protocols.video import LAST_TRAINED, LAST_VALIDATED, NUMBERS, AfewVaOptions
from fer_bench.untrusted import parse_json, shown

READER_VERSION = "2"
SIDE = 224
SCALE = (-10, 10)
LAST_CLIP = 600
_MOST_DIGITS = 9


class AfewVaDataModule(AffectDataModule):
    """AFEW-VA; its options are :class:`fer_bench.protocols.video.AfewVaOptions`."""

    dataset = "afew_va"
    default_folding = Folding("identity", 5, 0)

    def __init__(self, task: str, **settings: Any) -> None:
        super().__init__(task, **settings)
        if self.chosen(AfewVaOptions).split == NUMBERS:
            if folding_of(settings.get("options") or {}) is not None:
                problem = f"dataset_options.split = {NUMBERS!r} has its own splits, and no folds."
                raise SpecError(problem, "Leave folds, fold and fold_by out, or split.")
            self.folding = None

    def read(self) -> Samples:
        """Index the clips; images are decoded when they are asked for."""
        options = self.chosen(AfewVaOptions)
        samples = read_afew_va(self.data_dir, size=self.image_size or SIDE, margin=options.margin, cache=options.cache)
        return by_numbers(samples) if options.split == NUMBERS else samples


def read_afew_va(data_dir: str | None, *, size: int = SIDE, margin: float = 0.1, cache: bool = True) -> Samples:
    """Read AFEW-VA.

    Args:
        data_dir: the data root or the dataset's folder; None: the usual places.
        size: side of the crops.
        margin: share of the box around the landmarks that is added on each side.
        cache: keep decoded crops on disk.

    Returns:
        Samples with ids ``<clip>/<frame>``, the target ``va`` in the dataset's own units, groups = clip, and the
        columns clip, identity (the actor; the clip where none is named), frame and landmarks (N, 68, 2) in pixels of
        the crop. Every sample's split is ``train`` until folds are cut. The checksum is over ids, labels, landmarks and
        the content of the image files.

    Raises:
        MissingDataError: there is no clip.
        BadDataError: a clip is there twice, or nothing usable is left.
    """
    folders = data_cache.candidates("afew_va", data_dir)
    for root in folders:
        clips = find_clips(root)
        if clips:
            break
    else:
        raise data_cache.missing("afew_va", ("folders 001 to 600 with <folder>.json",), folders)
    pictures = [path for clip in clips for path in sorted(clip.parent.glob("*.png")) if path.is_file()]
    key = f"{READER_VERSION}-{data_cache.listing_sha256(root, [*clips, *pictures])}"
    arrays, facts = data_cache.cached("afew_va", hashlib.sha256(key.encode()).hexdigest(), lambda: _index(root, clips))
    content = data_cache.file_digests(root, [root / str(name) for name in arrays["files"]])
    boxes = _crop_boxes(arrays["landmarks"], arrays["sizes"], margin)
    store = f"afew_va-{hashlib.sha256(f'{key}|{margin}'.encode()).hexdigest()[:16]}" if cache else ""
    clip = np.asarray(arrays["clip"])
    return Samples(
        ids=np.asarray(arrays["ids"]),
        images=FileImages(root, arrays["files"], size, boxes, cache=store),
        split=np.full(len(clip), "train", dtype="<U10"),
        targets={"va": np.asarray(arrays["va"])},
        layout=facts["layout"],
        groups=clip,
        columns={
            "clip": clip,
            "identity": np.asarray(arrays["identity"]),
            "frame": np.asarray(arrays["frame"]),
            "landmarks": carry(arrays["landmarks"], boxes, size),
        },
        notes=list(facts["notes"]),
        quarantined=[(path, reason) for path, reason in facts["quarantined"]],
        checksums={"all": hashlib.sha256(facts["checksum"].encode() + content.tobytes()).hexdigest()[:16]},
        facts={"counts": facts["counts"]},
    )


def by_numbers(samples: Samples) -> Samples:
    """The public split by the numbers of clips: 1 to 360, 361 to 480, 481 to 600.

    Args:
        samples: as of :func:`read_afew_va`.

    Raises:
        BadDataError: a clip has a number above 600.
    """
    numbers = samples.columns["clip"].astype(np.int64)
    if numbers.max() > LAST_CLIP:
        problem = f"clip {numbers.max()}: AFEW-VA's clips are numbered 1 to {LAST_CLIP}."
        raise BadDataError(problem, "Use the official archives, or split=folds.")
    split = np.array(SPLITS)[np.searchsorted([LAST_TRAINED, LAST_VALIDATED], numbers)]
    whole = samples.checksums["all"]
    checksums = {part: hashlib.sha256(f"{whole}|{NUMBERS}|{part}".encode()).hexdigest()[:16] for part in SPLITS}
    actors = [set(samples.columns["identity"][split == part]) for part in ("train", "test")]
    notes = [f"{n} actors are in train and in test"] if (n := len(actors[0] & actors[1])) else []
    return replace(samples, split=split, checksums=checksums, notes=[*samples.notes, *notes])


def find_clips(root: Path) -> list[Path]:
    """The JSON files of all clips below a folder, by clip.

    Raises:
        BadDataError: a clip is there twice.
    """
    found: dict[str, Path] = {}
    for here, folders, names in os.walk(root):
        place = Path(here)
        folders[:] = sorted(
            name for name in folders if not name.lower().endswith("_cropped") and not is_clutter_name(name)
        )
        if place.name.isdigit() and f"{place.name}.json" in names:
            if place.name in found:
                problem = f"clip {place.name} is in {found[place.name].parent} and in {place}."
                raise BadDataError(problem, "Keep one of the two copies.")
            found[place.name] = place / f"{place.name}.json"
    return [found[name] for name in sorted(found)]


def _index(root: Path, clips: list[Path]) -> tuple[data_cache.Arrays, dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    quarantined: list[tuple[str, str]] = []
    for path in clips:
        frames, bad = _read_clip(path)
        rows += [{**row, "file": str((path.parent / f"{row['frame']}.png").relative_to(root))} for row in frames]
        quarantined += [(str(where.relative_to(root)), reason) for where, reason in bad]
    counts = Counter(reason for _, reason in quarantined)
    if not rows:
        problem = (
            f"{root}: no usable frame in {len(clips)} clips"
            f" ({', '.join(f'{reason}: {n}' for reason, n in counts.most_common(4)) or 'they are empty'})."
        )
        raise BadDataError(problem, "Unpack the archives again.")
    landmarks = np.array([row["landmarks"] for row in rows], dtype=np.float32)
    sizes = np.array([row["size"] for row in rows], dtype=np.int32)
    outside = int(((landmarks < 0) | (landmarks > sizes[:, None, :])).any(axis=(1, 2)).sum())
    arrays: data_cache.Arrays = {
        "ids": np.array([f"{row['clip']}/{row['frame']}" for row in rows]),
        "files": np.array([row["file"] for row in rows]),
        "clip": np.array([row["clip"] for row in rows]),
        "identity": np.array([row["identity"] for row in rows]),
        "frame": np.array([int(row["frame"]) for row in rows], dtype=np.int64),
        "va": np.array([row["va"] for row in rows], dtype=np.float32),
        "landmarks": landmarks,
        "sizes": sizes,
    }
    digest = hashlib.sha256()
    for name in ("ids", "va", "landmarks"):
        column = arrays[name]
        digest.update("\n".join(column.tolist()).encode() if name == "ids" else np.ascontiguousarray(column).tobytes())
    nameless = len({row["clip"] for row in rows if row["identity"] == f"clip {row['clip']}"})
    notes = [f"{n} left out: {reason}" for reason, n in sorted(counts.items())]
    notes += [f"{outside} frames have landmarks outside the image; their boxes end at its border"] if outside else []
    notes += [f"{nameless} clips name no actor; each counts as a separate person"] if nameless else []
    facts = {
        "layout": (
            f"{len(clips)} clips,"
            f" {'nested in parts' if any(path.parent.parent != root for path in clips) else 'side by side'}"
        ),
        "notes": notes,
        "quarantined": quarantined,
        "counts": {**counts, "landmarks outside the image": outside},
        "checksum": digest.hexdigest()[:16],
    }
    return arrays, facts


def _read_clip(path: Path) -> tuple[list[dict[str, Any]], list[tuple[Path, str]]]:
    """Usable frames of one clip, and what could not be used, with the reason."""
    try:
        content = parse_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except ValueError:
        return [], [(path, "not valid JSON")]
    if not isinstance(content, dict) or not isinstance(content.get("frames"), dict):
        return [], [(path, "JSON without frames")]
    clip = path.parent.name
    actor = str(content.get("actor") or "").strip()
    found: list[dict[str, Any]] = []
    bad: list[tuple[Path, str]] = []
    for name, entry in sorted(content["frames"].items()):
        if not (name.isascii() and name.isdigit() and len(name) <= _MOST_DIGITS):
            bad.append((path, f"a frame is called {shown(name, 40)!r}, which is not a number"))
            continue
        image = path.parent / f"{name}.png"
        values = _annotation(entry)
        size = png_size(image) if not isinstance(values, str) else values
        if isinstance(values, str) or isinstance(size, str):
            bad.append((image, str(size)))
            continue
        if pixels_of(face_box(values[1]), *size) is None:
            bad.append((image, "all landmarks outside the image"))
            continue
        found.append(
            {
                "clip": clip,
                "frame": name,
                "identity": actor or f"clip {clip}",
                "va": values[0],
                "landmarks": values[1],
                "size": size,
            }
        )
    return found, bad


def _annotation(entry: Any) -> tuple[tuple[float, float], npt.NDArray[np.float32]] | str:
    """(valence, arousal) and landmarks of a frame, or what is wrong with them."""
    if not isinstance(entry, dict):
        return "frame without annotation"
    values = tuple(entry.get(name) for name in ("valence", "arousal"))
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and SCALE[0] <= v <= SCALE[1] for v in values):
        return f"valence or arousal missing or outside {SCALE[0]} to {SCALE[1]}"
    try:
        landmarks = np.array(entry.get("landmarks"), dtype=np.float32)
    except (TypeError, ValueError):
        return "landmarks are not 68 pairs"
    if landmarks.shape != (68, 2) or not np.isfinite(landmarks).all():
        return "landmarks are not 68 pairs"
    return (float(values[0]), float(values[1])), landmarks  # type: ignore[arg-type]


def _crop_boxes(
    landmarks: npt.NDArray[np.float32], sizes: npt.NDArray[np.int32], margin: float
) -> npt.NDArray[np.int32]:
    """Whole pixels of every crop, shape (N, 4)."""
    boxes = face_box(np.asarray(landmarks), margin)
    within = [
        pixels_of(box, int(width), int(height)) or (0, 0, int(width), int(height))
        for box, (width, height) in zip(boxes, sizes, strict=True)
    ]
    return np.array(within, dtype=np.int32)
