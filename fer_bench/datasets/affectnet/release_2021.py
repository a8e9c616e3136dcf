"""AffectNet's release of 2021: four ``.npy`` files per image.

They are some 290,000 images; opening each file through ``np.load`` would take minutes, so the few distinct headers are
parsed once and the values of all files are decoded together.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_bench.clutter import is_clutter_name
from fer_bench.data.split_names import split_of
from fer_bench.datasets.affectnet.raw import ARRAYS, RawIndex, codes_of, names_in
from fer_bench.errors import BadDataError

_PARTS = ("images", "annotations")
# The owners' name of each set, what its ids begin with, and the split that other names of it name.
_SETS_2021 = (("train_set", "train", "train"), ("val_set", "val", "validation"))
# Warm local files are read fastest by one thread; four cost little there and hide the latency of a cold or remote disk.
_THREADS = 4
_CHUNK = 1024
_BLOCK = 4096


def sets_of(home: Path, release: str) -> list[tuple[str, str]]:
    """Folders with images and annotations, and what their ids begin with.

    A set is the folder of the owners' name, one of that name inside it, as archives that are unpacked into a folder of
    their own leave it, or a folder of another name of its split (``train``, ``Val_Set``) that holds labels.

    Raises:
        BadDataError: two folders are of one split, and neither has the owners' name.
    """
    if release == "folder":
        return [("", "")]
    found: list[tuple[str, str]] = []
    for name, short, split in _SETS_2021:
        own = next((place for place in (name, f"{name}/{name}") if _has_parts(home / place)), None)
        others = [] if own else [other for other in _folders_in(home) if split_of(other) == split]
        others = [place for other in others for place in (other, f"{other}/{other}") if is_one_folder(home / place)]
        if len(others) > 1:
            problem = f"{home}: {others[0]} and {others[1]} are both of the {split} set."
            raise BadDataError(problem, f"Call the one that is meant {name}, or move the other one away.")
        found += [(place, short) for place in ([own] if own else others)]
    return found


def _folders_in(home: Path) -> list[str]:
    if not home.is_dir():
        return []
    with os.scandir(home) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not is_clutter_name(e.name))


def _has_parts(home: Path) -> bool:
    return all((home / part).is_dir() for part in _PARTS)


def is_one_folder(home: Path) -> bool:
    """Whether a folder is one part of the release, whatever it is called."""
    if not _has_parts(home):
        return False
    with os.scandir(home / "annotations") as entries:
        return any(e.name.endswith("_exp.npy") and not is_clutter_name(e.name) for e in entries)


def read_2021(home: Path, release: str) -> RawIndex:
    """Every image that has all three labels.

    Args:
        home: folder of the sets.
        release: "2021", or "folder" for one part of it.

    Raises:
        BadDataError: an annotation that is no ``.npy`` file of the numbers that belong there.
    """
    parts: list[dict[str, npt.NDArray[Any]]] = []
    missing: dict[str, int] = {}
    for folder, short in sets_of(home, release):
        images = {
            name.rpartition(".")[0]: name
            for name in names_in(home / folder / "images")
            if name.lower().endswith((".jpg", ".jpeg", ".png"))
        }
        annotations = names_in(home / folder / "annotations")
        stems = sorted(images, key=lambda s: (len(s), s))
        labelled = [s for s in stems if all(f"{s}_{kind}.npy" in annotations for kind in ("exp", "val", "aro"))]
        orphans = {a.rpartition("_")[0] for a in annotations} - images.keys()
        for reason, count in (("no annotation file", len(stems) - len(labelled)), ("no image file", len(orphans))):
            if count:
                missing[reason] = missing.get(reason, 0) + count
        parts.append(_read_set(home / folder / "annotations", folder, short, labelled, images, annotations))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS}
    if release == "folder":
        arrays["is_train"] = np.full(len(arrays["ids"]), not is_validation_set(arrays["expression"]))
    return RawIndex(release=release, root=home, missing=missing, **arrays)


def is_validation_set(expression: npt.NDArray[np.int64]) -> bool:
    """Whether images are a release's validation set: 500 a class, of which a few are missing from most copies.

    Args:
        expression: shape (N,), AffectNet's codes.
    """
    counts = np.bincount(np.clip(expression, 0, 10), minlength=11)
    return bool((counts <= 500).all() and (counts[:7] >= 480).all())


def _read_set(
    folder: Path, set_name: str, short: str, stems: list[str], images: dict[str, str], present: set[str]
) -> dict[str, npt.NDArray[Any]]:
    n = len(stems)
    # A million Path objects would take longer than reading the files.
    start = os.path.join(os.fspath(folder), "")  # noqa: PTH118
    exp, valence, arousal = (
        _read_npy([f"{start}{s}_{kind}.npy" for s in stems], 1)[:, 0] for kind in ("exp", "val", "aro")
    )
    landmarks = np.full((n, 136), np.nan, dtype=np.float32)
    with_landmarks = [i for i, s in enumerate(stems) if f"{s}_lnd.npy" in present]
    landmarks[with_landmarks] = _read_npy([f"{start}{stems[i]}_lnd.npy" for i in with_landmarks], 136)
    return {
        "ids": np.array([f"{short}/{s}" if short else s for s in stems], dtype=str),
        "paths": np.array([f"{set_name}/images/{images[s]}".lstrip("/") for s in stems], dtype=str),
        "is_train": np.full(n, short == "train"),
        "expression": codes_of(exp),
        "valence": valence.astype(np.float32),
        "arousal": arousal.astype(np.float32),
        "boxes": np.full((n, 4), -1, dtype=np.float32),
        "landmarks": landmarks.reshape(n, 68, 2),
    }


def _read_npy(files: list[str], width: int) -> npt.NDArray[np.float64]:
    """Decode many small .npy files of ``width`` values each, numbers or strings, shape (len(files), width)."""
    out = np.empty((len(files), width), dtype=np.float64)
    groups: dict[bytes, tuple[list[int], list[bytes]]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        blobs = chain.from_iterable(pool.map(_read_all, [files[k : k + _CHUNK] for k in range(0, len(files), _CHUNK)]))
        for i, blob in enumerate(blobs):
            size = (
                10 + int.from_bytes(blob[8:10], "little")
                if blob[6:7] == b"\x01"
                else 12 + int.from_bytes(blob[8:12], "little")
            )
            rows, values = groups.setdefault(blob[:size], ([], []))
            rows.append(i)
            values.append(blob[size:])
    for header, (rows, values) in groups.items():
        dtype = _dtype(header, files[rows[0]])
        short = next((k for k, v in enumerate(values) if len(v) != width * dtype.itemsize), None)
        if short is not None:
            problem = f"{files[rows[short]]}: {len(values[short])} bytes of {dtype}, expected {width} value(s)."
            raise BadDataError(problem, "The file is damaged or of another kind; unpack it again.")
        flat = np.frombuffer(b"".join(values), dtype=dtype)
        try:
            out[rows] = flat.astype(np.float64).reshape(-1, width)
        except ValueError:
            bad = next(k for k, value in enumerate(flat) if not _is_number(value)) // width
            problem = f"{files[rows[bad]]}: holds {flat[bad * width]!r}, not a number."
            raise BadDataError(problem, "Unpack the file again.") from None
    return out


def _read_all(files: list[str]) -> list[bytes]:
    blobs = []
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            blob = os.read(descriptor, _BLOCK)
            while len(blob) % _BLOCK == 0 and (more := os.read(descriptor, _BLOCK)):
                blob += more
        finally:
            os.close(descriptor)
        blobs.append(blob)
    return blobs


def _dtype(header: bytes, file: str) -> np.dtype[np.generic]:
    try:
        stream = BytesIO(header)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        dtype: np.dtype[np.generic] = read(stream)[2]
    except ValueError as error:
        problem = f"{file}: not a .npy file ({error})."
        raise BadDataError(problem, "Unpack the file again.") from None
    if dtype.kind not in "iufUS":
        problem = f"{file}: holds {dtype}, expected numbers or strings."
        raise BadDataError(problem, "Pickled arrays are not read, since that would run their code.")
    return dtype


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
