"""The raw index of AffectNet: every row of either release, or of a part of one, as arrays, built once and cached.

The release of 2021 is some 290,000 images with four annotation files each; opening each through ``np.load`` would take
minutes, so the few distinct ``.npy`` headers are parsed once and the values of all files are decoded together.
"""

from __future__ import annotations

import csv
import hashlib
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_bench.clutter import is_clutter_name
from fer_bench.data.contents import tree_state
from fer_bench.data.readable import readable
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.image_files import kind_of

CACHE_VERSION = 1
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
_LIST_FOLDERS = ("Manually_Annotated_file_lists", ".")
_IMAGE_FOLDERS = (
    "Manually_Annotated_Images",
    "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated",
    "Manually_Annotated_compressed",
    "images",
    ".",
)
_PARTS = ("images", "annotations")
_SETS_2021 = (("train_set", "train"), ("val_set", "val"))
# Warm local files are read fastest by one thread; four cost little there and hide the latency of a cold or remote disk.
_THREADS = 4
_CHUNK = 1024
_BLOCK = 4096


@dataclass(frozen=True)
class RawIndex:
    """Every row whose image is there, before any label is judged.

    Args:
        release: "lists", "2021", or "folder" (one images/ and one annotations/ folder of the 2021 kind, as courses hand
            them out).
        root: the folder that ``paths`` are relative to.
        ids: shape (N,).
        paths: shape (N,).
        is_train: shape (N,); of a "folder" all False where it is the release's validation set, and all True where
            nothing says what it is.
        expression: shape (N,), AffectNet's code, -1 where missing.
        valence: shape (N,), as stored, NaN where missing.
        arousal: shape (N,), as stored, NaN where missing.
        boxes: shape (N, 4), x, y, width, height as stored, -1 where missing.
        landmarks: shape (N, 68, 2), NaN where missing.
        missing: reason to number of rows that could not become a row here.
    """

    release: str
    root: Path
    ids: npt.NDArray[np.str_]
    paths: npt.NDArray[np.str_]
    is_train: npt.NDArray[np.bool_]
    expression: npt.NDArray[np.int64]
    valence: npt.NDArray[np.float32]
    arousal: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    missing: dict[str, int]


_ARRAYS = tuple(f.name for f in fields(RawIndex) if f.name not in ("release", "root", "missing"))


def raw_index(root: Path, cache: Path | None = None) -> RawIndex:
    """Find the release under a folder and read its index, from the cache where its files have not changed.

    The cache is keyed by the state of every file of the release, see :func:`fer_bench.data.contents.tree_state`.

    Args:
        root: folder that holds the release, or its parent.
        cache: folder for the index, made if needed; None to read without one.

    Returns:
        The index.

    Raises:
        MissingDataError: neither release is found, nor a part of one.
        BadDataError: a file does not hold what the format says.
    """
    release, home = _find(root)
    key = (
        ""
        if cache is None
        else hashlib.sha256(repr((CACHE_VERSION, release, tree_state(home))).encode()).hexdigest()[:16]
    )
    file = None if cache is None else cache / f"affectnet-{release}-{key}.npz"
    if file is not None and file.is_file():
        cached = _load(file, release, home)
        if cached is not None:
            return cached
    index = _read_lists(home) if release == "lists" else _read_2021(home, release)
    if file is not None:
        _save(file, index)
    return index


def _find(root: Path) -> tuple[str, Path]:
    below = sorted(p for p in root.iterdir() if p.is_dir() and not is_clutter_name(p.name)) if root.is_dir() else []
    # A whole release first, wherever it is; then what is a part of one.
    for whole in (True, False):
        for home in (root, *below):
            for release, found in (("2021", len(_sets(home, "2021"))), ("lists", len(_list_files(home)))):
                if found == 2 or (found and not whole):
                    return release, home
            if not whole and _is_one_folder(home):
                return "folder", home
    seen = ", ".join(p.name for p in below[:8]) or "no folders"
    problem = (
        f"AffectNet is not in {root} (found: {seen}): looked for {_LIST_FOLDERS[0]}/{{training,validation}}.csv, for"
        " {train_set,val_set}/{images,annotations} and for images/ with annotations/, there and one level below."
    )
    raise MissingDataError(
        problem,
        "AffectNet is given to researchers on request by its authors; unpack it there, or point to the folder that"
        " holds it.",
    )


def _sets(home: Path, release: str) -> list[tuple[str, str]]:
    """Folders with images and annotations, and what their ids begin with."""
    if release == "folder":
        return [("", "")]
    return [(name, short) for name, short in _SETS_2021 if all((home / name / part).is_dir() for part in _PARTS)]


def _is_one_folder(home: Path) -> bool:
    if not all((home / part).is_dir() for part in _PARTS):
        return False
    with os.scandir(home / "annotations") as entries:
        return any(e.name.endswith("_exp.npy") and not is_clutter_name(e.name) for e in entries)


def _list_files(home: Path) -> dict[str, Path]:
    """The lists by name. Without the other one, only a list in its own folder counts: many a ``validation.csv`` is of
    something else.
    """
    for folder in _LIST_FOLDERS:
        found = {name: path for name in ("training", "validation") if (path := home / folder / f"{name}.csv").is_file()}
        if len(found) == 2 or (found and folder != "."):
            return found
    return {}


# --- the old release: CSV lists


def _read_lists(home: Path) -> RawIndex:
    tables = {name: _read_list(file) for name, file in _list_files(home).items()}
    table = pd.concat(list(tables.values()), ignore_index=True)
    is_train = np.arange(len(table)) < len(tables.get("training", ()))
    paths = table["subDirectory_filePath"].str.replace("\\", "/").to_numpy(dtype=str)
    repeated = table["subDirectory_filePath"].duplicated().to_numpy()
    images = _image_folder(home, paths)
    there = np.array([p in images[1] for p in paths.tolist()], dtype=bool)
    missing = {"no image file": int((~there).sum()), "listed twice": int((there & repeated).sum())}
    keep = there & ~repeated
    prefix = "" if images[0] == "." else images[0] + "/"
    return RawIndex(
        release="lists",
        root=home,
        ids=paths[keep],
        paths=np.array([prefix + p for p in paths[keep].tolist()], dtype=str),
        is_train=is_train[keep],
        expression=table["expression"].to_numpy(dtype=np.float64)[keep].astype(np.int64),
        valence=table["valence"].to_numpy(dtype=np.float32)[keep],
        arousal=table["arousal"].to_numpy(dtype=np.float32)[keep],
        boxes=table[list(COLUMNS[1:5])].to_numpy(dtype=np.float32)[keep],
        landmarks=_parse_landmarks(table["facial_landmarks"][keep]),
        missing={reason: n for reason, n in missing.items() if n},
    )


def _read_list(file: Path) -> pd.DataFrame:
    """One CSV list, with or without its header row, numbers checked line by line."""
    with (
        readable(file, "Use the list as the owners distribute it."),
        file.open(newline="", encoding="utf-8-sig", errors="replace") as stream,
    ):
        first = next(csv.reader(stream), [])
    spelt = {name.lower(): name for name in COLUMNS}
    names = [spelt.get(name.strip().lower(), name.strip()) for name in first]
    has_header = COLUMNS[0] in names
    names = names if has_header else list(COLUMNS)
    absent = [c for c in COLUMNS if c not in names]
    if absent or len(first) != len(names):
        problem = (
            f"{file}, line 1: expected the columns {', '.join(COLUMNS)} or nine values; found {len(first)}:"
            f" {', '.join(first)[:120]!r}."
        )
        raise BadDataError(problem, "Use the list as the owners distribute it.")
    names = [name or f"unnamed {i}" for i, name in enumerate(names)]
    try:
        table = pd.read_csv(
            file,
            header=None,
            names=names,
            index_col=False,
            skiprows=int(has_header),
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
            encoding_errors="replace",
        ).fillna("")
    except pd.errors.ParserError as error:
        problem = f"{file}: {str(error).strip()}."
        raise BadDataError(problem, "Use the list as the owners distribute it.") from None
    # Blank lines, and lines of nothing but commas, as spreadsheets leave them at the end.
    table = table[table.apply(lambda column: column.str.strip() != "").any(axis=1)]
    for column, unset in (
        ("expression", -1.0),
        ("valence", np.nan),
        ("arousal", np.nan),
        *((c, -1.0) for c in COLUMNS[1:5]),
    ):
        text = table[column].str.strip()
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = np.flatnonzero(numbers.isna() & ~text.str.lower().isin(["", "null", "nan"]))
        if len(wrong):
            line = int(table.index[wrong[0]]) + 1 + has_header
            problem = f"{file}, line {line}: {column} is {text.iloc[wrong[0]]!r}, not a number."
            raise BadDataError(problem, f"{len(wrong)} such line(s); use the list as the owners distribute it.")
        table = table.assign(**{column: numbers.fillna(unset)})
    return table


def _image_folder(home: Path, paths: npt.NDArray[np.str_]) -> tuple[str, set[str]]:
    """The folder that the lists' paths are relative to, and every path of the lists that is in it."""
    parents = sorted({p.rpartition("/")[0] for p in paths.tolist()})
    best: tuple[str, set[str]] = (_IMAGE_FOLDERS[0], set())
    for folder in _IMAGE_FOLDERS:
        present = {
            f"{parent}/{name}".lstrip("/")
            for parent in parents
            if kind_of(home / folder / parent) == "folder"
            for name in _names(home / folder / parent)
        }
        present.intersection_update(paths.tolist())
        if len(present) > len(best[1]):
            best = (folder, present)
        if len(best[1]) > len(paths) // 2:
            break
    if not best[1]:
        problem = f"{home}: none of the {len(paths)} listed images is in {', '.join(_IMAGE_FOLDERS)}."
        raise MissingDataError(problem, "Unpack the images next to the lists, with their numbered sub-folders.")
    return best


def _parse_landmarks(texts: pd.Series[str]) -> npt.NDArray[np.float32]:
    out = np.full((len(texts), 136), np.nan, dtype=np.float32)
    whole = (texts.str.count(";") == 135).to_numpy()
    if whole.any():
        values = np.array(";".join(texts[whole]).split(";"), dtype=object)
        numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float32)
        out[whole] = numbers.reshape(-1, 136)
    return out.reshape(-1, 68, 2)


# --- the release of 2021: four .npy files per image


def _read_2021(home: Path, release: str) -> RawIndex:
    parts: list[dict[str, npt.NDArray[Any]]] = []
    missing: dict[str, int] = {}
    for folder, short in _sets(home, release):
        images = {
            name.rpartition(".")[0]: name
            for name in _names(home / folder / "images")
            if name.lower().endswith((".jpg", ".jpeg", ".png"))
        }
        annotations = _names(home / folder / "annotations")
        stems = sorted(images, key=lambda s: (len(s), s))
        labelled = [s for s in stems if all(f"{s}_{kind}.npy" in annotations for kind in ("exp", "val", "aro"))]
        orphans = {a.rpartition("_")[0] for a in annotations} - images.keys()
        for reason, count in (("no annotation file", len(stems) - len(labelled)), ("no image file", len(orphans))):
            if count:
                missing[reason] = missing.get(reason, 0) + count
        parts.append(_read_set(home / folder / "annotations", folder, short, labelled, images, annotations))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in _ARRAYS}
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
        "expression": exp.astype(np.int64),
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


def _names(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {e.name for e in _files(entries)}


def _files(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    return (e for e in entries if not e.is_dir() and not is_clutter_name(e.name))


# --- cache


def _save(file: Path, index: RawIndex) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    arrays: dict[str, Any] = {name: getattr(index, name) for name in _ARRAYS}
    arrays["missing_reasons"] = np.array(list(index.missing), dtype=str)
    arrays["missing_counts"] = np.array(list(index.missing.values()), dtype=np.int64)
    with part.open("wb") as stream:
        np.savez(stream, **arrays)
    part.replace(file)


def _load(file: Path, release: str, home: Path) -> RawIndex | None:
    """The cached index, or None where the file is damaged: it is then built anew."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            missing = {str(r): int(n) for r, n in zip(stored["missing_reasons"], stored["missing_counts"], strict=True)}
            return RawIndex(release=release, root=home, missing=missing, **{name: stored[name] for name in _ARRAYS})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
